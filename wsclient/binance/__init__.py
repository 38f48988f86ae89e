"""Binance: its request API as a local object.

    from wsclient.binance import Client
    from wsclient.binance.enums import *

The names below are loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client
    from .errors import NotPlaced, SlowDown
    from .limits import RateLimit

__all__ = ["Client", "NotPlaced", "RateLimit", "SlowDown"]

_HOMES = {
    "Client": ".client",
    "NotPlaced": ".errors",
    "RateLimit": ".limits",
    "SlowDown": ".errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
