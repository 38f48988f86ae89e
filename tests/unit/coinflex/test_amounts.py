"""Amounts and assets."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient import Assets, InvalidRequest, from_wire, to_wire
from wsclient.coinflex.amounts import asset_code
from wsclient.coinflex.assets import Markets


@pytest.mark.parametrize(
    ("amount", "wire"),
    [("1.5", 15000), (Decimal("4443"), 44430000), (0, 0), (-1, -10000), ("-0.0001", -1), ("1e2", 1000000),
     ("1.50000", 15000), (Decimal("0E-9"), 0),
     ("123456789012345678901234567.8901", 1234567890123456789012345678901)],
)  # fmt: skip
def test_an_amount_is_scaled_exactly(amount: Decimal | int | str, wire: int) -> None:
    assert to_wire(amount) == wire


@pytest.mark.parametrize(
    "amount",
    [1.5, True, None, "", "x", "nan", "inf", Decimal("-Infinity"), "0.00001", "1e-5", "1e40", "0x10", [1]],
)
def test_what_is_no_amount_of_four_decimals_is_refused(amount: object) -> None:
    with pytest.raises(InvalidRequest):
        to_wire(amount)  # type: ignore[arg-type]


@given(st.integers(-(2**80), 2**80))
def test_from_wire_and_back_is_the_same(wire: int) -> None:
    assert to_wire(from_wire(wire)) == wire


def test_from_wire_keeps_four_decimals() -> None:
    assert str(from_wire(15000)) == "1.5000"
    assert str(from_wire(-1)) == "-0.0001"
    for amount in (1.0, True, "1"):
        with pytest.raises(InvalidRequest):
            from_wire(amount)  # type: ignore[arg-type]


def test_assets_map_names_to_codes_and_commands_take_either() -> None:
    assert Assets["XBT"] == 63488
    assert asset_code("USDT") == asset_code(65283) == 65283
    assert asset_code(4) == 4
    with pytest.raises(KeyError):
        Assets["DOGE"]
    for unknown in ("DOGE", True, 1.0, None):
        with pytest.raises(InvalidRequest):
            asset_code(unknown)  # type: ignore[arg-type]


def test_every_market_is_one_of_two_known_assets() -> None:
    assert len(Assets) == len(set(Assets.values())) == 77
    assert len(Markets) == 60
    assert all(market.base in Assets and market.counter in Assets and market.tick > 0 for market in Markets)


def test_an_unknown_asset_is_refused_with_some_that_are_known() -> None:
    with pytest.raises(InvalidRequest, match=r"XBT, .*USDT, .*wsclient\.Assets"):
        asset_code("GOLD")
