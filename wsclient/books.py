"""Price levels, and the orders that add up to them: what every venue's order book is made of. Pure.

A price and a quantity are both scaled integers or both `Decimal`, as the venue has them; never floats. A side
keeps its prices in one sorted list, the best price last, where a list is cheap to change: most of what happens to
a book happens near its best prices. Measured against sortedcontainers, that takes half the time up to some
thousand levels and needs no dependency; far from the best of 100,000 prices it takes longer, 7 µs a change.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar

from .errors import InvalidRequest
from .live import Live

N = TypeVar("N", int, Decimal)
K = TypeVar("K", int, str)

_new: Any = tuple.__new__  # in half the time that a NamedTuple's own takes


class Level(NamedTuple, Generic[N]):
    """All that is bid or asked at one price. The quantity is positive on either side."""

    price: N
    quantity: N


class Order(NamedTuple, Generic[K, N]):
    """An open order: quantity is what remains, negative for an ask; time is in µs since the Unix epoch."""

    id: K
    quantity: N
    price: N
    time: int


class Side(Generic[N]):
    """The bids or the asks of a book, by price."""

    def __init__(self, *, bids: bool) -> None:
        self._bids = bids
        self._keys: list[N] = []  # ascending: the prices of bids, the negated prices of asks
        self._sizes: dict[N, N] = {}  # the quantities, by key

    def set(self, price: N, quantity: N) -> None:
        """Makes this the quantity at a price; 0 removes the level."""
        key = price if self._bids else _negated(price)
        if quantity:
            if key not in self._sizes:
                insort(self._keys, key)
            self._sizes[key] = quantity
        elif self._sizes.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    def add(self, price: N, change: N) -> None:
        """Adds to the quantity at a price, or takes from it; what comes to 0 is removed."""
        key = price if self._bids else _negated(price)
        known = self._sizes.get(key)
        if known is None:
            if change:
                insort(self._keys, key)
                self._sizes[key] = change
        elif quantity := known + change:
            self._sizes[key] = quantity
        else:
            del self._sizes[key]
            del self._keys[bisect_left(self._keys, key)]

    def replace(self, levels: Iterable[tuple[N, N]]) -> None:
        """Makes these (price, quantity) the whole side, in whatever order they come."""
        kept = ((price, quantity) for price, quantity in levels if quantity)
        self._sizes = {price if self._bids else _negated(price): quantity for price, quantity in kept}
        self._keys = sorted(self._sizes)

    def clear(self) -> None:
        """Leaves nothing."""
        self._keys.clear()
        self._sizes.clear()

    @property
    def best(self) -> Level[N] | None:
        """The highest bid, the lowest ask."""
        return self._level(self._keys[-1]) if self._keys else None

    def top(self, count: int | None = None) -> tuple[Level[N], ...]:
        """The best so many levels, or all, from the best."""
        keys = self._keys[::-1] if count is None else self._keys[: -count - 1 : -1]
        return tuple(map(self._level, keys))

    def quantity(self, price: N) -> N | None:
        """The quantity at a price, None where there is no level."""
        return self._sizes.get(price if self._bids else _negated(price))

    def _level(self, key: N) -> Level[N]:
        level: Level[N] = _new(Level, (key if self._bids else _negated(key), self._sizes[key]))
        return level

    def __iter__(self) -> Iterator[Level[N]]:
        """The levels, from the best."""
        return iter(self.top())

    def __len__(self) -> int:
        return len(self._keys)


class Levels(Generic[N]):
    """Both sides of a book that is told in price levels."""

    def __init__(self) -> None:
        self.bids: Side[N] = Side(bids=True)
        self.asks: Side[N] = Side(bids=False)

    def replace(self, bids: Iterable[tuple[N, N]], asks: Iterable[tuple[N, N]]) -> None:
        """Makes these (price, quantity) the whole book."""
        self.bids.replace(bids)
        self.asks.replace(asks)

    def clear(self) -> None:
        """Leaves nothing."""
        self.bids.clear()
        self.asks.clear()

    @property
    def crossed(self) -> bool:
        """Whether somebody bids as much as somebody asks, or more."""
        bid, ask = self.bids.best, self.asks.best
        return bid is not None and ask is not None and bid.price >= ask.price

    def depth(self, count: int | None, *, stale: bool, version: int) -> "Depth[N]":
        """The best so many levels of each side, or all, as they are now."""
        return Depth(self.bids.top(count), self.asks.top(count), stale, version)


@dataclass(frozen=True, slots=True)
class Depth(Generic[N]):
    """The levels of a book at one moment, from the best; it doesn't change any more.

    stale: whether the book might have differed from the exchange's then
    version: which moment; see `Live.version`
    """

    bids: tuple[Level[N], ...]
    asks: tuple[Level[N], ...]
    stale: bool
    version: int

    @property
    def best_bid(self) -> Level[N] | None:
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> Level[N] | None:
        return self.asks[0] if self.asks else None

    @property
    def crossed(self) -> bool:
        """Whether somebody bids as much as somebody asks, or more; see `Book`."""
        return bool(self.bids and self.asks) and self.bids[0].price >= self.asks[0].price


class Orders(Generic[K, N]):
    """The open orders of a book that is told order by order, by id, and the levels that they add up to."""

    def __init__(self) -> None:
        self.levels: Levels[N] = Levels()
        self._orders: dict[K, Order[K, N]] = {}

    def put(self, order: Order[K, N]) -> None:
        """Adds an order, or replaces the one with its id; with a quantity of 0 it is removed."""
        id, quantity, price, time = order
        if quantity > 0:
            self.rest(id, quantity, price, time, self.levels.bids)
        elif quantity:
            self.rest(id, _negated(quantity), price, time, self.levels.asks)
        else:
            self.remove(id)

    def rest(self, id: K, size: N, price: N, time: int, side: Side[N]) -> None:
        """Likewise, of this size, which is positive, on one of the two sides."""
        orders, levels = self._orders, self.levels
        if id in orders:
            self.remove(id)
        orders[id] = _new(Order, (id, size if side is levels.bids else _negated(size), price, time))
        side.add(price, size)

    def resize(self, id: K, quantity: N) -> bool:
        """Makes this an order's remaining quantity, negative for an ask; whether there is such an order."""
        order = self._orders.get(id)
        if order is None:
            return False
        self.put(Order(id, quantity, order.price, order.time))
        return True

    def remove(self, id: K) -> bool:
        """Takes an order out; whether it was there."""
        order = self._orders.pop(id, None)
        if order is None:
            return False
        _, quantity, price, _ = order
        if quantity > 0:
            self.levels.bids.add(price, _negated(quantity))
        else:
            self.levels.asks.add(price, quantity)
        return True

    def clear(self) -> None:
        """Leaves nothing."""
        self._orders.clear()
        self.levels.clear()

    def get(self, id: K) -> Order[K, N] | None:
        """The order with this id."""
        return self._orders.get(id)

    def all(self) -> list[Order[K, N]]:
        """The orders in no particular order, see `by_priority`."""
        return list(self._orders.values())

    def __len__(self) -> int:
        return len(self._orders)


