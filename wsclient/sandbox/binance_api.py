"""The request API: requests read, weighed, authorized, run and answered.

All clients of a sandbox come from one address as far as request weights go. Of what the protocol page leaves open,
an unknown method is error -1020, and parameters that a method does not know are error -1104.

Source: protocol page, section "WebSocket API (request and reply)".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from wsclient.sandbox.binance_errors import (
    BAD_JSON,
    BAD_KEY,
    BAD_KEY_FORMAT,
    BAD_SIGNATURE,
    BAD_TIMESTAMP,
    FAILED,
    MISSING,
    UNAUTHORIZED,
    UNKNOWN,
    UNREAD_PARAMETERS,
    UNSUPPORTED,
    BinanceError,
    invalid,
    missing,
)
from wsclient.sandbox.binance_keys import KEY_LENGTH, Key, signed_text
from wsclient.sandbox.binance_state import BinanceState
from wsclient.sandbox.venue import Request

RECV_WINDOW: Final = 5000
MOST_RECV_WINDOW: Final = 60_000
AHEAD: Final = 1_000_000
"""By how much (microseconds) a request's timestamp may be ahead of the server's clock."""
MICROSECONDS_FROM: Final = 10**14
"""A larger timestamp is in microseconds, a smaller one in milliseconds."""
EVERYBODY: Final = "everybody"

Security: TypeAlias = Literal["none", "key", "signed"]
Params: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class ApiSession:
    """A connection to the request API. Times are microseconds."""

    id: int
    opened: int
    shows_limits: bool
    key: Key | None = None
    user: int | None = None
    authorized: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to its handler. `user` is who sent it, where that had to be said."""

    session: ApiSession
    params: Params
    now: int
    sender: int | None = None

    @property
    def user(self) -> int:
        """Who sent it."""
        assert self.sender is not None, "the method's security has seen to that"
        return self.sender


@dataclass(frozen=True, slots=True)
class Method:
    """What can be asked. `weight` is a number, or found out from the parameters."""

    run: Callable[[Call], Any]
    params: frozenset[str] = frozenset()
    weight: int | Callable[[Params], int] = 1
    security: Security = "none"
    orders: bool = False
    """Its replies tell of the limits of orders, too."""


SIGNED: Final = frozenset({"apiKey", "signature", "timestamp", "recvWindow"})


