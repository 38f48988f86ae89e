"""What the exchange's replies hold, as types. Every reply also has `error_code` 0 and its `tag`.

Amounts, prices and totals are integers scaled by 10000; times are microseconds since the Unix epoch.
Source: the protocol page, "Commands".
"""

from typing import TypedDict


class Done(TypedDict):
    """A success that says no more than that."""

    error_code: int
    tag: int


class Balance(TypedDict):
    """One asset of an account: balance (available) + reserved_balance = total_balance."""

    asset: int
    balance: int
    reserved_balance: int
    total_balance: int


class Balances(Done):
    balances: list[Balance]


class BookOrder(TypedDict):
    """An order as everybody sees it; quantity is negative for an ask."""

    id: int
    quantity: int
    price: int
    time: int


class Order(BookOrder):
    """An order as its owner sees it; tonce is None where it was placed without one."""

    tonce: int | None
    base: int
    counter: int


class Orders(Done):
    orders: list[Order]


class Estimate(Done):
    """What a market order would trade; both are positive."""

    quantity: int
    total: int


class Placed(Done, total=False):
    """A limit order's id and time; a market order's remaining quantity or total that couldn't be traded."""

    id: int
    time: int
    remaining: int


class Changed(Done):
    """An order after a ModifyOrder, or as a CancelOrder took it off the book (quantity: what remained)."""

    id: int
    tonce: int | None
    base: int
    counter: int
    quantity: int
    price: int
    time: int


class TradeVolume(Done):
    """What was traded of the asset in the last 30 days."""

    volume: int


class WatchedOrders(Done, total=False):
    """The book when the watch began: at most 1000 bids and 1000 asks. Absent when a watch ends."""

    orders: list[BookOrder]


class WatchedTicker(Done, total=False):
    """The ticker when the watch began; None for what doesn't exist yet. Absent when a watch ends."""

    last: int | None
    bid: int | None
    ask: int | None
    low: int | None
    high: int | None
    volume: int
