"""Call an exchange's WebSocket API as if it were a local object.

    from wsclient import WSClient, Assets

    client = WSClient("wss://host/v1", msg_handler=show)     # no socket, no thread yet
    client.WatchTicker(base="XBT", counter="USDT", watch=True)   # connects

`wsclient.sandbox` is an exchange to run it against.
"""

from .coinflex.amounts import from_wire, to_wire
from .coinflex.assets import Assets
from .coinflex.client import WSClient
from .core.connection import State
from .core.reply import Reply
from .errors import (
    AuthenticationError,
    BadRequest,
    ClientClosed,
    CommandError,
    Conflict,
    InsufficientFunds,
    InvalidRequest,
    NotAuthorized,
    NotFound,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    TonceOutOfSequence,
    TooManyOrders,
    TransportError,
    WouldDeadlock,
    WouldMatch,
    WSClientError,
)
from .version import __version__

__all__ = [
    "Assets",
    "AuthenticationError",
    "BadRequest",
    "ClientClosed",
    "CommandError",
    "Conflict",
    "InsufficientFunds",
    "InvalidRequest",
    "NotAuthorized",
    "NotFound",
    "NotSent",
    "OutcomeUnknown",
    "ProtocolError",
    "RateLimited",
    "Reply",
    "State",
    "TonceOutOfSequence",
    "TooManyOrders",
    "TransportError",
    "WSClient",
    "WSClientError",
    "WouldDeadlock",
    "WouldMatch",
    "__version__",
    "from_wire",
    "to_wire",
]