def by_priority(orders: Iterable[Order[K, N]]) -> tuple[Order[K, N], ...]:
    """The bids, then the asks, each with the order that trades next first: by price, then by time."""
    bids: list[Order[K, N]] = []
    asks: list[Order[K, N]] = []
    for order in orders:
        (bids if order.quantity > 0 else asks).append(order)
    bids.sort(key=lambda order: (_negated(order.price), order.time, order.id))
    asks.sort(key=lambda order: (order.price, order.time, order.id))
    return tuple(bids + asks)


def _negated(price: N) -> N:
    # a Decimal's unary minus would round to the precision of whatever context the caller's thread has
    return price.copy_negate() if isinstance(price, Decimal) else -price


class Book(Live, Generic[N]):
    """A market's order book, kept equal to the exchange's; to be read by any thread while it is written.

    Each answer is of one moment; for several that go together, take them from one `depth()`. While `stale` it has
    what was known last. A book may be crossed for the moment between the notices of one event: an order that
    trades at once is first told whole, and then what it matched.
    """

    def __init__(self, levels: Levels[N], **options: Any) -> None:
        super().__init__(**options)
        self._levels: Levels[N] = levels  # guarded by the lock
        self._depth: Depth[N] | None = None  # the last one with all levels; likewise

    @property
    def best_bid(self) -> Level[N] | None:
        """The highest price bid, and what is bid at it."""
        with self._lock:
            return self._levels.bids.best

    @property
    def best_ask(self) -> Level[N] | None:
        """The lowest price asked, and what is asked at it."""
        with self._lock:
            return self._levels.asks.best

    def depth(self, count: int | None = None) -> Depth[N]:
        """The best so many levels of each side, or all of them."""
        if count is not None and count < 0:
            raise InvalidRequest(f"a number of levels isn't negative: {count}")
        with self._lock:
            if count is not None:
                return self._levels.depth(count, stale=self.stale, version=self._version)
            if self._depth is None or self._depth.version != self._version:
                self._depth = self._levels.depth(None, stale=self.stale, version=self._version)
            return self._depth
