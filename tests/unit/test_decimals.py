"""Prices and sizes that come as text."""

from decimal import Decimal
from typing import Any

import pytest

from wsclient import ProtocolError
from wsclient.decimals import number, pairs, price, size


@pytest.mark.parametrize("text", ["43000.10", "0.00000000", "1E-8", "123456789012345678901234567890.12345678"])
def test_a_number_keeps_every_digit(text: str) -> None:
    assert str(number(text)) == str(price(text)) == str(size(text)) == str(Decimal(text))


@pytest.mark.parametrize("value", [1.5, 1, None, "x", "", "NaN", "Infinity", ["1"]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ProtocolError):
        number(value)
    with pytest.raises(ProtocolError):
        pairs([["1", value]])
    with pytest.raises(ProtocolError):
        pairs([[value, "1"]])


def test_a_size_is_never_below_zero_though_a_price_may_be() -> None:
    assert pairs([["-37.63", "2"]]) == [(Decimal("-37.63"), Decimal(2))]
    with pytest.raises(ProtocolError):
        size("-1")
    with pytest.raises(ProtocolError):
        pairs([["1", "-1"]])


def test_what_follows_in_a_row_isnt_looked_at() -> None:
    assert pairs([["1.5", "2", 3], ["1.4", "0"]]) == [(Decimal("1.5"), Decimal(2)), (Decimal("1.4"), Decimal(0))]
    assert pairs([]) == []


@pytest.mark.parametrize("rows", [None, "12", {}, [["1"]], ["12"], [None], [{}], [[]]])
def test_what_is_no_list_of_rows_is_refused(rows: Any) -> None:
    with pytest.raises(ProtocolError):
        pairs(rows)
