"""The request API's language: ids and statuses, signatures and timestamps, the logon, orders by their client ids.

Source: the protocol page, "WebSocket API (request and reply)".
"""

import itertools
import secrets
from collections.abc import Generator, Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from ..core.dialect import Answer, Dialect, Examined, Message, Outcome, Subscription, Watching, tag_of
from ..core.penalties import Penalties
from ..errors import (
    InvalidRequest,
    ProtocolError,
    WSClientError,
)
from .clock import ServerClock
from .errors import BAD_TIMESTAMP, TOO_MANY_ORDERS, UNKNOWN, CantTell, SlowDown, kind_of
from .limits import ORDERS, WEIGHT, costs
from .settling import can_settle, settle
from .signing import Credentials

USER_DATA: Final = ("userDataStream",)
"""The watch of the account's events."""

SUBSCRIBE: Final = "userDataStream.subscribe"
SUBSCRIBE_SIGNED: Final = "userDataStream.subscribe.signature"
UNSUBSCRIBE: Final = "userDataStream.unsubscribe"

PUBLIC: Final = frozenset(
    (
        *("ping", "time", "exchangeInfo", "executionRules", "referencePrice", "depth", "klines", "uiKlines"),
        *("trades.recent", "trades.historical", "trades.aggregate", "avgPrice"),
        *("ticker", "ticker.24hr", "ticker.tradingDay", "ticker.price", "ticker.book"),
        *("session.status", "session.subscriptions"),
    )
)
"""They need no key; whatever isn't known is taken to need one."""

KEYED: Final = frozenset(("userDataStream.start", "userDataStream.ping", "userDataStream.stop"))
"""They take the API key and no signature."""

UNSTAMPED: Final = PUBLIC | KEYED
"""They carry no time."""

_TIMES_END: Final = 10**15
"""Milliseconds since the Unix epoch, in the year 33658: what is more is no time."""

_LONGEST_BAN: Final = 7 * 86_400_000
"""Milliseconds. The exchange's own last three days at most."""

_OURS: Final = frozenset(("apiKey", "signature"))
_SECRET: Final = _OURS | {"listenKey"}


