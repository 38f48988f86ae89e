"""Which markets there are: the one place where the engine's markets meet the venues' constants.

One engine holds them all, and each pair of assets has one book: what Coinbase calls BTC-USDT and Binance BTCUSDT
is CoinFLEX's XBT/USDT, four decimals included. The other markets exist on Coinbase's and Binance's side alone.
"""

from wsclient.coinflex.assets import SCALE, Assets, Markets
from wsclient.sandbox.assets import BNB, EUR, NEO, USD
from wsclient.sandbox.market import Market

_XBT, _ETH = Assets["XBT"], Assets["ETH"]


def coinflex_markets() -> tuple[Market, ...]:
    """Every market that CoinFLEX listed, by asset codes. Source: `wsclient/coinflex/assets.py`."""
    return tuple(Market(Assets[m.base], Assets[m.counter], m.tick, SCALE) for m in Markets)


def coinbase_markets() -> tuple[Market, ...]:
    """The markets of Coinbase's documents: quantities of eight decimals, prices in cents (ETH-BTC: 0.00001)."""
    return (
        Market(_XBT, USD, tick=1, scale=10**2, base_decimals=8, counter_decimals=8),
        Market(_ETH, USD, tick=1, scale=10**2, base_decimals=8, counter_decimals=8),
        Market(_ETH, EUR, tick=1, scale=10**2, base_decimals=8, counter_decimals=8),
        Market(_ETH, _XBT, tick=1, scale=10**5, base_decimals=8, counter_decimals=8),
    )


def binance_markets() -> tuple[Market, ...]:
    """The markets of Binance's documents, with eight decimals for everything; prices move in larger steps."""
    return (
        Market(BNB, _XBT, tick=10, scale=10**8, base_decimals=8, counter_decimals=8),
        Market(NEO, _XBT, tick=100, scale=10**8, base_decimals=8, counter_decimals=8),
    )
