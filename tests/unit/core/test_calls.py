"""The table of calls that wait for a reply."""

from collections.abc import Hashable
from typing import Any

import pytest

from wsclient.coinflex.dialect import CoinFLEX
from wsclient.core.calls import Calls
from wsclient.core.reply import Reply
from wsclient.errors import InvalidRequest


class Session:
    """Something that carries calls."""

    account: Hashable = None

    def read_for(self, reply: Reply[Any], timeout: float | None) -> None:
        raise NotImplementedError


def calls() -> Calls:
    return Calls(CoinFLEX(), lambda: False)


def add(table: Calls, tag: int | None = None) -> Reply[Any]:
    return table.add({"method": "Test"}, tag)


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
    session = Session()
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
    old, new = Session(), Session()
    assert table.answered(reply.tag, old) is None  # it hasn't been sent: a guess
    table.carry(reply, new)
    assert table.answered(reply.tag, old) is None
    assert table.answered(reply.tag, new) is reply


def test_a_lost_session_gives_up_its_own_calls_alone() -> None:
    table = calls()
    kept, lost = add(table), add(table)
    session = Session()
    table.carry(lost, session)
    assert table.lost(session) == [lost]
    assert not table.carry(lost, None)
    assert table.carry(kept, session)
