"""What market streams say: trades and best prices at once, the rest by the clock.

`absorb` takes the engine's events in their order, `settle` ends what came together, `beat` says what is due. Every
change of a symbol's orders has a number (its update id), and a message about the book names the last one it knows.

Source: protocol page, section "Market streams".
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from wsclient.sandbox.binance_statistics import (
    Levels,
    average_price,
    kline,
    mini_ticker,
    ticker,
    window_ticker,
)
from wsclient.sandbox.binance_streams import WINDOWS, Hub, Stream, parse_stream
from wsclient.sandbox.binance_symbols import ZERO, Symbol, Symbols
from wsclient.sandbox.binance_tape import Candle, Tape, Trade, interval_start
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import (
    Event,
    OrderClosed,
    OrderModified,
    OrderOpened,
    OrdersMatched,
    TradeVolumeChanged,
)
from wsclient.sandbox.venue import Say

Level = tuple[bool, int]
"""Whether it is of the bids, and its price."""
Producer = Callable[[int], Iterator[Any]]
FIRST_UPDATE: Final = 1000
"""The update id of every book before anything happens: not 0, since books begin with orders."""


@dataclass(slots=True)
class _Aggregate:
    """Matches of one taker's order at one price."""

    first: Trade
    taker: tuple[int, int | None]
    last: int
    quantity: int


@dataclass(slots=True)
class Market:
    """What streams must know of one symbol."""

    symbol: Symbol
    tape: Tape = field(default_factory=Tape)
    update_id: int = FIRST_UPDATE
    aggregates: int = 0
    aggregate: _Aggregate | None = None
    best: Any = None
    """The best prices that were told last."""
    depths: dict[str, "_Differences"] = field(default_factory=dict)
    places: dict[int, Level] = field(default_factory=dict)
    """While somebody listens to changes of the book: where each open order stands."""


