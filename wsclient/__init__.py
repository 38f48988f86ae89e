"""Call an exchange's WebSocket API as if it were a local object.

    from wsclient import WSClient

    client = WSClient("wss://host/v1", msg_handler=show)     # no socket, no thread yet
    client.WatchTicker(base="XBT", counter="USDT", watch=True)   # connects

`wsclient.sandbox` is an exchange to run it against. The names below are loaded when they are first asked for, so
that a program that only may need a client doesn't wait for all of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .coinflex.amounts import from_wire, to_wire
    from .coinflex.assets import Assets
    from .coinflex.balances import Balances
    from .coinflex.book import OrderBook
    from .coinflex.client import WSClient
    from .coinflex.limits import RateLimit
    from .core.connection import State
    from .core.pacing import Limit
    from .core.reconnect import Reconnect
    from .core.reply import Reply
    from .core.stats import Stats
    from .errors import (
        AuthenticationError,
        BadRequest,
        ClientClosed,
        CommandError,
        Conflict,
        InsufficientFunds,
        InvalidRequest,
        MessagesDropped,
        NotAuthorized,
        NotFound,
        NotSent,
        OutcomeUnknown,
        ProtocolError,
        RateLimited,
        SinkError,
        StaleFeed,
        TonceOutOfSequence,
        TooFast,
        TooManyOrders,
        TransportError,
        WouldDeadlock,
        WouldMatch,
        WrongCredentials,
        WSClientError,
    )

__all__ = [
    "Assets",
    "AuthenticationError",
    "BadRequest",
    "Balances",
    "ClientClosed",
    "CommandError",
    "Conflict",
    "InsufficientFunds",
    "InvalidRequest",
    "Limit",
    "MessagesDropped",
    "NotAuthorized",
    "NotFound",
    "NotSent",
    "OrderBook",
    "OutcomeUnknown",
    "ProtocolError",
    "RateLimit",
    "RateLimited",
    "Reconnect",
    "Reply",
    "SinkError",
    "StaleFeed",
    "State",
    "Stats",
    "TonceOutOfSequence",
    "TooFast",
    "TooManyOrders",
    "TransportError",
    "WSClient",
    "WSClientError",
    "WouldDeadlock",
    "WouldMatch",
    "WrongCredentials",
    "__version__",
    "from_wire",
    "to_wire",
]

_HOMES = {
    "Assets": ".coinflex.assets",
    "Balances": ".coinflex.balances",
    "Limit": ".core.pacing",
    "OrderBook": ".coinflex.book",
    "RateLimit": ".coinflex.limits",
    "Reconnect": ".core.reconnect",
    "Reply": ".core.reply",
    "State": ".core.connection",
    "Stats": ".core.stats",
    "WSClient": ".coinflex.client",
    "from_wire": ".coinflex.amounts",
    "to_wire": ".coinflex.amounts",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, ".errors"), __name__), name)
    globals()[name] = value  # so that it is asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
