import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sandbox.exchange import ANN, BASE, BOB, CAT, COUNTER, HOUSE, RICH, Exchange
from wsclient.sandbox.engine import Engine, Fees, Market
from wsclient.sandbox.events import OrderClosed, OrdersMatched
from wsclient.sandbox.settlement import Rounding, affordable

ONE_PERCENT, TWO_PERCENT = 10_000, 20_000


def test_totals_are_rounded_up_as_often_as_their_fraction_says() -> None:
    rounding = Rounding(seed=1)
    drawn = [rounding.divide(4321, 100) for _ in range(20_000)]
    assert set(drawn) == {43, 44}
    assert drawn.count(44) / len(drawn) == pytest.approx(0.21, abs=0.01)


def test_what_divides_evenly_is_left_alone() -> None:
    assert [Rounding(seed).divide(4300, 100) for seed in range(5)] == [43] * 5


def test_the_seed_decides() -> None:
    def draws(seed: int) -> list[int]:
        rounding = Rounding(seed)
        return [rounding.divide(1, 2) for _ in range(64)]

    assert draws(1) == draws(1) != draws(2)


amounts = st.integers(1, 10**6) | st.integers(1, 30)
rates = st.integers(0, 10**6) | st.sampled_from([250_000, 500_000, 10**6])


