"""Binance's refusals as the one error tree has them, and what is Binance's own.

Source: the protocol page, "WebSocket API (request and reply)", and the exchange's public list of error codes.
"""

from collections.abc import Mapping
from typing import Any, Final

from ..errors import (
    BadRequest,
    CommandError,
    Conflict,
    InsufficientFunds,
    NotAuthorized,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    TooManyOrders,
    WouldMatch,
    WrongCredentials,
)

NO_SUCH_ORDER: Final = -2013
BAD_TIMESTAMP: Final = -1021
TOO_MANY_ORDERS: Final = -1015
UNKNOWN: Final = frozenset((-1006, -1007))

MAX_RETRIES: Final = "Max reconnect retries reached"
"""What the last message of a socket says whose connection can't be got back."""


class SlowDown(RateLimited):
    """Status 429, or 418 for a ban: too much was asked.

    retry_after: seconds, from when it was said, until the exchange wants to be asked again
    banned: whether the address is banned until then
    """

    def __init__(
        self,
        code: Any,
        message: str,
        request: Mapping[str, Any],
        retry_after: float = 0.0,
        banned: bool = False,
    ) -> None:
        super().__init__(code, message, request)
        self.retry_after = retry_after
        self.banned = banned

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.code, self.message, self.request, self.retry_after, self.banned))


class NotPlaced(NotSent):
    """The order left, but the exchange has none of that client order id, and can't accept it any more.

    So it never arrived, or was refused, or came too late: it is safe to place it again.
    """


class CantTell(OutcomeUnknown):
    """The exchange answered that it can't tell itself: status 5xx, or a code that says so.

    So the request did arrive, and in time, as far as anybody knows: that its recvWindow has passed proves nothing.
    """


class TooSoonToTell(OutcomeUnknown):
    """The exchange has no such order yet, but may still accept it. seconds: until it can't any more"""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


_BY_CODE: Final[dict[int, type[CommandError]]] = {
    -1002: NotAuthorized,
    -1003: SlowDown,
    TOO_MANY_ORDERS: SlowDown,
    -1022: WrongCredentials,
    -1121: NotFound,
    -1125: NotFound,
    -2011: NotFound,
    NO_SUCH_ORDER: NotFound,
    -2014: WrongCredentials,
    -2015: WrongCredentials,
    -2026: NotFound,
    -2035: Conflict,
    -2036: NotFound,
}

_BY_WORDS: Final[tuple[tuple[str, type[CommandError]], ...]] = (
    ("insufficient balance", InsufficientFunds),
    ("immediately match", WouldMatch),
    ("Duplicate order", Conflict),
    ("MAX_NUM_ORDERS", TooManyOrders),
)
"""Some codes stand for many refusals, which only their words tell apart."""

_BY_STATUS: Final[dict[int, type[CommandError]]] = {401: NotAuthorized, 418: SlowDown, 429: SlowDown}


def kind_of(status: Any, code: Any, message: str) -> type[CommandError]:
    """The class of a refusal."""
    if type(status) is int and status in _BY_STATUS:
        by_code = _BY_CODE.get(code) if type(code) is int else None
        return by_code if by_code is WrongCredentials else _BY_STATUS[status]
    if type(code) is not int:
        return CommandError
    if code in (-2010, -2011, -1013):
        for words, kind in _BY_WORDS:
            if words in message:
                return kind
    if code == -2011 and "Unknown order" not in message:
        return CommandError
    if code in _BY_CODE:
        return _BY_CODE[code]
    return BadRequest if -1200 < code <= -1013 else CommandError
