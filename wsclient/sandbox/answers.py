"""What the engine answers when it is asked or told something: immutable copies, never its own state.

Source: protocol page, section "Commands", the column of success replies.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """An open order (or one just closed) as it stood when the answer was given.

    `quantity` is what remains to be traded, negative to sell. `time` (microseconds since the Unix epoch) is when
    the order took its present place in the queue: its opening, or the last change that sent it to the back.
    """

    id: int
    user: int
    tonce: int | None
    base: int
    counter: int
    quantity: int
    price: int
    time: int


@dataclass(frozen=True, slots=True)
class Placed:
    """The answer to a new order: `id` and `time` for a limit order, `remaining` for a market order.

    `remaining` is the amount (>= 0) that could not be traded, of the base asset where the order gave a quantity,
    of the counter asset where it gave a total.
    """

    id: int | None = None
    time: int | None = None
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """What a user has of one asset: free to use, and held for open orders, in the units in which it is held."""

    asset: int
    available: int
    reserved: int

    @property
    def total(self) -> int:
        """All of it: available and reserved."""
        return self.available + self.reserved


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a market order would trade at this moment, before fees: both amounts >= 0."""

    quantity: int
    total: int


@dataclass(frozen=True, slots=True)
class Ticker:
    """A market at a glance. Prices are None where there is nothing to tell; all but the best prices look back.

    `last` is the price of the last trade ever; `low`, `high` and `volume` (base asset) cover 24 hours.
    """

    last: int | None = None
    bid: int | None = None
    ask: int | None = None
    low: int | None = None
    high: int | None = None
    volume: int = 0
