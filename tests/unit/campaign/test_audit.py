"""The audit finds every kind of lie: a campaign that can't fail would prove nothing."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.campaign.audit import audit, sessions_lost, unknown_orders
from tests.campaign.calls import Account, Call
from wsclient import (
    AuthenticationError,
    CommandError,
    InsufficientFunds,
    NotSent,
    OutcomeUnknown,
    Reply,
    TransportError,
    WSClient,
    WSClientError,
)
from wsclient.sandbox.answers import Order
from wsclient.sandbox.ledger import Answered, Command, Entry, Executed

USER = 1001
DONE = {"error_code": 0, "id": 5, "time": 9, "tag": 7}
POOR = {"error_code": 4, "error_msg": "poor", "tag": 7}


class History:
    """A ledger's entries, written by hand."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def placed(
        self, reply: dict[str, Any] | None, *, tag: int = 7, tonce: int = 70, sent: bool = True, session: int = 3
    ) -> "History":
        """An order that arrived; None: and was never run."""
        at = len(self.entries) + 1
        command = Command(at, 0, session, USER, "PlaceOrder", tag, {"tonce": tonce})
        self.entries.append(command)
        if reply is not None:
            self.entries.append(Executed(at + 1, 0, command, reply["error_code"], reply))
            self.entries.append(Answered(at + 2, 0, command, sent))
        return self


def call(
    outcome: dict[str, Any] | Exception | None,
    *,
    told: int = 1,
    tag: int = 7,
    tonce: int = 70,
    resubmits: bool = False,
) -> Call:
    """An order as its caller saw it; None: it hears nothing."""
    fields = {"tonce": tonce}
    reply: Reply[Any] = Reply({"method": "PlaceOrder", **fields}, tag, lambda: False)
    if isinstance(outcome, Exception):
        reply.set_exception(outcome)
    elif outcome is not None:
        reply.set_result(outcome)
    account = Account(1, WSClient("ws://127.0.0.1:9"), USER, own_tags=True, own_tonces=True, resubmits=resubmits)
    return Call(account, "PlaceOrder", fields, tag=tag, reply=reply, told=told if outcome is not None else 0)


def rules(calls: Iterable[Call], history: History) -> list[str]:
    return [violation.rule for violation in audit(calls, history.entries)]


def refusal(code: int = 4, message: str = "poor") -> CommandError:
    return InsufficientFunds(code, message, {})


@pytest.mark.parametrize(
    ("outcome", "history"),
    [
        (DONE, History().placed(DONE)),
        (refusal(), History().placed(POOR)),
        (NotSent("no"), History()),
        (AuthenticationError("no"), History()),
        (OutcomeUnknown("who knows"), History().placed(DONE)),
        (OutcomeUnknown("who knows"), History().placed(None)),
    ],
)
def test_what_was_told_and_is_true_is_no_violation(outcome: Any, history: History) -> None:
    assert rules([call(outcome)], history) == []


@pytest.mark.parametrize(
    ("outcome", "history", "rule"),
    [
        (DONE, History(), "told done, but never executed"),
        (DONE, History().placed(None), "told done, but never executed"),
        (DONE, History().placed({**DONE, "id": 6}), "told another result than there was"),
        (DONE, History().placed(POOR), "told another result than there was"),
        (DONE, History().placed(DONE, sent=False), "told a reply that was never given"),
        (refusal(), History(), "told refused, but never executed"),
        (refusal(), History().placed(DONE), "told another error than there was"),
        (refusal(5), History().placed(POOR), "told another error than there was"),
        (refusal(4, "rich"), History().placed(POOR), "told another error than there was"),
        (refusal(), History().placed(POOR, sent=False), "told a refusal that was never given"),
        (NotSent("no"), History().placed(DONE), "told that it never left, but the exchange has it"),
        (AuthenticationError("no"), History().placed(None), "told that it never left, but the exchange has it"),
        (OutcomeUnknown("?"), History(), "told unknown, but there was never a connection to send it on"),
        (None, History().placed(DONE), "was pending"),
        (TransportError("hm"), History().placed(DONE), "was strange"),
        (WSClientError("hm"), History(), "was strange"),
    ],
)
def test_what_was_told_and_is_not_true_is_found(outcome: Any, history: History, rule: str) -> None:
    assert rules([call(outcome)], history) == [rule]


