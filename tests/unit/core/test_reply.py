"""Reply as the Future that it is, and the races between those who ask and who settles."""

import asyncio
import pickle
import threading
from concurrent.futures import ALL_COMPLETED, CancelledError, Future, InvalidStateError, as_completed, wait
from typing import Any

import pytest

from wsclient.core.reply import Reply, fail, succeed
from wsclient.errors import NotSent, WouldDeadlock


def new(on_event_thread: bool = False) -> Reply[Any]:
    return Reply({"method": "Test", "tag": 1}, 1, lambda: on_event_thread)


def soon(reply: Reply[Any], result: object) -> threading.Thread:
    """Settles it from another thread, once this one can be waiting."""
    thread = threading.Thread(target=succeed, args=(reply, result))
    thread.start()
    return thread


def test_waiting_on_the_event_thread_is_refused_unless_the_outcome_is_there() -> None:
    reply = new(on_event_thread=True)
    for ask in (reply.result, reply.exception):
        with pytest.raises(WouldDeadlock, match="add_done_callback"):
            ask()
    succeed(reply, {"ok": 1})
    assert reply.result() == {"ok": 1}
    assert reply.exception() is None


def test_a_call_can_be_cancelled_until_it_is_about_to_leave() -> None:
    early, late = new(), new()
    assert early.cancel()
    assert early.cancel()
    assert early.cancelled()
    assert not early.leaving()
    with pytest.raises(CancelledError):
        early.result(0)
    assert late.leaving()
    assert late.leaving()
    assert not late.cancel()
    succeed(late, 1)
    assert not late.cancel()


def test_cancelling_wakes_who_waits() -> None:
    reply = new()
    outcome: list[BaseException] = []

    def ask() -> None:
        try:
            reply.result(10)
        except CancelledError as error:
            outcome.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    reply.cancel()
    asker.join(5)
    assert len(outcome) == 1


def test_ending_a_cancelled_call_changes_nothing() -> None:
    reply = new()
    reply.cancel()
    fail(reply, NotSent("late"))
    assert reply.cancelled()


def test_an_outcome_cannot_be_told_twice() -> None:
    reply = new()
    reply.set_result(1)
    with pytest.raises(InvalidStateError):
        reply.set_result(2)
    with pytest.raises(InvalidStateError):
        reply.set_exception(NotSent("no"))
    assert reply.result() == 1


def test_a_callback_that_raises_even_systemexit_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def leave(_: object) -> None:
        raise SystemExit

    reply = new()
    reply.add_done_callback(leave)
    succeed(reply, 1)
    assert reply.result() == 1
    assert "callback" in caplog.text


def test_callbacks_run_once_whether_added_before_or_after() -> None:
    seen: list[object] = []
    reply = new()
    reply.add_done_callback(lambda done: seen.append(("before", done.result())))
    succeed(reply, 1)
    reply.add_done_callback(lambda done: seen.append(("after", done.result())))
    assert seen == [("before", 1), ("after", 1)]


def test_a_reply_can_be_awaited_and_wrapped() -> None:
    reply, other = new(), new()

    async def main() -> list[object]:
        soon(reply, "done")
        soon(other, "too")
        return [await reply, await asyncio.wrap_future(other)]

    assert asyncio.run(main()) == ["done", "too"]


def test_wait_and_as_completed_take_replies() -> None:
    replies = [new() for _ in range(20)]
    threads = [soon(reply, number) for number, reply in enumerate(replies)]
    assert sorted(done.result() for done in as_completed(replies, timeout=10)) == list(range(20))
    done, pending = wait(replies, timeout=10, return_when=ALL_COMPLETED)
    assert (len(done), len(pending)) == (20, 0)
    for thread in threads:
        thread.join()


def test_a_reply_times_out_and_may_still_arrive() -> None:
    reply = new()
    for timeout in (0, -1, 0.001):
        with pytest.raises(TimeoutError, match="Test"):
            reply.result(timeout)
    succeed(reply, 1)
    assert reply.result(0) == 1


def test_any_number_of_threads_may_wait_for_one_reply() -> None:
    reply = new()
    seen: list[object] = []
    threads = [threading.Thread(target=lambda: seen.append(reply.result(10))) for _ in range(16)]
    for thread in threads:
        thread.start()
    succeed(reply, 5)
    for thread in threads:
        thread.join(10)
    assert seen == [5] * 16


def test_whoever_asks_while_it_is_settled_is_told() -> None:
    """Each way to ask, raced against the settling many times."""
    for _ in range(2000):
        reply = new()
        told: list[object] = []
        barrier = threading.Barrier(2)

        def settle(reply: Reply[Any] = reply, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            succeed(reply, 1)

        thread = threading.Thread(target=settle)
        thread.start()
        barrier.wait()
        reply.add_done_callback(told.append)
        assert wait([reply], timeout=5).done == {reply}
        assert reply.result(5) == 1
        thread.join()
        assert told == [reply]


def test_a_reply_is_a_future_and_says_why_it_cannot_be_pickled() -> None:
    assert isinstance(new(), Future)
    assert repr(new()) == "<Reply to Test with tag 1: pending>"
    with pytest.raises(TypeError, match="result"):
        pickle.dumps(new())
