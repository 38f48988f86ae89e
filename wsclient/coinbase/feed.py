"""Feed: Coinbase Exchange's WebSocket feed as a local object."""

import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, overload

from ..core.backlog import Policy
from ..core.codec import codec
from ..core.connect import Endpoint
from ..core.connection import Connection
from ..core.face import Face
from ..core.handler_queue import QueueOptions
from ..core.handlers import Handlers
from ..core.reconnect import Reconnect
from ..core.reply import Reply
from ..errors import ClientClosed, InvalidRequest
from .books import FullBook, LevelBook
from .channels import Channel
from .dialect import Coinbase
from .local import LocalState
from .sequences import Gap
from .signing import Token, token
from .snapshots import RestSource, Source, rest_url_of

MARKET_DATA: Final = "wss://ws-feed.exchange.coinbase.com"
"""Coinbase Market Data, without authentication for public channels."""
DIRECT: Final = "wss://ws-direct.exchange.coinbase.com"
"""Coinbase Direct Market Data, which always wants a key; `MARKET_DATA` is its failover."""
MARKET_DATA_SANDBOX: Final = "wss://ws-feed-public.sandbox.exchange.coinbase.com"
DIRECT_SANDBOX: Final = "wss://ws-direct.sandbox.exchange.coinbase.com"

_RECONNECT: Final = Reconnect()


