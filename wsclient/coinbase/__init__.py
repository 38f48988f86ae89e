"""Coinbase Exchange: its WebSocket feed as a local object, and the faces of two older clients over it.

    from wsclient.coinbase import Feed, WebsocketClient
    from wsclient.coinbase import Stream, Token

The names below are loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .amounts import with_decimals
    from .books import FullBook, LevelBook
    from .channels import get_default_message, get_message
    from .client import WebsocketClient
    from .feed import Feed
    from .sequences import Gap
    from .signing import Token
    from .socket import Stream

__all__ = [
    "Feed",
    "FullBook",
    "Gap",
    "LevelBook",
    "Stream",
    "Token",
    "WebsocketClient",
    "get_default_message",
    "get_message",
    "with_decimals",
]

_HOMES = {
    "Feed": ".feed",
    "FullBook": ".books",
    "Gap": ".sequences",
    "LevelBook": ".books",
    "Stream": ".socket",
    "Token": ".signing",
    "WebsocketClient": ".client",
    "get_default_message": ".channels",
    "get_message": ".channels",
    "with_decimals": ".amounts",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value  # so that it is asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
