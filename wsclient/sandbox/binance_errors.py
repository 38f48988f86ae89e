"""Refusals of the request API: Binance's codes and its own words for them.

Source: protocol page, section "WebSocket API (request and reply)", and the exchange's public list of error codes.
"""

from typing import Any, Final

from wsclient.sandbox import checks
from wsclient.sandbox.engine import EngineError

BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
BANNED: Final = 418
SLOW_DOWN: Final = 429
FAILED: Final = 500

UNKNOWN: Final = -1000
TOO_MANY_REQUESTS: Final = -1003
TIMEOUT: Final = -1007
FILTER: Final = -1013
TOO_MANY_ORDERS: Final = -1015
UNSUPPORTED: Final = -1020
BAD_TIMESTAMP: Final = -1021
BAD_SIGNATURE: Final = -1022
ILLEGAL_CHARACTERS: Final = -1100
MISSING: Final = -1102
UNREAD_PARAMETERS: Final = -1104
EMPTY: Final = -1105
NOT_REQUIRED: Final = -1106
PRECISION: Final = -1111
BAD_TIME_IN_FORCE: Final = -1115
BAD_TYPE: Final = -1116
BAD_SIDE: Final = -1117
BAD_INTERVAL: Final = -1120
BAD_SYMBOL: Final = -1121
BAD_LISTEN_KEY: Final = -1125
BAD_COMBINATION: Final = -1128
BAD_PARAMETER: Final = -1130
BAD_JSON: Final = -1135
BAD_CANCEL_RESTRICTIONS: Final = -1145
ORDER_REJECTED: Final = -2010
CANCEL_REJECTED: Final = -2011
NO_SUCH_ORDER: Final = -2013
BAD_KEY_FORMAT: Final = -2014
BAD_KEY: Final = -2015
SUBSCRIBED: Final = -2035
NOT_SUBSCRIBED: Final = -2036
WRONG_CLIENT_ID: Final = -2039
TOO_MANY_SUBSCRIPTIONS: Final = -2042
KEY_KIND: Final = -4056


class BinanceError(Exception):
    """A request is answered with an error and has changed nothing."""

    def __init__(
        self, code: int, message: str, status: int = BAD_REQUEST, data: dict[str, Any] | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.data = data

    def reply(self) -> dict[str, Any]:
        """The part of a reply that says it."""
        error: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            error["data"] = self.data
        return {"status": self.status, "error": error}


def missing(name: str) -> BinanceError:
    """A parameter that has to be there isn't, or is nothing."""
    return BinanceError(MISSING, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def invalid(name: str) -> BinanceError:
    """A parameter is of the wrong kind."""
    return BinanceError(BAD_PARAMETER, f"Data sent for parameter '{name}' is not valid.")


def refused(error: EngineError) -> BinanceError:
    """What the engine refused, in Binance's words."""
    if error.code == checks.FUNDS:
        return BinanceError(ORDER_REJECTED, "Account has insufficient balance for requested action.")
    if error.code == checks.WOULD_MATCH:
        return BinanceError(ORDER_REJECTED, "Order would immediately match and take.")
    if error.code == checks.TOO_MANY:
        return BinanceError(FILTER, "Filter failure: MAX_NUM_ORDERS")
    if error.code == checks.NOT_FOUND:
        return BinanceError(CANCEL_REJECTED, "Unknown order sent.")
    return BinanceError(FILTER, "Filter failure: NOTIONAL")
