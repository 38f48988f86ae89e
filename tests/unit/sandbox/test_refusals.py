"""Whatever arrives in a message ends in an answer or in an EngineError, and a refusal changes nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sandbox.exchange import ANN, BASE, BOB, COUNTER, RICH, Exchange, refused
from wsclient.sandbox.engine import Engine, EngineError, Market

PAIR = {"base": BASE, "counter": COUNTER}
BIG = 2**63

MALFORMED_ORDERS: dict[str, dict[str, Any]] = {
    "zero quantity": {"quantity": 0, "price": 100},
    "zero quantity of a market order": {"quantity": 0},
    "zero total": {"total": 0},
    "zero price": {"quantity": 1, "price": 0},
    "zero tonce": {"quantity": 1, "price": 100, "tonce": 0},
    "negative price": {"quantity": 1, "price": -100},
    "bid below one tick": {"quantity": 1, "price": 99},
    "neither quantity nor total": {},
    "quantity and total": {"quantity": 1, "total": 1},
    "price alone": {"price": 100},
    "price and total": {"price": 100, "total": 1},
    "price, quantity and total": {"price": 100, "quantity": 1, "total": 1},
    "quantity beyond 64 bits": {"quantity": BIG, "price": 100},
    "most negative quantity": {"quantity": -BIG, "price": 100},
    "total beyond 64 bits": {"total": -BIG - 1},
    "price beyond 64 bits": {"quantity": 1, "price": BIG},
    "ask price rounded beyond 64 bits": {"quantity": -1, "price": BIG - 1},
    "tonce beyond 64 bits": {"quantity": 1, "price": 100, "tonce": BIG},
    "computed total beyond 64 bits": {"quantity": 2**62, "price": 2**62},
    "computed total of an ask beyond 64 bits": {"quantity": -(2**62), "price": 2**62},
    "post-only without a price": {"quantity": 1, "post_only": True},
    "float quantity": {"quantity": 1.0, "price": 100},
    "boolean quantity": {"quantity": True, "price": 100},
    "text price": {"quantity": 1, "price": "100"},
    "list price": {"quantity": 1, "price": [100]},
    "boolean tonce": {"quantity": 1, "price": 100, "tonce": True},
    "text persist": {"quantity": 1, "price": 100, "persist": "kill"},
    "integer persist": {"quantity": 1, "price": 100, "persist": 1},
    "null persist": {"quantity": 1, "price": 100, "persist": None},
    "dict persist": {"quantity": 1, "price": 100, "persist": {}},
    "integer post_only": {"quantity": 1, "price": 100, "post_only": 0},
    "text base": {"quantity": 1, "price": 100, "base": "XBT"},
    "list counter": {"quantity": 1, "price": 100, "counter": []},
    "no base": {"quantity": 1, "price": 100, "base": None},
    "boolean base": {"quantity": 1, "price": 100, "base": True},
}


@pytest.mark.parametrize("order", MALFORMED_ORDERS.values(), ids=MALFORMED_ORDERS.keys())
def test_a_malformed_order_is_error_8(order: dict[str, Any]) -> None:
    exchange = Exchange()
    with refused(8):
        exchange.engine.place(ANN, **(PAIR | order))
    assert exchange.all_events() == []


@pytest.mark.parametrize("pair", [(BASE, 77), (77, COUNTER), (COUNTER, BASE), (BASE, BASE), (0, 0), (-1, 2)])
def test_an_unknown_pair_is_error_1(pair: tuple[int, int]) -> None:
    engine = Exchange().engine
    with refused(1):
        engine.place(ANN, base=pair[0], counter=pair[1], quantity=1, price=100)
    with refused(1):
        engine.estimate(base=pair[0], counter=pair[1], quantity=1)
    with refused(1):
        engine.book(*pair)
    with refused(1):
        engine.ticker(*pair)


def test_more_than_the_available_balance_is_error_4() -> None:
    exchange = Exchange()
    exchange.refuses(4, ANN, -RICH - 1, 100)
    exchange.refuses(4, ANN, RICH + 1, 10000)
    exchange.place(ANN, -RICH, 100_000)
    exchange.refuses(4, ANN, -1, 100_000)
    exchange.place(ANN, RICH, 10000)
    exchange.refuses(4, ANN, 1, 100)


def test_an_asset_that_the_user_never_had_is_error_4() -> None:
    exchange = Exchange()
    exchange.engine.add_user(1, {})
    exchange.refuses(4, 1, 1, 100)
    exchange.refuses(4, 1, -1, 100)
    assert exchange.engine.balances(1) == []


MALFORMED_CHANGES: dict[str, dict[str, Any]] = {
    "no order": {"quantity_delta": 1},
    "id and tonce": {"id": 1, "tonce": 7, "quantity_delta": 1},
    "nothing to change": {"id": 1},
    "text id": {"id": "1", "quantity_delta": 1},
    "boolean id": {"id": True, "quantity_delta": 1},
    "huge id": {"id": BIG, "quantity_delta": 1},
    "float delta": {"id": 1, "quantity_delta": 0.5},
    "zero price": {"id": 1, "price": 0},
    "price below one tick": {"id": 1, "price": 99},
    "delta beyond 64 bits": {"id": 1, "quantity_delta": BIG - 1},
    "total beyond 64 bits": {"id": 1, "quantity_delta": 2**62, "price": 2**62},
    "text post_only": {"id": 1, "price": 100, "post_only": "no"},
}


@pytest.mark.parametrize("change", MALFORMED_CHANGES.values(), ids=MALFORMED_CHANGES.keys())
def test_a_malformed_modification_is_error_8(change: dict[str, Any]) -> None:
    exchange = Exchange()
    exchange.place(ANN, 5, 10000, tonce=7)
    exchange.skip()
    with refused(8):
        exchange.engine.modify(ANN, **change)
    assert exchange.all_events() == []
    assert exchange.book() == [(1, 5, 10000)]


@pytest.mark.parametrize(
    "name", [{}, {"id": 1, "tonce": 7}, {"id": 1.0}, {"tonce": "7"}, {"id": BIG}, {"id": False}]
)
def test_a_cancellation_that_names_no_single_order_is_error_8(name: dict[str, Any]) -> None:
    exchange = Exchange()
    exchange.place(ANN, 5, 10000, tonce=7)
    with refused(8):
        exchange.engine.cancel(ANN, **name)


@pytest.mark.parametrize("name", [{"id": 0}, {"id": -1}, {"id": 2}, {"tonce": 0}, {"tonce": 8}])
def test_an_order_that_does_not_exist_is_error_1(name: dict[str, Any]) -> None:
    exchange = Exchange()
    exchange.place(ANN, 5, 10000, tonce=7)
    with refused(1):
        exchange.engine.cancel(ANN, **name)
    with refused(1):
        exchange.engine.modify(ANN, quantity_delta=1, **name)


@pytest.mark.parametrize(
    "fields", [{}, {"quantity": 1, "total": 1}, {"quantity": 0}, {"total": 0}, {"total": "1"}]
)
def test_a_malformed_estimate_is_error_8(fields: dict[str, Any]) -> None:
    with refused(8):
        Exchange().engine.estimate(**PAIR, **fields)


def test_an_asset_that_is_no_integer_is_error_8() -> None:
    with refused(8):
        Exchange().engine.volume(ANN, "XBT")


def test_an_error_reads_well() -> None:
    assert str(EngineError(4, "Too little.")) == "Too little. (error 4)"


anything: st.SearchStrategy[Any] = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([100, 10000, 2**62, 2**63 - 1, 2**63, -(2**63), 10**40]),
    st.sampled_from([None, True, False, 0.5, float("nan"), float("inf"), "", "1", "fill_or_kill", [], [1], {}]),
)
COMMANDS = {
    "place": ["base", "counter", "quantity", "price", "total", "tonce", "persist", "post_only"],
    "modify": ["id", "tonce", "quantity_delta", "price", "post_only"],
    "cancel": ["id", "tonce"],
}


@given(st.sampled_from(list(COMMANDS)), st.data())
def test_nothing_in_a_message_raises_anything_but_an_engine_error(command: str, data: st.DataObject) -> None:
    exchange = Exchange()
    exchange.place(BOB, -5, 10000)
    exchange.place(ANN, 5, 900, tonce=3)
    fields: dict[str, Any] = {"base": BASE, "counter": COUNTER} if command == "place" else {}
    fields |= data.draw(st.dictionaries(st.sampled_from(COMMANDS[command]), anything, min_size=1))
    try:
        getattr(exchange.engine, command)(ANN, **fields)
    except EngineError as error:
        refusal = error
    else:
        return
    assert refusal.code in (1, 3, 4, 5, 8, 9)
    exchange.skip()
    assert exchange.book() == [(2, 5, 900), (1, -5, 10000)]


def test_accounts_are_opened_once_with_amounts_that_can_exist() -> None:
    engine = Exchange().engine
    for user, balances in ((ANN, {}), (1, {BASE: -1}), (1, {BASE: BIG - 1})):
        with pytest.raises(ValueError):
            engine.add_user(user, balances)
    engine.add_user(1, {BASE: 5})


def test_a_user_that_was_never_added_is_the_servers_mistake() -> None:
    with pytest.raises(KeyError):
        Exchange().engine.place(1, **PAIR, quantity=1, price=100)


@pytest.mark.parametrize("numbers", [(1, 1, 1, 1), (1, 2, 0, 1), (1, 2, 1, 0)])
def test_a_market_makes_sense(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError):
        Market(*numbers)


def test_an_exchange_lists_each_market_once() -> None:
    with pytest.raises(ValueError):
        Engine([Market(1, 2, 1), Market(1, 2, 5)])
