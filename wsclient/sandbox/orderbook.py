"""The open orders of one market: sorted price levels, each a queue in order of arrival.

Source: protocol page, section "Commands": best price first, and at one price the earliest first.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from wsclient.sandbox.answers import Order
from wsclient.sandbox.market import Market


@dataclass(slots=True, eq=False)
class LiveOrder:
    """A limit order while it lives. `quantity` is what remains, never negative: `bid` tells the side."""

    id: int
    user: int
    tonce: int | None
    market: Market
    bid: bool
    quantity: int
    price: int
    time: int
    session: object | None = None
    open: bool = True

    @property
    def signed(self) -> int:
        """The remaining quantity as the protocol writes it, negative to sell."""
        return self.quantity if self.bid else -self.quantity

    @property
    def reserves(self) -> tuple[int, int]:
        """The asset and the amount of it that this order holds: exactly what it can cost at most."""
        return self.requires(self.quantity, self.price)

    def requires(self, quantity: int, price: int) -> tuple[int, int]:
        """What it would hold with other values."""
        if self.bid:
            return self.market.counter, self.market.cost(quantity, price)
        return self.market.base, quantity * self.market.base_unit

    def snapshot(self) -> Order:
        """An immutable copy."""
        market = self.market
        return Order(
            self.id, self.user, self.tonce, market.base, market.counter, self.signed, self.price, self.time
        )


class BookSide:
    """The bids or the asks of a market."""

    def __init__(self, *, bid: bool) -> None:
        # The best price is kept last, where a list is cheap to shorten: asks are sorted by their negated price.
        self._sign = 1 if bid else -1
        self._keys: list[int] = []
        # An OrderedDict, since its first item stays cheap to find however many have been taken off its front.
        self._levels: dict[int, OrderedDict[int, LiveOrder]] = {}

    def best(self) -> LiveOrder | None:
        """The order that trades next."""
        return next(iter(self._levels[self._keys[-1]].values())) if self._keys else None

    def best_price(self) -> int | None:
        """The highest bid, the lowest ask."""
        return self._keys[-1] * self._sign if self._keys else None

    def reached_by(self, price: int) -> bool:
        """Whether an order of the other side at `price` would match."""
        return bool(self._keys) and self._keys[-1] >= price * self._sign

    def add(self, order: LiveOrder) -> None:
        """Put an order at the back of its level."""
        key = order.price * self._sign
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = OrderedDict()
            insort(self._keys, key)
        level[order.id] = order

    def remove(self, order: LiveOrder) -> None:
        """Take an order out of its level."""
        key = order.price * self._sign
        level = self._levels[key]
        del level[order.id]
        if not level:
            del self._levels[key]
            del self._keys[bisect_left(self._keys, key)]

    def levels(self, limit: int | None) -> list[tuple[int, int]]:
        """The best `limit` prices, the best first, each with all that is offered at it."""
        return [
            (key * self._sign, sum(order.quantity for order in self._levels[key].values()))
            for key in islice(reversed(self._keys), limit)
        ]

    def __iter__(self) -> Iterator[LiveOrder]:
        """The orders, the one that trades next first."""
        for key in reversed(self._keys):
            yield from self._levels[key].values()


class OrderBook:
    """Both sides of a market."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.bids = BookSide(bid=True)
        self.asks = BookSide(bid=False)

    def side(self, *, bid: bool) -> BookSide:
        """The bids or the asks."""
        return self.bids if bid else self.asks

    def snapshot(self, limit: int | None) -> list[Order]:
        """Copies of the best `limit` bids, then of the best `limit` asks."""
        return [order.snapshot() for side in (self.bids, self.asks) for order in islice(side, limit)]
