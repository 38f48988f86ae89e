import pytest

from tests.unit.sandbox.exchange import ANN, BASE, BOB, CAT, COUNTER, RICH, Exchange, kinds
from wsclient.sandbox.engine import Engine, Market
from wsclient.sandbox.events import OrdersMatched


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def test_a_market_order_by_quantity_walks_the_book(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.place(ANN, -10, 30000)
    assert exchange.place(BOB, 14) == 0
    assert exchange.balance(BOB, COUNTER) == (RICH - 32, 0)
    assert exchange.book() == [(2, -6, 30000)]


def test_its_side_of_a_match_is_not_named_but_keeps_owner_and_tonce(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.place(BOB, 4, tonce=5)
    match = exchange.events(OrdersMatched)[0]
    assert (match.bid.user, match.bid.order, match.bid.tonce, match.bid.remaining) == (BOB, None, 5, None)
    assert (match.ask.user, match.ask.order, match.ask.remaining) == (ANN, 1, 6)


def test_it_is_never_opened_nor_closed(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.skip()
    exchange.place(BOB, 4)
    assert {"OrderOpened", "OrderClosed"}.isdisjoint(kinds(exchange.all_events()))


@pytest.mark.parametrize("sign", [1, -1])
def test_what_a_thin_book_cannot_fill_remains(exchange: Exchange, sign: int) -> None:
    exchange.place(ANN, -10 * sign, 20000)
    assert exchange.place(BOB, 25 * sign) == 15
    assert exchange.place(BOB, 25 * sign) == 25


def test_by_total_a_buyer_spends_up_to_the_total(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.place(ANN, -10, 30000)
    assert exchange.place(BOB, total=27) == 1  # 20 for ten, 6 for two, and 1 buys none
    assert exchange.balance(BOB, COUNTER) == (RICH - 26, 0)
    assert exchange.balance(BOB, BASE) == (RICH + 12, 0)


def test_by_total_a_seller_receives_up_to_the_total(exchange: Exchange) -> None:
    exchange.place(ANN, 10, 30000)
    exchange.place(ANN, 10, 20000)
    assert exchange.place(BOB, total=-35) == 1
    assert exchange.balance(BOB, COUNTER) == (RICH + 34, 0)
    assert exchange.balance(BOB, BASE) == (RICH - 12, 0)


def poor(balances: dict[int, int]) -> Exchange:
    exchange = Exchange()
    exchange.engine.add_user(1, balances)
    return exchange


def test_a_buyer_trades_as_far_as_his_balance_reaches() -> None:
    exchange = poor({COUNTER: 25})
    exchange.place(ANN, -10, 20000)
    exchange.place(ANN, -10, 30000)
    assert exchange.place(1, 20) == 9
    assert exchange.balance(1, COUNTER) == (2, 0)
    assert exchange.balance(1, BASE) == (11, 0)


def test_a_seller_trades_as_far_as_his_balance_reaches() -> None:
    exchange = poor({BASE: 7})
    exchange.place(ANN, 10, 20000)
    assert exchange.place(1, -20) == 13
    assert exchange.balance(1, BASE) == (0, 0)
    assert exchange.place(1, total=-50) == 50


def test_by_total_the_balance_is_a_limit_too() -> None:
    exchange = poor({COUNTER: 8})
    exchange.place(ANN, -10, 20000)
    assert exchange.place(1, total=20) == 12
    assert exchange.balance(1, COUNTER) == (0, 0)


def test_reserved_money_is_not_spent() -> None:
    exchange = poor({COUNTER: 30})
    exchange.place(1, 10, 20000)
    exchange.place(ANN, -10, 20100)
    assert exchange.place(1, 10) == 6
    assert exchange.balance(1, COUNTER)[1] == 20


def test_a_total_that_buys_less_than_one_unit_buys_nothing(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.skip()
    assert exchange.place(BOB, total=1) == 1
    assert exchange.all_events() == []


def test_a_market_order_can_meet_its_owners_orders(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    assert exchange.place(ANN, 10) == 0
    assert exchange.balance(ANN, COUNTER) == (RICH, 0)
    assert exchange.balance(ANN, BASE) == (RICH, 0)


@pytest.mark.parametrize("total", [1, 2, 3, 7, 50, -1, -2, -3, -7, -50])
@pytest.mark.parametrize("seed", range(5))
def test_by_total_what_is_traded_and_what_remains_add_up_at_prices_that_need_rounding(
    total: int, seed: int
) -> None:
    engine = Engine([Market(BASE, COUNTER, tick=1)], seed=seed)
    engine.add_user(ANN, {BASE: 10**6, COUNTER: 10**6})
    engine.add_user(CAT, {BASE: 10**6, COUNTER: 10**6})
    for price in (7, 333, 3333, 9999):
        side = -1 if total > 0 else 1
        engine.place(ANN, base=BASE, counter=COUNTER, quantity=side * 1000, price=price)
    remaining = engine.place(CAT, base=BASE, counter=COUNTER, total=total).remaining
    assert remaining is not None
    assert 0 <= remaining <= abs(total)
    paid = 10**6 - engine.balances(CAT)[1].available
    assert paid * (1 if total > 0 else -1) == abs(total) - remaining
