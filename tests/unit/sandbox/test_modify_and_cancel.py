import pytest

from tests.unit.sandbox.exchange import ANN, BASE, BOB, CAT, COUNTER, RICH, START, Exchange, kinds, refused
from wsclient.sandbox.answers import Order
from wsclient.sandbox.events import OrderClosed, OrderModified, OrdersMatched


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def test_a_smaller_quantity_keeps_its_place_and_frees_what_it_reserved(exchange: Exchange) -> None:
    exchange.place(ANN, 10, 20000)
    exchange.place(BOB, 10, 20000)
    exchange.skip()
    order = exchange.engine.modify(ANN, id=1, quantity_delta=-4)
    assert order == Order(1, ANN, None, BASE, COUNTER, 6, 20000, START)
    assert exchange.book() == [(1, 6, 20000), (2, 10, 20000)]
    assert exchange.balance(ANN, COUNTER) == (RICH - 12, 12)
    events = exchange.all_events()
    assert kinds(events) == ["BalanceChanged", "OrderModified"]
    assert events[1] == OrderModified(ANN, 1, None, BASE, COUNTER, 6, 20000, START)


def test_a_larger_quantity_goes_to_the_back_of_its_level_with_a_new_time(exchange: Exchange) -> None:
    exchange.place(ANN, 10, 20000)
    exchange.place(BOB, 10, 20000)
    order = exchange.engine.modify(ANN, id=1, quantity_delta=1)
    assert exchange.book() == [(2, 10, 20000), (1, 11, 20000)]
    assert order.time > exchange.engine.book(BASE, COUNTER)[0].time
    assert exchange.balance(ANN, COUNTER) == (RICH - 22, 22)


