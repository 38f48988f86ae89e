"""The request API's public methods: the exchange and its markets.

Source: protocol page, section "WebSocket API (request and reply)".
"""

import re
from typing import Any, Final, TypeVar

from wsclient.sandbox.binance_api import Call, Method, Params, integer
from wsclient.sandbox.binance_errors import BAD_COMBINATION, BAD_INTERVAL, BinanceError, invalid, missing
from wsclient.sandbox.binance_producers import Market, aggregate_row
from wsclient.sandbox.binance_state import BinanceState
from wsclient.sandbox.binance_statistics import kline_row
from wsclient.sandbox.binance_symbols import ZERO, Symbol
from wsclient.sandbox.binance_tape import INTERVALS, Trade

T = TypeVar("T")

DEEPEST: Final = 5000
MOST_ROWS: Final = 1000
_ZONE: Final = re.compile(r"([+-]?)(\d{1,2})(?::([0-5]\d))?", re.ASCII)
_WEST, _EAST = -12 * 60, 14 * 60


class PublicMethods:
    """Asked by anybody."""

    def __init__(self, state: BinanceState) -> None:
        self._state = state

    def methods(self) -> dict[str, Method]:
        """Each by its name."""
        which = frozenset({"symbol", "symbols"})
        return {
            "ping": Method(lambda call: {}),
            "time": Method(lambda call: {"serverTime": call.now // 1000}),
            "exchangeInfo": Method(self._exchange_info, which, 20),
            "depth": Method(self._depth, frozenset({"symbol", "limit"}), _depth_weight),
            "trades.recent": Method(self._trades, frozenset({"symbol", "limit"}), 25),
            "trades.historical": Method(self._old_trades, frozenset({"symbol", "fromId", "limit"}), 25),
            "trades.aggregate": Method(
                self._aggregates, frozenset({"symbol", "fromId", "startTime", "endTime", "limit"}), 4
            ),
            "klines": Method(
                self._klines,
                frozenset({"symbol", "interval", "startTime", "endTime", "timeZone", "limit"}),
                2,
            ),
            "ticker.price": Method(self._price, which, lambda params: 2 if "symbol" in params else 4),
            "ticker.book": Method(self._best, which, lambda params: 2 if "symbol" in params else 4),
        }

    def _exchange_info(self, call: Call) -> dict[str, Any]:
        symbols, _ = self._which(call.params)
        return {
            "timezone": "UTC",
            "serverTime": call.now // 1000,
            "rateLimits": self._state.limits.describe(),
            "exchangeFilters": [],
            "symbols": [symbol.describe() for symbol in symbols],
        }

    def _depth(self, call: Call) -> dict[str, Any]:
        limit = integer(call.params, "limit", least=1)
        return self._state.feed.depth(self._market(call.params), min(limit or 100, DEEPEST))

    def _trades(self, call: Call) -> list[dict[str, Any]]:
        market, limit = self._market(call.params), _rows(call.params)
        return [_trade(market.symbol, trade) for trade in list(market.tape.trades)[-limit:]]

    def _old_trades(self, call: Call) -> list[dict[str, Any]]:
        market, limit, first = self._market(call.params), _rows(call.params), integer(call.params, "fromId")
        trades = [trade for trade in market.tape.history if first is None or trade.id >= first]
        return [_trade(market.symbol, trade) for trade in _some(trades, limit, first)]

    def _aggregates(self, call: Call) -> list[dict[str, Any]]:
        params, market = call.params, self._market(call.params)
        first, since, until = (integer(params, name) for name in ("fromId", "startTime", "endTime"))
        if first is not None and (since is not None or until is not None):
            raise BinanceError(BAD_COMBINATION, "Combination of optional parameters invalid.")
        rows = [
            (number, aggregate)
            for number, aggregate in market.aggregated
            if number >= (first or 0)
            and (since is None or aggregate.first.time // 1000 >= since)
            and (until is None or aggregate.first.time // 1000 <= until)
        ]
        chosen = _some(rows, _rows(params), first if since is None else since)
        return [aggregate_row(market.symbol, number, aggregate) for number, aggregate in chosen]

    def _klines(self, call: Call) -> list[list[Any]]:
        params, market = call.params, self._market(call.params)
        interval = params.get("interval")
        if interval is None:
            raise missing("interval")
        if not isinstance(interval, str) or interval not in INTERVALS:
            raise BinanceError(BAD_INTERVAL, "Invalid interval.")
        first, last = integer(params, "startTime"), integer(params, "endTime")
        limit = _rows(params)
        candles = market.tape.candles(
            interval,
            0 if first is None else first * 1000,
            call.now if last is None else min(last * 1000, call.now),
            _offset(params.get("timeZone")),
        )
        chosen = candles[-limit:] if first is None else candles[:limit]
        return [kline_row(market.symbol, candle) for candle in chosen]

    def _price(self, call: Call) -> Any:
        symbols, single = self._which(call.params)
        prices = [{"symbol": symbol.name, "price": self._last_price(symbol)} for symbol in symbols]
        return prices[0] if single else prices

    def _best(self, call: Call) -> Any:
        symbols, single = self._which(call.params)
        best = [self._best_of(symbol) for symbol in symbols]
        return best[0] if single else best

    def _best_of(self, symbol: Symbol) -> dict[str, str]:
        bids, asks = self._state.engine.levels(*symbol.pair, 1)
        sides = {"bid": bids[0] if bids else (0, 0), "ask": asks[0] if asks else (0, 0)}
        prices = {
            f"{side}{what}": text
            for side, (price, quantity) in sides.items()
            for what, text in (("Price", symbol.price(price)), ("Qty", symbol.quantity(quantity)))
        }
        return {"symbol": symbol.name, **prices}

    def _last_price(self, symbol: Symbol) -> str:
        last = self._state.feed.markets[symbol.name].tape.last
        return symbol.price(last.price) if last else ZERO

    def _market(self, params: Params) -> Market:
        return self._state.feed.markets[self._state.symbols.named(params.get("symbol")).name]

    def _which(self, params: Params) -> tuple[list[Symbol], bool]:
        """The symbols that are asked for, and whether that was one by its name."""
        symbols = self._state.symbols
        one, several = params.get("symbol"), params.get("symbols")
        if one is not None and several is not None:
            raise BinanceError(BAD_COMBINATION, "Combination of optional parameters invalid.")
        if one is not None:
            return [symbols.named(one)], True
        if several is None:
            return list(symbols.by_name.values()), False
        if not isinstance(several, list) or not several:
            raise invalid("symbols")
        return [symbols.named(name) for name in several], False


def _rows(params: Params) -> int:
    """How many rows are asked for."""
    return min(integer(params, "limit", least=1) or 500, MOST_ROWS)


def _some(rows: list[T], limit: int, first: int | None) -> list[T]:
    """So many from where they are asked for; the last ones where that isn't said."""
    return rows[-limit:] if first is None else rows[:limit]


def _depth_weight(params: Params) -> int:
    limit = params.get("limit", 100)
    if type(limit) is not int or limit <= 100:
        return 5
    return 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _trade(symbol: Symbol, trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.id,
        "price": symbol.price(trade.price),
        "qty": symbol.quantity(trade.quantity),
        "quoteQty": symbol.total(trade.total),
        "time": trade.time // 1000,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def _offset(zone: object) -> int:
    """A time zone such as "8" or "-1:00" in microseconds east of UTC."""
    match = _ZONE.fullmatch("0" if zone is None else str(zone))
    if match is None:
        raise invalid("timeZone")
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    minutes = -minutes if match[1] == "-" else minutes
    if not _WEST <= minutes <= _EAST:
        raise invalid("timeZone")
    return minutes * 60_000_000
