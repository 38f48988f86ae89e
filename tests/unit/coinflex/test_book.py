"""CoinFLEX's order book: the rules of the protocol page, and equality with the engine's after every event."""

import threading
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.peers import PATIENCE
from tests.unit.coinflex.feed import BASE, COUNTER, ME, OTHER, PAIR, Exchange, Line
from wsclient.books import Level, Order
from wsclient.coinflex.book import BookSnapshot, OrderBook
from wsclient.errors import NotFound, ProtocolError, WouldDeadlock
from wsclient.sandbox.engine import Engine


def opened(id: int, quantity: int, price: int, time: int = 0, **more: Any) -> dict[str, Any]:
    named = {"notice": "OrderOpened", "id": id, "base": BASE, "counter": COUNTER}
    return {**named, "quantity": quantity, "price": price, "time": time, **more}


def listed(*rows: tuple[int, int, int, int]) -> dict[str, Any]:
    keys = ("id", "quantity", "price", "time")
    return {"error_code": 0, "tag": 1, "orders": [dict(zip(keys, row, strict=True)) for row in rows]}


def closed(id: int) -> dict[str, Any]:
    return {"notice": "OrderClosed", "id": id, "base": BASE, "counter": COUNTER, "quantity": 0, "price": 1}


def matched(**sides: int) -> dict[str, Any]:
    return {
        "notice": "OrdersMatched",
        "base": BASE,
        "counter": COUNTER,
        "quantity": 1,
        "price": 1,
        "time": 9,
        **sides,
    }


def whole(*rows: tuple[int, int, int, int], **options: Any) -> OrderBook:
    book = OrderBook(*PAIR, **options)
    book.asked()
    book.answered(listed(*rows))
    return book


BOOK = ((1, 500, 900, 1), (2, 200, 900, 2), (3, 100, 800, 3), (4, -300, 1000, 4), (5, -400, 1100, 5))


# -- reading


def test_a_book_is_read_by_orders_by_levels_and_by_its_best_prices() -> None:
    book = whole(*reversed(BOOK))
    assert [tuple(order) for order in book.orders] == list(BOOK)
    assert book.levels.bids == (Level(900, 700), Level(800, 100))
    assert book.levels.asks == (Level(1000, 300), Level(1100, 400))
    assert (book.best_bid, book.best_ask) == (Level(900, 700), Level(1000, 300))
    assert book.depth(1).bids == (Level(900, 700),)
    assert book.depth(1).asks == (Level(1000, 300),)
    assert not book.stale
    assert len(book) == 5


def test_a_snapshot_stays_what_it_was_and_is_made_once_for_a_version() -> None:
    book = whole(*BOOK)
    before = book.snapshot()
    assert book.snapshot() is before
    assert book.depth() is book.depth()
    book.notice(closed(1))
    assert book.snapshot() is not before
    assert len(before.orders) == 5
    assert before.best_bid == Level(900, 700)
    assert book.best_bid == Level(900, 200)
    assert book.version > before.version


def test_a_book_without_orders_has_no_best_price_and_is_still_a_book() -> None:
    book = whole()
    assert book
    assert (book.best_bid, book.best_ask, book.orders, len(book)) == (None, None, (), 0)
    assert book.depth(3).bids == ()


def test_the_repr_is_short_and_names_the_market() -> None:
    book = OrderBook(*PAIR)
    assert repr(book) == "<OrderBook XBT/USDT, 0 orders, stale>"
    assert repr(whole(*BOOK)) == "<OrderBook XBT/USDT, 5 orders, whole>"
    assert repr(OrderBook(1, 2)) == "<OrderBook 1/2, 0 orders, stale>"


# -- the rules


