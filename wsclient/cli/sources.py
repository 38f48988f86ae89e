"""What is recorded: each venue's client, made to bring every text message.

A venue's client is imported when it is asked for.
"""

import threading
from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..core.reconnect import Reconnect
from ..errors import InvalidRequest, WSClientError
from ..sinks import Classifier

if TYPE_CHECKING:
    from ..coinbase import Feed, Gap

FOR_EVER: Final = Reconnect(tries=10**9)
"""Who records doesn't give up: what comes once the exchange is back is worth having."""


TIMEOUT: Final = 5.0
"""Seconds for each step of connecting, and of ending."""


@dataclass(frozen=True)
class Handlers:
    """Called on the client's thread, as those of `WSClient` are; gap: with a sentence on wrong numbers."""

    err: Callable[[Any, Exception], object]
    open: Callable[[Any], object]
    close: Callable[[Any, int | None, str | None], object]
    gap: Callable[[str], object]


class Source(Protocol):
    """What is being recorded."""

    classify: Classifier

    def tap(self, fn: Callable[[str], object], /) -> object:
        """Has `fn` called with each text message."""

    def watch(self) -> Sequence[Future[Any]]:
        """Connects, and asks for what is to be recorded; the answers, each of which may be an error."""

    def silent(self, markets: Container[str | None], /) -> Sequence[str]:
        """What was asked for and brought nothing. markets: those of which something came"""

    def stop(self) -> None:
        """Ends it; no message comes afterwards."""


class CoinFLEX:
    """Order books and tickers, both public, through `WSClient`."""

    def __init__(
        self,
        url: str,
        markets: Sequence[str],
        channels: Sequence[str],
        credentials: Sequence[str],
        handlers: Handlers,
    ) -> None:
        from .. import Assets, WSClient
        from ..coinflex.amounts import asset_code
        from ..sinks.classify import coinflex_named

        self._pairs = []
        for market in markets:
            base, slash, counter = market.partition("/")
            if not slash:
                raise InvalidRequest(f"a market is written BASE/COUNTER, XBT/USDT for instance, not {market!r}")
            self._pairs.append((asset_code(base), asset_code(counter)))
        self._channels = channels
        self._client = WSClient(
            url,
            err_handler=handlers.err,
            open_handler=handlers.open,
            close_handler=handlers.close,
            reconnect=FOR_EVER,
        )
        names = {code: name for name, code in Assets.items()}
        self._markets = [f"{names.get(base, base)}/{names.get(counter, counter)}" for base, counter in self._pairs]
        self.classify: Classifier = coinflex_named(names)
        self.tap = self._client.tap
        self.stop = self._client.stop

    def watch(self) -> list[Future[Any]]:
        """Watches each market."""
        commands: dict[str, Callable[..., Future[Any]]] = {
            "orders": self._client.WatchOrders,
            "ticker": self._client.WatchTicker,
        }
        return [
            commands[channel](base=base, counter=counter, watch=True)
            for base, counter in self._pairs
            for channel in self._channels
        ]

    def silent(self, markets: Container[str | None], /) -> list[str]:
        """The markets of which nothing came."""
        return [market for market in self._markets if market not in markets]


class Coinbase:
    """Any channels, all in one subscription, through `Feed`; signed where there is a key."""

    def __init__(
        self,
        url: str,
        markets: Sequence[str],
        channels: Sequence[str],
        credentials: Sequence[str],
        handlers: Handlers,
    ) -> None:
        from ..coinbase import Feed
        from ..sinks.classify import coinbase

        self._markets, self._channels = markets, channels
        self._told = handlers.gap
        key, secret, passphrase = (part or None for part in credentials)
        self._feed = Feed(
            url,
            err_handler=handlers.err,
            open_handler=handlers.open,
            close_handler=handlers.close,
            on_gap=self._gap if "full" in channels else None,
            key=key,
            secret=secret,
            passphrase=passphrase,
            reconnect=FOR_EVER,
        )
        self.classify: Classifier = coinbase
        self.tap = self._feed.tap
        self.stop = self._feed.stop

    def watch(self) -> list[Future[Any]]:
        """Subscribes."""
        return [self._feed.subscribe(self._channels, self._markets)]

    def silent(self, markets: Container[str | None], /) -> list[str]:
        """The markets of which nothing came."""
        return [market for market in self._markets if market not in markets]

    def _gap(self, feed: "Feed", gap: "Gap") -> None:
        self._told(f"{gap.product_id}: sequence numbers {gap.first} to {gap.last}: {gap.kind}")


class Binance:
    """Market streams, over as few connections as the manager's sockets would take."""

    def __init__(
        self,
        url: str,
        markets: Sequence[str],
        channels: Sequence[str],
        credentials: Sequence[str],
        handlers: Handlers,
    ) -> None:
        from ..binance.carrier import Line
        from ..binance.client import Client
        from ..binance.lane import Renewal
        from ..binance.missed import MissedTrades
        from ..binance.multiplexer import Multiplexer
        from ..binance.names import checked, lower
        from ..binance.streams import name_of
        from ..binance.urls import api_url, streams_base
        from ..core.connect import Endpoint
        from ..core.worker import Worker
        from ..sinks.classify import binance

        url = streams_base(url)
        self._names = [
            checked(channel if channel.startswith("!") else f"{lower(market)}@{channel}")
            for market in markets
            for channel in channels
        ]
        self._names = list(dict.fromkeys(self._names))
        self._silent = dict.fromkeys(self._names)  # until something comes
        self._name_of = name_of
        self._handlers = handlers
        endpoint = Endpoint(url + "/stream", TIMEOUT)
        self._client = Client(url=api_url(url), rate_limit=True, err_handler=lambda client, error: None)
        self._worker = Worker(f"wsclient missed trades {endpoint.safe_url}")
        missed = MissedTrades(lambda: self._client, self._worker, TIMEOUT)
        self._streams = Multiplexer(Line(endpoint), FOR_EVER, Renewal(), missed)
        self.classify: Classifier = binance
        self._takers: list[Callable[[str], object]] = []
        self._lock = threading.Lock()  # guards what follows
        self._gone = False

    def tap(self, fn: Callable[[str], object], /) -> None:
        """Has `fn` called with the text of each event."""
        self._takers.append(fn)

    def watch(self) -> list[Future[Any]]:
        """Subscribes."""
        return [self._streams.begin(self, self._names)]

    def silent(self, markets: Container[str | None], /) -> list[str]:
        """The streams of which nothing came."""
        return list(self._silent)

    def stop(self) -> None:
        """Ends the streams."""
        if missed := self._streams.missed:
            self._handlers.gap(f"{missed} trades were missed and couldn't be fetched")
        self._worker.stop()
        self._streams.stop(TIMEOUT)
        self._client.stop()
        self._worker.join(TIMEOUT)

    # -- called by the streams

    def put(self, item: "str | dict[str, Any]") -> None:
        """An event of a stream, which is always a text."""
        assert isinstance(item, str)
        if self._silent:
            self._silent.pop(self._name_of(item) or "", None)
        for take in self._takers:
            take(item)

    def subscribed(self) -> None:
        """One of the streams is there, for the first time or again."""
        if self._turn(gone=False):
            self._handlers.open(self)

    def lost(self) -> None:
        """One of the streams has lost its connection; usually the others have, too."""
        if self._turn(gone=True):
            self._handlers.close(self, None, None)

    def failed(self, error: WSClientError) -> None:
        """One of the streams can't be had."""
        self._handlers.err(self, error)

    def _turn(self, *, gone: bool) -> bool:
        with self._lock:
            turned, self._gone = self._gone is not gone, gone
        return turned
