"""What market streams say of trades, books, candles and statistics."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sandbox.binance_exchange import PRICE, START, USDT, XBT, Exchange

TICK = 10_000
Book = dict[str, dict[str, str]]


def trade(exchange: Exchange, quantity: int = 10, price: int = PRICE, *, bought: bool = True) -> None:
    """A trade of its quantity / 10000 at a price, taken by a buyer or a seller."""
    sign = 1 if bought else -1
    exchange.coinflex(exchange.users[0], -sign * quantity, price)
    exchange.coinflex(exchange.users[1], sign * quantity, price)


def test_a_trade_is_told_at_once_with_all_its_fields() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@trade")
    trade(exchange, 15_000, bought=False)
    now = exchange.clock // 1000
    [message] = exchange.hears(session)
    assert message.pop("T") in (now, now + 1)
    assert message == {
        "e": "trade", "E": now, "s": "BTCUSDT", "t": 1, "p": "9000.00000000", "q": "1.50000000", "m": True,
        "M": True,
    }  # fmt: skip


def test_trade_numbers_are_consecutive_whoever_listens() -> None:
    exchange = Exchange()
    trade(exchange)
    session = exchange.connect("/ws/btcusdt@trade")
    for _ in range(5):
        trade(exchange)
    assert [message["t"] for message in exchange.hears(session)] == [2, 3, 4, 5, 6]


def test_the_matches_of_one_order_at_one_price_are_one_aggregate_trade() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@aggTrade")
    ann, bob, cat = exchange.users
    for user, price in ((ann, PRICE), (bob, PRICE), (ann, PRICE + TICK), (bob, PRICE + TICK)):
        exchange.coinflex(user, -100, price)
    exchange.coinflex(cat, 350, PRICE + TICK)  # all of the first level, one and a half of the second
    exchange.coinflex(cat, 50)
    told = [(m["a"], m["p"], m["q"], m["f"], m["l"], m["m"]) for m in exchange.hears(session)]
    assert told == [
        (1, "9000.00000000", "0.02000000", 1, 2, False),
        (2, "9001.00000000", "0.01500000", 3, 4, False),
        (3, "9001.00000000", "0.00500000", 5, 5, False),
    ]


def test_two_market_orders_of_one_user_are_two_aggregate_trades_though_they_come_together() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@aggTrade")
    exchange.coinflex(exchange.users[0], -100, PRICE)
    for _ in range(2):
        exchange.engine.place(exchange.users[1].id, base=XBT, counter=USDT, quantity=50)
    exchange.publish()
    assert [(m["f"], m["l"]) for m in exchange.hears(session)] == [(1, 1), (2, 2)]


def test_the_best_prices_are_told_when_they_change() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@bookTicker")
    ann = exchange.users[0]
    exchange.coinflex(ann, 100, PRICE)
    exchange.coinflex(ann, 100, PRICE - TICK)  # not the best
    exchange.coinflex(ann, -100, PRICE + TICK)
    exchange.coinflex(ann, 50, PRICE)
    told = [(m["b"], m["B"], m["a"], m["A"]) for m in exchange.hears(session)]
    nothing = "0.00000000"
    assert told == [
        (nothing, nothing, nothing, nothing),
        ("9000.00000000", "0.01000000", nothing, nothing),
        ("9000.00000000", "0.01000000", "9001.00000000", "0.01000000"),
        ("9000.00000000", "0.01500000", "9001.00000000", "0.01000000"),
    ]


def test_a_change_of_the_book_comes_by_the_clock_of_its_stream() -> None:
    exchange = Exchange()
    slow, fast = exchange.connect("/ws/btcusdt@depth"), exchange.connect("/ws/btcusdt@depth@100ms")
    ann = exchange.users[0]
    for count in range(4):
        exchange.coinflex(ann, 100, PRICE - count * TICK)
        exchange.wait(0.1)
    assert len(exchange.hears(fast)) == 4
    assert exchange.hears(slow) == []
    exchange.wait(1)
    [event] = exchange.hears(slow)
    assert (event["e"], event["s"]) == ("depthUpdate", "BTCUSDT")
    assert event["u"] - event["U"] == 3
    assert event["a"] == []
    assert sorted(event["b"]) == [[f"{8997 + count}.00000000", "0.01000000"] for count in range(4)]
    exchange.wait(3)
    assert exchange.hears(slow) == exchange.hears(fast) == []


def test_a_partial_book_is_told_again_and_again() -> None:
    exchange = Exchange()
    session, fast = exchange.connect("/ws/btcusdt@depth5"), exchange.connect("/ws/btcusdt@depth10@100ms")
    for count in range(7):
        exchange.coinflex(exchange.users[0], 100, PRICE - count * TICK)
    exchange.wait(3)
    first, *others = exchange.hears(session)
    assert len(others) == 2
    assert len(exchange.hears(fast)) == 30
    assert first == others[0] == exchange.venue.state.feed.depth(exchange.venue.state.feed.markets["BTCUSDT"], 5)
    assert [price for price, _ in first["bids"]] == [f"{9000 - count}.00000000" for count in range(5)]


def snapshot(exchange: Exchange, session: int) -> tuple[int, Book]:
    reply = exchange.call(session, "depth", symbol="BTCUSDT", limit=5000)
    return reply["lastUpdateId"], {"b": dict(reply["bids"]), "a": dict(reply["asks"])}


def whole(exchange: Exchange) -> Book:
    """The engine's book, in the form in which clients keep theirs."""
    symbol = exchange.venue.state.symbols.by_name["BTCUSDT"]
    bids, asks = exchange.engine.levels(XBT, USDT)
    return {
        side: {symbol.price(price): symbol.quantity(quantity) for price, quantity in levels}
        for side, levels in (("b", bids), ("a", asks))
    }


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["place", "take", "modify", "cancel", "wait", "snapshot"]),
        st.integers(0, 2),
        st.integers(-6, 6),
        st.integers(1, 300),
    ),
    max_size=60,
)


