"""One product's tape: the engine's events told over again as Coinbase tells them, each with its sequence number.

The engine opens an order whole and matches it then. Coinbase says `received` first, then the matches, and `open`
only of what is left and rests; a changed order that trades is told as its matches and then one `change` to what
is left. So a tape holds an order back until its command is through, which the events show: the end of a command
is marked by its `TradeVolumeChanged` or `TickerChanged`, by the next order, or by the close of one that it can't
have touched.

A tape keeps the book that its messages describe, so that every message knows what it did to which price level.
Whoever applies the messages in order has that same book after each of them, and it is never crossed.

Source: protocol page, "sequence" and "The `full` channel".
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from wsclient.sandbox.answers import Order
from wsclient.sandbox.coinbase_entries import (
    Changed,
    Done,
    Entry,
    Level,
    Matched,
    Opened,
    OrderId,
    Received,
    Traded,
)
from wsclient.sandbox.events import (
    Event,
    Fill,
    OrderClosed,
    OrderModified,
    OrderOpened,
    OrdersMatched,
    TickerChanged,
)
from wsclient.sandbox.statistics import DAY, HOUR, SlidingWindow, trade_volume

FIRST_SEQUENCE: Final = 1000
"""What a product's sequence stands at before its first message: not 0, which is easily taken for nothing."""


@dataclass(slots=True)
class _Resting:
    user: int
    bid: bool
    price: int
    size: int


@dataclass(slots=True)
class _Arriving:
    """A new limit order, or (`moved`) a resting one that has been changed, while its command may still go on."""

    id: OrderId
    user: int
    bid: bool
    price: int
    left: int
    time: int
    moved: bool
    traded: bool = False

    def met(self, event: OrderClosed) -> bool:
        """Whether an order was closed because this one has met it: traded whole, or found unable to pay."""
        if event.quantity == 0:
            return True
        crosses = event.price <= self.price if self.bid else event.price >= self.price
        return (event.quantity > 0) != self.bid and crosses


