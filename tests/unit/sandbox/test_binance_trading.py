"""Orders through the request API: placed, refused, matched, asked for, cancelled."""

from typing import Any

import pytest

from tests.unit.sandbox.binance_exchange import PRICE, USDT, XBT, Exchange, order
from wsclient.sandbox.engine import Fees

API = "/ws-api/v3"


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(orders_10s=None)


@pytest.fixture
def session(exchange: Exchange) -> int:
    return exchange.connect(API)


def test_a_limit_order_rests_in_the_book_that_coinflex_calls_xbt_usdt(exchange: Exchange, session: int) -> None:
    ann = exchange.users[0]
    placed = exchange.place(session, ann, "BUY", "0.5", "8999.00", newClientOrderId="mine")
    time = placed["transactTime"]
    assert placed == {
        "symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": "mine", "transactTime": time,
        "price": "8999.00000000", "origQty": "0.50000000", "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "status": "NEW",
        "timeInForce": "GTC", "type": "LIMIT", "side": "BUY", "workingTime": time,
        "selfTradePreventionMode": "NONE", "fills": [],
    }  # fmt: skip
    assert [(o.quantity, o.price) for o in exchange.engine.book(XBT, USDT)] == [(5000, 89_990_000)]


def test_an_order_is_filled_by_those_of_another_dialect(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.coinflex(ann, -3000, PRICE)
    exchange.coinflex(ann, -3000, PRICE + 10_000)
    placed = exchange.place(session, bob, "BUY", "0.5", "9001")
    assert (placed["status"], placed["executedQty"], placed["cummulativeQuoteQty"]) == (
        "FILLED", "0.50000000", "4500.20000000",
    )  # fmt: skip
    fills = [(fill["price"], fill["qty"], fill["tradeId"]) for fill in placed["fills"]]
    assert fills == [("9000.00000000", "0.30000000", 1), ("9001.00000000", "0.20000000", 2)]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("ACK", {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}),
        ("RESULT", None),
        ("FULL", None),
    ],
)
def test_the_reply_is_as_long_as_it_was_asked_to_be(
    exchange: Exchange, session: int, kind: str, keys: set[str] | None
) -> None:
    placed = exchange.place(session, exchange.users[0], "BUY", "1", "9000", newOrderRespType=kind)
    if keys is not None:
        assert set(placed) == keys
    else:
        assert ("fills" in placed) is (kind == "FULL")


