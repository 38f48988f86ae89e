"""Which markets a venue lists: the one place where the engine's markets meet a venue's constants."""

from wsclient.coinflex.assets import SCALE, Assets, Markets
from wsclient.sandbox.market import Market


def coinflex_markets() -> tuple[Market, ...]:
    """Every market that CoinFLEX listed, by asset codes. Source: `wsclient/coinflex/assets.py`."""
    return tuple(Market(Assets[m.base], Assets[m.counter], m.tick, SCALE) for m in Markets)
