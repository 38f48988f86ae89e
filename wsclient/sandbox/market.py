"""A market and its arithmetic: integers only, on scales that the market names.

How an asset is held that several markets count in different units. CoinFLEX trades XBT in steps of 0.0001,
Coinbase and Binance trade the same coins in steps of 0.00000001. So an account holds each asset in the finest
unit that any market asks for (`held_decimals`), and a market says how many of these make one unit of its
quantities (`base_unit`): an ask of 5 (0.0005 XBT) on CoinFLEX's book reserves 50000 held units. Nothing is ever
rounded on the way between two markets, so balances add up to the unit, and what a venue with fewer decimals
shows of a balance is its view of it and no amount of its own. Totals and fees are counted in held units at once:
a counter asset is never held finer than its markets round their totals.

Source: protocol page, sections "Transport" (scales) and "Commands" (ticks, reservations).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

WIRE_DECIMALS: Final = 4
"""The decimals of amounts on CoinFLEX's wire, where they have to fit 64 bits."""


@dataclass(frozen=True, slots=True)
class Market:
    """Where a base asset is traded for a counter asset.

    `base` and `counter` are asset codes, `tick` is the step of prices, as a price on the wire, and `scale` is the
    number that stands for a price of one. Quantities have `base_decimals`, totals `counter_decimals`; hence
    total = quantity * price / divisor. One unit of quantity is `base_unit` of the units in which the base asset is
    held: the engine finds out how many, see `held_decimals`.
    """

    base: int
    counter: int
    tick: int
    scale: int = 10_000
    base_decimals: int = 4
    counter_decimals: int = 4
    base_unit: int = 1
    divisor: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.tick < 1 or self.scale < 1 or self.base == self.counter:
            raise ValueError(f"a market needs two assets, a tick and a scale of at least 1: {self}")
        finest = self.scale * 10**self.base_decimals
        if finest % 10**self.counter_decimals:
            raise ValueError(f"a market can't count totals finer than quantity times price: {self}")
        object.__setattr__(self, "divisor", finest // 10**self.counter_decimals)

    def round_price(self, price: int, *, bid: bool) -> int:
        """The price at the market's tick that is no worse for the order's owner: bids go down, asks up."""
        return price // self.tick * self.tick if bid else -(-price // self.tick) * self.tick

    def cost(self, quantity: int, price: int) -> int:
        """What `quantity` can cost at most at `price`, in the counter asset: the exact total, rounded up."""
        return -(-quantity * price // self.divisor)


def held_decimals(markets: Iterable[Market]) -> dict[int, int]:
    """With how many decimals each asset is held: as many as the finest of its markets has.

    `ValueError` says that a market rounds its totals more coarsely than their asset has to be held elsewhere.
    """
    markets = tuple(markets)
    held: dict[int, int] = {}
    for market in markets:
        for asset, decimals in ((market.base, market.base_decimals), (market.counter, market.counter_decimals)):
            held[asset] = max(held.get(asset, 0), decimals)
    for market in markets:
        if held[market.counter] != market.counter_decimals:
            raise ValueError(f"the counter asset is held with {held[market.counter]} decimals: {market}")
    return held


@dataclass(frozen=True, slots=True)
class Fees:
    """What trading costs: rates in millionths of the traded total, charged in the counter asset.

    They are paid to the account `house`, which the engine opens itself; its number must be no trader's.
    """

    maker: int = 0
    taker: int = 0
    house: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.maker <= FEE_SCALE and 0 <= self.taker <= FEE_SCALE):
            raise ValueError(f"fee rates are millionths, from 0 to {FEE_SCALE}: {self}")


FEE_SCALE = 1_000_000
"""The fee rate that would take all of the total."""
