"""What a tape says: one entry for each message of the full channel, in numbers and without words.

Sizes and prices are integers on the market's scales, times are microseconds since the Unix epoch.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

OrderId: TypeAlias = int
"""The engine's number of a limit order; market orders, which have none there, are numbered -1, -2, … here."""

Level: TypeAlias = tuple[bool, int, int]
"""Side (True: bid), price, and what stands there now."""


@dataclass(slots=True)
class Message:
    """One message. `users` are the owners of the order (of both orders of a match: maker, then taker)."""

    sequence: int
    time: int
    order: OrderId
    bid: bool
    users: tuple[int, ...]
    levels: list[Level] = field(default_factory=list)
    """The price levels that are different after this message."""


@dataclass(slots=True)
class Received(Message):
    """An order has arrived. `price` is None for a market order, whose `size` is what it traded."""

    size: int = 0
    price: int | None = None


@dataclass(slots=True)
class Opened(Message):
    """What is left of an order rests in the book."""

    size: int = 0
    price: int = 0


@dataclass(slots=True)
class Matched(Message):
    """Two orders have traded: `order` and `bid` are the maker's."""

    taker: OrderId = 0
    trade: int = 0
    size: int = 0
    price: int = 0


@dataclass(slots=True)
class Changed(Message):
    """A resting order has another size, or another price, or both."""

    old_size: int = 0
    new_size: int = 0
    old_price: int = 0
    new_price: int = 0


@dataclass(slots=True)
class Done(Message):
    """An order is off the book, or never got there. `size` is what was not traded."""

    size: int = 0
    price: int | None = None
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Traded:
    """A command that has traded is through: a ticker is due."""


Entry: TypeAlias = Received | Opened | Matched | Changed | Done | Traded
