"""Coinbase's order books: price levels from the level2 channel, orders from the full channel.

Source: protocol page, "level2" and "The `full` channel".
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ..books import Book, Depth, Levels, Order, Orders, by_priority
from ..decimals import number, pairs
from ..decimals import price as price_of
from ..decimals import size as size_of
from ..errors import ProtocolError
from ..fetched import FetchedBook
from ..live import ASKED, WHOLE, Message, integer

_PATIENCE: Final = 3  # heartbeats

BookOrder = Order[str, Decimal]
"""An open order, negative for an ask. Its `time` is its place in the queue of its price: lower trades first."""


class LevelBook(Book[Decimal]):
    """The price levels of one product, as `Feed.order_book(product_id, level=2)` gives them, in `Decimal`.

        book = feed.order_book("BTC-USD").wait(5)
        book.best_bid, book.depth(10).asks

    The exchange guarantees their delivery, and heartbeats show that it still speaks.

    options: see `Live`
    """

    def __init__(self, product_id: str, **options: Any) -> None:
        super().__init__(Levels(), **options)
        self.product_id = product_id
        self._beats = 0  # since the snapshot is waited for; the event thread's

    def beat(self) -> None:
        """A heartbeat came. If it is the third one since a snapshot was to come, that is asked for again."""
        if self._phase is not ASKED:
            self._beats = 0
            return
        self._beats += 1
        if self._beats >= _PATIENCE:
            self._beats = 0
            self._renew()

    def __repr__(self) -> str:
        state = "stale" if self.stale else "whole"
        return f"<LevelBook {self.product_id}, {state}>"

    # -- the rules, with the lock held

    def _adopt(self, message: Message) -> bool:
        if message.get("type") != "snapshot":
            return False  # that it is subscribed to
        self._levels.replace(pairs(message.get("bids")), pairs(message.get("asks")))
        return True

    def _apply(self, notice: Message) -> bool:
        try:
            for side, price, size in notice["changes"]:
                levels = self._levels.bids if side == "buy" else self._levels.asks if side == "sell" else None
                if levels is None:
                    raise ProtocolError(f"a change of no side: {side!r:.50}")
                levels.set(price_of(price), size_of(size))
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"an l2update that can't be read: {error!r:.100}") from None
        return True


@dataclass(frozen=True, slots=True)
class FullSnapshot(Depth[Decimal]):
    """The whole book at one moment: its levels, and its orders; it doesn't change any more.

    orders: the bids, then the asks, each with the order that trades next first
    sequence: the number of the last message that this contains
    """

    orders: tuple[BookOrder, ...]
    sequence: int


class FullBook(FetchedBook):
    """All open orders of one product, as `Feed.order_book(product_id, level=3)` gives them, in `Decimal`.

    It begins with a snapshot, to which messages with greater sequence numbers are applied. It is stale from the
    moment that one is missing, and then fetches a snapshot again.

    options: see `FetchedBook`
    """

    def __init__(self, product_id: str, **options: Any) -> None:
        self._orders: Orders[str, Decimal] = Orders()  # this and what follows are guarded by the lock
        super().__init__(self._orders.levels, **options)
        self.product_id = product_id
        levels = self._orders.levels
        self._sides = {"buy": levels.bids, "sell": levels.asks}
        self._sequence = 0
        self._least = 0  # the least that a snapshot must contain
        self._place = 0

    # -- for readers, on any thread

    @property
    def sequence(self) -> int:
        """The number of the last message that the book contains."""
        return self._sequence

    def snapshot(self) -> FullSnapshot:
        """Levels and orders of one moment."""
        with self._lock:
            levels = self._levels
            bids, asks, stale, version = levels.bids.top(), levels.asks.top(), self.stale, self._version
            orders, sequence = self._orders.all(), self._sequence
        return FullSnapshot(bids, asks, stale, version, by_priority(orders), sequence)

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
        return f"<FullBook {self.product_id}, {len(self)} orders, {state}>"

    # -- for the feed, on the event thread

    def answered(self, message: Message) -> None:
        """It is subscribed to, or a snapshot came."""
        if "bids" in message:
            super().answered(message)
        else:
            self._fetch()

    def missing(self, last: int) -> None:
        """A heartbeat has shown that messages up to this number are missing."""
        with self._lock:
            behind = self._phase is WHOLE and self._sequence < last
            self._least = max(self._least, last)
            if behind:
                self._lose()
                self._version += 1
        if behind:
            self._tell()
            self._renew()

    def lost(self) -> None:
        """The connection ended, or the watch. What the next one tells needn't go on with what this one told."""
        with self._lock:
            self._least = self._tries = 0
        super().lost()

    # -- the rules, with the lock held

    def _hold(self, message: Message) -> None:
        if not self._has_room(message):
            self._held.clear()  # a snapshot has to be newer then
            self._has_room(message)
        self._held.append(message)
        self._least = max(self._least, message["sequence"] - 1 if len(self._held) == 1 else 0)

    def _adopt(self, message: Message) -> bool:
        sequence = integer(message, "sequence")
        if sequence < self._least:
            return False  # something is missing between it and what came after
        rows = [
            (_text(row[2]), sign * size_of(row[1]), number(row[0]))
            for name, sign in (("bids", 1), ("asks", -1))
            for row in _rows(message, name)
        ]
        self._orders.clear()
        for place, (id, quantity, price) in enumerate(rows):
            self._orders.put(Order(id, quantity, price, place))
        self._place = len(rows)
        self._sequence = sequence
        return True

    def notice(self, message: Message) -> None:
        """A message of the full channel came. As `Live.notice`; most of them come to a book that is whole."""
        if self._phase is not WHOLE:
            super().notice(message)
            return
        if message["type"] == "received" and message["sequence"] == self._sequence + 1:
            self._sequence += 1  # which opens nothing
            return
        failure = None
        with self._lock:
            try:
                if not self._apply(message):
                    return
            except ProtocolError as error:
                failure = error
                self._lose(error)
            self._version += 1
            lost = self._phase is not WHOLE
        if lost or self._listeners.all:
            self._changed(lost, failure)

    def _apply(self, notice: Message) -> bool:
        sequence = notice["sequence"]
        due = self._sequence + 1
        if sequence != due:
            if sequence < due:
                return False  # the snapshot has it, or it is a repeat
            self._least = sequence
            self._lose()
            return True
        self._sequence = sequence
        kind = notice["type"]
        try:
            if kind == "done":
                return self._orders.remove(notice["order_id"])
            if kind == "open":
                size, price = number(notice["remaining_size"]), price_of(notice["price"])
                if size <= 0:
                    raise ProtocolError(f"an order that rests with nothing: {size}")
                self._place += 1
                self._orders.rest(notice["order_id"], size, price, self._place, self._sides[notice["side"]])
                return True
            if kind == "received":
                return False
            if kind == "match":
                return self._match(notice["maker_order_id"], size_of(notice["size"]))
            return self._change(notice)
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"a message of the full channel that can't be read: {error!r:.100}") from None

    def _match(self, maker: str, size: Decimal) -> bool:
        known = self._orders.get(maker)
        if known is None or size > abs(known.quantity):
            self._lose()  # what rests must have been known
            return True
        quantity = known.quantity
        return self._orders.resize(maker, quantity - size if quantity > 0 else quantity + size)

    def _change(self, notice: Message) -> bool:
        """A resting order has another size, or price. One that hasn't rested yet, or has no size, isn't here."""
        known = self._orders.get(notice["order_id"])
        if known is None or "new_size" not in notice:
            return False
        size = size_of(notice["new_size"])
        price = notice.get("new_price", notice.get("price"))
        if price_of(price) == known.price and size <= abs(known.quantity):  # it keeps its place
            return self._orders.resize(known.id, size if known.quantity > 0 else size.copy_negate())
        self._place += 1
        quantity = size if known.quantity > 0 else size.copy_negate()
        self._orders.put(Order(known.id, quantity, price_of(price), self._place))
        return True


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ProtocolError(f"an order id that is no text: {value!r:.50}")
    return value


def _rows(message: Message, name: str) -> list[Any]:
    rows = message.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= 3 for row in rows):
        raise ProtocolError(f"a snapshot without {name}")
    return rows
