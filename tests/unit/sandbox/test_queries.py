from tests.unit.sandbox.exchange import ANN, BASE, BOB, COUNTER, RICH, Exchange
from wsclient.sandbox.answers import Balance, Estimate
from wsclient.sandbox.engine import Engine, Market
from wsclient.sandbox.listings import coinflex_markets


def filled() -> Exchange:
    exchange = Exchange()
    exchange.place(ANN, -10, 20000)
    exchange.place(ANN, -10, 30000)
    exchange.place(ANN, 10, 10000)
    exchange.skip()
    return exchange


def test_an_estimate_walks_the_book_and_changes_nothing() -> None:
    exchange = filled()
    before = exchange.book()

    def estimate(**fields: int) -> Estimate:
        return exchange.engine.estimate(base=BASE, counter=COUNTER, **fields)

    assert estimate(quantity=14) == Estimate(14, 32)
    assert estimate(quantity=-4) == Estimate(4, 4)
    assert estimate(total=27) == Estimate(12, 26)
    assert estimate(total=-3) == Estimate(3, 3)
    assert estimate(quantity=1000) == Estimate(20, 50)
    assert estimate(total=-1000) == Estimate(10, 10)
    assert exchange.book() == before
    assert exchange.all_events() == []


def test_an_estimate_rounds_the_sum_and_not_its_parts() -> None:
    exchange = Exchange()
    for _ in range(4):
        exchange.place(ANN, -1, 10300)
    assert exchange.engine.estimate(base=BASE, counter=COUNTER, quantity=4) == Estimate(4, 4)
    for _ in range(16):
        exchange.place(ANN, -1, 10300)
    assert exchange.engine.estimate(base=BASE, counter=COUNTER, quantity=20) == Estimate(20, 21)


def test_an_estimate_of_an_empty_book_is_nothing() -> None:
    assert Exchange().engine.estimate(base=BASE, counter=COUNTER, quantity=5) == Estimate(0, 0)


def test_the_book_is_cut_on_each_side_to_its_best() -> None:
    exchange = filled()
    assert [order.id for order in exchange.engine.book(BASE, COUNTER, limit=1)] == [3, 1]
    assert [order.id for order in exchange.engine.book(BASE, COUNTER)] == [3, 1, 2]


def test_balances_tell_what_is_available_what_is_reserved_and_their_sum() -> None:
    exchange = filled()
    assert exchange.engine.balances(ANN) == [Balance(BASE, RICH - 20, 20), Balance(COUNTER, RICH - 10, 10)]
    assert exchange.engine.balances(ANN)[0].total == RICH


def test_orders_are_listed_oldest_first_with_what_remains() -> None:
    exchange = filled()
    exchange.place(BOB, 3)
    assert [(order.id, order.quantity) for order in exchange.engine.orders(ANN)] == [(1, -7), (2, -10), (3, 10)]
    assert exchange.engine.orders(BOB) == []


def test_events_are_taken_once() -> None:
    exchange = Exchange()
    exchange.place(ANN, -10, 20000)
    assert exchange.all_events() != []
    assert exchange.all_events() == []


def test_markets_have_scales_of_their_own() -> None:
    engine = Engine([Market(1, 2, tick=1, scale=10**8)])
    engine.add_user(1, {1: 10**9, 2: 10**9})
    engine.place(1, base=1, counter=2, quantity=3 * 10**8, price=2 * 10**8)
    assert engine.balances(1)[1].reserved == 6 * 10**8


def test_every_market_of_the_venue_is_listed_by_codes() -> None:
    markets = coinflex_markets()
    assert Market(63488, 65283, 10000, 10000) in markets
    assert len({(market.base, market.counter) for market in markets}) == len(markets) == 60
    Engine(markets)