class Tape:
    """Follows one market. `book` is the engine's as it stands when the tape begins."""

    def __init__(self, book: Iterable[Order]) -> None:
        self.sequence = FIRST_SEQUENCE
        self.trade = 0
        self.last: Matched | None = None
        """The last match."""
        self.month: SlidingWindow = trade_volume()
        self.orders: dict[OrderId, _Resting] = {}
        self.levels: dict[bool, dict[int, int]] = {True: {}, False: {}}
        self._opens: deque[tuple[int, int]] = deque()
        self._arriving: _Arriving | None = None
        self._market: list[OrdersMatched | OrderClosed] = []
        self._markets = 0
        self._latest = 0
        for order in book:
            self._put(order.id, _Resting(order.user, order.quantity > 0, order.price, abs(order.quantity)))

    @property
    def busy(self) -> bool:
        """Whether something is held back that `finish` would tell."""
        return self._arriving is not None or bool(self._market)

    def best(self, *, bid: bool) -> int | None:
        """The highest bid, the lowest ask."""
        return (max if bid else min)(self.levels[bid], default=None)

    def open_price(self, now: int) -> int | None:
        """The price of a day ago (to the hour): of the first trade since then."""
        while len(self._opens) > 1 and self._opens[1][0] <= now - DAY:
            self._opens.popleft()
        return self._opens[0][1] if self._opens else None

    # ------------------------------------------------------------ what the engine says

    def apply(self, event: Event) -> Iterator[Entry]:
        """What an event of this market adds to the tape. To be exhausted before the next one."""
        match event:
            case OrderOpened():
                yield from self.finish()
                bid, size = event.quantity > 0, abs(event.quantity)
                self._arriving = _Arriving(event.id, event.user, bid, event.price, size, event.time, moved=False)
                yield Received(self._next(), event.time, event.id, bid, (event.user,), [], size, event.price)
            case OrderModified():
                yield from self.finish()
                bid, size = event.quantity > 0, abs(event.quantity)
                self._arriving = _Arriving(event.id, event.user, bid, event.price, size, event.time, moved=True)
            case OrdersMatched():
                yield from self._matched(event)
            case OrderClosed():
                yield from self._closed(event)
            case TickerChanged():
                yield from self.finish()

    def finish(self) -> Iterator[Entry]:
        """Tell what was held back, since the command that it belongs to is through."""
        arriving, self._arriving = self._arriving, None
        market, self._market = self._market, []
        if arriving is not None:
            yield from (self._move(arriving) if arriving.moved else self._open(arriving))
        if market:
            yield from self._market_order(market)
        if market or (arriving is not None and arriving.traded):
            yield Traded()

    def _matched(self, event: OrdersMatched) -> Iterator[Entry]:
        taker = event.bid if event.taker_side == "bid" else event.ask
        if taker.order is None:
            if self._arriving is not None:
                yield from self.finish()
            self._market.append(event)
            return
        arriving = self._arriving
        assert arriving is not None, "who takes has just arrived or moved"
        assert arriving.id == taker.order, "who takes has just arrived or moved"
        arriving.left = taker.remaining or 0
        arriving.traded = True
        yield from self._match(event, taker.order)

    def _closed(self, event: OrderClosed) -> Iterator[Entry]:
        if self._market:  # part of what the market order did, whose end is always marked
            self._market.append(event)
            return
        arriving = self._arriving
        if arriving is not None and event.id == arriving.id:
            self._arriving = None
            yield self._done(event, bid=arriving.bid)
            if arriving.traded:
                yield Traded()
            return
        if arriving is not None and not arriving.met(event):
            yield from self.finish()
        yield self._done(event, bid=self.orders[event.id].bid)

    def _market_order(self, steps: list[OrdersMatched | OrderClosed]) -> Iterator[Entry]:
        """Everything about a market order, which the engine mentions only where it trades."""
        self._markets += 1
        trades = [step for step in steps if isinstance(step, OrdersMatched)]
        bid = trades[0].taker_side == "bid"
        user = (trades[0].bid if bid else trades[0].ask).user
        size = sum(trade.quantity for trade in trades)
        number = -self._markets
        yield Received(self._next(), trades[0].time, number, bid, (user,), [], size, None)
        for step in steps:
            if isinstance(step, OrdersMatched):
                yield from self._match(step, number)
            else:
                yield self._done(step, bid=self.orders[step.id].bid)
        yield Done(self._next(), trades[-1].time, number, bid, (user,), [], 0, None, filled=True)

    # ------------------------------------------------------------ messages, and what they do to the book

    def _match(self, event: OrdersMatched, taker: OrderId) -> Iterator[Entry]:
        buys = event.taker_side == "bid"
        maker, other = (event.ask, event.bid) if buys else (event.bid, event.ask)
        assert maker.order is not None, "an order that rests is named"
        self.trade += 1
        self.month.add(event.time, event.quantity)
        self._latest = event.time
        if not self._opens or event.time - self._opens[-1][0] >= HOUR:
            self._opens.append((event.time, event.price))
            self.open_price(event.time)
        resting = self.orders[maker.order]
        left = resting.size - event.quantity
        levels = [self._resize(maker.order, left)]
        self.last = Matched(
            self._next(),
            event.time,
            maker.order,
            not buys,
            (maker.user, other.user),
            levels,
            taker,
            self.trade,
            event.quantity,
            event.price,
        )
        yield self.last
        yield from self._shrink(maker, left, event)

    def _shrink(self, maker: Fill, left: int, event: OrdersMatched) -> Iterator[Entry]:
        """Where a fee has eaten into what a bid holds, the engine leaves less of it than was not traded."""
        remaining = maker.remaining or 0
        if 0 < remaining < left:
            assert maker.order is not None, "an order that rests is named"
            price = self.orders[maker.order].price
            levels = [self._resize(maker.order, remaining)]
            bid = self.orders[maker.order].bid
            yield Changed(
                self._next(), event.time, maker.order, bid, (maker.user,), levels, left, remaining, price, price
            )

    def _open(self, arriving: _Arriving) -> Iterator[Entry]:
        level = self._put(arriving.id, _Resting(arriving.user, arriving.bid, arriving.price, arriving.left))
        yield Opened(
            self._next(),
            max(arriving.time, self._latest),
            arriving.id,
            arriving.bid,
            (arriving.user,),
            [level],
            arriving.left,
            arriving.price,
        )

    def _move(self, arriving: _Arriving) -> Iterator[Entry]:
        old = self.orders[arriving.id]
        if (old.price, old.size) == (arriving.price, arriving.left):
            return
        levels = [self._take(arriving.id)]
        level = self._put(arriving.id, _Resting(arriving.user, arriving.bid, arriving.price, arriving.left))
        levels = [level] if old.price == arriving.price else [*levels, level]
        yield Changed(
            self._next(),
            max(arriving.time, self._latest),
            arriving.id,
            arriving.bid,
            (arriving.user,),
            levels,
            old.size,
            arriving.left,
            old.price,
            arriving.price,
        )

    def _done(self, event: OrderClosed, *, bid: bool) -> Done:
        resting = self.orders.get(event.id)
        levels = []
        if resting is not None:
            size = resting.size  # a match may have left nothing of it
            level = self._take(event.id)
            if size:
                levels.append(level)
        return Done(
            self._next(),
            event.time,
            event.id,
            bid,
            (event.user,),
            levels,
            abs(event.quantity),
            event.price,
            filled=event.quantity == 0,
        )

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence

    def _put(self, number: OrderId, order: _Resting) -> Level:
        self.orders[number] = order
        return self._add(order.bid, order.price, order.size)

    def _take(self, number: OrderId) -> Level:
        order = self.orders.pop(number)
        return self._add(order.bid, order.price, -order.size)

    def _resize(self, number: OrderId, size: int) -> Level:
        order = self.orders[number]
        change, order.size = size - order.size, size
        return self._add(order.bid, order.price, change)

    def _add(self, bid: bool, price: int, size: int) -> Level:
        side = self.levels[bid]
        total = side.get(price, 0) + size
        if total:
            side[price] = total
        else:
            side.pop(price, None)
        return bid, price, total