class Feed:
    """All market streams of an engine."""

    def __init__(self, engine: Engine, symbols: Symbols, hub: Hub, *, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._hub = hub
        self._clock = clock
        self.markets: dict[str, Market] = {name: Market(symbol) for name, symbol in symbols.by_name.items()}
        self._by_pair = {market.symbol.pair: market for market in self.markets.values()}
        self._producers: dict[int, dict[str, Producer]] = {}
        self._due: dict[int, int] = {}
        self._touched: dict[str, Market] = {}
        self._open: dict[str, Market] = {}

    # ------------------------------------------------------------ who listens

    def begin(self, name: str) -> None:
        """Somebody listens to a stream from now on; it starts, or tells everybody anew what doesn't change."""
        stream = parse_stream(name)
        if stream is None or not stream.period:
            if stream is not None and stream.kind == "bookTicker" and stream.symbol in self.markets:
                market = self.markets[stream.symbol]
                market.best = None
                self._touched[stream.symbol] = market
            return
        producers = self._producers.setdefault(stream.period, {})
        self._due.setdefault(stream.period, self._next(stream.period, self._clock()))
        if stream.kind != "depth" or name not in producers:
            producer = self._producer(name, stream)
            if producer is not None:
                producers[name] = producer

    def end(self, name: str) -> None:
        """Nobody listens to a stream any more."""
        stream = parse_stream(name)
        if stream is not None and stream.period in self._producers:
            if stream.symbol in self.markets:
                self.markets[stream.symbol].depths.pop(name, None)
            producers = self._producers[stream.period]
            producers.pop(name, None)
            if not producers:
                del self._producers[stream.period], self._due[stream.period]

    # ------------------------------------------------------------ at once

    def absorb(self, event: Event) -> Iterator[Say]:
        """Take an event in; what it makes the streams say."""
        match event:
            case OrdersMatched():
                market = self._by_pair[event.base, event.counter]
                self._touch(market, event)
                yield from self._traded(market, event)
            case OrderOpened() | OrderModified() | OrderClosed():
                self._touch(self._by_pair[event.base, event.counter], event)
            case TradeVolumeChanged():  # a command is over
                yield from self._aggregated()

    def settle(self) -> Iterator[Say]:
        """Everything that came together is absorbed: the engine's book is now what was told."""
        yield from self._aggregated()
        for name, market in self._touched.items():
            stream = f"{name.lower()}@bookTicker"
            if self._hub.hears(stream):
                bids, asks = self._engine.levels(*market.symbol.pair, 1)
                if market.best != (bids, asks):
                    market.best = bids, asks
                    yield from self._hub.tell(stream, self._best(market, (bids, asks)))
        self._touched.clear()

    def _touch(self, market: Market, event: OrderOpened | OrderModified | OrdersMatched | OrderClosed) -> None:
        """Count a change of a book, and note which levels it has changed."""
        market.update_id += 1
        self._touched[market.symbol.name] = market
        if not market.depths:
            return
        touched = set()
        if isinstance(event, OrdersMatched):
            touched.add((event.taker_side == "ask", event.price))
        else:
            if (place := market.places.pop(event.id, None)) is not None:
                touched.add(place)
            if not isinstance(event, OrderClosed):
                place = market.places[event.id] = event.quantity > 0, event.price
                touched.add(place)
        for depth in market.depths.values():
            depth.touched |= touched

    def trade_number(self, event: OrdersMatched) -> int:
        """The number of a match that was absorbed last."""
        return self._by_pair[event.base, event.counter].tape.last_id

    def _traded(self, market: Market, event: OrdersMatched) -> Iterator[Say]:
        symbol = market.symbol
        trade = market.tape.add(
            event.price, event.quantity, event.total, event.time, buyer_is_maker=event.taker_side == "ask"
        )
        name = f"{symbol.name.lower()}@trade"
        if self._hub.hears(name):
            yield from self._hub.tell(
                name,
                {
                    "e": "trade",
                    "E": self._clock() // 1000,
                    "s": symbol.name,
                    "t": trade.id,
                    "p": symbol.price(trade.price),
                    "q": symbol.quantity(trade.quantity),
                    "T": trade.time // 1000,
                    "m": trade.buyer_is_maker,
                    "M": True,
                },
            )
        side = event.bid if event.taker_side == "bid" else event.ask
        taker = side.user, side.order
        aggregate = market.aggregate
        if aggregate is not None and (aggregate.taker, aggregate.first.price) == (taker, trade.price):
            aggregate.last = trade.id
            aggregate.quantity += trade.quantity
            return
        yield from self._aggregate(market)
        market.aggregate = _Aggregate(trade, taker, trade.id, trade.quantity)
        self._open[symbol.name] = market

    def _aggregated(self) -> Iterator[Say]:
        for market in list(self._open.values()):
            yield from self._aggregate(market)

    def _aggregate(self, market: Market) -> Iterator[Say]:
        """End what is being added up."""
        aggregate, market.aggregate = market.aggregate, None
        self._open.pop(market.symbol.name, None)
        if aggregate is None:
            return
        market.aggregates += 1
        symbol, first = market.symbol, aggregate.first
        name = f"{symbol.name.lower()}@aggTrade"
        if self._hub.hears(name):
            yield from self._hub.tell(
                name,
                {
                    "e": "aggTrade",
                    "E": self._clock() // 1000,
                    "s": symbol.name,
                    "a": market.aggregates,
                    "p": symbol.price(first.price),
                    "q": symbol.quantity(aggregate.quantity),
                    "f": first.id,
                    "l": aggregate.last,
                    "T": first.time // 1000,
                    "m": first.buyer_is_maker,
                    "M": True,
                },
            )

    def _best(self, market: Market, levels: Levels) -> dict[str, Any]:
        symbol, (bids, asks) = market.symbol, levels
        return {
            "u": market.update_id,
            "s": symbol.name,
            "b": symbol.price(bids[0][0]) if bids else ZERO,
            "B": symbol.quantity(bids[0][1]) if bids else ZERO,
            "a": symbol.price(asks[0][0]) if asks else ZERO,
            "A": symbol.quantity(asks[0][1]) if asks else ZERO,
        }

    # ------------------------------------------------------------ by the clock

    def beat(self) -> Iterator[Say]:
        """What is due. Each period ends on a multiple of itself, so a candle's end is one of its moments."""
        now = self._clock()
        for period, due in list(self._due.items()):
            if now >= due:
                self._due[period] = self._next(period, now)
                for name, producer in self._producers[period].items():
                    for payload in producer(now):
                        yield from self._hub.tell(name, payload)

    @staticmethod
    def _next(period: int, now: int) -> int:
        return (now // period + 1) * period

    def depth(self, market: Market, limit: int) -> dict[str, Any]:
        """The book as it is now, `limit` levels of each side."""
        bids, asks = self._engine.levels(*market.symbol.pair, limit)
        return {
            "lastUpdateId": market.update_id,
            "bids": _level_texts(market.symbol, bids),
            "asks": _level_texts(market.symbol, asks),
        }

    def _producer(self, name: str, stream: Stream) -> Producer | None:
        if stream.symbol is None:
            return self._all(stream)
        market = self.markets.get(stream.symbol)
        if market is None:
            return None
        match stream.kind:
            case "depth":
                if not market.depths:
                    orders = self._engine.book(*market.symbol.pair, None)
                    market.places = {order.id: (order.quantity > 0, order.price) for order in orders}
                depth = market.depths[name] = _Differences(self._engine, market)
                return depth.due
            case "partial":
                return lambda now: iter((self.depth(market, stream.levels),))
            case "kline":
                return _Klines(market, stream.interval, stream.offset, self._clock()).due
        return _changes(market, self._statistics(stream, market), self._engine)

    def _statistics(self, stream: Stream, market: Market) -> Callable[[int], dict[str, Any] | None]:
        symbol, tape = market.symbol, market.tape
        match stream.kind:
            case "miniTicker":
                return lambda now: mini_ticker(symbol, tape, now)
            case "window":
                length = WINDOWS[stream.window]
                return lambda now: window_ticker(symbol, tape, stream.window, length, now)
            case "avgPrice":
                return lambda now: average_price(symbol, tape, now)
        return lambda now: ticker(symbol, tape, self._engine.levels(*symbol.pair, 1), now)

    def _all(self, stream: Stream) -> Producer:
        parts = [
            _changes(market, self._statistics(stream, market), self._engine) for market in self.markets.values()
        ]

        def due(now: int) -> Iterator[list[Any]]:
            changed = [payload for part in parts for payload in part(now)]
            if changed:
                yield changed

        return due


def _changes(market: Market, statistics: Callable[[int], dict[str, Any] | None], engine: Engine) -> Producer:
    """Statistics, told when a trade or another best price may have changed them."""
    told: Any = None

    def due(now: int) -> Iterator[dict[str, Any]]:
        nonlocal told
        if market.tape.last_id == 0:
            return
        state = market.tape.last_id, engine.ticker(*market.symbol.pair)
        if state != told:
            payload = statistics(now)
            if payload is not None:
                told = state
                yield payload

    return due


class _Klines:
    """One stream of candles: the present one when it has changed, and each for the last time when it is over."""

    def __init__(self, market: Market, interval: str, offset: int, now: int) -> None:
        self._market = market
        self._interval = interval
        self._offset = offset
        self._start = interval_start(interval, now, offset)
        self._told: Candle | None = None

    def due(self, now: int) -> Iterator[dict[str, Any]]:
        symbol, tape = self._market.symbol, self._market.tape
        candle = tape.candle(self._interval, now, self._offset)
        if candle is None:
            return
        if candle.start != self._start:
            # trades may have come between the last message and the end
            final = tape.candle(self._interval, self._start, self._offset)
            self._start = candle.start
            if final is not None:
                yield kline(symbol, self._interval, final, now, closed=True)
        if candle != self._told:
            self._told = candle
            yield kline(symbol, self._interval, candle, now, closed=False)


class _Differences:
    """One stream of a book's changes: every level that was touched since the last message, as it is now.

    That a level is now as it was isn't enough to leave it out: a snapshot may have been taken in between.
    """

    def __init__(self, engine: Engine, market: Market) -> None:
        self._engine = engine
        self._market = market
        self._told = market.update_id
        self.touched: set[Level] = set()

    def due(self, now: int) -> Iterator[dict[str, Any]]:
        market = self._market
        if market.update_id == self._told:
            return
        bids, asks = (dict(side) for side in self._engine.levels(*market.symbol.pair))
        touched, self.touched = sorted(self.touched), set()
        first, self._told = self._told + 1, market.update_id
        yield {
            "e": "depthUpdate",
            "E": now // 1000,
            "s": market.symbol.name,
            "U": first,
            "u": market.update_id,
            "b": _level_texts(market.symbol, [(p, bids.get(p, 0)) for bid, p in reversed(touched) if bid]),
            "a": _level_texts(market.symbol, [(p, asks.get(p, 0)) for bid, p in touched if not bid]),
        }


def _level_texts(symbol: Symbol, levels: list[tuple[int, int]]) -> list[list[str]]:
    return [[symbol.price(price), symbol.quantity(quantity)] for price, quantity in levels]
