"""A real exchange on your own machine: one matching engine, spoken to over a real WebSocket.

Importing this starts nothing; it needs the `websockets` package (the extra `sandbox`).
"""

from wsclient.sandbox.coinbase_settings import CoinbaseSettings
from wsclient.sandbox.exchange import Sandbox

__all__ = ["CoinbaseSettings", "Sandbox"]