@given(amounts, amounts, amounts, st.integers(0, 10**6), rates, rates, st.sampled_from([1, 100, 10_000, 10**8]))
def test_a_settlement_never_takes_more_than_there_is(
    whole: int, part: int, limit: int, better: int, bid_rate: int, ask_rate: int, scale: int
) -> None:
    """The claim of settlement.py for a bid of `whole` at `limit` that is matched at `limit - better`."""
    market = Market(1, 2, 1, scale)
    price = max(1, limit - better)
    money = market.cost(whole, limit)
    quantity = min(whole, part, affordable(market, price, money, bid_rate))
    if not quantity:
        return
    most = money - market.cost(whole - quantity, limit)
    settled = Rounding(0).settle(
        market, quantity, price, money=money, most=most, bid_rate=bid_rate, ask_rate=ask_rate
    )
    assert settled.total in (quantity * price // scale, market.cost(quantity, price))
    assert settled.total <= most
    low_fee = settled.total * bid_rate // 10**6
    assert low_fee <= settled.bid_fee <= low_fee + 1
    assert settled.total + settled.bid_fee <= money
    assert 0 <= settled.ask_fee <= settled.total


@given(st.integers(1, 300), st.integers(1, 30_000), st.lists(st.integers(1, 20), max_size=40), st.integers(0, 9))
def test_partial_fills_never_cost_more_than_the_reservation(
    quantity: int, price: int, parts: list[int], seed: int
) -> None:
    engine = Engine([Market(1, 2, 1)], seed=seed)
    reservation = -(-quantity * price // 10_000)
    engine.add_user(1, {2: reservation})
    engine.add_user(2, {1: 10**6})
    engine.place(1, base=1, counter=2, quantity=quantity, price=price)
    for part in parts:
        engine.place(2, base=1, counter=2, quantity=-part, price=price, persist="fill_or_kill")
    left = max(0, quantity - sum(parts))
    balance = engine.balances(1)
    assert engine.orders(1)[0].quantity == left if left else not engine.orders(1)
    assert balance[-1].reserved == -(-left * price // 10_000)
    assert balance[-1].available >= 0


def test_without_fees_a_partial_fill_takes_exactly_its_quantity_off_an_order() -> None:
    for seed in range(20):
        exchange = Exchange(seed=seed)
        exchange.place(ANN, 10, 100)  # a unit of the counter asset pays for a hundred of the base
        exchange.place(BOB, -3, 100)
        assert exchange.book() == [(1, 7, 100)]


def test_maker_and_taker_pay_their_rates_in_the_counter_asset_to_the_house() -> None:
    exchange = Exchange(fees=Fees(ONE_PERCENT, TWO_PERCENT, HOUSE))
    exchange.place(ANN, -1000, 20000)
    exchange.place(BOB, 1000, 30000)
    (match,) = exchange.events(OrdersMatched)
    assert (match.ask.counter_fee, match.bid.counter_fee) == (20, 40)
    assert exchange.balance(ANN, COUNTER) == (RICH + 2000 - 20, 0)
    assert exchange.balance(BOB, COUNTER) == (RICH - 2000 - 40, 0)
    assert exchange.balance(HOUSE, COUNTER) == (60, 0)


def test_the_fee_of_a_resting_bid_shrinks_what_remains_of_it() -> None:
    """The reservation pays for the fee, and the order keeps what the rest of the reservation covers."""
    exchange = Exchange(fees=Fees(ONE_PERCENT, 0, HOUSE))
    exchange.place(ANN, 1000, 20000)
    exchange.place(BOB, -500, 20000)
    (match,) = exchange.events(OrdersMatched)
    assert (match.total, match.bid.counter_fee, match.bid.remaining) == (1000, 10, 495)
    assert exchange.balance(ANN, COUNTER) == (RICH - 2000, 990)
    assert exchange.book() == [(1, 495, 20000)]


def test_a_bid_that_must_pay_a_fee_trades_a_little_less() -> None:
    exchange = Exchange(fees=Fees(0, ONE_PERCENT, HOUSE))
    exchange.place(ANN, -1000, 20000)
    exchange.place(BOB, 1000, 20000)
    matches = exchange.events(OrdersMatched)
    assert sum(match.quantity for match in matches) == 990
    assert exchange.balance(BOB, COUNTER)[0] >= RICH - 2000
    assert exchange.balance(BOB, COUNTER)[1] == 0
    assert exchange.book() == [(1, -10, 20000)]


def test_a_total_is_rounded_down_where_rounded_up_it_would_eat_the_fee() -> None:
    """Half of the money is for the fee here: 2.5 and its fee may become 2 and 2, but never 3 and 3."""
    market = Market(1, 2, 1, scale=10)
    assert affordable(market, price=1, money=5, rate=1_000_000) == 25
    for seed in range(10):
        settled = Rounding(seed).settle(market, 25, 1, money=5, most=5, bid_rate=1_000_000, ask_rate=0)
        assert (settled.total, settled.bid_fee) == (2, 2)


def test_a_bid_that_can_not_pay_for_one_unit_and_its_fee_is_closed_as_it_is() -> None:
    exchange = Exchange(fees=Fees(ONE_PERCENT, ONE_PERCENT, HOUSE))
    exchange.place(ANN, 1, 2_000_000)  # reserves 200, would have to pay 202
    exchange.place(CAT, 10, 2_000_000)
    exchange.skip()
    assert exchange.place(BOB, -5) == 0
    closed = exchange.events(OrderClosed)
    assert [(event.id, event.quantity) for event in closed] == [(1, 1)]
    assert exchange.balance(ANN, COUNTER) == (RICH, 0)


def test_an_incoming_bid_that_can_not_pay_its_fee_does_not_stay_to_cross_the_book() -> None:
    exchange = Exchange(fees=Fees(ONE_PERCENT, ONE_PERCENT, HOUSE))
    exchange.place(ANN, -5, 2_000_000)
    exchange.place(BOB, 1, 2_000_000)
    assert exchange.book() == [(1, -5, 2_000_000)]
    assert exchange.balance(BOB, COUNTER) == (RICH, 0)


def test_who_trades_with_himself_pays_no_fee() -> None:
    exchange = Exchange(fees=Fees(ONE_PERCENT, TWO_PERCENT, HOUSE))
    exchange.place(ANN, -1000, 20000)
    exchange.place(ANN, 1000, 20000)
    assert exchange.balance(ANN, COUNTER) == (RICH, 0)
    assert exchange.book() == []


def test_a_market_buyer_keeps_enough_for_the_fee() -> None:
    exchange = Exchange(fees=Fees(0, ONE_PERCENT, HOUSE))
    exchange.engine.add_user(1, {COUNTER: 2020})
    exchange.place(ANN, -5000, 20000)
    assert exchange.place(1, 5000) == 4000
    assert exchange.balance(1, COUNTER) == (0, 0)
    assert exchange.balance(1, BASE) == (1000, 0)


def test_the_house_is_an_account_that_no_user_can_have() -> None:
    exchange = Exchange(fees=Fees(1, 1, HOUSE))
    assert exchange.engine.balances(HOUSE) == []
    with pytest.raises(ValueError):
        exchange.engine.add_user(HOUSE, {})


@pytest.mark.parametrize("rate", [-1, 1_000_001])
def test_a_fee_is_between_nothing_and_everything(rate: int) -> None:
    with pytest.raises(ValueError):
        Fees(maker=rate)
    with pytest.raises(ValueError):
        Fees(taker=rate)
