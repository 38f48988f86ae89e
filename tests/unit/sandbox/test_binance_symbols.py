"""What Binance calls the engine's markets, and how it writes amounts."""

import pytest

from tests.unit.sandbox.binance_exchange import Exchange
from wsclient.sandbox.binance import BinanceVenue
from wsclient.sandbox.binance_symbols import Symbols, eight, parse
from wsclient.sandbox.engine import Engine, Market
from wsclient.sandbox.users import User


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00000000"),
        (1, "0.00000001"),
        (-1, "-0.00000001"),
        (150_000_000, "1.50000000"),
        (10**20, f"{10**12}.00000000"),
    ],
)
def test_amounts_have_eight_decimals(amount: int, text: str) -> None:
    assert eight(amount) == text
    if amount >= 0:
        assert parse("price", text) == amount


def test_every_market_has_a_name_of_its_own() -> None:
    symbols = Exchange().venue.state.symbols
    assert len(symbols.by_name) == len(symbols.by_pair) == len(Exchange().engine.markets)
    assert {"BTCUSDT", "BNBBTC", "NEOBTC", "ETHBTC", "FLEXUSDT"} <= set(symbols.by_name)
    assert "XBTUSDT" not in symbols.by_name


def test_amounts_are_those_that_the_engine_holds() -> None:
    state = Exchange().venue.state
    btc, usdt = state.symbols.codes["BTC"], state.symbols.codes["USDT"]
    assert state.symbols.amount(btc, state.symbols.held(btc, 123)) == "0.00000123"
    assert state.symbols.amount(usdt, state.symbols.held(usdt, 10_000)) == "0.00010000"
    with pytest.raises(ValueError, match="coarser"):
        state.symbols.held(usdt, 10_001)


def test_a_market_finer_than_eight_decimals_does_not_exist_here_and_breaks_nothing() -> None:
    fine = Market(1, 2, tick=1, scale=10**10, base_decimals=10, counter_decimals=10)
    users = [User(5, "c", "p"), User(6, "c", "p")]
    engine = Engine([fine], clock=lambda: 10**15)
    for user in users:
        engine.add_user(user.id, {1: 10**15, 2: 10**15})
    venue = BinanceVenue(engine, users, clock=lambda: 10**15)
    assert not Symbols([fine], engine.decimals).by_name
    engine.place(5, base=1, counter=2, quantity=100, price=10**10)
    engine.place(6, base=1, counter=2, quantity=-50, price=10**10)
    engine.cancel_all(5)
    assert list(venue.notices(engine.take_events())) == []
    assert venue.actions() == []
    assert venue.state.desk.all(5) == []
    assert venue.state.symbols.amount(1, 123) == "0.00000001"
