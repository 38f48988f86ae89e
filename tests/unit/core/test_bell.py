"""The bell that a thread sleeps on until its reply is there, and the gate where there is none."""

import os
import threading
from collections.abc import Hashable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest

from wsclient.core import bell
from wsclient.core.bell import Bell, mine
from wsclient.core.reply import Reply, succeed

pytestmark = pytest.mark.skipif(not bell.POSSIBLE, reason="there is no eventfd here")


def pending() -> Reply[dict[str, int]]:
    return Reply({"method": "GetOrders"}, 1, lambda: False)


class Session:
    """The session of a reply, which is asked to read by each who begins to wait."""

    account: Hashable = None

    def __init__(self) -> None:
        self._asked = threading.Semaphore(0)

    def read_for(self, reply: Reply[Any], timeout: float | None) -> None:
        self._asked.release()

    def wait_for_waiters(self, count: int) -> None:
        for _ in range(count):
            assert self._asked.acquire(timeout=10)


def test_a_bell_that_was_rung_before_wakes_at_once_and_only_once() -> None:
    one = Bell(os.eventfd(0))
    one.ring()
    one.ring()
    one.sleep(None)
    one.sleep(0)


def test_each_thread_has_one_of_its_own_which_ends_with_it() -> None:
    assert mine() is mine()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(mine).result()
    assert other is not None
    assert other is not mine()
    files = len(os.listdir("/proc/self/fd"))
    del other
    assert len(os.listdir("/proc/self/fd")) == files - 1


def test_a_ring_for_a_reply_that_was_given_up_does_not_end_the_next_wait() -> None:
    late, next_one = pending(), pending()
    with pytest.raises(TimeoutError):
        late.result(0.01)
    succeed(late, {"tag": 1})
    with pytest.raises(TimeoutError):
        next_one.result(0.01)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(next_one.result, 10)
        succeed(next_one, {"tag": 2})
        assert told.result(10) == {"tag": 2}
    assert late.result() == {"tag": 1}


def test_many_who_wait_for_one_reply_are_all_told() -> None:
    reply, session = pending(), Session()
    reply.carrier = session
    with ThreadPoolExecutor(8) as pool:
        told = [pool.submit(reply.result, 10) for _ in range(8)]
        session.wait_for_waiters(8)
        succeed(reply, {"tag": 1})
        assert [one.result(10) for one in told] == [{"tag": 1}] * 8


def test_who_waits_is_told_of_a_cancelling_too() -> None:
    reply, session = pending(), Session()
    reply.carrier = session
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(reply.exception, 10)
        session.wait_for_waiters(1)
        assert reply.cancel()
        with pytest.raises(CancelledError):
            told.result(10)


@pytest.mark.parametrize("round", range(200))
def test_settling_and_waiting_never_miss_one_another(round: int) -> None:
    reply = pending()
    together = threading.Barrier(2)

    def settle() -> None:
        together.wait(10)
        succeed(reply, {"tag": round})

    thread = threading.Thread(target=settle)
    thread.start()
    together.wait(10)
    assert reply.result(10) == {"tag": round}
    thread.join()


def test_without_room_for_one_more_file_the_gate_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "eventfd", full)
    reply = pending()
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(reply.result, 10)
        succeed(reply, {"tag": 1})
        assert told.result(10) == {"tag": 1}
    assert reply.bell is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_has_a_bell_of_its_own() -> None:
    before = mine()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"shared" if mine() is before else b"own")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"own"
    os.close(read)
    os.close(write)
