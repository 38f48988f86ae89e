"""What the messages of each venue are told to be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.sinks.classify import CLASSIFIERS, binance, coinbase, coinflex, coinflex_named
from wsclient.sinks.contract import Shape

E = 1_700_000_000_123


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        (
            {"notice": "OrdersMatched", "base": 63488, "counter": 65282, "time": 1_550_000_000_000_001},
            Shape("63488/65282", "OrdersMatched", 1_550_000_000_000_001),
        ),
        ({"notice": "OrderClosed", "base": 1, "counter": 2, "time_closed": 7}, Shape("1/2", "OrderClosed", 7)),
        ({"notice": "BalanceChanged", "asset": 1, "balance": 5}, Shape(None, "BalanceChanged", None)),
        ({"notice": "Welcome", "nonce": "…"}, Shape(None, "Welcome", None)),
        ({"error_code": 0, "tag": 1}, Shape(None, "reply", None)),
        ({"notice": "New", "base": True, "counter": "x", "time": -1}, Shape(None, "New", None)),
    ],
)
def test_coinflex(message: Any, shape: Shape) -> None:
    assert coinflex(message) == shape


def test_coinflex_markets_have_names_where_they_are_known() -> None:
    classify = coinflex_named({63488: "XBT", 65282: "USDT"})
    assert classify({"notice": "OrderOpened", "base": 63488, "counter": 65282}).product == "XBT/USDT"
    assert classify({"notice": "OrderOpened", "base": 63488, "counter": 9}).product == "XBT/9"


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        (
            {"type": "match", "product_id": "BTC-USD", "time": "2023-11-14T22:13:20.000123Z"},
            Shape("BTC-USD", "match", 1_700_000_000_000_123),
        ),
        ({"type": "snapshot", "product_id": "BTC-USD", "bids": []}, Shape("BTC-USD", "snapshot", None)),
        ({"type": "subscriptions", "channels": []}, Shape(None, "subscriptions", None)),
        ({"type": "new", "product_id": 5, "time": "soon"}, Shape(None, "new", None)),
        # seven digits, another zone, no zone
        ({"type": "a", "time": "2023-11-14T22:13:20.0001239Z"}, Shape(None, "a", 1_700_000_000_000_123)),
        ({"type": "a", "time": "2023-11-14T23:13:20+01:00"}, Shape(None, "a", 1_700_000_000_000_000)),
        ({"type": "a", "time": "2023-11-14T22:13:20"}, Shape(None, "a", 1_700_000_000_000_000)),
    ],
)
def test_coinbase(message: Any, shape: Shape) -> None:
    assert coinbase(message) == shape


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        ({"e": "trade", "E": E, "s": "BTCUSDT"}, Shape("BTCUSDT", "trade", E * 1000)),
        ({"e": "trade", "E": E * 1000 + 5, "s": "BTCUSDT"}, Shape("BTCUSDT", "trade", E * 1000 + 5)),
        (
            {"stream": "btcusdt@depth", "data": {"e": "depthUpdate", "E": E, "s": "BTCUSDT"}},
            Shape("BTCUSDT", "depthUpdate", E * 1000),
        ),
        (
            {"stream": "btcusdt@depth5@100ms", "data": {"lastUpdateId": 1, "bids": [], "asks": []}},
            Shape("BTCUSDT", "depth5", None),
        ),
        ({"lastUpdateId": 1, "bids": [], "asks": []}, Shape()),
        ({"u": 1, "s": "BNBUSDT", "b": "1", "B": "2", "a": "3", "A": "4"}, Shape("BNBUSDT", "bookTicker", None)),
        (
            {"stream": "!ticker@arr", "data": [{"e": "24hrTicker", "E": E, "s": "A"}, {"e": "24hrTicker"}]},
            Shape(None, "24hrTicker", E * 1000),
        ),
        ([{"e": "24hrMiniTicker", "E": E, "s": "A"}], Shape(None, "24hrMiniTicker", E * 1000)),
        ([], Shape()),
        (
            {"subscriptionId": 0, "event": {"e": "executionReport", "E": E, "s": "ETHBTC"}},
            Shape("ETHBTC", "executionReport", E * 1000),
        ),
        (
            {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": E}},
            Shape(None, "serverShutdown", E * 1000),
        ),
        ({"result": None, "id": 1}, Shape(None, "reply", None)),
        ({"id": None, "status": 200, "result": {}}, Shape(None, "reply", None)),
        ({"id": 1, "status": 400, "error": {"code": -1, "msg": "no"}}, Shape(None, "error", None)),
        ({"code": 2, "msg": "no"}, Shape(None, "error", None)),
        ({"e": "trade", "s": "币安人生USDT"}, Shape("币安人生USDT", "trade", None)),
    ],
)
def test_binance(message: Any, shape: Shape) -> None:
    assert binance(message) == shape


@pytest.mark.parametrize("venue", sorted(CLASSIFIERS))
def test_no_name_is_told_that_a_store_could_not_take(venue: str) -> None:
    for name in ("\ud800", "x" * 101, "", 5, ["list"], None):
        message = {"type": name, "product_id": name, "notice": name, "e": name, "s": name}
        assert CLASSIFIERS[venue](message) == Shape()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "product_id",
                    "time",
                    "notice",
                    "base",
                    "counter",
                    "error_code",
                    "e",
                    "E",
                    "s",
                    "stream",
                    "data",
                    "event",
                    "subscriptionId",
                    "u",
                    "b",
                    "B",
                    "a",
                    "A",
                    "time_closed",
                    "code",
                    "msg",
                    "id",
                ]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@given(message=ANYTHING, venue=st.sampled_from(sorted(CLASSIFIERS)))
def test_nothing_makes_a_classifier_raise(message: Any, venue: str) -> None:
    product, kind, time = CLASSIFIERS[venue](message)
    assert product is None or isinstance(product, str)
    assert kind is None or isinstance(kind, str)
    assert time is None or (isinstance(time, int) and abs(time) < 2**63)
