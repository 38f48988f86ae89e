"""Price levels, and the orders that add up to them."""

import decimal
import threading
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers import PATIENCE
from wsclient.books import Book, Level, Levels, Order, Orders, Side, by_priority
from wsclient.errors import InvalidRequest

Message = dict[str, Any]

prices = st.integers(1, 30)
changes = st.lists(st.tuples(prices, st.integers(0, 3)), max_size=60)


@pytest.mark.parametrize("bids", [True, False])
@given(changes=changes, count=st.integers(0, 5))
def test_a_side_is_a_sorted_mapping_of_prices_to_quantities(
    bids: bool, changes: list[tuple[int, int]], count: int
) -> None:
    side: Side[int] = Side(bids=bids)
    known: dict[int, int] = {}
    for price, quantity in changes:
        side.set(price, quantity)
        known[price] = quantity
        known = {price: quantity for price, quantity in known.items() if quantity}
        levels = [Level(price, known[price]) for price in sorted(known, reverse=bids)]
        assert list(side) == list(side.top()) == levels
        assert side.best == (levels[0] if levels else None)
        assert list(side.top(count)) == levels[:count]
        assert len(side) == len(levels)
        assert side.quantity(price) == known.get(price)


@given(changes)
def test_replacing_is_the_same_as_setting_each(changes: list[tuple[int, int]]) -> None:
    once: Side[int] = Side(bids=False)
    each: Side[int] = Side(bids=False)
    levels = list(dict(changes).items())
    once.set(99, 1)
    once.replace(levels)
    for price, quantity in levels:
        each.set(price, quantity)
    assert once.top() == each.top()
    once.clear()
    assert once.top() == ()


def test_decimals_are_kept_to_the_last_digit_whatever_the_threads_context() -> None:
    book: Levels[Decimal] = Levels()
    with decimal.localcontext() as context:
        context.prec = 3
        book.replace([(Decimal("12345.6789"), Decimal("1.10"))], [(Decimal("12345.6790"), Decimal("0.00000001"))])
        book.asks.set(Decimal("12345.67905"), Decimal(2))
        book.asks.set(Decimal("12345.67900"), Decimal(0))  # the same price in other words
    assert book.asks.top() == ((Decimal("12345.67905"), Decimal(2)),)
    assert book.bids.best == (Decimal("12345.6789"), Decimal("1.10"))
    assert not book.crossed


def test_a_book_is_crossed_where_somebody_bids_what_somebody_asks() -> None:
    book: Levels[int] = Levels()
    assert not book.crossed
    book.bids.set(10, 1)
    assert not book.crossed
    book.asks.set(10, 1)
    assert book.crossed
    assert book.depth(None, stale=False, version=1).crossed
    book.asks.set(10, 0)
    book.asks.set(11, 1)
    assert not book.crossed
    book.clear()
    assert book.depth(None, stale=False, version=1).best_ask is None


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(-3, 3), prices), max_size=60))
def test_levels_are_the_sums_of_their_orders(rows: list[tuple[int, int, int]]) -> None:
    orders: Orders[int, int] = Orders()
    known: dict[int, Order[int, int]] = {}
    for time, (id, quantity, price) in enumerate(rows):
        order = Order(id, quantity, price, time)
        orders.put(order)
        known[id] = order
        if not quantity:
            del known[id]
        for side, sign in ((orders.levels.bids, 1), (orders.levels.asks, -1)):
            mine = [order for order in known.values() if order.quantity * sign > 0]
            sums = {order.price: 0 for order in mine}
            for order in mine:
                sums[order.price] += abs(order.quantity)
            assert dict(side.top()) == sums
    assert {order.id: order for order in orders.all()} == known
    assert len(orders) == len(known)


def test_orders_may_be_known_by_names_and_counted_in_decimals() -> None:
    orders: Orders[str, Decimal] = Orders()
    orders.put(Order("a", Decimal("-1.5"), Decimal(10), 1))
    assert orders.resize("a", Decimal("-0.5"))
    assert orders.levels.asks.top() == ((Decimal(10), Decimal("0.5")),)
    assert not orders.resize("b", Decimal(1))
    assert orders.remove("a")
    assert not orders.remove("a")
    assert orders.get("a") is None
    assert orders.levels.asks.best is None


def test_the_order_that_trades_next_comes_first() -> None:
    orders = [Order(1, 5, 90, 3), Order(2, 5, 90, 2), Order(3, 5, 95, 9), Order(4, -5, 99, 2), Order(5, -5, 98, 4)]
    assert [order.id for order in by_priority(orders)] == [3, 2, 1, 5, 4]


# -- what is read while it is written


class Sums(Book[int]):
    """A book whose every notice moves one unit from a price to another, so that its sum never changes."""

    def __init__(self) -> None:
        self.told: Levels[int] = Levels()
        super().__init__(self.told)

    def _adopt(self, message: Message) -> bool:
        self.told.replace([(price, 100) for price in range(1, 11)], [])
        return True

    def _apply(self, notice: Message) -> bool:
        self.told.bids.add(notice["from"], -1)
        self.told.bids.add(notice["to"], 1)
        return True


def test_what_a_thread_reads_is_of_one_moment_while_another_writes() -> None:
    book = Sums()
    book.asked()
    book.answered({})
    ended = threading.Event()
    mistakes: list[object] = []
    reads = [0, 0]

    def read(number: int) -> None:
        version = 0
        while not ended.is_set() or not reads[number]:
            depth = book.depth()
            if sum(level.quantity for level in depth.bids) != 1000 or depth.version < version:
                mistakes.append(depth)
            version = depth.version
            reads[number] += 1

    readers = [threading.Thread(target=read, args=(number,)) for number in range(2)]
    for reader in readers:
        reader.start()
    for number in range(20_000):
        book.notice({"from": number % 10 + 1, "to": (number + 3) % 10 + 1})
    ended.set()
    for reader in readers:
        reader.join(PATIENCE)
    assert not mistakes
    assert all(reads)


def test_a_depth_is_of_so_many_levels_and_all_are_kept_for_a_version() -> None:
    book = Sums()
    book.asked()
    book.answered({})
    assert [level.price for level in book.depth(2).bids] == [10, 9]
    assert book.depth(0).bids == ()
    assert book.depth() is book.depth()
    assert len(book.depth().bids) == 10
    with pytest.raises(InvalidRequest):
        book.depth(-1)
