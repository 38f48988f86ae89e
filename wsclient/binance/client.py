"""Client: Binance's request API as a local object."""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ..core.connect import Endpoint
from ..core.connection import Connection, State
from ..core.face import Face
from ..core.followed import Followed, Wish
from ..core.handlers import Handlers
from ..core.outcomes import about
from ..core.pacing import wanted_limits
from ..core.reconnect import Reconnect
from ..core.reply import Reply
from ..errors import ClientClosed, InvalidRequest, OutcomeUnknown, WSClientError
from .dialect import UNSTAMPED, USER_DATA, RequestApi, checked
from .errors import CantTell, NotPlaced, TooSoonToTell
from .limits import RateLimit
from .methods import Methods
from .quick import quick_codec
from .settling import GRACE, cant_tell, pauses
from .signing import credentials
from .urls import API_URL, streams_base, streams_url
from .userdata import Event, UserData

logger = logging.getLogger("wsclient")

_RECONNECT: Final = Reconnect()


class Client(Face, Methods):
    """A client of one account, for any number of threads, over one socket that one event thread reads.

        client = Client(api_key, api_secret)                # no socket, no thread yet
        client.order_place("BTCUSDT", "BUY", "LIMIT", "0.01", Decimal("60000")).result(5)["orderId"]
        client.call("ticker.book", symbol="BTCUSDT")

    Nothing happens before the first call, which connects. Before the first private call of a connection the
    exchange is asked for its time, and an Ed25519 key logs the session on; other keys sign each request.

    api_key: without it there are only the public methods
    api_secret: of an HMAC key
    private_key: instead of it, an Ed25519 or RSA key: the text of a PEM file. Needs the extra `wsclient[binance]`
    private_key_pass: its password
    url: ws:// or wss://
    stream_url: where the market streams begin, for a `BinanceSocketManager` of this client; the url's own host
        unless the exchange has another for them
    recv_window: milliseconds for which a signed request is good; the exchange's 5000 unless given
    rate_limit: keeps calls below the exchange's limits: True for the usual ones, or a `RateLimit`. Without it,
        what the exchange says is obeyed all the same: after a 429 or 418, calls fail with `TooFast` until its
        `retryAfter`; with it they wait for that, too
    msg_handler: called with (client, text) for each text message
    err_handler: called with (client, error); without one, an error of a call is raised by it
    open_handler, close_handler: called with (client,), and with (client, code, reason)
    socket_timeout: seconds for each step: TCP, TLS, handshake, each answer of the login, a write, a Pong
    json_loads, json_dumps: read and write JSON; orjson's where that is installed, unless given
    insecure_ssl, proxy, ssl_context, ping_interval, max_message_size, reconnect: as `wsclient.WSClient` has them

    Handlers run on the event thread, where a call never waits. Errors are described in `wsclient.errors`; besides
    them a call ends in `SlowDown` (429, 418). Status 5xx and the codes -1006 and -1007 leave the outcome open:
    `OutcomeUnknown`, which `settle` turns into fact for orders.
    """

    venue = "binance"  # the name under which `wsclient.sinks` keeps its messages

    def __init__(
        self,
        api_key: str | None = None,
        api_secret: str | None = None,
        *,
        private_key: str | bytes | None = None,
        private_key_pass: str | bytes | None = None,
        url: str = API_URL,
        stream_url: str | None = None,
        recv_window: int | None = None,
        rate_limit: bool | RateLimit = False,
        msg_handler: "Callable[[Client, str], object] | None" = None,
        err_handler: "Callable[[Client, Exception], object] | None" = None,
        open_handler: "Callable[[Client], object] | None" = None,
        close_handler: "Callable[[Client, int | None, str | None], object] | None" = None,
        socket_timeout: float = 5,
        insecure_ssl: bool = False,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        ping_interval: float = 45.0,
        max_message_size: int = 16 * 1024 * 1024,
        json_loads: Callable[[str], Any] | None = None,
        json_dumps: Callable[[dict[str, Any]], str | bytes] | None = None,
        reconnect: Reconnect | None = _RECONNECT,
    ) -> None:
        if recv_window is not None and (type(recv_window) is not int or not 0 < recv_window <= 60_000):
            raise InvalidRequest(f"recv_window is a number of milliseconds up to 60000, not {recv_window!r}")
        limits = wanted_limits(RateLimit, rate_limit)
        known = credentials(api_key, api_secret, private_key, private_key_pass)
        self.endpoint = Endpoint(url, socket_timeout, insecure_ssl, ssl_context, proxy)
        self.stream_url = streams_url(url) if stream_url is None else streams_base(stream_url)
        self._dialect = RequestApi(recv_window)
        self._timeout = socket_timeout
        self._ending = threading.Event()
        self._connection: Connection[Client] = Connection(
            self,
            self.endpoint,
            self._dialect,
            Handlers(msg_handler, err_handler, open_handler, close_handler),
            ping_interval=ping_interval,
            max_message_size=max_message_size,
            codec=quick_codec(json_loads, json_dumps),
            reconnect=reconnect,
            limits=None if limits is None else limits.limits,
            limits_wait=0.0 if limits is None else limits.wait,
        )
        self._connection.credentials = known
        self._account = Followed(self._connection, USER_DATA)
        self._lock = threading.Lock()  # guards what follows
        self._user_data: UserData | None = None

    # -- calls

    def submit(self, method: str, **params: Any) -> Reply[Any]:
        """Sends any request; its Reply's result is the answer's `result`.

        params: as the exchange names them, but for `timestamp`, `apiKey` and `signature`, which are added. Those
            that are None aren't sent; a Decimal is sent as text. An order without a `newClientOrderId` gets one

        Raises `InvalidRequest` for what can't be sent, `ClientClosed` after `stop()`. Without an err_handler also
        `NotSent` (`TooFast` is one), `OutcomeUnknown` and `AuthenticationError`; with one, the Reply carries them.
        """
        request = self._request(method, params)
        self._trust_clock(method, self._timeout)
        return self._connection.submit(request)

    def call(self, method: str, timeout: float | None = None, **params: Any) -> Any:
        """Sends any request, waits for its outcome, and returns the answer's `result` or raises.

        timeout: seconds; without it as long as it takes. A dead connection is found by its pings, so that an
            outcome always comes
        """
        request = self._request(method, params)
        began = time.monotonic()
        if self._trust_clock(method, self._timeout if timeout is None else min(self._timeout, timeout / 2)):
            timeout = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        return self._connection.call(request, timeout)

    def _trust_clock(self, method: str, timeout: float) -> bool:
        """Asks for the exchange's time, if a timestamp was refused and another one is to go out; whether it did.

        If it can't be had, the call goes out with the time known so far, and has an outcome of its own. Not on the
        event thread, which can't wait, nor without a connection: the login asks for the time.
        """
        if not self._dialect.clock.doubted or method in UNSTAMPED or self._connection.state is not State.OPEN:
            return False
        if self._connection.on_event_thread():
            return False
        try:
            self._sync_clock(timeout)
        except (WSClientError, TimeoutError) as error:
            logger.info("the exchange's time can't be had: %s", error)
        return True

    def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(method, str):
            raise InvalidRequest(f"a method is a str, not {type(method).__name__}")
        sent = checked(params)
        return {"method": method, "params": self._dialect.named(sent) if method == "order.place" else sent}

    def log_on(self) -> None:
        """Connects now, asks for the exchange's time, and logs the session on if the key can; waits for that.

        Raises `NotSent`, `AuthenticationError`; `WouldDeadlock` on the event thread.
        """
        self._connection.log_in()

    def sync_clock(self) -> float:
        """Asks for the exchange's time anew; seconds by which its clock is ahead of this machine's.

        Done by itself once a connection, and after a timestamp was refused.
        """
        self._sync_clock(self._timeout)
        return self._dialect.clock.offset

    def _sync_clock(self, timeout: float) -> None:
        self._dialect.told_time(self._connection.call({"method": "time", "params": {}}, timeout))

    @property
    def rate_limits(self) -> list[Any]:
        """The exchange's limits and how much of them is used, as its last answer told."""
        return self._dialect.rate_limits

    def settle(self, reply: Reply[Any], timeout: float | None = None, *, grace: float = GRACE) -> Any:
        """Turns an order's `OutcomeUnknown` into fact; waits for any other outcome.

        Asks for the order by its client order id, and returns it as `order.status` tells it. If the exchange has
        no such order, it asks again once the order's recvWindow has passed, after which it can't be accepted any
        more, and then raises `NotPlaced`: it is safe to place it again. So this may take that long.

        Where the exchange itself answered that it can't tell, the order had arrived, and may be executed later:
        then it is asked for until it shows, and never said to be not placed.

        reply: of `order.place`
        timeout: seconds for each of the answers
        grace: seconds for which an order is asked for that the exchange can't tell of; then it is `OutcomeUnknown`

        Raises what the Reply raises, `NotPlaced`, `OutcomeUnknown` if asking failed, `TimeoutError`, and
        `WouldDeadlock` on the event thread.
        """
        waits = pauses(grace)
        while True:
            try:
                return self._connection.settle(reply, timeout)
            except (TooSoonToTell, NotPlaced) as error:
                kind: type[OutcomeUnknown] = CantTell
                if cant_tell(error):
                    wait = next(waits, None)
                elif isinstance(error, NotPlaced):
                    raise
                else:
                    kind, wait = OutcomeUnknown, error.seconds
                unknown = error.__cause__
            if wait is None or self._ending.wait(wait):
                still = kind("still unknown: the exchange has no such order so far")
                raise about(still, reply) from unknown

    # -- the account's events

    def user_data(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Calls `listener(event)` for each event of the account, on the event thread, from now on.

        The events are subscribed to when the first listener comes, and again after a lost connection. What was
        missed meanwhile is asked for then, and told as `{"e": "ordersReconciled", "E": time, "orders": [...]}`:
        first the orders that are open, then those that were open before and no longer are, each as
        `order.status` tells it. If they can't be had any more, `{"e": "error", "m": …}` says why.

        Waits until they are subscribed to, unless on the event thread. Returns a function that ends it. Raises
        what a private call raises.
        """
        if self._ending.is_set():
            raise ClientClosed("the client was stopped: make a new one")
        wish = None
        with self._lock:
            data = self._user_data
            if data is None:
                data = self._user_data = UserData(
                    self._connection, self._dialect.clock.now, raised=self._connection.listener_raised
                )
            remove = data.add(listener)
            if data.claim():
                wish = Wish(data)
                self._account.plan(wish)
        try:
            self._account.settle(wish)
            if not self._connection.on_event_thread():
                data.ready(self._timeout)
        except BaseException:
            self._end_user_data(data, remove)
            raise
        return lambda: self._end_user_data(data, remove)

    def _end_user_data(self, data: UserData, remove: Callable[[], bool]) -> None:
        with self._lock:
            if remove() or self._user_data is not data:
                return
            self._user_data = None
            self._account.plan(None)
        self._account.settle()

    def _stopping(self) -> None:
        self._ending.set()

    def _stopped(self, seconds: float) -> None:
        with self._lock:
            data, self._user_data = self._user_data, None
        if data is not None:
            data.failed(ClientClosed("the client was stopped"))

    def __repr__(self) -> str:
        return f"<binance.Client {self.endpoint.safe_url} {self.state.value}>"
