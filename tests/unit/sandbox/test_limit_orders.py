import pytest

from tests.unit.sandbox.exchange import ANN, BASE, BOB, CAT, COUNTER, RICH, START, Exchange, kinds
from wsclient.sandbox.answers import Placed
from wsclient.sandbox.events import BalanceChanged, OrderClosed, OrderOpened, OrdersMatched


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def makers(exchange: Exchange) -> list[int | None]:
    """Who was matched, in order."""
    return [
        (event.ask if event.taker_side == "bid" else event.bid).order for event in exchange.events(OrdersMatched)
    ]


def test_the_best_price_trades_first_and_at_one_price_the_earliest(exchange: Exchange) -> None:
    late_worse = exchange.place(ANN, -5, 20200)
    first = exchange.place(ANN, -5, 20100)
    second = exchange.place(BOB, -5, 20100)
    best = exchange.place(BOB, -5, 20000)
    exchange.skip()
    exchange.place(CAT, 17, 20200)
    assert makers(exchange) == [best, first, second, late_worse]
    assert exchange.book() == [(late_worse, -3, 20200)]


def test_bids_are_matched_from_the_highest_and_the_earliest(exchange: Exchange) -> None:
    low = exchange.place(ANN, 5, 19000)
    high = exchange.place(ANN, 5, 19100)
    later = exchange.place(BOB, 5, 19100)
    exchange.skip()
    exchange.place(CAT, -12, 19000)
    assert makers(exchange) == [high, later, low]


