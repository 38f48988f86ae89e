"""What Coinbase's feed says unasked: every event of every product told to those who have subscribed to it.

A session is told once of each event, however many of its channels (full, matches, user) would tell it; the owner
of an order is told whose it is, if it has authenticated for the channel. Heartbeats and batches come by the
sandbox's clock.

Source: protocol page, "Channels", "level2" and "sequence".
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from wsclient.sandbox import coinbase_messages as messages
from wsclient.sandbox.coinbase_entries import Entry, Matched, Traded
from wsclient.sandbox.coinbase_products import Product, currencies, products
from wsclient.sandbox.coinbase_settings import CoinbaseSettings
from wsclient.sandbox.coinbase_subscriptions import Subscriptions
from wsclient.sandbox.coinbase_tape import Tape
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import BalanceChanged, Event, TradeVolumeChanged
from wsclient.sandbox.venue import encode

Told: TypeAlias = tuple[str, Collection[int]]


@dataclass(slots=True)
class Stall:
    """A product and its tape; what is due to the batched channels."""

    product: Product
    tape: Tape
    levels: set[tuple[bool, int]] = field(default_factory=set)
    traded: bool = False


class _Due:
    """Something that is done every so often, and never made up for."""

    def __init__(self, seconds: float) -> None:
        self._period = round(seconds * 1_000_000)
        self._next: int | None = None

    def __call__(self, now: int) -> bool:
        """Whether it is time; asking for the first time sets the clock going."""
        due = self._next is not None and now >= self._next
        if due or self._next is None:
            self._next = now + self._period
        return due


class CoinbaseFeed:
    """Follows an engine's events from its construction on, when none may be waiting."""

    def __init__(
        self,
        engine: Engine,
        subscriptions: Subscriptions,
        *,
        clock: Callable[[], int],
        settings: CoinbaseSettings,
    ) -> None:
        self._engine = engine
        self._of = subscriptions.of
        self._clock = clock
        self._by_pair = {
            product.pair: Stall(product, Tape(engine.book(*product.pair, None)))
            for product in products(engine.markets.values())
        }
        self.stalls = {stall.product.id: stall for stall in self._by_pair.values()}
        """Every product, by its name."""
        self._busy: Stall | None = None
        self._heartbeat = _Due(settings.heartbeat)
        self._level2_batch = _Due(settings.level2_batch)
        self._ticker_batch = _Due(settings.ticker_batch)
        self._status = _Due(settings.status)

    def opening(self, channel: str, product: str) -> dict[str, Any] | None:
        """What a channel begins with, if it does not just wait for what happens."""
        if channel == "status":
            return self._status_message()
        stall = self.stalls.get(product)
        if stall is None:
            return None
        match channel:
            case "level2" | "level2_50":
                return messages.snapshot(stall.product, stall.tape)
            case "matches" if stall.tape.last is not None:
                return messages.last_match(stall.product, stall.tape.last)
            case "ticker" | "ticker_1000":
                return self._ticker(stall)
        return None

    # ------------------------------------------------------------ what has happened

    def notices(self, events: Iterable[Event]) -> Iterator[Told]:
        """Every message that events lead to, with the sessions that get it. To be exhausted."""
        for event in events:
            if isinstance(event, BalanceChanged):
                continue
            if isinstance(event, TradeVolumeChanged):
                yield from self._finish()
                continue
            stall = self._by_pair.get((event.base, event.counter))
            if stall is not self._busy:
                yield from self._finish()
            if stall is not None:
                for entry in stall.tape.apply(event):
                    yield from self._tell(stall, entry)
                self._busy = stall if stall.tape.busy else None
        yield from self._finish()

    def _finish(self) -> Iterator[Told]:
        """A command is through: tell what was held back until then."""
        stall, self._busy = self._busy, None
        if stall is not None:
            for entry in stall.tape.finish():
                yield from self._tell(stall, entry)

    def _tell(self, stall: Stall, entry: Entry) -> Iterator[Told]:
        product, of = stall.product, self._of
        if isinstance(entry, Traded):
            stall.traded = True
            if (listeners := of("ticker", product.id)) and (told := self._ticker(stall)):
                yield encode(told), list(listeners)
            return
        full, own = of("full", product.id), of("user", product.id)
        matches = of("matches", product.id) if isinstance(entry, Matched) else {}
        if full or own or matches:
            owners = {
                session: user
                for listeners in (own, full)
                for session, user in listeners.items()
                if user is not None and user in entry.users
            }
            told = messages.message(product, entry)
            if others := [session for session in {**full, **matches} if session not in owners]:
                yield encode(told), others
            for user in dict.fromkeys(owners.values()):
                mine = [session for session, owner in owners.items() if owner == user]
                yield encode({**told, **messages.own(entry, user)}), mine
        if entry.levels:
            if listeners := of("level2", product.id):
                yield encode(messages.l2update(product, entry.levels, entry.time)), list(listeners)
            if of("level2_50", product.id):
                stall.levels.update((bid, price) for bid, price, _ in entry.levels)

    # ------------------------------------------------------------ what is due by the clock

    def beat(self, now: int) -> Iterator[Told]:
        """What the clock makes due."""
        if self._heartbeat(now):
            for stall in self._by_pair.values():
                yield from self._say("heartbeat", stall, messages.heartbeat, stall.product, stall.tape, now)
        if self._level2_batch(now):
            for stall in self._by_pair.values():
                if stall.levels:
                    changed, stall.levels = sorted(stall.levels), set()
                    levels = [(bid, price, stall.tape.levels[bid].get(price, 0)) for bid, price in changed]
                    yield from self._say("level2_50", stall, messages.l2update, stall.product, levels, now)
        if self._ticker_batch(now):
            for stall in self._by_pair.values():
                if stall.traded:
                    stall.traded = False
                    yield from self._say("ticker_1000", stall, self._ticker, stall)
        if self._status(now) and (listeners := self._of("status")):
            yield encode(self._status_message()), list(listeners)

    def _say(
        self, channel: str, stall: Stall, write: Callable[..., Mapping[str, Any] | None], *values: Any
    ) -> Iterator[Told]:
        """Write a message for those who listen to a product's channel, if anybody does."""
        if (listeners := self._of(channel, stall.product.id)) and (told := write(*values)):
            yield encode(told), list(listeners)

    def _ticker(self, stall: Stall) -> dict[str, Any] | None:
        day = self._engine.ticker(*stall.product.pair)
        return messages.ticker(stall.product, stall.tape, day, self._clock())

    def _status_message(self) -> dict[str, Any]:
        listed = [stall.product for stall in self._by_pair.values()]
        return {
            "type": "status",
            "products": [product.describe() for product in listed],
            "currencies": currencies(listed, self._engine.decimals),
        }