class RequestApi:
    """Runs requests, each by the method that was added for it."""

    def __init__(self, state: BinanceState) -> None:
        self._state = state
        self._methods: dict[str, Method] = {}
        self._keys: dict[str, tuple[int, Key]] = {
            key.api_key: (user.id, key) for user in state.users.values() for key in user.binance_keys.all
        }

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of those that are offered."""
        return tuple(self._methods)

    def add(self, methods: Mapping[str, Method]) -> None:
        """Offer methods."""
        self._methods.update(methods)

    def owner(self, api_key: object) -> int | None:
        """Whose API key this is."""
        return self._keys[api_key][0] if isinstance(api_key, str) and api_key in self._keys else None

    def execute(self, session: ApiSession, request: Request) -> dict[str, Any]:
        """Run a request: its reply, which may be an error."""
        state, now = self._state, self._state.clock()
        call = Call(session, {}, now)
        method = None
        shows = session.shows_limits
        try:
            name, params = _read(request)
            if isinstance(wish := params.pop("returnRateLimits", None), bool):
                shows = wish
            elif wish is not None:
                raise invalid("returnRateLimits")
            method = self._methods.get(name)
            if method is None:
                state.limits.weigh(EVERYBODY, 1, now)
                raise BinanceError(UNSUPPORTED, "This operation is not supported.")
            weight = method.weight if isinstance(method.weight, int) else method.weight(params)
            state.limits.weigh(EVERYBODY, weight, now)
            call = Call(session, params, now, self._authorize(session, method, params, now))
            _check_known(method, params)
            state.absorb()
            reply: dict[str, Any] = {"status": 200, "result": method.run(call)}
        except BinanceError as error:
            reply = error.reply()
        reply = {"id": request.tag, **reply}
        if shows:
            user = call.sender if method is not None and method.orders else None
            reply["rateLimits"] = state.limits.show(EVERYBODY, user, now)
        return reply

    # ------------------------------------------------------------ who it is

    def _authorize(self, session: ApiSession, method: Method, params: Params, now: int) -> int | None:
        """Who has sent the request; every check of its security."""
        if method.security == "none":
            return None
        if method.security == "key":
            return self._key(params.get("apiKey"))[0]
        if "apiKey" not in params and session.key is not None:
            _check_time(params, now)
            return session.user
        user, key = self._key(params.get("apiKey"))
        signature = params.get("signature")
        if not isinstance(signature, str) or not signature:
            raise missing("signature")
        _check_time(params, now)
        if not key.verifies(signature, signed_text(params)):
            raise BinanceError(BAD_SIGNATURE, "Signature for this request is not valid.")
        return user

    def key(self, api_key: str) -> Key:
        """A key that was verified."""
        return self._keys[api_key][1]

    def _key(self, api_key: object) -> tuple[int, Key]:
        if api_key is None or api_key == "":
            raise missing("apiKey")
        if not isinstance(api_key, str) or len(api_key) != KEY_LENGTH or not api_key.isalnum():
            raise BinanceError(BAD_KEY_FORMAT, "API-key format invalid.", UNAUTHORIZED)
        if api_key not in self._keys:
            raise BinanceError(BAD_KEY, "Invalid API-key, IP, or permissions for action.", UNAUTHORIZED)
        return self._keys[api_key]


def failure(request: Request) -> dict[str, Any]:
    """The reply to a request on which the exchange itself failed."""
    error = BinanceError(UNKNOWN, "An unknown error occurred while processing the request.", FAILED)
    return {"id": request.tag, **error.reply()}


def _read(request: Request) -> tuple[str, dict[str, Any]]:
    """Name and parameters of a request."""
    if request.refusal is not None:
        raise BinanceError(BAD_JSON, request.refusal.message)
    fields = request.fields
    if "id" in fields and fields["id"] is not None and request.tag is None:
        raise BinanceError(BAD_JSON, "Invalid 'id' in JSON request; expected an integer or a string.")
    if not isinstance(method := fields.get("method"), str):
        raise BinanceError(BAD_JSON, "Invalid 'method' in JSON request; expected a string.")
    if not isinstance(params := fields.get("params", {}), dict):
        raise BinanceError(BAD_JSON, "Invalid 'params' in JSON request; expected an object.")
    return method.removeprefix("v3/"), dict(params)


def _check_known(method: Method, params: Params) -> None:
    known = method.params | (SIGNED if method.security == "signed" else frozenset())
    read = sum(name in known for name in params)
    if read != len(params):
        raise BinanceError(
            UNREAD_PARAMETERS,
            f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(params)}'.",
        )


def _check_time(params: Params, now: int) -> None:
    """The timestamp, by the rule of the exchange: less than a second ahead, and not older than recvWindow."""
    window = RECV_WINDOW * 1000
    if (given := params.get("recvWindow")) is not None:
        try:
            window = round(float(str(given)) * 1000)
        except (ValueError, OverflowError):
            raise invalid("recvWindow") from None
        if window > MOST_RECV_WINDOW * 1000:
            raise BinanceError(
                MISSING, f"'recvWindow' contains unexpected value. Cannot be greater than {MOST_RECV_WINDOW}."
            )
    timestamp = params.get("timestamp")
    if isinstance(timestamp, str) and timestamp.isdecimal() and timestamp.isascii() and len(timestamp) <= 20:
        timestamp = int(timestamp)
    if type(timestamp) is not int or timestamp < 0:
        raise missing("timestamp")
    if timestamp < MICROSECONDS_FROM:
        timestamp *= 1000
    if timestamp >= now + AHEAD:
        raise BinanceError(BAD_TIMESTAMP, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now - timestamp > window:
        raise BinanceError(BAD_TIMESTAMP, "Timestamp for this request is outside of the recvWindow.")


# ---------------------------------------------------------------- parameters of many methods


def text(params: Params, name: str, choices: tuple[str, ...] | None = None) -> str | None:
    """A string that may be left out."""
    value = params.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or (choices is not None and value not in choices):
        raise invalid(name)
    return value


def integer(params: Params, name: str, *, least: int = 0, most: int = 2**63 - 1) -> int | None:
    """A whole number that may be left out; as a string it is one, too."""
    value = params.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise invalid(name)
    return value


def boolean(params: Params, name: str) -> bool:
    """A flag that is off where it is left out."""
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise invalid(name)
    return value