@pytest.mark.parametrize("told", [0, 2])
def test_an_outcome_that_is_told_not_once_is_found(told: int) -> None:
    assert rules([call(DONE, told=told)], History().placed(DONE)) == ["a call was told its outcome not once"]


def test_a_call_that_was_sent_twice_is_found() -> None:
    history = History().placed(DONE).placed(POOR)
    assert "a call reached the exchange more than once" in rules([call(DONE)], history)


def test_an_order_that_was_placed_twice_is_found_under_whatever_tag() -> None:
    history = History().placed(DONE).placed({**DONE, "id": 6}, tag=8)
    assert rules([call(OutcomeUnknown("?"))], history) == ["an order was placed twice"]


def test_an_order_of_unknown_outcome_may_be_sent_again_by_its_tonce() -> None:
    history = History().placed(None).placed(DONE, tag=8)
    assert rules([call(OutcomeUnknown("?"))], history) == []
    assert rules([call(OutcomeUnknown("?"), tonce=71)], History().placed(None).placed(DONE, tag=8)) == [
        "a command that nobody made"
    ]


def test_a_lost_order_is_found() -> None:
    assert rules([], History().placed(DONE)) == ["a command that nobody made"]


def test_a_connection_on_which_a_user_got_no_further_than_the_login_counts_as_his() -> None:
    history = History()
    history.entries.append(Command(1, 0, 3, None, "Authenticate", 1, {"user_id": USER}))
    assert rules([call(OutcomeUnknown("?"))], history) == []


def test_a_client_that_resubmits_may_tell_the_order_that_it_found_or_placed_again() -> None:
    again = {**DONE, "tag": 8}
    history = History().placed(None).placed(again, tag=8)
    order = {"id": 5, "tonce": 70, "quantity": 3}
    assert rules([call(again, resubmits=True)], history) == rules([call(order, resubmits=True)], history) == []
    assert rules([call(again)], history) == ["told done, but never executed", "a command that nobody made"]
    other = call({**order, "id": 6}, resubmits=True)
    assert rules([other], history) == ["told of another order than there was"]
    assert rules([call(order, resubmits=True)], History().placed(None)) == [
        "told of an order that was never placed"
    ]


@pytest.mark.parametrize(
    ("settled", "found"),
    [
        (DONE, []),
        ({"id": 6}, ["told of another order than there was"]),
        (OutcomeUnknown("no order with the tonce 70 is open"), []),
        (ValueError("hm"), ["settled with an error that it can't have"]),
    ],
)
def test_what_a_client_finds_out_afterwards_is_judged_too(settled: Any, found: list[str]) -> None:
    unknown = call(OutcomeUnknown("?"))
    unknown.settled = settled
    assert rules([unknown], History().placed(DONE)) == found


def test_an_open_order_that_its_client_does_not_know_is_found() -> None:
    order, history = Order(5, USER, 70, 1, 2, 3, 4, 9), History().placed(DONE)

    def lost(*calls: Call) -> list[str]:
        return [violation.rule for violation in unknown_orders(calls, [order], history.entries)]

    unknown = call(OutcomeUnknown("?"))
    assert lost(call(DONE)) == []
    assert lost() == lost(unknown) == ["an open order that its client doesn't know"]
    unknown.settled = {"id": 5}
    assert lost(unknown) == []
    raised = call(None)
    raised.reply, raised.raised = None, OutcomeUnknown("?")
    assert lost(raised) == []


def test_the_connections_of_unknown_outcomes_are_told() -> None:
    history = History().placed(DONE, session=3).placed(DONE, tag=8, tonce=80, session=4)
    calls = [call(OutcomeUnknown("?")), call(DONE, tag=8, tonce=80)]
    assert sessions_lost(calls, history.entries) == {3}
