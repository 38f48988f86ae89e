"""WebsocketClient: the feed with methods to override, for those who come from `cbpro`."""

import json
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ..core.connection import State
from ..core.reconnect import Reconnect
from ..errors import ClientClosed, CommandError, TransportError, WSClientError
from .channels import Channel, Key, keys, wishes
from .feed import MARKET_DATA, Feed
from .signing import Token

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..sinks.recording import Recording

logger = logging.getLogger("wsclient")

_PING_INTERVAL: Final = 30.0  # seconds


class WebsocketClient:
    """Streams messages of some products and channels to `on_message`, from `start()` until `close()`.

        class Prices(WebsocketClient):
            def on_message(self, msg):
                print(msg.get("price"))

        prices = Prices(products=["BTC-USD"], channels=["ticker"])
        prices.start()

    url: ws:// or wss://
    products: product ids, or one; BTC-USD unless given
    message_type: of what is sent first
    mongo_collection: a `pymongo` collection, where every message is kept as it is decoded, also where `on_message`
        is overridden. That is done in batches, half a second after a message came at the latest, and at `close()`
    should_print: whether what isn't overridden prints
    auth: whether to sign, with api_key, api_secret and api_passphrase
    channels: as subscribe messages have them; None for the ticker

    reconnect: whether a lost connection is got back, with its subscriptions; or a `Reconnect` that says how. What
        it recovers from is told to `on_error` and isn't left in `error`
    feed_options: what else a `Feed` is given: socket_timeout, compression …

    error: why nothing comes any more: the connection was lost and can't be had back, or the subscription was
        refused. None while all is well

    The attributes with the parameters' names are read by `start()`, so that `on_open` may set them. All `on_`
    methods but `on_open` are called on the event thread (`on_close` on the thread that closes); what they raise is
    told to `on_error`. They may call `close()`.
    """

    def __init__(
        self,
        url: str = MARKET_DATA,
        products: Sequence[str] | str | None = None,
        message_type: str = "subscribe",
        mongo_collection: Any = None,
        should_print: bool = True,
        auth: bool = False,
        api_key: str = "",
        api_secret: str = "",
        api_passphrase: str = "",
        *,
        channels: Sequence[Channel] | None,
        reconnect: bool | Reconnect = True,
        **feed_options: Any,
    ) -> None:
        self.url = url
        self.products = products
        self.channels = channels
        self.type = message_type
        self.mongo_collection = mongo_collection
        self.should_print = should_print
        self.auth = auth
        self.api_key = api_key
        self.api_secret = api_secret
        self.api_passphrase = api_passphrase
        self.reconnect = reconnect
        self.error: Exception | None = None
        self._options = feed_options
        self._lock = threading.Lock()  # guards what follows
        self._run: object | None = None  # stands for what the last `start()` began, until it is closed
        self._feed: Feed | None = None
        self._recording: Recording | None = None
        self._open = False  # `on_close` is still to be called
        self._keys: list[Key] = []  # what was asked for

    # -- to be overridden

    def on_open(self) -> None:
        """Called by `start()`, before anything is connected; what it raises, `start()` raises."""
        if self.should_print:
            print("-- Subscribed! --\n")

    def on_message(self, msg: dict[str, Any]) -> None:
        """Called with each message."""
        if self.should_print:
            print(msg)

    def on_close(self) -> None:
        """Called once, when it was closed or has ended by an error."""
        if self.should_print:
            print("\n-- Socket Closed --")

    def on_error(self, e: Exception, data: Any = None) -> None:
        """Called with what went wrong. data: the text that it was about, where there is one"""
        print(f"{e} - data: {data}")

    # -- to be called

    def start(self) -> None:
        """Connects, subscribes, and returns. What goes wrong is told to `on_error`.

        Nothing if it runs already; if there is an `error`, what is left is ended, and it begins anew.

        Raises `InvalidRequest` for parameters that can't be used.
        """
        run = object()
        with self._lock:
            if self._run is not None and self.error is None:
                return
            left = self._taken()
            self._run, self.error = run, None
        self._end(*left)
        try:
            self.on_open()
            message = self._message()
            asked = keys(wishes(message))
            feed = self._new_feed()
            recording = self._keep(feed)
            with self._lock:
                ours = self._run is run
                if ours:
                    self._feed, self._recording, self._open, self._keys = feed, recording, True, asked
            if ours:
                feed.send(message).add_done_callback(lambda reply: self._answered(feed, reply))
            else:  # it was closed meanwhile
                self._end(feed, recording, False)
        except ClientClosed:
            pass  # it was closed meanwhile
        except BaseException:
            with self._lock:
                failed, kept, _ = self._taken() if self._run is run else (None, None, False)
            self._end(failed, kept, False)
            raise

    def close(self) -> None:
        """Ends the connection, keeps what is to be kept, and returns; from any thread, as often as you like."""
        with self._lock:
            left = self._taken()
        self._end(*left)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.products}, {'closed' if self._feed is None else 'running'}>"

    def __reduce__(self) -> Any:
        raise TypeError("a WebsocketClient holds a connection and credentials, and can't be pickled")

    # -- how

    def _new_feed(self) -> Feed:
        return Feed(
            self.url,
            self._on_text,
            self._on_error,
            close_handler=self._on_close,
            auth=Token(self.api_key, self.api_secret, self.api_passphrase) if self.auth else None,
            reconnect=self._policy(),
            **{"ping_interval": _PING_INTERVAL, **self._options},
        )

    def _message(self) -> dict[str, Any]:
        products = ["BTC-USD"] if self.products is None else self.products
        return {
            "type": self.type,
            "product_ids": [products] if isinstance(products, str) else list(products),
            "channels": ["ticker"] if self.channels is None else list(self.channels),
        }

    def _policy(self) -> Reconnect | None:
        if isinstance(self.reconnect, Reconnect):
            return self.reconnect
        return Reconnect() if self.reconnect else None

    def _keep(self, feed: Feed) -> "Recording | None":
        if self.mongo_collection is None:
            return None
        from ..sinks import MongoSink, attach

        sink = MongoSink(self.mongo_collection, documents="messages")
        return attach(feed, sink, on_error=lambda error: self._call(self.on_error, error))

    def _taken(self) -> "tuple[Feed | None, Recording | None, bool]":
        """What is left to be ended, and whether `on_close` is to be called; with the lock held."""
        taken = self._feed, self._recording, self._open
        self._run = self._feed = self._recording = None
        self._open = False
        return taken

    def _end(self, feed: Feed | None, recording: "Recording | None", was_open: bool) -> None:
        if feed is not None:
            feed.stop()
        if recording is not None:
            try:
                recording.close()
            except WSClientError as error:
                self._call(self.on_error, error)
        if was_open:
            self._call(self.on_close)

    def _closed(self, feed: Feed) -> None:
        with self._lock:
            was_open = self._open and self._feed is feed
            if was_open:
                self._open = False
        if was_open:
            self._call(self.on_close)

    # -- the event thread

    def _on_text(self, feed: Feed, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError as error:
            self._call(self.on_error, error, text)
            return
        self.on_message(message)

    def _on_error(self, feed: Feed, error: Exception) -> None:
        # idle, it has no connection and won't try to get one
        if feed.state is State.IDLE:
            self._failed(feed, error)
            self._closed(feed)
        elif isinstance(error, CommandError) and error.request.get("type") == "subscribe" and not self._kept(feed):
            self._failed(
                feed, error
            )  # the last of it, on a new connection: what the first refuses the Reply tells
        else:
            self._call(self.on_error, error)

    def _kept(self, feed: Feed) -> bool:
        """Whether anything is still subscribed to, or is going to be on a new connection."""
        return any(feed._connection.keeps(key) for key in self._keys)

    def _on_close(self, feed: Feed, code: int | None, reason: str | None) -> None:
        if feed.state is State.IDLE:
            if self.error is None:
                self._failed(feed, TransportError(f"the exchange closed the connection with code {code}"))
            self._closed(feed)

    def _answered(self, feed: Feed, reply: "Future[Any]") -> None:
        error = reply.exception()
        if isinstance(error, CommandError):
            self._failed(feed, error)

    def _failed(self, feed: Feed, error: Exception) -> None:
        """Nothing comes any more."""
        with self._lock:
            if self._feed is feed and self.error is None:
                self.error = error
        self._call(self.on_error, error)

    def _call(self, method: Any, *args: Any) -> None:
        try:
            method(*args)
        except Exception:
            logger.exception("%r raised", method)