def test_the_delta_of_an_ask_is_signed_like_its_quantity(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    assert exchange.engine.modify(ANN, id=1, quantity_delta=4).quantity == -6
    assert exchange.engine.modify(ANN, id=1, quantity_delta=-5).quantity == -11


@pytest.mark.parametrize("delta", [-10, -11, -(2**63)])
def test_a_delta_that_reaches_or_crosses_zero_cancels(exchange: Exchange, delta: int) -> None:
    exchange.place(ANN, 10, 20000)
    exchange.skip()
    assert exchange.engine.modify(ANN, id=1, quantity_delta=delta).quantity == 0
    events = exchange.all_events()
    assert kinds(events) == ["OrderClosed", "BalanceChanged", "TickerChanged"]
    closed = events[0]
    assert isinstance(closed, OrderClosed)
    assert closed.quantity == 10, "what remained untraded, since 0 would say that it was filled"
    assert exchange.balance(ANN, COUNTER) == (RICH, 0)


def test_a_new_price_goes_to_the_back_of_its_new_level(exchange: Exchange) -> None:
    exchange.place(ANN, 10, 20000)
    exchange.place(BOB, 10, 20100)
    exchange.engine.modify(ANN, id=1, price=20155)
    assert exchange.book() == [(2, 10, 20100), (1, 10, 20100)]
    assert exchange.balance(ANN, COUNTER) == (RICH - 21, 21)


def test_a_price_that_rounds_to_the_old_one_changes_nothing(exchange: Exchange) -> None:
    exchange.place(ANN, 10, 20000)
    exchange.place(BOB, 10, 20000)
    exchange.skip()
    before = exchange.book()
    exchange.engine.modify(ANN, id=1, price=20099)
    exchange.engine.modify(ANN, id=1, quantity_delta=0)
    assert exchange.book() == before
    assert exchange.all_events() == []


def test_a_new_price_that_crosses_matches(exchange: Exchange) -> None:
    exchange.place(BOB, -4, 20100)
    exchange.place(ANN, 10, 20000)
    exchange.skip()
    order = exchange.engine.modify(ANN, id=2, price=20100)
    assert order.quantity == 6
    assert kinds(exchange.all_events())[:4] == ["BalanceChanged", "OrderModified", "OrdersMatched", "OrderClosed"]
    assert exchange.book() == [(2, 6, 20100)]


def test_a_modified_order_that_is_traded_whole_answers_with_nothing_left(exchange: Exchange) -> None:
    exchange.place(BOB, -10, 20100)
    exchange.place(ANN, 10, 20000)
    assert exchange.engine.modify(ANN, id=2, price=20200).quantity == 0
    assert exchange.book() == []
    assert exchange.balance(ANN, COUNTER)[1] == 0


def test_a_modified_order_may_meet_its_owners_other_orders_but_never_itself(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20100)
    exchange.place(ANN, 10, 20000)
    exchange.skip()
    exchange.engine.modify(ANN, id=2, price=20100, quantity_delta=5)
    (match,) = exchange.events(OrdersMatched)
    assert (match.bid.order, match.ask.order, match.quantity) == (2, 1, 10)
    assert exchange.book() == [(2, 5, 20100)]


def test_post_only_refuses_a_new_price_that_would_match(exchange: Exchange) -> None:
    exchange.place(BOB, -4, 20100)
    exchange.place(ANN, 10, 20000)
    with refused(9):
        exchange.engine.modify(ANN, id=2, price=20100, post_only=True)
    assert exchange.book() == [(2, 10, 20000), (1, -4, 20100)]
    exchange.engine.modify(ANN, id=2, price=19000, post_only=True)


def test_a_partly_filled_order_is_modified_by_what_remains(exchange: Exchange) -> None:
    exchange.place(ANN, 10, 20000)
    exchange.place(BOB, -4, 20000)
    assert exchange.engine.modify(ANN, id=1, quantity_delta=-5).quantity == 1
    assert exchange.balance(ANN, COUNTER) == (RICH - 8 - 2, 2)
    assert exchange.engine.modify(ANN, id=1, quantity_delta=-1).quantity == 0


def test_enlarging_needs_funds_and_counts_what_is_reserved_already(exchange: Exchange) -> None:
    exchange.engine.add_user(1, {COUNTER: 21})
    order = exchange.place(1, 10, 20000)
    with refused(4):
        exchange.engine.modify(1, id=order, quantity_delta=1)
    exchange.engine.modify(1, id=order, price=21000)
    assert exchange.balance(1, COUNTER) == (0, 21)
    with refused(4):
        exchange.engine.modify(1, id=order, price=22000)
    assert exchange.engine.modify(1, id=order, price=42000, quantity_delta=-5).quantity == 5


def test_orders_are_found_by_id_or_by_tonce(exchange: Exchange) -> None:
    exchange.place(ANN, 10, 20000, tonce=70)
    assert exchange.engine.modify(ANN, tonce=70, quantity_delta=-1).id == 1
    assert exchange.engine.cancel(ANN, tonce=70).id == 1
    with refused(1):
        exchange.engine.cancel(ANN, tonce=70)


def test_orders_of_others_are_not_found(exchange: Exchange) -> None:
    exchange.place(ANN, 10, 20000, tonce=70)
    for name in ({"id": 1}, {"tonce": 70}, {"id": 2}):
        with refused(1):
            exchange.engine.cancel(BOB, **name)
        with refused(1):
            exchange.engine.modify(BOB, quantity_delta=1, **name)


def test_cancelling_answers_with_what_remained_and_frees_it(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000, tonce=3)
    exchange.place(BOB, 4, 20000)
    exchange.skip()
    assert exchange.engine.cancel(ANN, id=1) == Order(1, ANN, 3, BASE, COUNTER, -6, 20000, START)
    assert kinds(exchange.all_events()) == ["OrderClosed", "BalanceChanged", "TickerChanged"]
    assert exchange.balance(ANN, BASE) == (RICH - 4, 0)
    with refused(1):
        exchange.engine.cancel(ANN, id=1)


def test_cancelling_all_leaves_the_others_orders_alone(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.place(BOB, -10, 20000)
    exchange.place(ANN, 5, 100)
    assert [order.id for order in exchange.engine.cancel_all(ANN)] == [1, 3]
    assert exchange.engine.cancel_all(ANN) == []
    assert exchange.book() == [(2, -10, 20000)]
    assert exchange.engine.cancel_all(CAT) == []