def act(exchange: Exchange, action: str, number: int, offset: int, size: int) -> None:
    engine, user = exchange.engine, exchange.users[number].id
    sign = 1 if size % 2 else -1
    if action == "place":
        exchange.coinflex(exchange.users[number], sign * size, PRICE + offset * TICK)
    elif action == "take":
        exchange.coinflex(exchange.users[number], sign * size)
    elif orders := engine.orders(user):
        chosen = orders[size % len(orders)]
        if action == "modify":
            engine.modify(user, id=chosen.id, price=PRICE + offset * TICK, quantity_delta=sign * size)
        elif action == "cancel":
            engine.cancel(user, id=chosen.id)
        exchange.publish()


@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.sampled_from(["btcusdt@depth", "btcusdt@depth@100ms"]))
def test_a_book_kept_by_the_rule_is_the_engines(actions: list[tuple[str, int, int, int]], stream: str) -> None:
    exchange = Exchange(request_weight=None)
    feed, api = exchange.connect(f"/ws/{stream}"), exchange.connect("/ws-api/v3")
    update_id, book = 0, {"b": {}, "a": {}}  # type: tuple[int, Book]
    last = None

    def apply(events: list[Any]) -> None:
        nonlocal update_id, last
        for event in events:
            assert last is None or event["U"] == last + 1, "contiguous"
            last = event["u"]
            if not update_id or event["u"] <= update_id:
                continue
            assert event["U"] <= update_id + 1, "no gap"
            for side in ("b", "a"):
                for price, quantity in event[side]:
                    if float(quantity):
                        book[side][price] = quantity
                    else:
                        book[side].pop(price, None)
            update_id = event["u"]

    for action, number, offset, size in actions:
        if action == "wait":
            exchange.wait(size / 100)
            apply(exchange.hears(feed))
        elif action == "snapshot":
            apply(exchange.hears(feed))
            update_id, book = snapshot(exchange, api)
        else:
            act(exchange, action, number, offset, size)
    if not update_id:
        update_id, book = snapshot(exchange, api)
    exchange.wait(2)
    apply(exchange.hears(feed))
    assert book == whole(exchange)
    assert (update_id, book) == snapshot(exchange, api)


def test_a_candle_is_told_every_two_seconds_as_long_as_it_changes_and_once_more_when_it_is_over() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@kline_1m")
    exchange.wait(3)
    assert exchange.hears(session) == []
    trade(exchange, 10_000)
    trade(exchange, 20_000, PRICE + TICK, bought=False)
    exchange.wait(4)
    [message] = exchange.hears(session)
    start = START // 60_000_000 * 60_000
    assert (message["e"], message["s"]) == ("kline", "BTCUSDT")
    assert message["k"] == {
        "t": start, "T": start + 59_999, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2,
        "o": "9000.00000000", "c": "9001.00000000", "h": "9001.00000000", "l": "9000.00000000",
        "v": "3.00000000", "n": 2, "x": False, "q": "27002.00000000", "V": "1.00000000", "Q": "9000.00000000",
        "B": "0",
    }  # fmt: skip
    exchange.wait(60)
    last, following = exchange.hears(session)
    assert last["k"] == {**message["k"], "x": True}
    assert following["k"]["t"] == start + 60_000
    assert (following["k"]["o"], following["k"]["n"], following["k"]["f"]) == ("9001.00000000", 0, -1)


