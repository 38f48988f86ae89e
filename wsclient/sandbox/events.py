"""What happened inside the engine, as small immutable facts that no venue's wording has touched yet.

A dialect turns each event into the messages of its venue. Every event names its owner or owners and carries all
that an owner and a watcher of the book may be told; who is told what is the dialect's business. Quantities and
prices are integers on the scales of their market; all other amounts (totals, fees, balances, volumes) count the
units in which their asset is held. Times are microseconds since the Unix epoch.

Source: protocol page, section "Notices". The guaranteed order among events is written down in `engine.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

TakerSide: TypeAlias = Literal["bid", "ask"]


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    """A user's available balance (what no order reserves) has become `balance`."""

    user: int
    asset: int
    balance: int


@dataclass(frozen=True, slots=True)
class OrderOpened:
    """A limit order has been accepted. `quantity` is all of it, negative to sell: matches, if any, follow."""

    user: int
    id: int
    tonce: int | None
    base: int
    counter: int
    quantity: int
    price: int
    time: int


@dataclass(frozen=True, slots=True)
class OrderModified:
    """An open order has new values; `time` is new too if it lost its place in the queue."""

    user: int
    id: int
    tonce: int | None
    base: int
    counter: int
    quantity: int
    price: int
    time: int


@dataclass(frozen=True, slots=True)
class Fill:
    """One side of a match.

    `order` and `remaining` (what is left of the order, positive or 0) are None where the side was a market order.
    `tonce` is the one given when the order was placed, market order or not. Fees are what this side paid.
    """

    user: int
    order: int | None
    tonce: int | None
    remaining: int | None
    base_fee: int = 0
    counter_fee: int = 0


@dataclass(frozen=True, slots=True)
class OrdersMatched:
    """Two orders have traded: `quantity` (> 0) of the base asset for `total` (>= 0) of the counter asset."""

    base: int
    counter: int
    quantity: int
    price: int
    total: int
    time: int
    taker_side: TakerSide
    bid: Fill
    ask: Fill


@dataclass(frozen=True, slots=True)
class OrderClosed:
    """A limit order is gone: traded, cancelled or killed. Nothing more is said about it.

    `quantity` is what remained untraded (negative to sell), 0 if nothing did; `time` is that of the closing.
    """

    user: int
    id: int
    tonce: int | None
    base: int
    counter: int
    quantity: int
    price: int
    time: int


@dataclass(frozen=True, slots=True)
class TickerChanged:
    """A market's ticker has changed.

    `changes` holds the new value of those of `last`, `bid`, `ask`, `low`, `high` and `volume` that changed, in
    that order; None says that there is no such value now (no bid, no trade in 24 hours).
    """

    base: int
    counter: int
    changes: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class TradeVolumeChanged:
    """What a user has traded of an asset within 30 days has become `volume`."""

    user: int
    asset: int
    volume: int


Event: TypeAlias = (
    BalanceChanged | OrderOpened | OrderModified | OrdersMatched | OrderClosed | TickerChanged | TradeVolumeChanged
)
