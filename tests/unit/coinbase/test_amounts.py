"""Prices and sizes as decimals."""

from decimal import Decimal
from typing import Any

import pytest

from wsclient import InvalidRequest, ProtocolError
from wsclient.coinbase import with_decimals


def test_prices_and_sizes_are_decimals_and_the_rest_stays() -> None:
    ticker = {"type": "ticker", "price": "43000.00", "volume_24h": "1.5", "time": "2023", "trade_id": 5, "x": "1"}
    assert with_decimals(ticker) == {**ticker, "price": Decimal("43000.00"), "volume_24h": Decimal("1.5")}
    assert str(with_decimals(ticker)["price"]) == "43000.00"
    assert ticker["price"] == "43000.00"


def test_levels_are_decimals_too() -> None:
    snapshot = {"type": "snapshot", "bids": [["1.5", "2"]], "asks": [["2.5", "1", "an id"]]}
    assert with_decimals(snapshot)["bids"] == [[Decimal("1.5"), Decimal(2)]]
    assert with_decimals(snapshot)["asks"] == [[Decimal("2.5"), Decimal(1), "an id"]]
    update = {"type": "l2update", "changes": [["buy", "1.5", "0.0"]]}
    assert with_decimals(update)["changes"] == [["buy", Decimal("1.5"), Decimal(0)]]


@pytest.mark.parametrize("text", ['{"type":"ticker"}', b"{}", None, []])
def test_what_is_not_decoded_is_refused_with_what_to_do(text: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"json\.loads"):
        with_decimals(text)


@pytest.mark.parametrize("message", [{"bids": [["1"]]}, {"changes": [1]}, {"price": "dear"}, {"asks": [[1, 2]]}])
def test_what_cannot_be_read_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        with_decimals(message)
