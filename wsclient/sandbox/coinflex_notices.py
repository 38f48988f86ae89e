"""Who is told what happened, in CoinFLEX's words.

A session is told once of each event, however many reasons it has to hear of it: owner, watcher, or owner of both
sides. Some fields are for an order's owner alone, so an event has up to four wordings; each is written once, for
all who get it. Source: protocol page, section "Notices".
"""

from collections.abc import Collection, Hashable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

from wsclient.sandbox.events import (
    BalanceChanged,
    Event,
    OrderClosed,
    OrderModified,
    OrderOpened,
    OrdersMatched,
    TickerChanged,
    TradeVolumeChanged,
)
from wsclient.sandbox.venue import encode

K = TypeVar("K", bound=Hashable)

Pair = tuple[int, int]
Told = tuple[str, Collection[int]]
NOBODY: Final[frozenset[int]] = frozenset()


class Listeners(Generic[K]):
    """Sessions by what they listen to."""

    def __init__(self) -> None:
        self._sessions: dict[K, set[int]] = {}

    def add(self, key: K, session: int) -> None:
        """A session listens to `key` from now on."""
        self._sessions.setdefault(key, set()).add(session)

    def remove(self, key: K, session: int) -> None:
        """A session listens to `key` no more."""
        sessions = self._sessions.get(key)
        if sessions is not None:
            sessions.discard(session)
            if not sessions:
                del self._sessions[key]

    def of(self, key: K) -> Collection[int]:
        """Who listens to `key`."""
        return self._sessions.get(key, NOBODY)


class Audience:
    """Who is to be told: the sessions of each user, and the watchers of each book and ticker."""

    def __init__(self) -> None:
        self.owners: Listeners[int] = Listeners()
        self.books: Listeners[Pair] = Listeners()
        self.tickers: Listeners[Pair] = Listeners()

    def add_owner(self, user: int, session: int) -> None:
        """A user has logged in on a session."""
        self.owners.add(user, session)

    def forget(self, session: int, user: int | None, books: Iterable[Pair], tickers: Iterable[Pair]) -> None:
        """A session has ended."""
        if user is not None:
            self.owners.remove(user, session)
        for pair in books:
            self.books.remove(pair, session)
        for pair in tickers:
            self.tickers.remove(pair, session)


def render(events: Iterable[Event], audience: Audience) -> Iterator[Told]:
    """Each event's wordings, with the sessions that get them; wordings for nobody are not even written."""
    for event in events:
        match event:
            case OrderOpened() | OrderModified() | OrderClosed():
                yield from _order(event, audience)
            case OrdersMatched():
                yield from _matched(event, audience)
            case BalanceChanged(user, asset, balance):
                if owners := audience.owners.of(user):
                    yield encode({"notice": "BalanceChanged", "asset": asset, "balance": balance}), list(owners)
            case TradeVolumeChanged(user, asset, volume):
                if owners := audience.owners.of(user):
                    yield encode({"notice": "TradeVolumeChanged", "asset": asset, "volume": volume}), list(owners)
            case TickerChanged(base, counter, changes):
                if watchers := audience.tickers.of((base, counter)):
                    told = {"notice": "TickerChanged", "base": base, "counter": counter, **changes}
                    yield encode(told), list(watchers)


def _order(event: OrderOpened | OrderModified | OrderClosed, audience: Audience) -> Iterator[Told]:
    owners = audience.owners.of(event.user)
    watchers = audience.books.of((event.base, event.counter))
    if not owners and not watchers:
        return
    told: dict[str, Any] = {
        "notice": type(event).__name__,
        "id": event.id,
        "base": event.base,
        "counter": event.counter,
        "quantity": event.quantity,
        "price": event.price,
        "time_closed" if isinstance(event, OrderClosed) else "time": event.time,
    }
    if others := [session for session in watchers if session not in owners]:
        yield encode(told), others
    if owners:
        yield encode({**told, "tonce": event.tonce}), list(owners)


def _matched(event: OrdersMatched, audience: Audience) -> Iterator[Told]:
    bid, ask = event.bid, event.ask
    buyers, sellers = audience.owners.of(bid.user), audience.owners.of(ask.user)
    watchers = audience.books.of((event.base, event.counter))
    if not buyers and not sellers and not watchers:
        return
    told: dict[str, Any] = {"notice": "OrdersMatched"}
    if bid.order is not None:
        told |= {"bid": bid.order, "bid_rem": bid.remaining}
    if ask.order is not None:
        told |= {"ask": ask.order, "ask_rem": ask.remaining}
    told |= {
        "base": event.base,
        "counter": event.counter,
        "quantity": event.quantity,
        "price": event.price,
        "total": event.total,
        "time": event.time,
        "taker_side": event.taker_side,
    }
    of_bid = {
        "bid_tonce": bid.tonce,
        "bid_base_fee": bid.base_fee,
        "bid_counter_fee": bid.counter_fee,
        "taker": event.taker_side == "bid",
    }
    of_ask = {
        "ask_tonce": ask.tonce,
        "ask_base_fee": ask.base_fee,
        "ask_counter_fee": ask.counter_fee,
        "taker": event.taker_side == "ask",
    }
    if others := [session for session in watchers if session not in buyers and session not in sellers]:
        yield encode(told), others
    if bid.user == ask.user:
        # who owns both sides is on the taker's, too
        if buyers:
            yield encode(told | of_bid | of_ask | {"taker": True}), list(buyers)
        return
    if buyers:
        yield encode(told | of_bid), list(buyers)
    if sellers:
        yield encode(told | of_ask), list(sellers)
