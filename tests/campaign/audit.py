"""Compares what callers were told with what the exchange knows. Pure: lists in, violations out."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.campaign.calls import Call, Kind
from wsclient import ClientClosed, OutcomeUnknown
from wsclient.sandbox.answers import Order
from wsclient.sandbox.ledger import Answered, Command, Entry, Executed

PUBLIC: Final = frozenset(("EstimateMarketOrder", "WatchOrders", "WatchTicker"))
OF_THE_CLIENT: Final = frozenset(("Authenticate", "WatchOrders", "WatchTicker", "GetOrders", "GetBalances"))
"""What a client may ask by itself: to restore a connection, to settle an order, to follow a book."""

Key = tuple[int | None, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be: which rule it breaks, and what is known of it."""

    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


@dataclass(slots=True)
class Deed:
    """A command as the exchange saw it."""

    command: Command
    executed: list[Executed] = field(default_factory=list)
    answered: bool = False

    @property
    def placed(self) -> bool:
        return self.command.method == "PlaceOrder" and any(entry.code == 0 for entry in self.executed)


class Ledgers:
    """The ledger's entries, sorted by who they belong to.

    A command belongs to a call by its user and tag. The tags that callers choose are unique among all; those that
    a client gives are unique as long as its user is its alone.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.deeds: dict[int, Deed] = {}
        self.by_key: dict[Key, list[Deed]] = defaultdict(list)
        self.placed: dict[tuple[int | None, int | None], list[Deed]] = defaultdict(list)
        self.sessions: dict[int | None, set[int]] = defaultdict(set)
        for entry in entries:
            if isinstance(entry, Command):
                deed = self.deeds[entry.at] = Deed(entry)
                if entry.tag is not None:
                    self.by_key[entry.user if entry.method not in PUBLIC else None, entry.tag].append(deed)
                user = entry.fields.get("user_id") if entry.method == "Authenticate" else entry.user
                self.sessions[user].add(entry.session)
            elif isinstance(entry, Executed):
                deed = self.deeds[entry.command.at]
                deed.executed.append(entry)
                if deed.placed:
                    self.placed[entry.command.user, entry.command.fields.get("tonce")].append(deed)
            elif isinstance(entry, Answered):
                self.deeds[entry.command.at].answered |= entry.sent


def audit(calls: Iterable[Call], entries: Iterable[Entry]) -> Iterator[Violation]:
    """Every way in which a call and the exchange disagree."""
    calls, ledgers = list(calls), Ledgers(entries)
    claimed: set[int] = set()
    for call in calls:
        deeds = _deeds_of(call, ledgers)
        claimed.update(deed.command.at for deed in deeds)
        yield from _check(call, deeds, ledgers)
        if call.settled is not None:
            yield from _check_settled(call, ledgers)
    yield from _unclaimed(calls, claimed, ledgers)
    yield from _placed_twice(ledgers)


def _deeds_of(call: Call, ledgers: Ledgers) -> list[Deed]:
    if call.tag is None:
        return []
    return ledgers.by_key.get((call.user if call.method not in PUBLIC else None, call.tag), [])


def _check(call: Call, deeds: list[Deed], ledgers: Ledgers) -> Iterator[Violation]:
    kind, what = call.outcome()
    if len(deeds) > 1:
        yield Violation("a call reached the exchange more than once", f"{call}; {deeds}")
    if call.reply is not None and kind not in (Kind.PENDING,) and call.told != 1:
        yield Violation("a call was told its outcome not once", f"{call.told} times: {call}")
    check = _CHECKS.get(kind)
    told = f"was {kind.value}" if check is None else check(call, what, deeds, ledgers)
    if told is not None:
        yield Violation(told, f"{call}; the exchange has {deeds}")


def _done(call: Call, result: Any, deeds: list[Deed], ledgers: Ledgers) -> str | None:
    own = deeds[0].executed[0] if deeds and deeds[0].executed else None
    if own is not None and own.reply == result and own.code == 0:
        return None if deeds[0].answered else "told a reply that was never given"
    if call.method == "PlaceOrder" and call.account.resubmits:
        return _found(call, result, ledgers)
    return "told done, but never executed" if own is None else "told another result than there was"


def _found(call: Call, result: Any, ledgers: Ledgers) -> str | None:
    """An order that was found open, or placed again by its tonce."""
    replies = [entry.reply for deed in ledgers.placed[call.user, call.tonce] for entry in deed.executed]
    if any(reply == result or reply.get("id", -1) == result.get("id") for reply in replies):
        return None
    return "told of an order that was never placed" if not replies else "told of another order than there was"


def _refused(call: Call, error: Any, deeds: list[Deed], _: Ledgers) -> str | None:
    if not deeds or not deeds[0].executed:
        return "told refused, but never executed"
    reply = deeds[0].executed[0].reply
    if (reply.get("error_code"), reply.get("error_msg")) != (error.code, error.message) or error.code == 0:
        return "told another error than there was"
    return None if deeds[0].answered else "told a refusal that was never given"


def _unknown(call: Call, error: Any, deeds: list[Deed], ledgers: Ledgers) -> str | None:
    if not deeds and call.method not in PUBLIC and not ledgers.sessions[call.user]:
        return "told unknown, but there was never a connection to send it on"
    return None


def _absent(call: Call, error: Any, deeds: list[Deed], _: Ledgers) -> str | None:
    return "told that it never left, but the exchange has it" if deeds else None


_CHECKS: Final[dict[Kind, Callable[[Call, Any, list[Deed], Ledgers], str | None]]] = {
    Kind.DONE: _done,
    Kind.REFUSED: _refused,
    Kind.UNKNOWN: _unknown,
    Kind.NOT_SENT: _absent,
    Kind.LOGIN_FAILED: _absent,
    Kind.CLOSED: _absent,
    Kind.CANCELLED: _absent,
}


def _unclaimed(calls: Iterable[Call], claimed: set[int], ledgers: Ledgers) -> Iterator[Violation]:
    """Commands that nobody made; a client may send an order of unknown outcome again, by its tonce."""
    unknown = {
        (call.user, call.tonce)
        for call in calls
        if call.method == "PlaceOrder"
        and call.tonce is not None
        and (call.account.resubmits or call.outcome()[0] is Kind.UNKNOWN)
    }
    for at, deed in ledgers.deeds.items():
        command = deed.command
        if at in claimed or command.method in OF_THE_CLIENT:
            continue
        if command.method == "PlaceOrder" and (command.user, command.fields.get("tonce")) in unknown:
            continue
        yield Violation("a command that nobody made", f"{deed}")


def _placed_twice(ledgers: Ledgers) -> Iterator[Violation]:
    """Orders that were placed more than once; every tonce of the campaign is meant for one order."""
    for (_, tonce), orders in ledgers.placed.items():
        if tonce is not None and len(orders) > 1:
            yield Violation("an order was placed twice", f"{orders}")


def _check_settled(call: Call, ledgers: Ledgers) -> Iterator[Violation]:
    settled = call.settled
    told = None
    if isinstance(settled, dict):
        told = _found(call, settled, ledgers)
    elif not isinstance(settled, (OutcomeUnknown, ClientClosed)):
        told = "settled with an error that it can't have"
    elif str(settled).startswith("the order with the tonce") and not ledgers.placed[call.user, call.tonce]:
        told = "told of an order that was never placed"
    if told is not None:
        yield Violation(told, f"{call}; the exchange has {ledgers.placed[call.user, call.tonce]}")


def unknown_orders(
    calls: Iterable[Call], orders: Iterable[Order], entries: Iterable[Entry]
) -> Iterator[Violation]:
    """The open orders of which their client doesn't know, although it was asked what became of all its calls."""
    calls, ledgers = list(calls), Ledgers(entries)
    known: set[int | None] = set()
    for call in calls:
        if call.method == "PlaceOrder":
            kind, result = call.outcome()
            known.update(told.get("id") for told in (result, call.settled) if isinstance(told, dict))
            if kind is Kind.UNKNOWN and call.reply is None:  # told so by an exception, it has nothing to ask with
                executed = (entry for deed in _deeds_of(call, ledgers) for entry in deed.executed)
                known.update(entry.reply.get("id") for entry in executed)
    for order in orders:
        if order.id not in known:
            blamed = [str(call) for call in calls if call.tonce is not None and call.tonce == order.tonce]
            yield Violation("an open order that its client doesn't know", f"{order}; {blamed}")


def sessions_lost(calls: Iterable[Call], entries: Iterable[Entry]) -> set[int]:
    """The connections that must have ended, since calls on them were told that their outcome is unknown."""
    ledgers = Ledgers(entries)
    return {
        deed.command.session
        for call in calls
        if call.outcome()[0] is Kind.UNKNOWN
        for deed in _deeds_of(call, ledgers)
    }
