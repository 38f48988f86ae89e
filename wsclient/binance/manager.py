"""BinanceSocketManager: sockets of market streams and of the account, many over few connections."""

import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from ..core.connect import Endpoint, check_seconds
from ..core.reconnect import Reconnect
from ..core.worker import Job, Worker
from ..errors import AuthenticationError, ClientClosed, InvalidRequest, WSClientError
from ..fetched import Outcome
from .accounts import KeyedFeed, ListenKeys, RequestedKeys, SpotFeed
from .book import OrderBook
from .carrier import Line
from .client import Client
from .inbox import Inbox, Overflow
from .lane import Renewal
from .markets import MarketSockets
from .missed import MissedTrades
from .multiplexer import Multiplexer
from .names import lower
from .quick import quick_codec
from .socket import Callback, Feed, Socket, check_callback
from .stream import Sink
from .streams import refused_stream
from .urls import STREAM_URL, api_url, streams_base

_RECONNECT: Final = Reconnect()
_RENEWAL: Final = Renewal()
_MOST_LEVELS: Final = 5000  # of each side, in a snapshot


class BinanceSocketManager(MarketSockets):
    """Makes sockets. Nothing is connected before one is entered, or made with a callback.

        manager = BinanceSocketManager(client)
        async with manager.trade_socket("BNBBTC") as socket:
            print(await socket.recv())

    The streams of all sockets share connections, up to 1024 each, and each socket is made once: asked for again,
    the same one is given. A connection is replaced before the exchange ends it, after 24 hours or announced, so
    that nothing is lost or told twice; after one that was cut, the trades missed meanwhile are fetched and told.

    A callback, where one is given, begins the socket at once and is called with each message, on the thread that
    reads; see `Socket.add_callback`. A socket with a callback ends with its `close()`, or with the manager's.

    client: for the account's sockets, for snapshots of books and for missed trades; without one, a public client
        is made when it is needed
    user_timeout: seconds after which the listenKey of a margin socket is made to last longer
    url: where the market streams begin; the client's, or Binance's, unless given
    max_queue_size: messages of a socket that may wait to be received
    overflow: what happens with more of them: "drop_oldest" or "drop_newest", which `Socket.dropped` counts; or
        "block", which stops reading until there is room, so that nothing is dropped: then all streams of that
        connection wait, and the exchange ends a connection from which it hears nothing for a minute. With it
        there is no `user_socket`, whose client would wait, too
    reconnect: how a lost connection is got back; 5 tries in a row unless told otherwise
    renewal: when connections are replaced
    listen_keys: makes what gives the keys of margin accounts, out of "CROSS", or "ISOLATED" and the symbol;
        without it they are asked for over the client's request API
    socket_timeout: seconds for each step: TCP, TLS, handshake, an answer, a write, a Pong
    json_loads: decodes messages; orjson's where that is installed, unless given
    insecure_ssl, proxy, ssl_context, ping_interval, max_message_size: as `wsclient.WSClient` has them
    """

    def __init__(
        self,
        client: Client | None = None,
        user_timeout: float = 1800,
        *,
        url: str | None = None,
        max_queue_size: int = 10_000,
        overflow: Overflow = "drop_oldest",
        reconnect: Reconnect = _RECONNECT,
        renewal: Renewal = _RENEWAL,
        listen_keys: Callable[..., ListenKeys] | None = None,
        socket_timeout: float = 5,
        insecure_ssl: bool = False,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        ping_interval: float = 45.0,
        max_message_size: int = 16 * 1024 * 1024,
        json_loads: Callable[[str], Any] | None = None,
    ) -> None:
        if client is not None and not isinstance(client, Client):
            raise InvalidRequest(f"client is a wsclient.binance.Client, not {type(client).__name__}")
        if not isinstance(reconnect, Reconnect):
            raise InvalidRequest(f"reconnect must be a Reconnect, not {reconnect!r}")
        check_seconds("user_timeout", user_timeout)
        check_seconds("ping_interval", ping_interval)
        if ping_interval < 1:
            raise InvalidRequest(
                "ping_interval is at least 1 s: Pings count as messages, of which few are allowed"
            )
        where = url if url is not None else client.stream_url if client is not None else STREAM_URL
        where = streams_base(where)
        line = Line(
            Endpoint(where + "/stream", socket_timeout, insecure_ssl, ssl_context, proxy),
            ping_interval=ping_interval,
            max_message_size=max_message_size,
        )
        self._url = where
        self._client = client
        self._ours: Callable[[], Client] = lambda: Client(
            url=api_url(where),
            rate_limit=True,
            socket_timeout=socket_timeout,
            insecure_ssl=insecure_ssl,
            proxy=proxy,
            ssl_context=ssl_context,
            err_handler=lambda client, error: None,  # whoever calls is told
        )
        self._user_timeout = user_timeout
        self._timeout = socket_timeout
        self._listen_keys = listen_keys
        self._new_inbox: Callable[[bool], Inbox] = lambda wrapped: Inbox(
            max_queue_size, overflow, wrapped, quick_codec(json_loads).loads
        )
        self._new_inbox(False)  # which says what is wrong
        self._blocks = overflow == "block"
        self._worker = Worker(f"wsclient binance requests {line.endpoint.safe_url}")
        missed = MissedTrades(self._public, self._worker, socket_timeout)
        self._streams = Multiplexer(line, reconnect, renewal, missed)
        self._lock = threading.Lock()  # guards what follows
        self._made: Client | None = None  # our own
        # for as long as somebody has them, or they bring something, or they have callbacks
        self._sockets: WeakValueDictionary[tuple[Any, ...], Socket] = WeakValueDictionary()
        self._called: set[Socket] = set()  # written by the sockets
        self._books: dict[str, OrderBook] = {}
        self._stopped = False

    # -- the account

    def user_socket(self, callback: Callback | None = None) -> Socket:
        """The account's events: balances, orders, trades; see `Client.user_data`."""
        client = self._private()
        if self._blocks:
            raise InvalidRequest(
                'overflow="block" would stop the client, which brings answers, too: make the user socket with '
                "another manager, without it"
            )
        return self._socket("user", ("user",), False, callback, lambda: SpotFeed(client, self._worker))

    def margin_socket(self, callback: Callback | None = None) -> Socket:
        """The events of the account for cross margin. (A sandbox has none, and tells of the spot account.)"""
        return self._margin("margin", callback, margin="CROSS")

    def isolated_margin_socket(self, symbol: str, callback: Callback | None = None) -> Socket:
        """The events of a market's account for isolated margin."""
        return self._margin("isolated margin", callback, margin="ISOLATED", symbol=lower(symbol).upper())

    def _margin(self, title: str, callback: Callback | None, **scope: str) -> Socket:
        def feed() -> Feed:
            if self._listen_keys is not None:
                keys = self._listen_keys(*scope.values())
            else:
                keys = RequestedKeys(self._private(), scope, self._timeout)
            return KeyedFeed(keys, self._streams, self._worker, self._user_timeout)

        return self._socket(title, ("margin", *scope.values()), False, callback, feed)

    # -- books

    def order_book(self, symbol: str) -> OrderBook:
        """A market's order book, kept equal to the exchange's; begun at once. Asked for again, the same one.

            book = manager.order_book("BTCUSDT").wait(5)
            book.best_bid, book.depth(10).asks

        `book.close()` ends it.
        """
        symbol = lower(symbol)
        names = [f"{symbol}@depth@100ms"]
        with self._lock:
            if self._stopped:
                raise ClientClosed("the manager was stopped: make a new one")
            book = self._books.get(symbol)
            if book is None:
                book = self._books[symbol] = self._new_book(symbol, names)
            claimed = book.claim()
        if claimed:
            self._streams.end(book, names)  # what is left of a failure
            self._streams.begin(book, names)
            with self._lock:
                closed = self._books.get(symbol) is not book
            if closed:  # meanwhile
                self._streams.end(book, names)
        return book

    def _new_book(self, symbol: str, names: Sequence[str]) -> OrderBook:
        def close() -> None:
            with self._lock:
                if self._books.get(symbol) is not book:
                    return  # it was closed before
                del self._books[symbol]
            self._streams.end(book, names)

        book = OrderBook(
            symbol.upper(),
            lambda delay, told: self._fetch_book(symbol, delay, told),
            close=close,
            on_event_thread=self._on_thread,
        )
        return book

    def _on_streams_thread(self) -> bool:
        """Whether the caller's is one of the threads that bring the streams, and so can't wait for them."""
        return self._worker.on_thread() or self._streams.on_thread()

    def _on_thread(self) -> bool:
        """Likewise of what takes the client, too."""
        client = self._client or self._made
        return self._on_streams_thread() or (client is not None and client.on_event_thread())

    def _fetch_book(self, symbol: str, delay: float, told: Callable[[Outcome], object]) -> Job:
        def fetch() -> None:
            outcome: Outcome
            try:
                outcome = self._public().call("depth", self._timeout, symbol=symbol.upper(), limit=_MOST_LEVELS)
            except (WSClientError, TimeoutError) as error:
                outcome = error
            told(outcome)

        return self._worker.do(fetch, delay)

    # -- the manager itself

    @property
    def missed(self) -> int:
        """Trades that were missed and couldn't be fetched, of the streams that are open now."""
        return self._streams.missed

    def stop(self) -> None:
        """Ends all sockets and books, from any thread. The client is left as it is.

        In a callback this doesn't wait until all has ended.
        """
        with self._lock:
            self._stopped = True
            made, self._made = self._made, None
            sockets, books = list(self._sockets.values()), list(self._books.values())
        # in a callback nothing is waited for, since what ends may wait for the callback's own thread
        timeout = 0.0 if self._on_thread() else self._timeout
        for socket in sockets:
            socket.close()
        self._worker.do(self._worker.stop)  # behind what has to be ended orderly
        self._streams.stop(timeout)
        for book in books:
            book.failed(ClientClosed("the manager was stopped"))
        self._worker.join(timeout)
        if timeout:
            self._worker.stop()
        if made is not None:
            made.stop()

    close = stop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<BinanceSocketManager {Endpoint(self._url).safe_url}>"

    def _socket(
        self,
        title: str,
        key: tuple[str, ...],
        wrapped: bool,
        callback: Callback | None,
        feed: Callable[[], Feed] | None = None,
    ) -> Socket:
        """The one socket of this kind; key: its streams, where it is one of the market's."""
        if callback is not None:
            check_callback(callback)
        with self._lock:
            socket = self._sockets.get((wrapped, key))
        if socket is None:
            source = _Market(self._streams, key) if feed is None else feed()
            on_thread = self._on_streams_thread if feed is None else self._on_thread
            socket = Socket(title, source, self._new_inbox(wrapped), on_thread, self._called)
        with self._lock:
            if self._stopped:
                raise ClientClosed("the manager was stopped: make a new one")
            socket = self._sockets.setdefault((wrapped, key), socket)
        if callback is not None:
            socket.add_callback(callback)
        return socket

    def _private(self) -> Client:
        if self._client is None:
            raise AuthenticationError("the account's sockets need a client with a key")
        return self._client

    def _public(self) -> Client:
        """The client for what anybody may ask."""
        if self._client is not None:
            return self._client
        with self._lock:
            if self._stopped:
                raise ClientClosed("the manager was stopped")
            if self._made is None:
                self._made = self._ours()
            return self._made


class _Market:
    """The feed of market streams."""

    def __init__(self, streams: Multiplexer, names: Sequence[str]) -> None:
        self._streams = streams
        self._names = names
        self._left: set[str] = set()  # those that weren't refused; touched by one thread at a time

    def begin(self, sink: Sink) -> "Future[None]":
        self._left = set(self._names)
        return self._streams.begin(sink, self._names)

    def end(self, sink: Sink) -> None:
        self._streams.end(sink, self._names)

    def without(self, error: WSClientError) -> str | None:
        refused = refused_stream(error)
        self._left.discard(refused or "")
        return refused if self._left else None