def test_a_trade_is_made_at_the_makers_price_and_the_difference_is_given_back(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.place(BOB, 10, 30000)
    assert exchange.balance(BOB, COUNTER) == (RICH - 20, 0)
    assert exchange.balance(BOB, BASE) == (RICH + 10, 0)
    assert exchange.balance(ANN, COUNTER) == (RICH + 20, 0)
    assert exchange.balance(ANN, BASE) == (RICH - 10, 0)


def test_a_bid_reserves_the_counter_asset_rounded_up_and_an_ask_the_base_asset(exchange: Exchange) -> None:
    exchange.place(ANN, 3, 10100)
    exchange.place(BOB, -7, 10200)
    assert exchange.balance(ANN, COUNTER) == (RICH - 4, 4)
    assert exchange.balance(BOB, BASE) == (RICH - 7, 7)


def test_the_published_example_of_a_reservation_holds() -> None:
    exchange = Exchange()
    exchange.place(ANN, 12345, 1234500)
    assert exchange.balance(ANN, COUNTER)[1] == 1523991


@pytest.mark.parametrize(("quantity", "price"), [(5, 20000), (-5, 20100)])
def test_prices_are_rounded_to_the_tick_in_the_owners_favour(
    exchange: Exchange, quantity: int, price: int
) -> None:
    exchange.place(ANN, quantity, 20050)
    assert exchange.book() == [(1, quantity, price)]


def test_a_price_on_the_tick_stays(exchange: Exchange) -> None:
    exchange.place(ANN, -5, 20100)
    exchange.place(BOB, 5, 20000)
    assert exchange.book() == [(2, 5, 20000), (1, -5, 20100)]


def test_an_order_is_opened_whole_then_matched_then_its_rest_stays(exchange: Exchange) -> None:
    exchange.place(ANN, -4, 20000, tonce=1)
    exchange.skip()
    exchange.place(BOB, 10, 20000, tonce=8)
    events = exchange.all_events()
    assert kinds(events) == [
        "BalanceChanged",  # the reservation
        "OrderOpened",
        "OrdersMatched",
        "OrderClosed",  # the maker, before its balance
        "BalanceChanged",
        "BalanceChanged",
        "TradeVolumeChanged",
        "TradeVolumeChanged",
        "TradeVolumeChanged",
        "TradeVolumeChanged",
        "TickerChanged",
    ]
    assert events[0] == BalanceChanged(BOB, COUNTER, RICH - 20)
    assert events[1] == OrderOpened(BOB, 2, 8, BASE, COUNTER, 10, 20000, START + 1)
    match, closed = events[2], events[3]
    assert isinstance(match, OrdersMatched)
    assert (match.quantity, match.price, match.total, match.taker_side) == (4, 20000, 8, "bid")
    assert (match.bid.order, match.bid.tonce, match.bid.remaining) == (2, 8, 6)
    assert (match.ask.order, match.ask.tonce, match.ask.remaining) == (1, 1, 0)
    assert closed == OrderClosed(ANN, 1, 1, BASE, COUNTER, 0, 20000, START + 3)
    assert exchange.book() == [(2, 6, 20000)]


def test_an_order_that_is_traded_at_once_is_opened_matched_and_closed(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.skip()
    exchange.place(BOB, 10, 20000)
    assert [kind for kind in kinds(exchange.all_events()) if kind.startswith("Order")] == [
        "OrderOpened",
        "OrdersMatched",
        "OrderClosed",
        "OrderClosed",
    ]
    assert exchange.book() == []


def test_a_balance_that_a_match_leaves_alone_is_not_told(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.skip()
    exchange.place(BOB, 10, 20000)
    told = [(event.user, event.asset) for event in exchange.events(BalanceChanged)]
    assert told == [(BOB, COUNTER), (BOB, BASE), (ANN, COUNTER)]


def test_fill_or_kill_closes_what_does_not_match_at_once(exchange: Exchange) -> None:
    exchange.place(ANN, -4, 20000)
    exchange.skip()
    killed = exchange.place(BOB, 10, 20000, persist="fill_or_kill")
    closed = exchange.events(OrderClosed)[-1]
    assert (closed.id, closed.quantity) == (killed, 6)
    assert exchange.book() == []
    assert exchange.balance(BOB, COUNTER) == (RICH - 8, 0)


def test_orders_that_do_not_persist_end_with_their_session_only(exchange: Exchange) -> None:
    session, other = object(), object()
    exchange.place(ANN, 5, 20000, persist=False, session=session)
    stays = exchange.place(ANN, 5, 20000, session=session)
    others = exchange.place(ANN, 5, 20000, persist=False, session=other)
    assert [order.id for order in exchange.engine.end_session(session)] == [1]
    assert exchange.engine.end_session(session) == []
    assert [order.id for order in exchange.engine.orders(ANN)] == [stays, others]


def test_an_order_traded_before_its_session_ends_is_no_part_of_it(exchange: Exchange) -> None:
    exchange.place(ANN, 5, 20000, persist=False, session="s")
    exchange.place(BOB, -5, 20000)
    assert exchange.engine.end_session("s") == []


def test_post_only_is_refused_where_it_would_match_and_rests_where_not(exchange: Exchange) -> None:
    exchange.place(ANN, -5, 20100)
    exchange.refuses(9, BOB, 5, 20100, post_only=True)
    exchange.place(BOB, 5, 20000, post_only=True)
    exchange.refuses(9, CAT, -5, 19950, post_only=True)
    assert exchange.book() == [(2, 5, 20000), (1, -5, 20100)]


def test_post_only_is_judged_by_the_price_at_the_tick(exchange: Exchange) -> None:
    exchange.place(ANN, -5, 20100)
    exchange.place(BOB, 5, 20199 - 100, post_only=True)
    exchange.refuses(9, BOB, 5, 20199, post_only=True)


def test_who_trades_with_himself_gets_what_he_gives(exchange: Exchange) -> None:
    exchange.place(ANN, -10, 20000)
    exchange.place(ANN, 10, 25000)
    assert exchange.balance(ANN, BASE) == (RICH, 0)
    assert exchange.balance(ANN, COUNTER) == (RICH, 0)
    assert len(exchange.events(OrdersMatched)) == 1


def test_ids_and_times_rise_even_if_the_clock_stands_still_or_goes_back(exchange: Exchange) -> None:
    answers = []
    for step in (0, -500, 0, 7):
        exchange.clock += step
        answers.append(exchange.engine.place(ANN, base=BASE, counter=COUNTER, quantity=1, price=100))
    assert answers == [Placed(id=n, time=START + n - 1) for n in (1, 2, 3, 4)]
    exchange.clock = START + 100
    assert exchange.engine.cancel(ANN, id=1).time == START
    assert exchange.events(OrderClosed)[0].time == START + 100


def test_the_number_of_open_orders_is_limited_for_each_user() -> None:
    exchange = Exchange(max_open_orders=2)
    exchange.place(ANN, 1, 100)
    exchange.place(ANN, 1, 100)
    exchange.refuses(5, ANN, 1, 100)
    exchange.place(BOB, 1, 100)
    exchange.place(ANN, -1)  # market orders are never open
    exchange.place(ANN, 1, 100)


def test_a_thousand_open_orders_are_allowed_by_default(exchange: Exchange) -> None:
    for _ in range(1000):
        exchange.place(ANN, 1, 100)
    exchange.refuses(5, ANN, 1, 100)