def test_trades_just_before_the_end_of_a_candle_are_in_its_last_message() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@kline_1s")
    for count in range(3):
        exchange.wait(0.9)
        trade(exchange)
        exchange.wait(0.1)
        closed = [message["k"] for message in exchange.hears(session) if message["k"]["x"]]
        assert [(candle["t"], candle["n"]) for candle in closed] == [(START // 1000 + 1000 * count, 1)]


def test_statistics_of_a_day_are_told_once_a_second_when_they_change() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@ticker/btcusdt@miniTicker/btcusdt@ticker_1h/btcusdt@avgPrice")
    exchange.wait(2)
    assert exchange.hears(session) == []
    trade(exchange, 10_000, 80_000_000)
    trade(exchange, 30_000, 100_000_000)
    exchange.coinflex(exchange.users[0], 10, 99_000_000)
    exchange.wait(1)
    told = {message["e"]: message for message in exchange.hears(session)}
    assert set(told) == {"24hrTicker", "24hrMiniTicker", "1hTicker", "avgPrice"}
    ticker = told["24hrTicker"]
    assert ticker == {
        **ticker, "s": "BTCUSDT", "p": "2000.00000000", "P": "25.000", "w": "9500.00000000", "x": "0.00000000",
        "c": "10000.00000000", "Q": "3.00000000", "b": "9900.00000000", "B": "0.00100000", "a": "0.00000000",
        "A": "0.00000000", "o": "8000.00000000", "h": "10000.00000000", "l": "8000.00000000", "v": "4.00000000",
        "q": "38000.00000000", "F": 1, "L": 2, "n": 2,
    }  # fmt: skip
    assert set(ticker) == set("eEspPwxcQbBaAohlvqOCFLn")
    assert set(told["24hrMiniTicker"]) == set("eEscohlvq")
    assert set(told["1hTicker"]) == set("eEspPohlcwvqOCFLn")
    assert told["1hTicker"]["O"] % 60_000 == 0
    assert told["avgPrice"]["w"] == "9500.00000000"
    exchange.wait(3)
    assert exchange.hears(session) == []
    trade(exchange)
    exchange.wait(2)
    assert len(exchange.hears(session)) == 4


@pytest.mark.parametrize("stream", ["!miniTicker@arr", "!ticker@arr", "!ticker_1h@arr", "!miniTicker@arr@1000ms"])
def test_the_streams_of_all_symbols_tell_of_those_that_changed(stream: str) -> None:
    exchange = Exchange()
    session = exchange.connect(f"/ws/{stream}")
    trade(exchange)
    exchange.wait(1)
    [message] = exchange.hears(session)
    assert [ticker["s"] for ticker in message] == ["BTCUSDT"]
    exchange.wait(2)
    assert exchange.hears(session) == []


def test_who_comes_later_is_told_the_statistics_that_there_are() -> None:
    exchange = Exchange()
    exchange.connect("/ws/btcusdt@ticker")
    trade(exchange)
    exchange.wait(2)
    late = exchange.connect("/ws/btcusdt@ticker")
    exchange.wait(1)
    assert len(exchange.hears(late)) == 1


def test_a_stream_that_nobody_hears_costs_nothing_and_begins_anew() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@depth")
    exchange.venue.close(session)
    feed = exchange.venue.state.feed
    assert not feed._due
    assert not feed._producers
    exchange.coinflex(exchange.users[0], 100, PRICE)
    again = exchange.connect("/ws/btcusdt@depth")
    exchange.wait(1)
    assert exchange.hears(again) == []  # what came before is in the snapshot


def test_markets_of_eight_decimals_are_told_in_full() -> None:
    exchange = Exchange()
    symbol = exchange.venue.state.symbols.by_name["NEOBTC"]
    base, counter = symbol.pair
    session = exchange.connect("/ws/neobtc@trade")
    for user, sign in zip(exchange.users, (-1, 1), strict=False):
        exchange.engine.place(user.id, base=base, counter=counter, quantity=sign * 123_456_789, price=110_100)
    exchange.publish()
    [message] = exchange.hears(session)
    assert (message["p"], message["q"]) == ("0.00110100", "1.23456789")
