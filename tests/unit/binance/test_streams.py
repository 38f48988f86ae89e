"""The language of streams: names, requests and answers, and the order of events."""

from typing import Any

import pytest

from wsclient.binance.streams import Streams, name_of, position_of, subscribe
from wsclient.core.dialect import Answer
from wsclient.errors import BadRequest, ProtocolError

TRADE = '{"stream":"bnbbtc@trade","data":{"e":"trade","t":1}}'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (TRADE, "bnbbtc@trade"),
        ('{"stream":"!ticker@arr","data":[]}', "!ticker@arr"),
        (' { "stream" : "x@trade", "data": {}}', "x@trade"),
        ('{"result":null,"id":1}', None),
        ('{"e":"serverShutdown","E":1}', None),
        ("", None),
    ],
)
def test_a_text_tells_its_stream_without_being_decoded(text: str, name: str | None) -> None:
    assert name_of(text) == name


@pytest.mark.parametrize(
    ("name", "data", "place"),
    [
        ("bnbbtc@trade", {"t": 5}, (5,)),
        ("bnbbtc@aggTrade", {"a": 6}, (6,)),
        ("bnbbtc@depth@100ms", {"U": 1, "u": 7}, (7,)),
        ("bnbbtc@depth5@100ms", {"lastUpdateId": 8}, (8,)),
        ("bnbbtc@bookTicker", {"u": 9}, (9,)),
        ("bnbbtc@kline_1m", {"E": 10, "k": {"t": 3}}, (10, 3)),
        ("bnbbtc@ticker", {"E": 11}, (11,)),
        ("!miniTicker@arr", [{"E": 11}, {"E": 12}], (12,)),
        ("!ticker@arr@3000ms", [], None),
        ("bnbbtc@trade", {"t": "5"}, None),
        ("bnbbtc@trade", [], None),
    ],
)
def test_each_kind_of_event_has_its_place(name: str, data: Any, place: Any) -> None:
    position = position_of(name)
    assert position is not None
    assert position(data) == place


def test_an_accounts_events_have_none() -> None:
    assert position_of("thelistenkey") is None


def test_answers_and_both_forms_of_errors_are_read() -> None:
    dialect = Streams()
    asked = dialect.tagged(subscribe(["bnbbtc@trade", "thelistenkey"]), 4)
    assert asked == {"method": "SUBSCRIBE", "params": ["bnbbtc@trade", "thelistenkey"], "id": 4}
    assert dialect.read({"result": None, "id": 4}) == Answer(4, True)
    told = {"code": 2, "msg": "Invalid request"}
    for message in ({"error": told, "id": 4}, {**told, "id": 4}):
        assert dialect.read(message) == Answer(4, False)
        error = dialect.refusal(message, asked)
        assert isinstance(error, BadRequest)
        assert (error.code, error.message) == (2, "Invalid request")
        assert "thelistenkey" not in repr(error)
    assert dialect.read(told) is None
    assert dialect.read({"stream": "x@trade", "data": {}}) is None
    with pytest.raises(ProtocolError):
        dialect.read({"result": None, "id": "4"})
