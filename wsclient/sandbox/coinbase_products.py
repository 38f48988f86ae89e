"""What Coinbase calls the engine's markets, and how it writes their numbers.

Every market of the engine is a product, named by its two assets; XBT is called BTC here, so that CoinFLEX's
XBT/USDT is BTC-USDT. Prices and sizes are decimal strings with as many decimals as the market has.

Source: protocol page (prices and sizes), Coinbase's own list of products for the fields of a description.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from wsclient.sandbox.assets import CODES
from wsclient.sandbox.market import Market

RENAMED: Final = {"XBT": "BTC"}
NAMES: Final[dict[int, str]] = {code: RENAMED.get(name, name) for name, code in CODES.items()}

Pair = tuple[int, int]


def decimal(units: int, decimals: int) -> str:
    """An amount that counts units of 10 ** -decimals as a decimal number, all its decimals written."""
    if not decimals:
        return str(units)
    whole, fraction = divmod(units, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}"


def timestamp(microseconds: int) -> str:
    """A time since the Unix epoch as the feed writes it: `2014-11-07T08:19:27.028459Z`."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:06d}Z"


@dataclass(frozen=True, slots=True)
class Product:
    """One market under its name here."""

    market: Market
    base: str
    quote: str
    id: str = field(init=False)
    price_decimals: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.base}-{self.quote}")
        object.__setattr__(self, "price_decimals", len(str(self.market.scale)) - 1)

    @property
    def pair(self) -> Pair:
        """The codes of base and counter asset."""
        return self.market.base, self.market.counter

    def price(self, units: int) -> str:
        """A price of the market as it is written here."""
        return decimal(units, self.price_decimals)

    def size(self, units: int) -> str:
        """A quantity of the market as it is written here."""
        return decimal(units, self.market.base_decimals)

    def describe(self) -> dict[str, Any]:
        """The product's entry in `/products` and in the status channel."""
        return {
            "id": self.id,
            "base_currency": self.base,
            "quote_currency": self.quote,
            "base_increment": self.size(1),
            "quote_increment": self.price(self.market.tick),
            "display_name": f"{self.base}-{self.quote}",
            "status": "online",
            "status_message": "",
            "min_market_funds": decimal(1, self.market.counter_decimals),
            "post_only": False,
            "limit_only": False,
            "cancel_only": False,
            "trading_disabled": False,
            "fx_stablecoin": False,
            "auction_mode": False,
        }


def products(markets: Iterable[Market], names: Mapping[int, str] = NAMES) -> list[Product]:
    """A product for every market. One whose price of one is no power of ten can't be written with decimals."""
    return [
        Product(
            market,
            names.get(market.base, f"ASSET{market.base}"),
            names.get(market.counter, f"ASSET{market.counter}"),
        )
        for market in markets
        if str(market.scale).rstrip("0") == "1"
    ]


def currencies(listed: Iterable[Product], decimals: Mapping[int, int]) -> list[dict[str, Any]]:
    """The status channel's entries about the assets of some products, held with these decimals."""
    found: dict[str, int] = {}
    for product in listed:
        found[product.base] = decimals[product.market.base]
        found[product.quote] = decimals[product.market.counter]
    return [
        {
            "id": name,
            "name": name,
            "display_name": name,
            "min_size": decimal(1, places),
            "status": "online",
            "status_message": "",
            "max_precision": decimal(1, places),
            "convertible_to": [],
            "details": {},
            "default_network": "",
            "supported_networks": [],
        }
        for name, places in sorted(found.items())
    ]
