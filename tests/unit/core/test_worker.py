"""The thread for what takes its time."""

import logging
import threading
import weakref

import pytest

from tests.peers import PATIENCE
from wsclient.core.worker import Worker


def test_jobs_are_done_one_after_the_other_on_one_thread_that_ends_with_them() -> None:
    worker, done, over = Worker("wsclient test"), [], threading.Event()
    begin = threading.Event()
    worker.do(lambda: begin.wait(PATIENCE))
    for number in range(50):
        worker.do(lambda number=number: done.append((number, threading.current_thread())))  # type: ignore[misc]
    worker.do(over.set)
    begin.set()
    assert over.wait(PATIENCE)
    worker.join(PATIENCE)
    assert [number for number, _ in done] == list(range(50))
    assert len({thread for _, thread in done}) == 1
    assert not done[0][1].is_alive()


def test_what_is_due_later_waits_and_what_is_cancelled_is_left_undone() -> None:
    worker, done, over = Worker("wsclient test"), [], threading.Event()
    worker.do(lambda: done.append("later"), 0.02)
    worker.do(lambda: done.append("never"), 0.01).cancel()
    worker.do(lambda: done.append("now"))
    worker.do(over.set, 0.03)
    assert over.wait(PATIENCE)
    assert done == ["now", "later"]
    worker.join(PATIENCE)


def test_the_thread_doesnt_wait_for_a_cancelled_job() -> None:
    worker, begun = Worker("wsclient test"), threading.Event()
    far = worker.do(lambda: None, 3600)
    worker.do(begun.set)
    assert begun.wait(PATIENCE)
    far.cancel()
    worker.join(PATIENCE)
    assert not [thread for thread in threading.enumerate() if thread.name == "wsclient test"]


def test_a_stopped_worker_does_nothing_more() -> None:
    worker, begun, gate, done = Worker("wsclient test"), threading.Event(), threading.Event(), []

    def wait() -> None:
        begun.set()
        gate.wait(PATIENCE)

    worker.do(wait)
    assert begun.wait(PATIENCE)
    worker.do(lambda: done.append(1))
    worker.stop()
    worker.do(lambda: done.append(2))
    gate.set()
    worker.join(PATIENCE)
    assert not done


def test_what_a_stopped_worker_will_never_do_is_told() -> None:
    worker, begun, gate, left = Worker("wsclient test"), threading.Event(), threading.Event(), []

    def wait() -> None:
        begun.set()
        gate.wait(PATIENCE)

    worker.do(wait, abandoned=lambda: left.append("begun"))
    assert begun.wait(PATIENCE)
    first = worker.do(lambda: None, 3600, abandoned=lambda: left.append("later"))
    worker.do(lambda: None, abandoned=lambda: left.append("now"))
    worker.do(lambda: None, abandoned=lambda: left.append("cancelled")).cancel()
    worker.stop()
    assert left == ["now", "later"]
    second = worker.do(lambda: None, abandoned=lambda: left.append("refused"))
    assert (first.refused, second.refused, len(left)) == (False, True, 2)
    gate.set()
    worker.join(PATIENCE)


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_job_that_fails_leaves_the_others_alone(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    worker, over = Worker("wsclient test"), threading.Event()

    def fail() -> None:
        raise error("a mistake")

    with caplog.at_level(logging.ERROR):
        worker.do(fail)
        worker.do(over.set)
        assert over.wait(PATIENCE)
    assert "a mistake" in caplog.text
    worker.join(PATIENCE)


def test_a_cancelled_job_lets_go_at_once_of_what_it_holds() -> None:
    class Large:
        pass

    worker, large = Worker("wsclient test"), Large()
    gone = weakref.ref(large)
    far = worker.do(lambda large=large: None, 3600)  # type: ignore[misc]
    del large
    assert gone() is not None
    far.cancel()
    worker.join(PATIENCE)
    del far
    assert gone() is None


def test_the_thread_waits_for_no_job_that_it_has_done() -> None:
    class Large:
        pass

    worker, large, over = Worker("wsclient test"), Large(), threading.Event()
    gone = weakref.ref(large)
    far = worker.do(lambda: None, 3600)
    worker.do(lambda large=large: None)  # type: ignore[misc]
    worker.do(over.set, 0.01)
    del large
    assert over.wait(PATIENCE)
    assert gone() is None
    far.cancel()
    worker.join(PATIENCE)