def test_opened_adds_modified_replaces_closed_deletes() -> None:
    book = whole(*BOOK)
    book.notice(opened(6, 50, 950, 6))
    assert book.best_bid == Level(950, 50)
    book.notice({**opened(6, 70, 850, 7), "notice": "OrderModified"})
    assert book.best_bid == Level(900, 700)
    assert book.orders[2] == Order(6, 70, 850, 7)
    book.notice(closed(6))
    assert [tuple(order) for order in book.orders] == list(BOOK)


def test_matched_sets_what_remains_of_the_sides_that_it_names() -> None:
    book = whole(*BOOK)
    book.notice(matched(bid=1, bid_rem=450, ask=4, ask_rem=250))
    assert (book.best_bid, book.best_ask) == (Level(900, 650), Level(1000, 250))
    book.notice(matched(ask=4, ask_rem=240))
    assert (book.best_bid, book.best_ask) == (Level(900, 650), Level(1000, 240))
    book.notice(matched(bid=1, bid_rem=0))
    assert [order.id for order in book.orders] == [2, 3, 4, 5]
    assert book.best_bid == Level(900, 200)


def test_what_names_an_unknown_order_changes_nothing() -> None:
    book = whole(*BOOK)
    version = book.version
    for notice in (closed(77), matched(bid=77, bid_rem=1, ask=78, ask_rem=1), matched()):
        book.notice(notice)
    assert book.version == version
    assert [tuple(order) for order in book.orders] == list(BOOK)


def test_what_is_about_another_market_changes_nothing() -> None:
    book = whole(*BOOK)
    for notice in ({**opened(6, 1, 950), "base": OTHER}, {**closed(1), "counter": OTHER}, {"notice": "Welcome"}):
        book.notice(notice)
    assert [tuple(order) for order in book.orders] == list(BOOK)


def test_an_unknown_order_that_is_modified_is_taken_in() -> None:
    book = whole()
    book.notice({**opened(6, 70, 850, 7), "notice": "OrderModified"})
    assert book.orders == (Order(6, 70, 850, 7),)


def test_the_news_of_an_order_that_the_snapshot_had_already_does_not_undo_it() -> None:
    book = whole((1, 300, 900, 1))
    book.notice(opened(1, 500, 900, 1, tonce=None))
    assert book.orders == (Order(1, 300, 900, 1),)


def test_an_own_match_from_before_the_snapshot_does_not_undo_it() -> None:
    book = whole((1, 300, 900, 10), (2, -300, 1000, 20))
    version = book.version
    book.notice({**matched(bid=1, bid_rem=400, ask=2, ask_rem=100), "time": 15})  # 2 was enlarged since, at 20
    assert [order.quantity for order in book.orders] == [300, -300]
    assert book.version == version
    book.notice({**matched(bid=1, bid_rem=250, ask=2, ask_rem=100), "time": 20})
    assert [order.quantity for order in book.orders] == [250, -100]


def test_notices_before_the_snapshot_are_held_and_applied_after_it() -> None:
    book = OrderBook(*PAIR)
    book.notice(closed(1))  # of nothing that was asked for
    book.asked()
    book.notice(opened(6, 50, 950, 6))
    book.notice(closed(1))
    assert len(book) == 0
    assert book.stale
    book.answered(listed(*BOOK))
    assert [order.id for order in book.orders] == [6, 2, 3, 4, 5]


# -- loss and healing


def test_a_book_is_stale_from_its_loss_until_it_is_whole_again() -> None:
    book = whole(*BOOK)
    book.lost()
    assert book.stale
    assert book.snapshot().stale
    assert book.depth(1).stale
    assert book.best_bid == Level(900, 700)  # as it was known last
    book.notice(closed(1))
    assert len(book) == 5
    book.asked()
    assert book.stale
    book.answered(listed((9, 10, 20, 30)))
    assert not book.stale
    assert not book.snapshot().stale
    assert book.orders == (Order(9, 10, 20, 30),)


def test_an_answer_to_what_was_lost_meanwhile_is_ignored() -> None:
    book = OrderBook(*PAIR)
    book.asked()
    book.lost()
    book.answered(listed(*BOOK))
    assert book.stale
    assert book.orders == ()


