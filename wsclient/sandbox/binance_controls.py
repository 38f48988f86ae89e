"""What a client of market streams can ask: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_ and GET_PROPERTY.

Errors have two forms. A request whose id could be read is answered `{"error": {"code", "msg"}, "id"}`, or with
`flat_errors` `{"code", "msg", "id"}`; one whose id could not, `{"code", "msg"}`.

Source: protocol page, section "Market streams".
"""

import re
from typing import Any, Final

from wsclient.sandbox.binance_state import BinanceState
from wsclient.sandbox.binance_streams import LONGEST_NAME, Listener
from wsclient.sandbox.venue import Request, encode

UNKNOWN_PROPERTY: Final = 0
BAD_VALUE: Final = 1
BAD_REQUEST: Final = 2
BAD_JSON: Final = 3

METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_id = re.compile(r"[0-9A-Za-z]{1,36}", re.ASCII)


class _Invalid(Exception):
    """A request is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class StreamRequests:
    """Runs the requests of connections to market streams."""

    def __init__(self, state: BinanceState) -> None:
        self._state = state

    def execute(self, listener: Listener, request: Request) -> dict[str, Any]:
        """Run a request: its reply, which may be an error."""
        readable = request.refusal is None and "id" in request.fields and _good_id(request)
        try:
            if request.refusal is not None:
                raise _Invalid(request.refusal.code or BAD_JSON, request.refusal.message)
            if not readable:
                raise _Invalid(BAD_REQUEST, "Invalid request: request ID must be an unsigned integer")
            return {"result": self._run(listener, request), "id": request.tag}
        except _Invalid as error:
            told: dict[str, Any] = {"code": error.code, "msg": error.message}
            if not readable:
                return told
            return (
                {**told, "id": request.tag}
                if self._state.settings.flat_errors
                else {
                    "error": told,
                    "id": request.tag,
                }
            )

    def join(self, listener: Listener, names: list[str]) -> None:
        """Subscribe to streams."""
        self._state.absorb()
        for name in names:
            self._state.hub.join(listener, name)
            self._state.feed.begin(name)

    def too_many(self, names: list[str], already: int = 0) -> bool:
        """Whether these are more than a connection may listen to."""
        return len(set(names)) + already > self._state.settings.max_streams

    def _run(self, listener: Listener, request: Request) -> Any:
        method, params = request.fields.get("method"), request.fields.get("params")
        if method is None:
            column = len(encode(request.fields))
            raise _Invalid(BAD_REQUEST, f"Invalid request: missing field `method` at line 1 column {column}")
        match method:
            case "SUBSCRIBE":
                names = _names(params)
                if self.too_many([name for name in names if name not in listener.names], len(listener.names)):
                    limit = self._state.settings.max_streams
                    raise _Invalid(BAD_REQUEST, f"Invalid request: no more than {limit} streams a connection")
                self.join(listener, names)
                return None
            case "UNSUBSCRIBE":
                for name in _names(params):
                    if self._state.hub.leave(listener, name):
                        self._state.feed.end(name)
                return None
            case "LIST_SUBSCRIPTIONS":
                if params:
                    raise _Invalid(BAD_REQUEST, "Invalid request: too many parameters")
                return list(listener.names)
            case "SET_PROPERTY":
                return self._set(listener, params)
            case "GET_PROPERTY":
                _check_property(params, 1)
                return listener.combined
        known = ", ".join(f"`{name}`" for name in METHODS)
        shown = str(method)[:LONGEST_NAME]
        raise _Invalid(
            BAD_REQUEST, f"Invalid request: unknown variant `{shown}`, expected one of {known} at line 1 column 28"
        )

    def _set(self, listener: Listener, params: object) -> None:
        value = _check_property(params, 2)
        if not isinstance(value, bool):
            raise _Invalid(BAD_VALUE, "Invalid value type: expected Boolean")
        self._state.hub.combine(listener, value)


def _good_id(request: Request) -> bool:
    """Whether an id is one: an integer of 64 bits, letters and digits, or null."""
    if request.tag is None:
        return request.fields["id"] is None
    return isinstance(request.tag, int) or _id.fullmatch(request.tag) is not None


def _names(params: object) -> list[str]:
    if not isinstance(params, list) or not params:
        raise _Invalid(BAD_REQUEST, "Invalid request: params must be a list of stream names")
    for name in params:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise _Invalid(BAD_REQUEST, "Invalid request: a stream name must be a string")
    return list(params)


def _check_property(params: object, count: int) -> object:
    """Look at the name of a property; what it is to be set to, if that is meant."""
    values = params if isinstance(params, list) else []
    if not values or not isinstance(values[0], str):
        raise _Invalid(BAD_REQUEST, "Invalid request: property name must be a string")
    if len(values) > count:
        raise _Invalid(BAD_REQUEST, "Invalid request: too many parameters")
    if values[0] != "combined":
        raise _Invalid(UNKNOWN_PROPERTY, "Unknown property")
    return values[1] if len(values) > 1 else None