class RequestApi(Dialect):
    """How the core asks Binance's request API, and reads its answers.

    A request is `{"method", "params"}`; its id is the core's tag. A call's result is the answer's `result`.

    recv_window: milliseconds; None for the exchange's own, 5000
    """

    reply_mark = '"id"'
    notice_mark = '"subscriptionId"'
    penalties: Penalties

    def __init__(
        self, recv_window: int | None = None, clock: ServerClock | None = None, penalties: Penalties | None = None
    ) -> None:
        self.clock = ServerClock() if clock is None else clock
        self.penalties = Penalties() if penalties is None else penalties
        self.rate_limits: list[Any] = []  # as the last answer told them
        self._recv_window = recv_window
        self._prefix = f"ws{secrets.token_hex(8)}-"
        self._orders = itertools.count(1)

    def named(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """An order's parameters with a client order id, by which it can be asked for."""
        if params.get("newClientOrderId") is not None:
            return params
        return {**params, "newClientOrderId": f"{self._prefix}{next(self._orders)}"}

    # -- asking

    def examine(self, request: Message) -> Examined:
        method, params = request["method"], request["params"]
        if method == "session.logon":
            raise InvalidRequest("the client logs on by itself: log_on(), or any private call")
        if method == "session.logout":
            raise InvalidRequest("the client stays logged on, since what it sends isn't signed then: stop() it")
        for name in _OURS:
            if name in params:
                raise InvalidRequest(f"{name} is added by the client, from the key that it was made with")
        watching = method in (SUBSCRIBE, SUBSCRIBE_SIGNED, UNSUBSCRIBE)
        public = method in PUBLIC
        return Examined(not public, None, watching, not public)

    def completed(self, request: Message, credentials: Any) -> Message:
        method, params = request["method"], request["params"]
        if method in KEYED or method == UNSUBSCRIBE:
            return request
        if method in (SUBSCRIBE, SUBSCRIBE_SIGNED):
            if credentials.logs_on:
                return {**request, "method": SUBSCRIBE}
            request = {**request, "method": SUBSCRIBE_SIGNED}
        return {**request, "params": self._stamped(params)}

    def signed(self, request: Message, credentials: Any) -> Message:
        assert isinstance(credentials, Credentials)
        method, params = request["method"], request["params"]
        if method in KEYED:
            return {**request, "params": {**params, "apiKey": credentials.api_key}}
        if credentials.logs_on or method == UNSUBSCRIBE:
            return request
        return {**request, "params": _signed(params, credentials)}

    def _stamped(self, params: Mapping[str, Any]) -> Message:
        stamped = {**params}
        stamped.setdefault("timestamp", self.clock.now())
        if self._recv_window is not None:
            stamped.setdefault("recvWindow", self._recv_window)
        return stamped

    def account(self, credentials: Any) -> Hashable:
        return None if credentials is None else credentials.account

    def tagged(self, request: Message, tag: int) -> Message:
        return {"id": tag, **request}

    def costs(self, request: Message) -> Mapping[str, int]:
        return costs(request["method"], request["params"])

    # -- reading

    def read(self, message: Message) -> Answer | None:
        tag = tag_of(message, "id")
        if tag is None:
            return None
        status = message.get("status")
        if type(status) is not int:
            raise ProtocolError(f"an answer without a status: {status!r:.50}")
        told = message.get("rateLimits")
        if told:
            self.rate_limits = told
        return Answer(tag, 200 <= status < 300)

    def result(self, message: Message) -> Any:
        return message.get("result")

    def refusal(self, message: Message, request: Message) -> WSClientError:
        status, error = message.get("status"), message.get("error")
        told = error if isinstance(error, dict) else {}
        code, text = told.get("code"), str(told.get("msg", "no reason given"))
        shown = _without_secrets(request)
        if (type(code) is int and code in UNKNOWN) or (type(status) is int and status >= 500):
            return CantTell(f"{request['method']} was sent, but the exchange can't tell: {text} (error {code})")
        if code == BAD_TIMESTAMP:
            self.clock.doubted = True
        kind = kind_of(status, code, text)
        if kind is SlowDown:
            after = _retry_after(told.get("data"))
            self.penalties.tell(ORDERS if code == TOO_MANY_ORDERS else WEIGHT, after)
            return SlowDown(code, text, shown, after, status == 418)
        return kind(code, text, shown)

    def watch_title(self, key: Any) -> str:
        return "the account's events" if key == USER_DATA else str(key)

    # -- the logon: the exchange's time first, which all timestamps are made from

    def login(self, credentials: Any, greeting: Any) -> Message:
        return {"method": "time", "params": {}}

    def login_goes_on(self, result: Any, credentials: Any) -> Message | None:
        if not isinstance(result, dict):
            return None
        self.told_time(result)
        if not credentials.logs_on or "apiKey" in result:
            return None
        return {"method": "session.logon", "params": _signed(self._stamped({}), credentials)}

    def told_time(self, result: Any) -> None:
        """Takes over the time that an answer told."""
        server_time = result.get("serverTime") if isinstance(result, dict) else None
        if type(server_time) is int and 0 <= server_time < _TIMES_END:
            self.clock.told(server_time)

    # -- the account's events

    def watching(self, request: Message) -> Watching:
        return Watching(ends=[USER_DATA]) if request["method"] == UNSUBSCRIBE else Watching(begins=[USER_DATA])

    def watched(self, message: Message) -> Sequence[Hashable]:
        return (USER_DATA,) if "subscriptionId" in message else ()

    def subscriptions(self, keys: Sequence[Hashable]) -> list[Subscription]:
        return [Subscription({"method": SUBSCRIBE, "params": {}}, [key]) for key in keys]

    def unsubscriptions(self, keys: Sequence[Hashable]) -> list[Message]:
        return [{"method": UNSUBSCRIBE, "params": {}} for _ in keys]

    # -- orders whose outcome is unknown

    def can_settle(self, request: Message) -> bool:
        return can_settle(request)

    def settle(self, requests: Sequence[Message]) -> Generator[Message, Outcome, list[Outcome]]:
        return settle(requests, self.clock.now)


def checked(params: Mapping[str, Any]) -> Message:
    """Parameters as they are sent: without those that are None, and with decimals as text.

    Raises `InvalidRequest` for floats and for what can't be signed.
    """
    sent: Message = {}
    for name, value in params.items():
        if value is None:
            continue
        if isinstance(value, Decimal):
            if not value.is_finite():
                raise InvalidRequest(f"{name} is no number: {value}")
            value = f"{value:f}"
        elif isinstance(value, float):
            raise InvalidRequest(f"{name} is a float, which is no exact amount: give a Decimal, an int or a str")
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidRequest(f"{name} can't be written as UTF-8") from None
        elif not isinstance(value, int | list | tuple | dict):
            raise InvalidRequest(f"{name} is a str, an int, a Decimal or a bool, not {type(value).__name__}")
        sent[name] = value
    return sent


def _signed(params: Mapping[str, Any], credentials: Credentials) -> Message:
    keyed = {**params, "apiKey": credentials.api_key}
    return {**keyed, "signature": credentials.sign(keyed)}


def _without_secrets(request: Mapping[str, Any]) -> Message:
    """A request as an error may show it."""
    params = request.get("params")
    shown = dict(request)
    if isinstance(params, dict):
        shown["params"] = {name: value for name, value in params.items() if name not in _SECRET}
    return shown


def _retry_after(data: Any) -> float:
    """Seconds from the exchange's now until it wants to be asked again, by its own clock."""
    if not isinstance(data, dict):
        return 0.0
    now, then = data.get("serverTime"), data.get("retryAfter")
    if type(now) is not int or type(then) is not int:
        return 0.0
    return min(max(0, then - now), _LONGEST_BAN) / 1000  # bounded first: an int may be too large for a float
