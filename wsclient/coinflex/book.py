"""A market's order book, order by order, kept by the rules of the protocol page.

Source: the protocol page, "Keeping a local book from WatchOrders".
"""

from dataclasses import dataclass
from typing import Any, Final

from ..books import Book, Depth, Order, Orders, by_priority
from ..errors import ProtocolError
from ..live import Message, integer
from .assets import name_of

MAX_ORDERS: Final = 1000
"""The exchange gives so many bids and so many asks at most."""

BookOrder = Order[int, int]
"""An open order. Its quantity (negative for an ask) and price are scaled by 10000."""


@dataclass(frozen=True, slots=True)
class BookSnapshot(Depth[int]):
    """The whole book at one moment: its levels, and its orders; it doesn't change any more.

    orders: the bids, then the asks, each with the order that trades next first
    bids_to, asks_to: the last price up to which the side is known, None where it is known to its end. The quantity
        at just this price may be more than is known
    """

    orders: tuple[BookOrder, ...]
    bids_to: int | None
    asks_to: int | None


class OrderBook(Book[int]):
    """The order book of one market, as `WSClient.order_book` gives it. Prices and quantities are scaled by 10000.

        book = client.order_book("XBT", "USDT").wait(5)
        book.best_bid, book.depth(10).asks, book.orders

    The exchange starts it with 1000 bids and 1000 asks at most. Where there were more, what lies beyond the last
    of these prices stays unknown and is left out, and when all that was known of a side is gone the book asks
    afresh.

    base, counter: the codes of the market's assets
    max_orders: the size of a side from which on the exchange may have left orders out
    options: see `Live`
    """

    def __init__(self, base: int, counter: int, *, max_orders: int = MAX_ORDERS, **options: Any) -> None:
        self._orders: Orders[int, int] = Orders()  # this and what follows are guarded by the lock
        super().__init__(self._orders.levels, **options)
        self.base = base
        self.counter = counter
        self._max_orders = max_orders
        self._bids_to: int | None = None
        self._asks_to: int | None = None
        self._snapshot: BookSnapshot | None = None

    # -- for readers, on any thread

    def snapshot(self) -> BookSnapshot:
        """Levels and orders of one moment. It is made when somebody asks, once for each `version`."""
        with self._lock:
            made = self._snapshot
            if made is not None and made.version == self._version:
                return made
            levels = self._levels
            bids, asks, stale, version = levels.bids.top(), levels.asks.top(), self.stale, self._version
            orders, bids_to, asks_to = self._orders.all(), self._bids_to, self._asks_to
        made = BookSnapshot(bids, asks, stale, version, by_priority(orders), bids_to, asks_to)
        with self._lock:
            if made.version == self._version:
                self._snapshot = made
        return made

    @property
    def levels(self) -> Depth[int]:
        """All price levels, from the best: `levels.bids` and `levels.asks`."""
        return self.depth()

    @property
    def orders(self) -> tuple[BookOrder, ...]:
        """All orders: the bids, then the asks, each with the order that trades next first."""
        return self.snapshot().orders

    def __len__(self) -> int:
        return len(self._orders)

    def __bool__(self) -> bool:
        return True  # an empty book is a book

    def __repr__(self) -> str:
        state = "stale" if self.stale else "whole"
        return f"<OrderBook {name_of(self.base)}/{name_of(self.counter)}, {len(self)} orders, {state}>"

    # -- the rules, with the lock held

    def _adopt(self, message: Message) -> bool:
        listed = message.get("orders")
        if not isinstance(listed, list):
            raise ProtocolError("the reply to WatchOrders has no orders")
        orders = [_order(entry) for entry in listed]
        bids = [order.price for order in orders if order.quantity > 0]
        asks = [order.price for order in orders if order.quantity < 0]
        self._bids_to = min(bids) if len(bids) >= self._max_orders else None
        self._asks_to = max(asks) if len(asks) >= self._max_orders else None
        self._orders.clear()
        for order in orders:
            self._orders.put(order)
        return True

    def _apply(self, notice: Message) -> bool:
        if notice.get("base") != self.base or notice.get("counter") != self.counter:
            return False
        kind = notice.get("notice")
        if kind == "OrdersMatched":
            bid, ask = self._match(notice, "bid", 1), self._match(notice, "ask", -1)
            changed = bid or ask
        elif kind == "OrderOpened" or kind == "OrderModified":
            order = _order(notice)
            if kind == "OrderOpened" and self._orders.get(order.id) is not None:
                # an order of the user's own that the snapshot had already, perhaps as it was after this
                return False
            if self._known(order):
                self._orders.put(order)
                changed = True
            else:
                changed = self._orders.remove(order.id)
        elif kind == "OrderClosed":
            changed = self._orders.remove(integer(notice, "id"))
        else:
            return False
        if changed and self._ran_out():
            self._lose()
        return changed

    def _match(self, notice: Message, side: str, sign: int) -> bool:
        """Sets what remains of one side of a match; whether that changed anything.

        The matches of the user's own orders are told also without a watch, so one that is older than the snapshot
        may come after it; and what it says of the other side's order no later notice would put right. But an order
        only ever shrinks, or it gets a new time: so it is seen whether this is news.
        """
        if notice.get(side) is None:  # a market order
            return False
        id, remaining, time = integer(notice, side), integer(notice, f"{side}_rem"), integer(notice, "time")
        known = self._orders.get(id)
        if known is None or time < known.time or remaining >= abs(known.quantity):
            return False
        return self._orders.resize(id, sign * remaining)

    def _known(self, order: BookOrder) -> bool:
        """Whether the side is known as far as this order's price."""
        if order.quantity > 0:
            return self._bids_to is None or order.price >= self._bids_to
        return self._asks_to is None or order.price <= self._asks_to

    def _ran_out(self) -> bool:
        """Whether nothing is left of a side but what isn't known."""
        return (self._bids_to is not None and not self._levels.bids) or (
            self._asks_to is not None and not self._levels.asks
        )


def _order(message: Any) -> BookOrder:
    if not isinstance(message, dict):
        raise ProtocolError(f"an order that is no object: {message!r:.50}")
    return Order(
        integer(message, "id"), integer(message, "quantity"), integer(message, "price"), integer(message, "time")
    )
