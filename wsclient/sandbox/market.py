"""A market and its arithmetic: integers only, on scales that the market names.

Source: protocol page, sections "Transport" (scales) and "Commands" (ticks, reservations).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Market:
    """Where a base asset is traded for a counter asset.

    `base` and `counter` are asset codes, `tick` is the step of prices, as a price on the wire, and `scale` is the
    number that stands for a price of one, so that total = quantity * price / scale.
    """

    base: int
    counter: int
    tick: int
    scale: int = 10_000

    def __post_init__(self) -> None:
        if self.tick < 1 or self.scale < 1 or self.base == self.counter:
            raise ValueError(f"a market needs two assets, a tick and a scale of at least 1: {self}")

    def round_price(self, price: int, *, bid: bool) -> int:
        """The price at the market's tick that is no worse for the order's owner: bids go down, asks up."""
        return price // self.tick * self.tick if bid else -(-price // self.tick) * self.tick

    def cost(self, quantity: int, price: int) -> int:
        """What `quantity` can cost at most at `price`, in the counter asset: the exact total, rounded up."""
        return -(-quantity * price // self.scale)


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