def test_notices_held_before_a_loss_are_forgotten() -> None:
    book = OrderBook(*PAIR)
    book.asked()
    book.notice(opened(6, 50, 950, 6))
    book.lost()
    book.asked()
    book.answered(listed(*BOOK))
    assert 6 not in [order.id for order in book.orders]


def test_held_notices_are_bounded() -> None:
    book = OrderBook(*PAIR, max_held=3)
    book.asked()
    for number in range(3):
        book.notice(opened(number, 1, 1))
    with pytest.raises(ProtocolError, match="more than 3 notices"):
        book.notice(opened(9, 1, 1))
    assert book.stale
    with pytest.raises(ProtocolError):
        book.wait(PATIENCE)
    book.asked()
    book.answered(listed(*BOOK))
    assert len(book) == 5


@pytest.mark.parametrize("long", ["x" * 1000, ["x" * 100] * 10, {"x" * 1000: None}, {"x": [{"x": "x" * 1000}]}])
def test_what_held_notices_take_is_bounded_too(long: Any) -> None:
    def hold(count: int) -> None:
        book.asked()
        for number in range(count):
            book.notice(opened(number, 1, 1, more=long))

    book = OrderBook(*PAIR, max_held_bytes=10_000)
    for _ in range(2):  # it is counted anew with each request
        hold(3)
        book.lost()
    with pytest.raises(ProtocolError, match="10000 bytes"):
        hold(10)
    assert book.stale


@pytest.mark.parametrize(
    "notice",
    [
        {**opened(6, 1, 1), "quantity": "1"},
        {**opened(6, 1, 1), "price": 1.5},
        {**opened(6, 1, 1), "id": None},
        {**opened(6, 1, 1), "time": True},
        {"notice": "OrderClosed", "base": BASE, "counter": COUNTER},
        matched(bid=1),
        matched(ask=4, bid_rem=1),
    ],
)
def test_a_notice_that_makes_no_sense_is_a_protocol_error_and_leaves_the_book_stale(
    notice: dict[str, Any],
) -> None:
    book = whole(*BOOK)
    with pytest.raises(ProtocolError, match="integer"):
        book.notice(notice)
    assert book.stale


@pytest.mark.parametrize("answer", [{}, {"orders": None}, {"orders": [1]}, {"orders": [{"id": 1}]}])
def test_a_snapshot_that_makes_no_sense_is_a_protocol_error(answer: dict[str, Any]) -> None:
    book = OrderBook(*PAIR)
    book.asked()
    with pytest.raises(ProtocolError):
        book.answered(answer)
    assert book.stale
    with pytest.raises(ProtocolError):
        book.wait()


# -- waiting and listening


def test_waiting_ends_when_the_book_is_whole() -> None:
    book = OrderBook(*PAIR)
    with pytest.raises(TimeoutError):
        book.wait(0)
    book.asked()
    with pytest.raises(TimeoutError):
        book.wait(0.001)
    waited: list[OrderBook] = []
    waiter = threading.Thread(target=lambda: waited.append(book.wait(PATIENCE)))
    waiter.start()
    book.answered(listed(*BOOK))
    waiter.join(PATIENCE)
    assert waited == [book]
    assert book.wait() is book


def test_waiting_ends_with_the_refusal_and_again_without_it() -> None:
    book = OrderBook(*PAIR)
    book.asked()
    refusal = NotFound(1, "no such market", {})
    book.failed(refusal)
    with pytest.raises(NotFound) as caught:
        book.wait()
    assert caught.value is not refusal
    book.asked()  # for another one of the watches that it lives on
    with pytest.raises(NotFound):
        book.wait(0)
    assert book.claim()
    book.asked()
    with pytest.raises(TimeoutError):
        book.wait(0)


