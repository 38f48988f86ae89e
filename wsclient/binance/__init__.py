"""Binance: its market streams as sockets, and its request API as a local object.

    from wsclient.binance import BinanceSocketManager, Client
    from wsclient.binance.enums import *

The names below are loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .book import OrderBook
    from .client import Client
    from .errors import NotPlaced, SlowDown
    from .lane import Renewal
    from .limits import RateLimit
    from .manager import BinanceSocketManager
    from .socket import Socket

__all__ = [
    "BinanceSocketManager",
    "Client",
    "NotPlaced",
    "OrderBook",
    "RateLimit",
    "Renewal",
    "SlowDown",
    "Socket",
]

_HOMES = {
    "BinanceSocketManager": ".manager",
    "Client": ".client",
    "NotPlaced": ".errors",
    "OrderBook": ".book",
    "RateLimit": ".limits",
    "Renewal": ".lane",
    "SlowDown": ".errors",
    "Socket": ".socket",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
