"""What Binance calls the engine's markets and assets, and how it writes their amounts.

All amounts are strings with eight decimals, whatever the market's own; what is finer than the market's steps is
refused by the filter that `exchangeInfo` lists. XBT is called BTC here, and a symbol is its two assets' names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wsclient.sandbox.assets import CODES
from wsclient.sandbox.binance_errors import (
    BAD_SYMBOL,
    FILTER,
    ILLEGAL_CHARACTERS,
    PRECISION,
    BinanceError,
    missing,
)
from wsclient.sandbox.market import Market

DECIMALS: Final = 8
ONE: Final = 10**DECIMALS
ZERO: Final = "0.00000000"
LARGEST: Final = 1_000_000_000 * ONE
"""The largest price and quantity of an order, with eight decimals."""

RENAMED: Final = {"XBT": "BTC"}
DECIMAL: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_decimal = re.compile(DECIMAL, re.ASCII)


def eight(amount: int) -> str:
    """An amount in units of 0.00000001 as Binance writes it."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    return f"{sign}{amount // ONE}.{amount % ONE:08d}"


def parse(name: str, value: object) -> int:
    """A parameter that is a decimal number (a string, or a number of the JSON text) in units of 0.00000001."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text:
        raise missing(name)
    match = _decimal.fullmatch(text)
    if match is None:
        raise BinanceError(
            ILLEGAL_CHARACTERS, f"Illegal characters found in parameter '{name}'; legal range is '{DECIMAL}'."
        )
    fraction = (match[2] or ".")[1:].rstrip("0")
    if len(fraction) > DECIMALS:
        raise BinanceError(PRECISION, f"Parameter '{name}' has too much precision.")
    return int(match[1]) * ONE + int(fraction.ljust(DECIMALS, "0"))


@dataclass(frozen=True, slots=True)
class Symbol:
    """One market under its name here. `decimals` are those with which the engine holds its two assets."""

    name: str
    base_asset: str
    quote_asset: str
    market: Market
    quantity_unit: int
    """One unit of the market's quantities, as a multiple of 0.00000001; likewise the next two."""
    price_unit: int
    total_unit: int

    @property
    def pair(self) -> tuple[int, int]:
        """The codes of base and counter asset."""
        return self.market.base, self.market.counter

    def quantity(self, units: int) -> str:
        """A quantity of the market as Binance writes it."""
        return eight(units * self.quantity_unit)

    def price(self, units: int) -> str:
        """A price of the market as Binance writes it."""
        return eight(units * self.price_unit)

    def total(self, units: int) -> str:
        """An amount of the quote asset, in the market's units of totals, as Binance writes it."""
        return eight(units * self.total_unit)

    def read_quantity(self, name: str, value: object) -> int:
        """A quantity that was sent, in the market's units, or the filter that it fails."""
        units, rest = divmod(amount := parse(name, value), self.quantity_unit)
        if rest or not 0 < amount <= LARGEST:
            raise BinanceError(FILTER, "Filter failure: LOT_SIZE")
        return units

    def read_price(self, value: object) -> int:
        """A price that was sent, in the market's units, or the filter that it fails."""
        units, rest = divmod(amount := parse("price", value), self.price_unit)
        if rest or units % self.market.tick or not 0 < amount <= LARGEST:
            raise BinanceError(FILTER, "Filter failure: PRICE_FILTER")
        return units

    def read_total(self, value: object) -> int:
        """An amount of the quote asset that was sent, in the market's units."""
        units, rest = divmod(amount := parse("quoteOrderQty", value), self.total_unit)
        if rest:
            raise BinanceError(PRECISION, "Parameter 'quoteOrderQty' has too much precision.")
        if not 0 < amount <= LARGEST:
            raise BinanceError(FILTER, "Filter failure: NOTIONAL")
        return units

    def describe(self) -> dict[str, Any]:
        """The symbol's entry in `exchangeInfo`."""
        return {
            "symbol": self.name,
            "status": "TRADING",
            "baseAsset": self.base_asset,
            "baseAssetPrecision": DECIMALS,
            "quoteAsset": self.quote_asset,
            "quotePrecision": DECIMALS,
            "quoteAssetPrecision": DECIMALS,
            "baseCommissionPrecision": DECIMALS,
            "quoteCommissionPrecision": DECIMALS,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": False,
            "amendAllowed": False,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": self.price(self.market.tick),
                    "maxPrice": eight(LARGEST),
                    "tickSize": self.price(self.market.tick),
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": self.quantity(1),
                    "maxQty": eight(LARGEST),
                    "stepSize": self.quantity(1),
                },
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": ["NONE"],
        }


class Symbols:
    """Every market of an engine that eight decimals can tell of, by its name here, and every asset."""

    def __init__(self, markets: Iterable[Market], decimals: Mapping[int, int]) -> None:
        names = {code: RENAMED.get(name, name) for name, code in CODES.items()}
        self.assets: dict[int, str] = {code: names.get(code, f"ASSET{code}") for code in decimals}
        self.codes: dict[str, int] = {name: code for code, name in self.assets.items()}
        self._decimals = dict(decimals)
        self.by_pair: dict[tuple[int, int], Symbol] = {}
        self.by_name: dict[str, Symbol] = {}
        for market in markets:
            if max(market.base_decimals, market.counter_decimals) > DECIMALS or ONE % market.scale:
                continue  # eight decimals can't tell of it
            base, quote = self.assets[market.base], self.assets[market.counter]
            symbol = Symbol(
                base + quote,
                base,
                quote,
                market,
                quantity_unit=10 ** (DECIMALS - market.base_decimals),
                price_unit=ONE // market.scale,
                total_unit=10 ** (DECIMALS - market.counter_decimals),
            )
            self.by_pair[symbol.pair] = self.by_name[symbol.name] = symbol

    def named(self, name: object) -> Symbol:
        """The symbol of a request."""
        if name is None or name == "":
            raise missing("symbol")
        if not isinstance(name, str) or name not in self.by_name:
            raise BinanceError(BAD_SYMBOL, "Invalid symbol.")
        return self.by_name[name]

    def amount(self, asset: int, held: int) -> str:
        """An amount of an asset in the engine's units as Binance writes it, rounded down to eight decimals."""
        decimals = self._decimals.get(asset, DECIMALS)
        return eight(held * ONE // 10**decimals)

    def held(self, asset: int, eighths: int) -> int:
        """An amount in units of 0.00000001 in the engine's; ValueError where that has no such decimals."""
        unit: int = 10 ** self._decimals[asset]
        units, rest = divmod(eighths * unit, ONE)
        if rest:
            raise ValueError(f"{self.assets[asset]} is held coarser than {eight(eighths)}")
        return units
