"""Names of streams, and the requests by which connections listen to them."""

import json
from typing import Any

import pytest

from tests.unit.sandbox.binance_exchange import PRICE, Exchange
from wsclient.sandbox.binance_streams import FAST, SECOND, Stream, parse_stream


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("btcusdt@trade", Stream("trade", "BTCUSDT")),
        ("btcusdt@aggTrade", Stream("aggTrade", "BTCUSDT")),
        ("btcusdt@bookTicker", Stream("bookTicker", "BTCUSDT")),
        ("btcusdt@ticker", Stream("ticker", "BTCUSDT", SECOND)),
        ("btcusdt@miniTicker", Stream("miniTicker", "BTCUSDT", SECOND)),
        ("btcusdt@avgPrice", Stream("avgPrice", "BTCUSDT", SECOND)),
        ("btcusdt@ticker_4h", Stream("window", "BTCUSDT", SECOND, window="4h")),
        ("btcusdt@kline_1s", Stream("kline", "BTCUSDT", SECOND, interval="1s")),
        ("btcusdt@kline_1M", Stream("kline", "BTCUSDT", 2 * SECOND, interval="1M")),
        (
            "btcusdt@kline_1d@+08:00",
            Stream("kline", "BTCUSDT", 2 * SECOND, interval="1d", offset=8 * 3600 * SECOND),
        ),
        ("btcusdt@depth", Stream("depth", "BTCUSDT", SECOND)),
        ("btcusdt@depth@100ms", Stream("depth", "BTCUSDT", FAST)),
        ("btcusdt@depth20", Stream("partial", "BTCUSDT", SECOND, levels=20)),
        ("btcusdt@depth5@100ms", Stream("partial", "BTCUSDT", FAST, levels=5)),
        ("!ticker@arr", Stream("ticker", None, SECOND)),
        ("!miniTicker@arr", Stream("miniTicker", None, SECOND)),
        ("!miniTicker@arr@1000ms", Stream("miniTicker", None, SECOND)),
        ("!miniTicker@arr@3000ms", Stream("miniTicker", None, 3 * SECOND)),
        ("!ticker_1h@arr", Stream("window", None, SECOND, window="1h")),
    ],
)
def test_a_name_stands_for_a_stream(name: str, stream: Stream) -> None:
    assert parse_stream(name) == stream


@pytest.mark.parametrize(
    "name",
    ["", "btcusdt", "BTCUSDT@trade", "btcusdt@trades", "btcusdt@kline_2m", "btcusdt@depth7", "btcusdt@depth@50ms",
     "!trade@arr", "!miniTicker@arr@500ms", "@trade", "a@b@trade", "btcusdt@trade\n"],
)  # fmt: skip
def test_other_names_stand_for_nothing(name: str) -> None:
    assert parse_stream(name) is None


def trade(exchange: Exchange) -> None:
    exchange.coinflex(exchange.users[0], -10, PRICE)
    exchange.coinflex(exchange.users[1], 10, PRICE)


