"""wsclient's Binance sockets as a thread receives from them."""

from .ours_binance import plain as multiplex

__all__ = ["multiplex"]
