"""Names of streams, and addresses: what passes, what is refused, what is warned of."""

import logging

import pytest

from wsclient import InvalidRequest
from wsclient.binance import BinanceSocketManager, Client, enums
from wsclient.binance.names import INTERVALS, checked, interval
from wsclient.binance.urls import streams_base


@pytest.mark.parametrize(
    "name",
    [
        *("btcusdt@trade", "btcusdt@aggTrade", "btcusdt@kline_1M", "btcusdt@kline_1m@+08:00", "1inchusdt@depth"),
        *(
            "btcusdt@depth@100ms",
            "btcusdt@depth5",
            "btcusdt@depth20@1000ms",
            "btcusdt@ticker_4h",
            "btcusdt@avgPrice",
        ),
        *("!ticker@arr", "!miniTicker@arr@3000ms", "!ticker_1d@arr"),
    ],
)
def test_known_names_pass_in_silence(caplog: pytest.LogCaptureFixture, name: str) -> None:
    assert checked(name) == name
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BTCUSDT@trade", "lowercase: btcusdt@trade"),
        ("btc-usdt@trade", "a symbol is"),
        ("@trade", "a symbol is"),
        ("btcusdt@aggtrade", "aggTrade"),
        ("btcusdt@bookticker", "bookTicker"),
        ("btcusdt@kline_1x", "kline_1m"),
        ("btcusdt@depth7", "depth5"),
        ("btcusdt@depth7@100ms", "depth5"),
        ("btcusdt@ticker_9h", "ticker_1h"),
        ('a"b', "no name"),
        ("", "no name"),
    ],
)
def test_what_is_surely_misspelt_is_refused(name: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        checked(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("btcusdt@trades", "is btcusdt@trade meant?"),
        ("btcusdt@blockTrade", "btcusdt@blockTrade"),
        ("!bookTicker", "!bookTicker"),
        ("btcusdt", "btcusdt"),
    ],
)
def test_what_may_have_come_later_passes_with_a_warning(
    caplog: pytest.LogCaptureFixture, name: str, words: str
) -> None:
    assert checked(name) == name
    assert [(record.name, record.levelno) for record in caplog.records] == [("wsclient", logging.WARNING)]
    assert words in caplog.text


def test_candles_have_the_lengths_that_the_exchange_knows() -> None:
    assert len(INTERVALS) == 16
    assert interval(enums.KLINE_INTERVAL_1MONTH) == "1M"
    manager = BinanceSocketManager()
    for wrong in ("1x", "", None, 60):
        with pytest.raises(InvalidRequest, match="1m, 3m"):
            manager.kline_socket("BTCUSDT", wrong)  # type: ignore[arg-type]
    manager.stop()


def test_an_address_may_end_in_ws_or_stream() -> None:
    for end in ("", "/", "/ws", "/ws/", "/stream", "/stream/"):
        assert streams_base("wss://host:9443" + end) == "wss://host:9443"
    assert streams_base("wss://host/a/ws") == "wss://host/a"
    assert Client(stream_url="wss://host/ws").stream_url == "wss://host"


@pytest.mark.parametrize(
    "url", ["wss://host/ws/btcusdt@trade", "wss://host/stream?streams=a", "wss://host/ws-api/v3", None]
)
def test_an_address_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        streams_base(url)
    if url is not None:
        with pytest.raises(InvalidRequest):
            BinanceSocketManager(url=url)
