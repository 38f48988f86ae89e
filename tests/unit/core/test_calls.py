"""Reply, and the table of calls that wait."""

import asyncio
import pickle
import threading
from typing import Any

import pytest

from wsclient.core.calls import Calls, Reply, fail, succeed
from wsclient.core.dialect import Message
from wsclient.errors import InvalidRequest, NotSent, WouldDeadlock


def tagged(tag: int) -> Message:
    return {"method": "Test", "tag": tag}


def calls(on_event_thread: bool = False) -> Calls:
    return Calls(lambda: on_event_thread)


def add(table: Calls, tag: int | None = None) -> Reply[Any]:
    return table.add(tag, tagged)


def test_tags_count_up_and_step_around_those_in_use() -> None:
    table = calls()
    add(table, 2)
    assert [add(table).tag for _ in range(3)] == [1, 3, 4]


def test_a_tag_in_use_is_refused_until_its_call_has_ended() -> None:
    table = calls()
    reply = add(table, 7)
    with pytest.raises(InvalidRequest, match="7"):
        add(table, 7)
    assert table.drop(reply)
    assert add(table, 7) is not reply


def test_a_call_is_taken_out_once() -> None:
    table = calls()
    reply = add(table)
    session = object()
    table.carry(reply, session)
    assert table.answered(reply.tag, session) is reply
    assert table.answered(reply.tag, session) is None
    assert not table.drop(reply)
    assert table.lost(session) == []


def test_another_call_with_the_same_tag_is_not_taken_for_the_first() -> None:
    table = calls()
    first = add(table, 5)
    table.drop(first)
    second = add(table, 5)
    assert not table.drop(first)
    assert table.drop(second)


def test_a_reply_counts_only_on_the_session_that_carried_the_call() -> None:
    table = calls()
    reply = add(table)
    old, new = object(), object()
    assert table.answered(reply.tag, old) is None  # it hasn't been sent: a guess
    table.carry(reply, new)
    assert table.answered(reply.tag, old) is None
    assert table.answered(reply.tag, new) is reply


def test_a_lost_session_gives_up_its_own_calls_alone() -> None:
    table = calls()
    kept, lost = add(table), add(table)
    session = object()
    table.carry(lost, session)
    assert table.lost(session) == [lost]
    assert not table.carry(lost, None)
    assert table.carry(kept, session)


def test_waiting_on_the_event_thread_is_refused_unless_the_outcome_is_there() -> None:
    reply = add(calls(on_event_thread=True))
    for wait in (reply.result, reply.exception):
        with pytest.raises(WouldDeadlock, match="add_done_callback"):
            wait()
    succeed(reply, {"ok": 1})
    assert reply.result() == {"ok": 1}
    assert reply.exception() is None


def test_a_call_can_be_cancelled_until_it_is_about_to_leave() -> None:
    early, late = add(calls()), add(calls())
    assert early.cancel()
    assert not early.leaving()
    assert late.leaving()
    assert late.leaving()
    assert not late.cancel()


def test_ending_a_cancelled_call_changes_nothing() -> None:
    reply = add(calls())
    reply.cancel()
    fail(reply, NotSent("late"))
    assert reply.cancelled()


def test_a_callback_that_raises_even_systemexit_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def leave(_: object) -> None:
        raise SystemExit

    reply = add(calls())
    reply.add_done_callback(leave)
    succeed(reply, 1)
    assert reply.result() == 1
    assert "callback" in caplog.text


def test_a_reply_can_be_awaited_from_any_event_loop() -> None:
    reply = add(calls())

    async def wait() -> object:
        threading.Timer(0.01, succeed, (reply, "done")).start()
        return await reply

    assert asyncio.run(wait()) == "done"


def test_a_reply_times_out_and_may_still_arrive() -> None:
    reply = add(calls())
    with pytest.raises(TimeoutError):
        reply.result(0)
    succeed(reply, 1)
    assert reply.result(0) == 1


def test_a_reply_says_why_it_cannot_be_pickled() -> None:
    with pytest.raises(TypeError, match="result"):
        pickle.dumps(add(calls()))
