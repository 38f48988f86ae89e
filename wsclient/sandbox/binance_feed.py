"""What market streams say: trades and best prices at once, the rest by the clock.

`touch` and `match` take the engine's events in, `settle` ends what came together, `beat` says what is due. Every
change of a symbol's orders has a number (its update id), and a message about the book names the last one it knows.

Source: protocol page, section "Market streams".
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wsclient.sandbox.binance_producers import Aggregate, Market, Producer, Producers, aggregate_row
from wsclient.sandbox.binance_statistics import Levels
from wsclient.sandbox.binance_streams import Hub, parse_stream
from wsclient.sandbox.binance_symbols import ZERO, Symbols
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import (
    OrderClosed,
    OrderModified,
    OrderOpened,
    OrdersMatched,
)
from wsclient.sandbox.venue import Say


class Feed:
    """All market streams of an engine."""

    def __init__(self, engine: Engine, symbols: Symbols, hub: Hub, *, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._hub = hub
        self._clock = clock
        self.markets: dict[str, Market] = {name: Market(symbol) for name, symbol in symbols.by_name.items()}
        self._by_pair = {market.symbol.pair: market for market in self.markets.values()}
        self._made = Producers(engine, self.markets, clock=clock)
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
            producer = self._made.make(name, stream)
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

    def match(self, event: OrdersMatched) -> Iterator[Say]:
        """Take a match in, which is a trade."""
        market = self.touch(event)
        if market is not None:
            yield from self._traded(market, event)

    def end_matches(self) -> Iterable[Say]:
        """A command is over: no more matches of its order will come."""
        return self._aggregated() if self._open else ()

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

    def touch(self, event: OrderOpened | OrderModified | OrdersMatched | OrderClosed) -> Market | None:
        """Count a change of a book, and note which levels it has changed; None if that book has no name here."""
        market = self._by_pair.get((event.base, event.counter))
        if market is None:
            return None
        market.update_id += 1
        self._touched[market.symbol.name] = market
        if not market.depths:
            return market
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
        return market

    def trade_number(self, event: OrdersMatched) -> int:
        """The number of a match that was taken in last."""
        market = self._by_pair.get((event.base, event.counter))
        return market.tape.last_id if market else 0

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
        market.aggregate = Aggregate(trade, taker, trade.id, trade.quantity)
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
        market.aggregated.append((market.aggregates, aggregate))
        symbol = market.symbol
        name = f"{symbol.name.lower()}@aggTrade"
        if self._hub.hears(name):
            head = {"e": "aggTrade", "E": self._clock() // 1000, "s": symbol.name}
            yield from self._hub.tell(name, head | aggregate_row(symbol, market.aggregates, aggregate))

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
        return self._made.depth(market, limit)
