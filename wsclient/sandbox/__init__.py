"""A real exchange on your own machine: one matching engine, spoken to over a real WebSocket.

Importing this starts nothing; `Sandbox` needs the `websockets` package (the extra `sandbox`). The names below are
loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsclient.extras import how_to_install

if TYPE_CHECKING:
    from wsclient.sandbox.binance_limits import BinanceSettings
    from wsclient.sandbox.coinbase_settings import CoinbaseSettings
    from wsclient.sandbox.exchange import Sandbox

__all__ = ["BinanceSettings", "CoinbaseSettings", "Sandbox"]

_HOMES = {"BinanceSettings": "binance_limits", "CoinbaseSettings": "coinbase_settings", "Sandbox": "exchange"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f".{_HOMES[name]}", __name__)
    except ImportError as error:
        if not (error.name or "").startswith("websockets"):
            raise
        raise ImportError(
            f"the sandbox needs the package websockets: {how_to_install('sandbox')} ({error})"
        ) from error
    value = getattr(module, name)
    globals()[name] = value  # so that it is asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
