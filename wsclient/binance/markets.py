"""The sockets of market streams: which kinds there are, and the names of their streams.

Source: the protocol page, "Market streams".
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import InvalidRequest
from . import enums
from .names import checked, lower
from .names import interval as checked_interval
from .socket import Callback, Feed, Socket


class MarketSockets(ABC):
    """A method for each kind. Each makes its socket once, and begins it if a callback is given."""

    WEBSOCKET_DEPTH_5 = enums.WEBSOCKET_DEPTH_5
    WEBSOCKET_DEPTH_10 = enums.WEBSOCKET_DEPTH_10
    WEBSOCKET_DEPTH_20 = enums.WEBSOCKET_DEPTH_20

    @abstractmethod
    def _socket(
        self,
        title: str,
        key: tuple[str, ...],
        wrapped: bool,
        callback: Callback | None,
        feed: Callable[[], Feed] | None = None,
    ) -> Socket:
        """The one socket of this kind; key: its streams, where it is one of the market's."""

    def _market(self, name: str, callback: Callback | None) -> Socket:
        return self._socket(name, (name,), False, callback)

    def trade_socket(self, symbol: str, callback: Callback | None = None) -> Socket:
        """Each trade of a market."""
        return self._market(f"{lower(symbol)}@trade", callback)

    def aggtrade_socket(self, symbol: str, callback: Callback | None = None) -> Socket:
        """The trades of a market, those of one taker's order at one price together."""
        return self._market(f"{lower(symbol)}@aggTrade", callback)

    def depth_socket(
        self,
        symbol: str,
        depth: str | int | None = None,
        interval: int | None = None,
        callback: Callback | None = None,
    ) -> Socket:
        """What changes in a market's book; with a depth, its best levels. For the book itself see `order_book`.

        depth: 5, 10 or 20 levels, or one of `WEBSOCKET_DEPTH_…`
        interval: milliseconds between two messages: 1000, which it is unless given, or 100
        """
        depth, callback = _not_callable(depth, callback)
        levels = "" if depth is None else str(depth)
        if levels not in ("", "1", "5", "10", "20"):
            raise InvalidRequest(f"a depth is 5, 10 or 20, not {depth!r}")
        if interval not in (None, 0, 100, 1000):
            raise InvalidRequest(f"an interval is 100 or 1000 milliseconds, not {interval!r}")
        speed = "@100ms" if interval in (0, 100) else ""
        return self._market(f"{lower(symbol)}@depth{'' if levels == '1' else levels}{speed}", callback)

    def kline_socket(
        self, symbol: str, interval: str = enums.KLINE_INTERVAL_1MINUTE, callback: Callback | None = None
    ) -> Socket:
        """A market's current candle. interval: one of `wsclient.binance.enums.KLINE_INTERVAL_…`; a minute's."""
        interval, callback = _not_callable(interval, callback, enums.KLINE_INTERVAL_1MINUTE)
        return self._market(f"{lower(symbol)}@kline_{checked_interval(interval)}", callback)

    def symbol_ticker_socket(self, symbol: str, callback: Callback | None = None) -> Socket:
        """A market's last 24 hours, every second."""
        return self._market(f"{lower(symbol)}@ticker", callback)

    def symbol_miniticker_socket(self, symbol: str, callback: Callback | None = None) -> Socket:
        """The same in short."""
        return self._market(f"{lower(symbol)}@miniTicker", callback)

    def symbol_book_ticker_socket(self, symbol: str, callback: Callback | None = None) -> Socket:
        """The best bid and ask of a market, whenever they change."""
        return self._market(f"{lower(symbol)}@bookTicker", callback)

    def ticker_socket(self, callback: Callback | None = None) -> Socket:
        """The last 24 hours of every market in which something has changed, every second: a message for each."""
        return self._market("!ticker@arr", callback)

    def miniticker_socket(self, update_time: int = 1000, callback: Callback | None = None) -> Socket:
        """The same in short. update_time: milliseconds between two updates."""
        update_time, callback = _not_callable(update_time, callback, 1000)
        if type(update_time) is not int or update_time <= 0:
            raise InvalidRequest(f"update_time is a positive number of milliseconds, not {update_time!r}")
        speed = "" if update_time == 1000 else f"@{update_time}ms"
        return self._market(f"!miniTicker@arr{speed}", callback)

    def multiplex_socket(self, streams: Iterable[str], callback: Callback | None = None) -> Socket:
        """Several streams at once; each message is `{"stream": name, "data": event}`.

        streams: their names, as "bnbbtc@aggTrade"; symbols in them are lowercase. One that is surely misspelt is
            refused; for one that isn't known a warning is logged, since the exchange would say nothing
        """
        names = [checked(name) for name in ([streams] if isinstance(streams, str) else streams)]
        if not names:
            raise InvalidRequest("a multiplex socket needs at least one stream")
        return self._socket(f"{len(names)} streams", tuple(dict.fromkeys(names)), True, callback)


def _not_callable(value: Any, callback: Callback | None, default: Any = None) -> tuple[Any, Callback | None]:
    """An option, and a callback that may stand in its place."""
    return (default, value) if callable(value) and callback is None else (value, callback)