def test_the_event_thread_is_told_that_it_would_wait_for_itself() -> None:
    book = OrderBook(*PAIR, on_event_thread=lambda: True)
    with pytest.raises(WouldDeadlock):
        book.wait(PATIENCE)
    book.asked()
    book.answered(listed())
    assert book.wait() is book


def test_a_listener_is_called_after_each_change_and_may_read_the_book() -> None:
    book = OrderBook(*PAIR)
    seen: list[tuple[bool, int]] = []
    end = book.on_change(lambda book: seen.append((book.snapshot().stale, len(book.orders))))
    book.asked()
    book.answered(listed(*BOOK))
    book.notice(closed(1))
    book.notice(closed(77))
    book.lost()
    book.lost()
    assert seen == [(False, 5), (False, 4), (True, 4)]
    end()
    end()
    book.asked()
    book.answered(listed())
    assert len(seen) == 3


def test_what_a_listener_raises_is_reported_and_changes_nothing_else() -> None:
    raised: list[BaseException] = []
    calls: list[OrderBook] = []
    book = OrderBook(*PAIR, raised=lambda listener, error: raised.append(error))
    book.on_change(lambda book: 1 / 0)
    book.on_change(calls.append)
    book.asked()
    book.answered(listed(*BOOK))
    assert [type(error) for error in raised] == [ZeroDivisionError]
    assert calls == [book]
    assert not book.stale


# -- more orders than the exchange tells


def test_what_lies_beyond_the_orders_that_were_told_is_left_out() -> None:
    book = whole(*BOOK, max_orders=3)  # three bids: there may be more at 800 and below
    assert (book.snapshot().bids_to, book.snapshot().asks_to) == (800, None)
    book.notice(opened(6, 50, 700))
    book.notice(opened(7, 50, 800))
    book.notice({**opened(1, 500, 700), "notice": "OrderModified"})
    assert [order.id for order in book.orders] == [2, 7, 3, 4, 5]
    book.notice({**opened(8, 500, 850), "notice": "OrderModified"})
    assert [order.id for order in book.orders] == [2, 8, 7, 3, 4, 5]


def test_a_side_of_which_all_that_is_known_has_gone_needs_a_new_snapshot() -> None:
    renewals: list[bool] = []
    book = OrderBook(*PAIR, max_orders=2, renew=lambda: renewals.append(True))
    book.asked()
    book.answered(listed((1, -1, 900, 1), (2, -1, 1000, 2)))
    book.notice(closed(1))
    assert not book.stale
    book.notice(matched(ask=2, ask_rem=0))
    assert book.stale
    assert renewals == [True]
    book.asked()
    book.answered(listed((3, -1, 1100, 3)))
    assert not book.stale
    assert book.snapshot().asks_to is None
    book.notice(closed(3))
    assert not book.stale


def test_a_book_of_more_orders_than_are_told_is_exact_up_to_where_it_is_known() -> None:
    random = Random(5)
    exchange = Exchange(random, max_open_orders=100)
    line = Line(exchange, lambda: None, limit=10)
    renewed = compared = partly = 0
    for _ in range(1000):
        line.act()
    renewals: list[bool] = [True]
    book = OrderBook(*PAIR, max_orders=10, renew=lambda: renewals.append(True))
    for number in range(5000):
        if renewals:
            renewals.clear()
            line.connect()
            book.asked()
            line.watch()
            line.run_request()
            line.deliver_reply(book)
            renewed += 1
        line.act(sweep if number % 300 == 0 else None)
        while line.notices:
            line.deliver_notice(book)
        snapshot = book.snapshot()
        if not snapshot.stale:
            known = [row for row in exchange.listed() if surely_known(row, snapshot)]
            assert [tuple(order) for order in snapshot.orders if surely_known(order, snapshot)] == known
            compared += 1
            partly += len(known) < len(exchange.book)
    assert renewed > 3
    assert compared > 4000
    assert partly > 1000


def sweep(engine: Engine) -> None:
    """Takes about as much as the exchange tells of a side."""
    engine.place(ME, base=BASE, counter=COUNTER, quantity=5000)


