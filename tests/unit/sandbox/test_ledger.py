"""The ledger: order, bounds, questions, and waiting without sleeping."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from wsclient.sandbox.events import BalanceChanged, TradeVolumeChanged
from wsclient.sandbox.ledger import (
    LONGEST_LIST,
    Answered,
    Closed,
    Command,
    Executed,
    Happened,
    Ledger,
    Noticed,
    Opened,
    describe,
)


def make(limit: int | None = None) -> Ledger:
    return Ledger(clock=iter(range(10**6)).__next__, limit=limit)


def command(ledger: Ledger, method: str = "GetOrders", session: int = 1, user: int | None = 7) -> Command:
    return ledger.add(Command, session, user, method, 3, {})


def test_entries_are_numbered_in_the_order_in_which_things_happened() -> None:
    ledger = make()
    ledger.add(Opened, 1, "/v1", "peer")
    asked = command(ledger)
    ledger.add(Executed, asked, 0, {"error_code": 0})
    ledger.add(Answered, asked, True)
    ledger.add(Closed, 1, 1000, "")
    assert [type(entry) for entry in ledger.entries()] == [Opened, Command, Executed, Answered, Closed]
    assert [entry.at for entry in ledger.entries()] == [1, 2, 3, 4, 5]
    assert len(ledger) == 5
    assert describe(ledger.entries()).count("\n") == 4


def test_questions_choose_by_method_session_and_user() -> None:
    ledger = make()
    one = command(ledger, "GetOrders", session=1, user=7)
    two = command(ledger, "PlaceOrder", session=1, user=7)
    three = command(ledger, "PlaceOrder", session=2, user=8)
    assert ledger.commands() == [one, two, three]
    assert ledger.commands("PlaceOrder") == [two, three]
    assert ledger.commands(session=1) == [one, two]
    assert ledger.commands("PlaceOrder", user=8) == [three]


def test_what_became_of_a_command_is_known_by_the_command_itself() -> None:
    ledger = make()
    first, second = command(ledger), command(ledger)
    done = ledger.add(Executed, second, 8, {"error_code": 8})
    ledger.add(Answered, second, False)
    assert ledger.outcome(first) is None
    assert ledger.outcome(second) == done
    assert not ledger.was_answered(second)
    ledger.add(Answered, second, True)
    assert ledger.was_answered(second)
    assert ledger.executed("GetOrders") == [done]


def test_open_sessions_are_those_opened_and_not_closed() -> None:
    ledger = make()
    ledger.add(Opened, 1, "/v1", "peer")
    ledger.add(Opened, 2, "/v1", "peer")
    closed = ledger.add(Closed, 1, 1006, "")
    assert ledger.open_sessions() == {2}
    assert ledger.closure(1) == closed
    assert ledger.closure(2) is None


def test_events_are_chosen_by_class() -> None:
    ledger = make()
    balance, volume = BalanceChanged(1, 2, 3), TradeVolumeChanged(1, 2, 3)
    ledger.add(Happened, balance)
    ledger.add(Happened, volume)
    assert ledger.events() == [balance, volume]
    assert ledger.events(TradeVolumeChanged) == [volume]


def test_a_bounded_ledger_keeps_the_last_of_each_kind_and_counts_the_rest() -> None:
    ledger = make(limit=3)
    ledger.add(Opened, 1, "/v1", "peer")
    for _ in range(10):
        command(ledger)
    assert [entry.at for entry in ledger.commands()] == [9, 10, 11]
    assert len(ledger.connections) == 1
    assert ledger.dropped == 7
    assert len(ledger) == 11


def test_only_a_bounded_ledger_shortens_long_lists() -> None:
    reply: Mapping[str, Any] = {"error_code": 0, "orders": list(range(5000))}
    assert make().shorten(reply) is reply
    assert make(limit=5).shorten(reply) == {"error_code": 0, "orders": list(range(LONGEST_LIST))}
    short = {"error_code": 0, "orders": [1]}
    assert make(limit=5).shorten(short) is short
    nested = {"status": 200, "result": {"lastUpdateId": 5, "bids": list(range(LONGEST_LIST + 1))}}
    assert make(limit=5).shorten(nested) == {
        "status": 200,
        "result": {"lastUpdateId": 5, "bids": list(range(LONGEST_LIST))},
    }


def test_waiting_ends_as_soon_as_it_has_happened() -> None:
    ledger = make()
    writer = threading.Thread(target=lambda: [command(ledger, session=n) for n in range(100)])
    writer.start()
    found = ledger.wait_for(lambda ledger: ledger.commands(session=99), timeout=10)
    assert [entry.session for entry in found] == [99]
    writer.join()
    assert ledger.wait_for(len) == 100


def test_waiting_in_vain_says_what_happened_last() -> None:
    ledger = make()
    command(ledger, "CancelAllOrders")
    with pytest.raises(TimeoutError, match="CancelAllOrders"):
        ledger.wait_for(lambda ledger: ledger.commands("GetOrders"), timeout=0.01)


def test_many_threads_may_write() -> None:
    ledger = make()
    threads = [threading.Thread(target=lambda: [command(ledger) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.at for entry in ledger.of(Command)) == list(range(1, 1601))
    assert ledger.of(Noticed) == []
