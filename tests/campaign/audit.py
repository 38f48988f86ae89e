"""Compares what callers were told with what the exchange knows. Pure: lists in, violations out."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.campaign.calls import Call, Kind
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
        self.sessions: dict[int | None, set[int]] = defaultdict(set)
        for entry in entries:
            if isinstance(entry, Command):
                deed = self.deeds[entry.at] = Deed(entry)
                if entry.tag is not None:
                    self.by_key[entry.user if entry.method not in PUBLIC else None, entry.tag].append(deed)
                user = entry.fields.get("user_id") if entry.method == "Authenticate" else entry.user
                self.sessions[user].add(entry.session)
            elif isinstance(entry, Executed):
                self.deeds[entry.command.at].executed.append(entry)
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


def _done(call: Call, result: Any, deeds: list[Deed], _: Ledgers) -> str | None:
    if not deeds or not deeds[0].executed:
        return "told done, but never executed"
    if deeds[0].executed[0].reply != result or deeds[0].executed[0].code != 0:
        return "told another result than there was"
    return None if deeds[0].answered else "told a reply that was never given"


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
        if call.method == "PlaceOrder" and call.tonce is not None and call.outcome()[0] is Kind.UNKNOWN
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
    placed: dict[tuple[int | None, int], list[Deed]] = defaultdict(list)
    for deed in ledgers.deeds.values():
        tonce = deed.command.fields.get("tonce")
        if deed.placed and tonce is not None:
            placed[deed.command.user, tonce].append(deed)
    for orders in placed.values():
        if len(orders) > 1:
            yield Violation("an order was placed twice", f"{orders}")


def sessions_lost(calls: Iterable[Call], entries: Iterable[Entry]) -> set[int]:
    """The connections that must have ended, since calls on them were told that their outcome is unknown."""
    ledgers = Ledgers(entries)
    return {
        deed.command.session
        for call in calls
        if call.outcome()[0] is Kind.UNKNOWN
        for deed in _deeds_of(call, ledgers)
    }
