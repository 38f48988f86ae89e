"""The sandbox's own codes for assets: CoinFLEX's, and a few more that only other venues trade.

The engine knows assets by number. What CoinFLEX listed keeps its code; the others begin beyond 16 bits, where
CoinFLEX never gave one (money by its ISO 4217 number). What an asset is called is each venue's own business.
"""

from typing import Final

from wsclient.coinflex.assets import Assets

USD: Final = 100_840
EUR: Final = 100_978
BNB: Final = 101_001
NEO: Final = 101_002

ELSEWHERE: Final[dict[str, int]] = {"USD": USD, "EUR": EUR, "BNB": BNB, "NEO": NEO}
"""The assets that CoinFLEX never listed."""

CODES: Final[dict[str, int]] = {**Assets, **ELSEWHERE}
"""Every asset of the sandbox, by the name that CoinFLEX gives it, or that it goes by where CoinFLEX has none."""