def test_an_ioc_order_takes_what_there_is_and_expires(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.coinflex(ann, -3000, PRICE)
    placed = exchange.place(session, bob, "BUY", "0.5", "9000", timeInForce="IOC")
    assert (placed["status"], placed["executedQty"]) == ("EXPIRED", "0.30000000")
    assert placed["expiryReason"] == "UNFILLED_IOC_QUANTITY_EXPIRED"
    assert exchange.engine.orders(bob.id) == []


def test_a_fok_order_is_filled_wholly_or_not_at_all(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.coinflex(ann, -3000, PRICE)
    exchange.coinflex(ann, -3000, PRICE + 10_000)
    placed = exchange.place(session, bob, "BUY", "0.5", "9000", timeInForce="FOK")
    assert (placed["status"], placed["executedQty"]) == ("EXPIRED", "0.00000000")
    assert placed["expiryReason"] == "UNFILLED_FOK_ORDER_EXPIRED"
    placed = exchange.place(session, bob, "BUY", "0.5", "9001", timeInForce="FOK")
    assert (placed["status"], placed["executedQty"]) == ("FILLED", "0.50000000")


def test_a_limit_maker_is_refused_where_it_would_match(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.coinflex(ann, -3000, PRICE)
    maker = order("BUY", "0.5", "9000", type="LIMIT_MAKER")
    assert exchange.refused(session, "order.place", bob, **maker) == (
        -2010, "Order would immediately match and take.",
    )  # fmt: skip
    placed = exchange.call(session, "order.place", bob, **{**maker, "price": "8999"})
    assert set(placed) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert len(exchange.engine.orders(bob.id)) == 1


def test_a_market_order_takes_the_book_as_it_is(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.coinflex(ann, -3000, PRICE)
    placed = exchange.place(session, bob, "BUY", "0.2", None)
    assert (placed["status"], placed["executedQty"], placed["price"]) == ("FILLED", "0.20000000", "0.00000000")
    placed = exchange.place(session, bob, "BUY", "0.2", None)
    assert (placed["status"], placed["executedQty"]) == ("EXPIRED", "0.10000000")
    assert placed["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    placed = exchange.place(session, bob, "BUY", "0.2", None)
    assert (placed["status"], placed["executedQty"]) == ("EXPIRED", "0.00000000")


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_market_order_can_be_given_an_amount_of_money(exchange: Exchange, session: int, side: str) -> None:
    ann, bob, _ = exchange.users
    exchange.coinflex(ann, -3000 if side == "BUY" else 3000, PRICE)
    placed = exchange.call(
        session, "order.place", bob, symbol="BTCUSDT", side=side, type="MARKET", quoteOrderQty="1000"
    )
    assert (placed["status"], placed["executedQty"]) == ("FILLED", "0.11110000")
    assert (placed["origQuoteOrderQty"], placed["cummulativeQuoteQty"]) == ("1000.00000000", "999.90000000")


def test_who_cannot_pay_is_refused(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    poor = (-2010, "Account has insufficient balance for requested action.")
    assert exchange.refused(session, "order.place", bob, **order("BUY", "1000", "9000")) == poor
    assert exchange.refused(session, "order.place", bob, **order("SELL", "1000001", "9000")) == poor
    assert exchange.refused(session, "order.place", bob, **order("BUY", "1000", "9000", timeInForce="FOK")) == poor
    exchange.coinflex(ann, -2_000_000, PRICE)
    assert exchange.refused(session, "order.place", bob, **order("BUY", "150")) == poor
    assert exchange.refused(session, "order.place", bob, **order("SELL", "1000001")) == poor
    assert exchange.engine.orders(bob.id) == []


def test_fees_are_charged_in_the_quote_asset() -> None:
    exchange = Exchange(fees=Fees(maker=0, taker=1000))
    session = exchange.connect(API)
    exchange.coinflex(exchange.users[0], -10_000, PRICE)
    placed = exchange.place(session, exchange.users[1], "BUY", "1", None)
    [fill] = placed["fills"]
    assert (fill["commission"], fill["commissionAsset"]) == ("9.00000000", "USDT")
    rates = exchange.call(session, "account.status", exchange.users[1])["commissionRates"]
    assert (rates["maker"], rates["taker"]) == ("0.00000000", "0.00100000")
    test = exchange.call(
        session, "order.test", exchange.users[1], **order("BUY", "1", "9000"), computeCommissionRates=True
    )
    assert test["standardCommissionForOrder"] == {"maker": "0.00000000", "taker": "0.00100000"}


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"symbol": None}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ({"symbol": "btcusdt"}, -1121, "Invalid symbol."),
    ({"side": None}, -1102, "Mandatory parameter 'side' was not sent, was empty/null, or malformed."),
    ({"side": "buy"}, -1117, "Invalid side."),
    ({"type": None}, -1102, "Mandatory parameter 'type' was not sent, was empty/null, or malformed."),
    ({"type": "ICEBERG"}, -1116, "Invalid orderType."),
    ({"type": "STOP_LOSS"}, -2010, "Stop loss orders are not supported for this symbol."),
    ({"icebergQty": "1"}, -2010, "Iceberg orders are not supported for this symbol."),
    (
        {"timeInForce": None},
        -1102,
        "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
    ),
    ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
    ({"price": None}, -1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
    ({"price": "9000.5"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"price": "0"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"price": "9000.000000001"}, -1111, "Parameter 'price' has too much precision."),
    ({"quantity": None}, -1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed."),
    ({"quantity": "0.00001"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "0"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "10000000000"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quoteOrderQty": "1"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
    ({"newClientOrderId": ""}, -1105, "Parameter 'newClientOrderId' was empty."),
    ({"newClientOrderId": 5}, -1130, "Data sent for parameter 'newClientOrderId' is not valid."),
    ({"newOrderRespType": "LONG"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    ({"colour": "red"}, -1104, "Not all sent parameters were read; read '9' parameter(s) but was sent '10'."),
    ({"type": "MARKET"}, -1106, "Parameter 'timeInForce' sent when not required."),
    ({"type": "MARKET", "timeInForce": None}, -1106, "Parameter 'price' sent when not required."),
    (
        {"type": "MARKET", "timeInForce": None, "price": None, "quantity": None},
        -1102,
        "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
    ),
    (
        {"type": "MARKET", "timeInForce": None, "price": None, "quantity": None, "quoteOrderQty": "5"},
        -2010,
        "Order book liquidity is less than symbol minimum quantity.",
    ),
]


@pytest.mark.parametrize(("changes", "code", "message"), WRONG, ids=lambda value: str(value)[:60])
def test_an_order_that_makes_no_sense_is_refused_in_binances_words(
    exchange: Exchange, session: int, changes: dict[str, Any], code: int, message: str
) -> None:
    params = {**order("BUY", "1", "9000"), **changes}
    sent = {name: value for name, value in params.items() if value is not None}
    for method in ("order.place", "order.test"):
        assert exchange.refused(session, method, exchange.users[0], **sent) == (code, message)
    assert exchange.engine.orders(exchange.users[0].id) == []


@pytest.mark.parametrize(
    "value", ["-1", "1e3", "+1", " 1", "1.", ".5", "٣", "1_000", "0x10", "nan", "1" * 21, "1\n"]
)
def test_what_is_no_plain_decimal_number_has_illegal_characters(
    exchange: Exchange, session: int, value: str
) -> None:
    code, message = exchange.refused(session, "order.place", exchange.users[0], **order("BUY", value, "9000"))
    assert code == -1100
    assert message.startswith("Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})")


@pytest.mark.parametrize("name", ["a b", "x" * 37, "é", "a\n"])
def test_a_client_order_id_is_short_and_plain(exchange: Exchange, session: int, name: str) -> None:
    params = {**order("BUY", "1", "9000"), "newClientOrderId": name}
    code, _ = exchange.refused(session, "order.place", exchange.users[0], **params)
    assert code == -1100


def test_a_test_order_leaves_no_trace(exchange: Exchange, session: int) -> None:
    assert exchange.call(session, "order.test", exchange.users[0], **order("BUY", "1", "9000")) == {}
    assert exchange.engine.orders(exchange.users[0].id) == []
    assert exchange.place(session, exchange.users[0], "BUY", "1", "9000")["orderId"] == 1


def test_no_two_open_orders_share_a_client_order_id(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.place(session, ann, "BUY", "1", "9000", newClientOrderId="mine")
    again = order("BUY", "1", "8000", newClientOrderId="mine")
    duplicate = (-2010, "Duplicate order sent.")
    assert exchange.refused(session, "order.place", ann, **again) == duplicate
    assert exchange.refused(session, "order.test", ann, **again) == duplicate
    exchange.call(session, "order.place", bob, **again)  # another account's affair
    exchange.call(session, "order.cancel", ann, symbol="BTCUSDT", origClientOrderId="mine")
    placed = exchange.call(session, "order.place", ann, **again)
    status = exchange.call(session, "order.status", ann, symbol="BTCUSDT", origClientOrderId="mine")
    assert status["orderId"] == placed["orderId"]
    assert len(exchange.engine.orders(ann.id)) == 1


def test_an_orders_status_is_told_when_it_is_open_and_when_it_is_over(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    placed = exchange.place(session, ann, "SELL", "0.5", "9000", newClientOrderId="mine")
    named = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
    status = exchange.call(session, "order.status", ann, **named)
    assert status == {
        "symbol": "BTCUSDT", "orderId": placed["orderId"], "orderListId": -1, "clientOrderId": "mine",
        "price": "9000.00000000", "origQty": "0.50000000", "executedQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC", "type": "LIMIT",
        "side": "SELL", "stopPrice": "0.00000000", "icebergQty": "0.00000000", "time": placed["transactTime"],
        "updateTime": placed["transactTime"], "isWorking": True, "workingTime": placed["transactTime"],
        "origQuoteOrderQty": "0.00000000", "selfTradePreventionMode": "NONE",
    }  # fmt: skip
    exchange.coinflex(bob, 2000, PRICE)
    status = exchange.call(session, "order.status", ann, symbol="BTCUSDT", orderId=placed["orderId"])
    assert (status["status"], status["executedQty"]) == ("PARTIALLY_FILLED", "0.20000000")
    exchange.coinflex(bob, 3000, PRICE)
    status = exchange.call(session, "order.status", ann, **named, orderId=placed["orderId"])
    assert (status["status"], status["cummulativeQuoteQty"]) == ("FILLED", "4500.00000000")
    nobody = (-2013, "Order does not exist.")
    assert exchange.refused(session, "order.status", bob, **named) == nobody
    assert exchange.refused(session, "order.status", ann, symbol="ETHUSDT", orderId=placed["orderId"]) == nobody
    assert exchange.refused(session, "order.status", ann, symbol="BTCUSDT", orderId=99) == nobody
    wrong = {"symbol": "BTCUSDT", "orderId": placed["orderId"], "origClientOrderId": "yours"}
    assert exchange.refused(session, "order.status", ann, **wrong)[0] == -2039
    neither = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
    assert exchange.refused(session, "order.status", ann, symbol="BTCUSDT") == (-1102, neither)


def test_an_order_is_cancelled_once(exchange: Exchange, session: int) -> None:
    ann = exchange.users[0]
    placed = exchange.place(session, ann, "SELL", "0.5", "9000", newClientOrderId="mine")
    named = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
    cancelled = exchange.call(session, "order.cancel", ann, **named, newClientOrderId="the-cancel")
    assert cancelled == {
        "symbol": "BTCUSDT", "origClientOrderId": "mine", "orderId": placed["orderId"], "orderListId": -1,
        "clientOrderId": "the-cancel", "transactTime": cancelled["transactTime"], "price": "9000.00000000",
        "origQty": "0.50000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000", "status": "CANCELED", "timeInForce": "GTC", "type": "LIMIT",
        "side": "SELL", "selfTradePreventionMode": "NONE",
    }  # fmt: skip
    unknown = (-2011, "Unknown order sent.")
    assert exchange.refused(session, "order.cancel", ann, **named) == unknown
    assert exchange.refused(session, "order.cancel", ann, symbol="BTCUSDT", orderId=77) == unknown
    for name in ("mine", "the-cancel"):
        status = exchange.call(session, "order.status", ann, symbol="BTCUSDT", origClientOrderId=name)
        assert (status["status"], status["orderId"]) == ("CANCELED", placed["orderId"])


def test_a_cancellation_can_be_restricted(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.place(session, ann, "SELL", "0.5", "9000", newClientOrderId="mine")
    named = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
    restricted = (-2011, "Order was not canceled due to cancel restrictions.")
    partly = {**named, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
    assert exchange.refused(session, "order.cancel", ann, **partly) == restricted
    assert exchange.refused(session, "order.cancel", ann, **named, cancelRestrictions="NEVER")[0] == -1145
    exchange.coinflex(bob, 2000, PRICE)
    assert exchange.refused(session, "order.cancel", ann, **named, cancelRestrictions="ONLY_NEW") == restricted
    assert exchange.call(session, "order.cancel", ann, **partly)["executedQty"] == "0.20000000"


def test_open_orders_of_every_dialect_are_listed_and_cancelled_by_symbol(exchange: Exchange, session: int) -> None:
    ann = exchange.users[0]
    exchange.place(session, ann, "SELL", "0.5", "9000", newClientOrderId="mine")
    exchange.coinflex(ann, 100, PRICE - 10_000)
    eth = exchange.call(
        session, "order.place", ann, symbol="ETHUSDT", side="BUY", type="LIMIT", timeInForce="GTC", price="200",
        quantity="1",
    )  # fmt: skip
    assert len(exchange.call(session, "openOrders.status", ann)) == 3
    mine, other = exchange.call(session, "openOrders.status", ann, symbol="BTCUSDT")
    assert (mine["clientOrderId"], other["origQty"], other["side"]) == ("mine", "0.01000000", "BUY")
    cancelled = exchange.call(session, "openOrders.cancelAll", ann, symbol="BTCUSDT")
    assert [(each["orderId"], each["status"]) for each in cancelled] == [
        (mine["orderId"], "CANCELED"), (other["orderId"], "CANCELED"),
    ]  # fmt: skip
    [left] = exchange.call(session, "openOrders.status", ann)
    assert left["orderId"] == eth["orderId"]
    again = exchange.refused(session, "openOrders.cancelAll", ann, symbol="BTCUSDT")
    assert again == (-2011, "Unknown order sent.")


def test_an_order_changed_through_another_dialect_is_told_as_it_is(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.place(session, ann, "SELL", "0.5", "9000", newClientOrderId="mine")
    exchange.coinflex(bob, 1000, PRICE)
    [open_order] = exchange.engine.orders(ann.id)
    exchange.engine.modify(ann.id, id=open_order.id, price=PRICE + 10_000, quantity_delta=1000)
    exchange.publish()
    status = exchange.call(session, "order.status", ann, symbol="BTCUSDT", origClientOrderId="mine")
    assert (status["price"], status["origQty"], status["executedQty"]) == (
        "9001.00000000", "0.40000000", "0.10000000",
    )  # fmt: skip
    exchange.coinflex(bob, 3000, PRICE + 10_000)
    status = exchange.call(session, "order.status", ann, symbol="BTCUSDT", origClientOrderId="mine")
    assert (status["status"], status["executedQty"]) == ("FILLED", "0.40000000")


def test_who_trades_with_himself_has_two_orders_filled(exchange: Exchange, session: int) -> None:
    ann = exchange.users[0]
    maker = exchange.place(session, ann, "SELL", "0.5", "9000")
    taker = exchange.place(session, ann, "BUY", "0.5", None)
    assert taker["status"] == "FILLED"
    status = exchange.call(session, "order.status", ann, symbol="BTCUSDT", orderId=maker["orderId"])
    assert status["status"] == "FILLED"


def test_finished_orders_are_remembered_up_to_a_number() -> None:
    exchange = Exchange(history=3, orders_10s=None)
    session, ann = exchange.connect(API), exchange.users[0]
    exchange.place(session, ann, "BUY", "1", "9", newClientOrderId="stays")
    for number in range(5):
        exchange.place(session, ann, "BUY", "1", "10", newClientOrderId=f"n{number}")
        exchange.call(session, "order.cancel", ann, symbol="BTCUSDT", origClientOrderId=f"n{number}")
    known = []
    for name in ("stays", "n0", "n1", "n2", "n3", "n4"):
        reply = exchange.ask(
            session, "order.status", exchange.signed(ann, symbol="BTCUSDT", origClientOrderId=name)
        )
        known += [name] if reply["status"] == 200 else []
    assert known == ["stays", "n2", "n3", "n4"]


def test_orders_may_be_given_as_numbers_of_the_json_text(exchange: Exchange, session: int) -> None:
    ann = exchange.users[0]
    params = exchange.signed(ann, **order("BUY", "0.5", "9000.00"))
    text = (
        '{"id": 1, "method": "v3/order.place", "params": {'
        + ", ".join(
            f'"{name}": {value}' if name in ("price", "quantity", "timestamp") else f'"{name}": "{value}"'
            for name, value in params.items()
        )
        + "}}"
    )
    reply = exchange.ask_raw(session, text)
    assert reply["status"] == 200
    assert reply["result"]["price"] == "9000.00000000"