def test_streams_are_subscribed_to_listed_and_left() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws")
    reply = exchange.ask_raw(
        session, '{"method": "SUBSCRIBE", "params": ["btcusdt@trade", "btcusdt@aggTrade"], "id": 312}'
    )
    assert reply == {"result": None, "id": 312}
    assert exchange.ask(session, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@trade", "btcusdt@aggTrade"]
    trade(exchange)
    assert [message["e"] for message in exchange.hears(session)] == ["trade", "aggTrade"]
    assert exchange.ask(session, "UNSUBSCRIBE", ["btcusdt@trade", "never@trade"])["result"] is None
    assert exchange.ask(session, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@aggTrade"]
    trade(exchange)
    assert [message["e"] for message in exchange.hears(session)] == ["aggTrade"]


def test_one_stream_subscribed_to_twice_is_told_once() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/btcusdt@trade/btcusdt@trade")
    exchange.ask(session, "SUBSCRIBE", ["btcusdt@trade"])
    trade(exchange)
    assert len(exchange.hears(session)) == 1


@pytest.mark.parametrize(
    ("target", "combined"),
    [("/ws/btcusdt@trade", False), ("/stream?streams=btcusdt@trade/nothing@trade", True),
     ("/stream?streams=btcusdt%40trade", True)],
)  # fmt: skip
def test_the_path_says_whether_messages_are_wrapped(target: str, combined: bool) -> None:
    exchange = Exchange()
    session = exchange.connect(target)
    assert exchange.ask(session, "GET_PROPERTY", ["combined"])["result"] is combined
    trade(exchange)
    [message] = exchange.hears(session)
    assert ("stream" in message) is combined
    assert (message["data"] if combined else message)["e"] == "trade"


def test_a_plus_in_a_target_is_no_blank() -> None:
    exchange = Exchange()
    session = exchange.connect("/stream?streams=btcusdt@kline_1d@+08:00")
    assert exchange.ask(session, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@kline_1d@+08:00"]


def test_wrapping_can_be_changed_while_listening() -> None:
    exchange = Exchange()
    session, other = exchange.connect("/ws/btcusdt@trade"), exchange.connect("/ws/btcusdt@trade")
    assert exchange.ask(session, "SET_PROPERTY", ["combined", True])["result"] is None
    trade(exchange)
    [wrapped], [raw] = exchange.hears(session), exchange.hears(other)
    assert wrapped == {"stream": "btcusdt@trade", "data": raw}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('{"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 1}', 2, "list of stream names"),
        ('{"method": "SUBSCRIBE", "params": [], "id": 1}', 2, "list of stream names"),
        ('{"method": "SUBSCRIBE", "params": [5], "id": 1}', 2, "must be a string"),
        ('{"method": "SUBSCIRBE", "params": ["a@trade"], "id": 1}', 2, "unknown variant `SUBSCIRBE`"),
        ('{"params": ["a@trade"], "id": 1}', 2, "missing field `method`"),
        ('{"method": "LIST_SUBSCRIPTIONS", "params": ["a"], "id": 1}', 2, "too many parameters"),
        ('{"method": "GET_PROPERTY", "id": 1}', 2, "property name must be a string"),
        ('{"method": "GET_PROPERTY", "params": [5], "id": 1}', 2, "property name must be a string"),
        ('{"method": "GET_PROPERTY", "params": ["combined", true], "id": 1}', 2, "too many parameters"),
        ('{"method": "GET_PROPERTY", "params": ["colour"], "id": 1}', 0, "Unknown property"),
        ('{"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}', 1, "expected Boolean"),
        ('{"method": "SET_PROPERTY", "params": ["combined"], "id": 1}', 1, "expected Boolean"),
    ],
)
def test_a_request_with_an_id_is_refused_in_the_nested_form(text: str, code: int, words: str) -> None:
    exchange = Exchange()
    reply = exchange.ask_raw(exchange.connect("/ws"), text)
    assert set(reply) == {"error", "id"}
    assert reply["id"] == 1
    assert reply["error"]["code"] == code
    assert words in reply["error"]["msg"]
    assert exchange.venue.code(reply) != 0
    flat = Exchange(flat_errors=True)
    assert flat.ask_raw(flat.connect("/ws"), text) == {**reply["error"], "id": 1}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ("", 3),
        ("NaN", 3),
        ('{"id": 1, "method": Infinity}', 3),
        ("[" * 100_000, 3),
        ("9" * 200_000, 3),
        ("[]", 2),
        ("5", 2),
        ('{"method": "LIST_SUBSCRIPTIONS"}', 2),
        ('{"method": "LIST_SUBSCRIPTIONS", "id": true}', 2),
        ('{"method": "LIST_SUBSCRIPTIONS", "id": 1.5}', 2),
        ('{"method": "LIST_SUBSCRIPTIONS", "id": [1]}', 2),
        ('{"method": "LIST_SUBSCRIPTIONS", "id": "not only letters!"}', 2),
        ('{"method": "LIST_SUBSCRIPTIONS", "id": 99999999999999999999}', 2),
    ],
)
def test_a_request_without_a_readable_id_is_refused_in_the_flat_form(text: str, code: int) -> None:
    exchange = Exchange()
    reply = exchange.ask_raw(exchange.connect("/ws"), text)
    assert set(reply) == {"code", "msg"}
    assert reply["code"] == code
    assert exchange.venue.code(reply) != 0


@pytest.mark.parametrize("number", [0, -7, "abc123", None])
def test_an_id_comes_back_as_it_was(number: Any) -> None:
    exchange = Exchange()
    text = json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert exchange.ask_raw(exchange.connect("/ws"), text) == {"result": [], "id": number}


def test_a_connection_listens_to_as_many_streams_as_it_may() -> None:
    exchange = Exchange(max_streams=3)
    session = exchange.connect("/ws/a@trade/b@trade")
    assert "error" in exchange.ask(session, "SUBSCRIBE", ["c@trade", "d@trade"])
    assert exchange.ask(session, "LIST_SUBSCRIPTIONS")["result"] == ["a@trade", "b@trade"]
    assert exchange.ask(session, "SUBSCRIBE", ["b@trade", "c@trade"])["result"] is None
    denial = exchange.venue.admit("/stream?streams=a@trade/b@trade/c@trade/d@trade", "127.0.0.1")
    assert denial is not None
    assert denial.status == 400


def test_what_is_no_stream_stays_silent() -> None:
    exchange = Exchange()
    session = exchange.connect("/ws/nonsense/nosuch@trade/nosuch@depth/nosuch@ticker/btcusdt@kline_7m")
    trade(exchange)
    exchange.wait(3)
    assert exchange.hears(session) == []


def test_a_listen_key_does_not_get_into_the_ledger() -> None:
    exchange = Exchange()
    request = exchange.venue.read('{"method": "SUBSCRIBE", "params": ["a@trade", "0123456789abcdef"], "id": 1}')
    assert request.shown["params"] == ["a@trade", "…"]
    private = exchange.venue.read(
        json.dumps({"id": 1, "method": "x", "params": exchange.signed(exchange.users[0])})
    )
    assert set(private.shown["params"]) == {"timestamp"}
    assert "signature" not in repr(private)