def surely_known(order: tuple[int, int, int, int], snapshot: BookSnapshot) -> bool:
    """Whether an order is at a better price than the last that is known."""
    _, quantity, price, _ = order
    if quantity > 0:
        return snapshot.bids_to is None or price > snapshot.bids_to
    return snapshot.asks_to is None or price < snapshot.asks_to


# -- equality with the exchange


class Follower:
    """A book on a line to an exchange, compared after everything that is delivered."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.exchange = Exchange(random)
        self.line = Line(self.exchange, lambda: dict(self.exchange.book))
        self.book = OrderBook(*PAIR)
        self.compared = self.held = self.losses = self.orders = 0

    def step(self) -> None:
        """Something happens: at the exchange, or on the line."""
        line, book = self.line, self.book
        chance = self.random.random()
        if chance < 0.002:
            self.lose()
        elif chance < 0.35:
            line.act()
            self.exchange.check()
        elif line.requests and chance < 0.37:
            line.run_request()
        elif line.replies and chance < 0.39:
            line.deliver_reply(book)
            self.compare()
        elif line.notices:
            self.held += book.stale
            line.deliver_notice(book)
            self.compare()

    def lose(self) -> None:
        self.line.connect()
        before = self.book.orders
        self.book.lost()
        assert self.book.stale
        assert self.book.orders == before
        self.book.asked()
        self.line.watch()
        self.losses += 1

    def compare(self) -> None:
        snapshot = self.book.snapshot()
        if not snapshot.stale:
            assert {order.id: tuple(order) for order in snapshot.orders} == self.line.truth
            self.compared += 1
            self.orders += len(snapshot.orders)

    def finish(self) -> None:
        line = self.line
        while line.requests:
            line.run_request()
        while line.replies:
            line.deliver_reply(self.book)
        while line.notices:
            line.deliver_notice(self.book)
        snapshot = self.book.snapshot()
        assert not snapshot.stale
        assert [tuple(order) for order in snapshot.orders] == self.exchange.listed()
        for levels, sign in ((snapshot.bids, 1), (snapshot.asks, -1)):
            sums: dict[int, int] = {}
            for _, quantity, price, _ in self.exchange.listed():
                if quantity * sign > 0:
                    sums[price] = sums.get(price, 0) + abs(quantity)
            assert [tuple(level) for level in levels] == sorted(sums.items(), key=lambda item: -sign * item[0])


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(50, 400))
def test_the_book_is_the_exchanges_after_every_event(random: Random, steps: int) -> None:
    follower = Follower(random)
    follower.lose()
    for _ in range(steps):
        follower.step()
    follower.finish()


@pytest.mark.parametrize("seed", range(4))
def test_the_book_is_the_exchanges_after_every_one_of_25000_events_and_through_losses(seed: int) -> None:
    follower = Follower(Random(seed))
    follower.lose()
    while follower.compared < 25_000:
        follower.step()
    follower.finish()
    assert follower.orders > 20 * follower.compared
    assert follower.losses > 20
    assert follower.held > 500


@pytest.mark.parametrize("seed", range(3))
def test_own_notices_that_come_late_leave_the_book_as_it_is_in_the_end(seed: int) -> None:
    random = Random(seed)
    exchange = Exchange(random)
    line = Line(exchange, lambda: None, owner=ME)
    for _ in range(60):
        book = OrderBook(*PAIR)
        line.connect()
        for _ in range(random.randrange(8)):
            line.act()  # told to the owner, and still on its way
        book.asked()
        line.watch()
        line.run_request()
        for _ in range(random.randrange(8)):
            line.act()
        while line.replies or line.notices:
            if line.replies and random.random() < 0.3:
                line.deliver_reply(book)
            elif line.notices:
                line.deliver_notice(book)
        assert [tuple(order) for order in book.orders] == exchange.listed()
