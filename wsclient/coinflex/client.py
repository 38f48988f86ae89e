"""WSClient: CoinFLEX's WebSocket API as a local object."""

import ssl
from collections.abc import Callable
from typing import Any, Literal

from ..core.backlog import Policy
from ..core.codec import codec
from ..core.connect import Endpoint
from ..core.connection import Connection
from ..core.face import Face
from ..core.handler_queue import QueueOptions
from ..core.handlers import Handlers
from ..core.pacing import wanted_limits
from ..core.reconnect import Reconnect
from ..core.reply import Reply
from ..errors import ClientClosed, InvalidRequest, OutcomeUnknown
from .amounts import asset_code
from .balances import Balances
from .book import OrderBook
from .commands import METHODS, Asset, Commands, Requests
from .dialect import CoinFLEX
from .limits import RateLimit
from .local import LocalState
from .signing import Credentials
from .tonces import Rule, check_rule

_RECONNECT = Reconnect()


class WSClient(Face, Commands):
    """A client of one account, for any number of threads, over one socket that one event thread reads.

    Nothing happens before the first call, which connects; the first private call also logs in.

    url: ws:// or wss://
    msg_handler: called with (client, text) for each text message, replies and notices alike, in order
    err_handler: called with (client, error) for anything that went wrong; without one, an error of a call is
        raised by it, and an error on the event thread is logged on the logger "wsclient"
    open_handler: called with (client,) when a connection is open
    close_handler: called with (client, code, reason) when it ended; (None, None) where no Close frame came
    ping_handler, pong_handler: called with (client, payload) for a Ping (already answered) or a Pong
    insecure_ssl: accept any certificate and host name
    socket_timeout: seconds for each step: TCP, TLS, handshake, Welcome, login, a write, a Pong

    proxy: http://, socks5h:// …; without it the environment's (`https_proxy`, `all_proxy`, `no_proxy` …); never
        used for a loopback host. SOCKS needs the extra `wsclient[socks]`
    ssl_context: instead of the default one, for a certificate authority of your own or a client certificate
    ping_interval: seconds of silence before a Ping is sent
    max_message_size: bytes, inflated too; a larger message fails the connection
    compression: "deflate" offers permessage-deflate (RFC 7692). It is off by default, as it is in the clients that
        people come from: exchanges' messages are small, inflating them costs more time than the network saves on
        all but slow lines, and each connection holds two windows of 32 KiB and more
    json_loads, json_dumps: another JSON library's, orjson.loads and orjson.dumps for instance
    reconnect: how a lost connection's login and watches are got back, see `Reconnect`; None turns it off. With
        neither of them the next call connects
    tonces: which of the exchange's two rules for tonces is in force: "increasing", greater than every one before,
        or "unique", like no other open order's. Only under the first can an order be placed again that may have
        been placed; with the wrong one said here that places it twice
    resubmit: after a lost connection, settle orders whose outcome is unknown before anything else is sent, see
        `settle`; their Replies wait for that. It needs "increasing" and `reconnect`
    cancel_on_disconnect: place limit orders with `persist=False` unless told otherwise
    handler_queue: runs the handlers on a thread of their own, behind a queue of so many messages. There they may
        wait for Replies, and slow ones keep nobody from reading. Other events than messages keep their place among
        them and are never dropped
    queue_policy: what happens when the queue is full. "block": the client reads nothing more until there is room;
        but while a call is pending it reads on, into ten times the room (10,000 messages at least), so that no
        reply waits behind notices. Only if that is full too, and the handlers take nothing for socket_timeout, is
        the connection given up. "drop_oldest", "drop_newest": messages are dropped, and err_handler is told how
        many by `MessagesDropped`. "conflate": a notice that is the whole news of something (a balance, a volume,
        what a ticker tells) gives way to a newer one, full or not; else like "block"
    rate_limit: keeps calls below the exchange's limits: True for those of the protocol page, or a `RateLimit`. A
        call then waits for its turn, first come first served, or is refused with `TooFast`; on the event thread,
        which can't wait, it is refused

    Without a handler_queue handlers run on the event thread; only a call that fails before anything is sent, for
    want of credentials for instance, tells err_handler on its own thread. On the event thread a call never waits:
    a private one before the login is queued behind it, and waiting for a Reply raises `WouldDeadlock`. Errors are
    described in `wsclient.errors`.
    """

    venue = "coinflex"  # the name under which `wsclient.sinks` keeps its messages

    def __init__(
        self,
        url: str,
        msg_handler: "Callable[[WSClient, str], object] | None" = None,
        err_handler: "Callable[[WSClient, Exception], object] | None" = None,
        open_handler: "Callable[[WSClient], object] | None" = None,
        close_handler: "Callable[[WSClient, int | None, str | None], object] | None" = None,
        ping_handler: "Callable[[WSClient, bytes], object] | None" = None,
        pong_handler: "Callable[[WSClient, bytes], object] | None" = None,
        insecure_ssl: bool = False,
        socket_timeout: float = 5,
        *,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        ping_interval: float = 45.0,
        max_message_size: int = 16 * 1024 * 1024,
        compression: Literal["deflate"] | None = None,
        json_loads: Callable[[str], Any] | None = None,
        json_dumps: Callable[[dict[str, Any]], str | bytes] | None = None,
        reconnect: Reconnect | None = _RECONNECT,
        tonces: Rule = "increasing",
        resubmit: bool = False,
        cancel_on_disconnect: bool = False,
        handler_queue: int | None = None,
        queue_policy: Policy = "block",
        rate_limit: bool | RateLimit = False,
    ) -> None:
        check_rule(tonces)
        if resubmit and (tonces != "increasing" or reconnect is None):
            raise InvalidRequest(
                'resubmit needs tonces="increasing", without which it could place twice, and reconnect'
            )
        queue = None if handler_queue is None else QueueOptions(handler_queue, queue_policy)
        limits = wanted_limits(RateLimit, rate_limit)
        self.cancel_on_disconnect = cancel_on_disconnect
        self._requests = Requests(cancel_on_disconnect)
        handlers = Handlers(msg_handler, err_handler, open_handler, close_handler, ping_handler, pong_handler)
        endpoint = Endpoint(url, socket_timeout, insecure_ssl, ssl_context, proxy, compression)
        self._connection: Connection[WSClient] = Connection(
            self,
            endpoint,
            CoinFLEX(tonces),
            handlers,
            ping_interval=ping_interval,
            max_message_size=max_message_size,
            codec=codec(json_loads, json_dumps),
            reconnect=reconnect,
            resubmit=resubmit,
            handler_queue=queue,
            limits=None if limits is None else limits.limits,
            limits_wait=None if limits is None else limits.wait,
        )
        self._local = LocalState(self._connection)

    def set_auth_data(self, user_id: int, cookie: str, passphrase: str) -> None:
        """Who to log in as, from the next login on. Nothing is sent.

        The passphrase is turned into a key at once and not kept. Raises `InvalidRequest` for wrong types.
        """
        self._connection.credentials = Credentials(user_id, cookie, passphrase)

    def authenticate(self) -> None:
        """Connects and logs in now, unless that is done already, and waits for it.

        Raises `NotSent`, `AuthenticationError`; `WouldDeadlock` on the event thread.
        """
        self._connection.log_in()

    def send(self, message: dict[str, Any], *, stale_after: float | None = None) -> Reply[Any]:
        """Sends any message with a `method`; a tag is added unless it has one. Its fields aren't looked at.

        stale_after: for one that begins a watch, see `WatchOrders`

        Raises `InvalidRequest` for what can't be sent, `ClientClosed` after `stop()`. Without an err_handler also
        `NotSent`, `OutcomeUnknown` and `AuthenticationError`; with one, the Reply carries them.
        """
        return self._connection.submit(message, stale_after=stale_after)

    def call(self, method: str, timeout: float | None = None, **fields: Any) -> Any:
        """Makes a command by its name, waits for the outcome, and returns the reply or raises.

        timeout: seconds; without it as long as it takes. A dead connection is found by its pings, so that an
            outcome always comes
        """
        if method not in METHODS:
            raise InvalidRequest(f"no such method: {method!r}; send() takes any message")
        request, stale_after = getattr(self._requests, method)(**fields)
        return self._connection.call(request, timeout, stale_after=stale_after)

    def settle(self, reply: Reply[Any] | OutcomeUnknown, timeout: float | None = None) -> Any:
        """Turns an order's `OutcomeUnknown` into fact, where that is possible; waits for any other outcome.

        Asks GetOrders on a new connection, and returns the order if it is open: {id, tonce, base, counter,
        quantity, price, time}. If it isn't and the exchange's tonces are "increasing", places it again with its
        tonce, which the exchange refuses if it was placed, and returns the reply of that. Otherwise raises
        `OutcomeUnknown` with what is known. With CancelAllOrders the exchange forgets its tonces, so that what was
        sent before one isn't placed again; another client's of the same account can't be seen here. Only an order
        with a tonce can be settled, and each has one unless told otherwise.

        reply: of `PlaceOrder`, or the `OutcomeUnknown` that it ended with, which `call` raises
        timeout: seconds for each of the replies that it waits for

        Raises what the Reply raises, `TimeoutError`, and `WouldDeadlock` on the event thread.
        """
        return self._connection.settle(reply, timeout)

    def order_book(self, base: Asset, counter: Asset, *, stale_after: float | None = None) -> OrderBook:
        """A market's order book, which is kept equal to the exchange's from now on, through lost connections too.

        Watches the market and returns at once: `client.order_book("XBT", "USDT").wait(5)` has it whole. Asked for
        again it is the same book, which is tried again if it had failed. Its `close()` ends the watch.

        stale_after: seconds without a notice after which the watch is renewed

        Raises `InvalidRequest`, and `ClientClosed` after `stop()`. Without an err_handler also `NotSent`; with
        one, the book's `wait()` raises it. That there is no such market is told by `wait()` too (`NotFound`).
        """
        return self._local.order_book(asset_code(base), asset_code(counter), stale_after)

    def balances(self) -> Balances:
        """The account's balances, which are kept equal to the exchange's from now on; otherwise as `order_book`.

        Private: logs in if need be, and raises `AuthenticationError` too where `order_book` raises `NotSent`.
        """
        return self._local.balances()

    def _stopped(self, seconds: float) -> None:
        self._local.end(ClientClosed("the client was stopped"))