class Feed(Face):
    """A subscriber of the feed, for any number of threads, over one socket that one event thread reads.

        feed = Feed(msg_handler=show)                       # no socket, no thread yet
        feed.subscribe(["ticker"], ["BTC-USD"]).result(5)   # connects
        feed.order_book("BTC-USD").wait(5).best_bid

    Nothing happens before the first subscription, which connects. What is subscribed to is subscribed to again
    after a lost connection, signed anew where there is a key.

    url: ws:// or wss://
    msg_handler, err_handler, open_handler, close_handler, ping_handler, pong_handler, insecure_ssl,
        socket_timeout: as `wsclient.WSClient` has them. Each message reaches msg_handler, of whatever type
    auth: a `Token`; or instead of it key, secret and passphrase: with them each subscribe message is signed
    failover: where else to connect while `url` can't be had
    on_gap: called with (feed, gap) on the event thread when a product's messages of the full channel aren't one
        after the other; see `Gap`
    rest_url: where the REST API is, for the snapshots of level 3 books; known for Coinbase's own feeds
    snapshots: instead of it, a function that gives a product's level 3 book, {"bids": [[price, size, id], …],
        "asks": …, "sequence"}; called on a thread of its own, where it may wait
    proxy, ssl_context, ping_interval, max_message_size, compression, json_loads, json_dumps, reconnect,
        handler_queue, queue_policy: as `wsclient.WSClient` has them

    Errors are described in `wsclient.errors`. What the feed calls an error ends the oldest request that waits, as
    `CommandError` (`NotAuthorized` where a channel wants authentication, `WrongCredentials` where the
    key is refused); where none waits, err_handler has it.
    """

    venue = "coinbase"  # the name under which `wsclient.sinks` keeps its messages

    def __init__(
        self,
        url: str = MARKET_DATA,
        msg_handler: "Callable[[Feed, str], object] | None" = None,
        err_handler: "Callable[[Feed, Exception], object] | None" = None,
        open_handler: "Callable[[Feed], object] | None" = None,
        close_handler: "Callable[[Feed, int | None, str | None], object] | None" = None,
        ping_handler: "Callable[[Feed, bytes], object] | None" = None,
        pong_handler: "Callable[[Feed, bytes], object] | None" = None,
        insecure_ssl: bool = False,
        socket_timeout: float = 5,
        *,
        auth: Token | None = None,
        key: str | None = None,
        secret: str | None = None,
        passphrase: str | None = None,
        failover: str | None = None,
        on_gap: "Callable[[Feed, Gap], object] | None" = None,
        rest_url: str | None = None,
        snapshots: Source | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        ping_interval: float = 45.0,
        max_message_size: int = 16 * 1024 * 1024,
        compression: Literal["deflate"] | None = None,
        json_loads: Callable[[str], Any] | None = None,
        json_dumps: Callable[[dict[str, Any]], str | bytes] | None = None,
        reconnect: Reconnect | None = _RECONNECT,
        handler_queue: int | None = None,
        queue_policy: Policy = "block",
    ) -> None:
        for name, given in (("on_gap", on_gap), ("snapshots", snapshots)):
            if given is not None and not callable(given):
                raise InvalidRequest(f"{name} must be callable, not {given!r}")
        known = token(auth, key, secret, passphrase)
        endpoints = [
            Endpoint(where, socket_timeout, insecure_ssl, ssl_context, proxy, compression)
            for where in (url, failover)
            if where is not None
        ]
        self._connection: Connection[Feed] = Connection(
            self,
            endpoints[0],
            Coinbase(),
            Handlers(msg_handler, err_handler, open_handler, close_handler, ping_handler, pong_handler),
            ping_interval=ping_interval,
            max_message_size=max_message_size,
            codec=codec(json_loads, json_dumps),
            reconnect=reconnect,
            failover=endpoints[1:],
            handler_queue=None if handler_queue is None else QueueOptions(handler_queue, queue_policy),
        )
        self._connection.credentials = known
        if snapshots is None and (rest := rest_url or rest_url_of(url)) is not None:
            snapshots = RestSource(rest, socket_timeout)
        self._local = LocalState(self._connection, on_gap, snapshots)

    def set_auth_data(self, auth: Token) -> None:
        """What to sign with, from the next subscribe message on. Nothing is sent."""
        self._connection.credentials = token(auth, None, None, None)

    # -- subscriptions

    def subscribe(
        self,
        channels: Sequence[Channel],
        product_ids: Sequence[str] | None = None,
        *,
        stale_after: float | None = None,
    ) -> Reply[dict[str, Any]]:
        """Subscribes, and stays subscribed. The Reply's result is the `subscriptions` message that shows it.

        channels: names, or {"name": …, "product_ids": […]} with products of their own
        product_ids: of all these channels
        stale_after: seconds without a message after which each of them is subscribed to anew

        Raises `InvalidRequest` for what can't be sent, `ClientClosed` after `stop()`. Without an err_handler also
        `NotSent`, `OutcomeUnknown` and `AuthenticationError` (no key for the user channel); with one, the Reply
        carries them. What the feed itself says no to, the Reply carries always.
        """
        return self.send(_message("subscribe", channels, product_ids), stale_after=stale_after)

    def unsubscribe(
        self, channels: Sequence[Channel], product_ids: Sequence[str] | None = None
    ) -> Reply[dict[str, Any]]:
        """Unsubscribes; a channel without any product ids is left entirely. Otherwise as `subscribe`.

        Raises `InvalidRequest` too for what a book lives on: close that instead.
        """
        return self.send(_message("unsubscribe", channels, product_ids))

    def send(self, message: dict[str, Any], *, stale_after: float | None = None) -> Reply[dict[str, Any]]:
        """Sends a subscribe or unsubscribe message as the feed's documents have them; see `subscribe`.

        It is signed if it is to be and isn't yet.
        """
        return self._connection.submit(message, stale_after=stale_after)

    # -- books

    @overload
    def order_book(
        self, product_id: str, level: Literal[2] = 2, *, stale_after: float | None = 5.0
    ) -> LevelBook: ...

    @overload
    def order_book(self, product_id: str, level: Literal[3], *, stale_after: float | None = 5.0) -> FullBook: ...

    def order_book(
        self, product_id: str, level: Literal[2, 3] = 2, *, stale_after: float | None = 5.0
    ) -> LevelBook | FullBook:
        """A product's order book, which is kept equal to the exchange's from now on, through lost connections too.

        Subscribes to what it takes, heartbeats included, and returns at once: `feed.order_book("BTC-USD").wait(5)`
        has it whole. Asked for again it is the same book, which is tried again if it had failed. Its `close()`
        ends the subscriptions.

        level: 2 has price levels, 3 each order; the latter takes a snapshot over REST
        stale_after: seconds without a heartbeat after which it is subscribed to anew, and then connected anew

        Raises `InvalidRequest`, and `ClientClosed` after `stop()`. Without an err_handler also `NotSent`; with
        one, the book's `wait()` raises it, and always what the feed says no to: that both channels want a key, for
        instance (`NotAuthorized`).
        """
        return self._local.order_book(product_id, level, stale_after)

    def _stopped(self, seconds: float) -> None:
        self._local.end(ClientClosed("the feed was stopped"), seconds)


def _message(kind: str, channels: Sequence[Channel], product_ids: Sequence[str] | None) -> dict[str, Any]:
    listed = list(channels) if isinstance(channels, (list, tuple)) else channels
    message: dict[str, Any] = {"type": kind, "channels": listed}
    if product_ids is not None:
        message["product_ids"] = list(product_ids) if isinstance(product_ids, (list, tuple)) else product_ids
    return message
