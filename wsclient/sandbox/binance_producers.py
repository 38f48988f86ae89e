"""What the streams that go by the clock have to say: changes of books, candles, statistics.

A producer is asked when its stream's period is over, and gives the messages that are due.

Source: protocol page, section "Market streams".
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wsclient.sandbox.binance_statistics import average_price, kline, mini_ticker, ticker, window_ticker
from wsclient.sandbox.binance_streams import WINDOWS, Stream
from wsclient.sandbox.binance_symbols import Symbol
from wsclient.sandbox.binance_tape import HISTORY_KEPT, Candle, Tape, Trade, interval_start
from wsclient.sandbox.engine import Engine

Level = tuple[bool, int]
"""Whether it is of the bids, and its price."""
Producer = Callable[[int], Iterator[Any]]
FIRST_UPDATE: Final = 1000
"""The update id of every book before anything happens: not 0, since books begin with orders."""


@dataclass(slots=True)
class Aggregate:
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
    aggregate: Aggregate | None = None
    """What is being added up."""
    aggregated: deque[tuple[int, Aggregate]] = field(default_factory=lambda: deque(maxlen=HISTORY_KEPT))
    """What was, each with its number."""
    best: Any = None
    """The best prices that were told last."""
    depths: dict[str, "Differences"] = field(default_factory=dict)
    places: dict[int, Level] = field(default_factory=dict)
    """While somebody listens to changes of the book: where each open order stands."""


def aggregate_row(symbol: Symbol, number: int, aggregate: Aggregate) -> dict[str, Any]:
    """An aggregate as it is told, on its stream or to who asks."""
    first = aggregate.first
    return {
        "a": number,
        "p": symbol.price(first.price),
        "q": symbol.quantity(aggregate.quantity),
        "f": first.id,
        "l": aggregate.last,
        "T": first.time // 1000,
        "m": first.buyer_is_maker,
        "M": True,
    }


class Producers:
    """Makes producers for streams."""

    def __init__(self, engine: Engine, markets: Mapping[str, Market], *, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._markets = markets
        self._clock = clock

    def depth(self, market: Market, limit: int) -> dict[str, Any]:
        """The book as it is now, `limit` levels of each side."""
        bids, asks = self._engine.levels(*market.symbol.pair, limit)
        return {
            "lastUpdateId": market.update_id,
            "bids": _level_texts(market.symbol, bids),
            "asks": _level_texts(market.symbol, asks),
        }

    def make(self, name: str, stream: Stream) -> Producer | None:
        """The producer of a stream that begins now; None if nothing is ever to be said there."""
        if stream.symbol is None:
            return self._all(stream)
        market = self._markets.get(stream.symbol)
        if market is None:
            return None
        match stream.kind:
            case "depth":
                if not market.depths:
                    orders = self._engine.book(*market.symbol.pair, None)
                    market.places = {order.id: (order.quantity > 0, order.price) for order in orders}
                depth = market.depths[name] = Differences(self._engine, market)
                return depth.due
            case "partial":
                return lambda now: iter((self.depth(market, stream.levels),))
            case "kline":
                return Klines(market, stream.interval, stream.offset, self._clock()).due
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
            _changes(market, self._statistics(stream, market), self._engine) for market in self._markets.values()
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


class Klines:
    """One stream of candles: the present one when it has changed, and each for the last time when it is over."""

    def __init__(self, market: Market, interval: str, offset: int, now: int) -> None:
        self._market = market
        self._interval = interval
        self._offset = offset
        self._start = interval_start(interval, now, offset)
        self._told: Candle | None = None

    def due(self, now: int) -> Iterator[dict[str, Any]]:
        """The messages that are due."""
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


class Differences:
    """One stream of a book's changes: every level that was touched since the last message, as it is now.

    That a level is now as it was isn't enough to leave it out: a snapshot may have been taken in between.
    """

    def __init__(self, engine: Engine, market: Market) -> None:
        self._engine = engine
        self._market = market
        self._told = market.update_id
        self.touched: set[Level] = set()

    def due(self, now: int) -> Iterator[dict[str, Any]]:
        """The message that is due, if anything has happened."""
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
