"""What an account's owner is told of it."""

from typing import Any

import pytest

from tests.unit.sandbox.binance_exchange import PRICE, SECOND, Exchange
from wsclient.sandbox.engine import Fees

API = "/ws-api/v3"


def subscribe(exchange: Exchange, number: int = 0) -> int:
    """A connection that is told of a user's affairs."""
    session = exchange.connect(API)
    user = exchange.users[number]
    assert exchange.call(session, "userDataStream.subscribe.signature", user) == {"subscriptionId": 0}
    return session


def events(exchange: Exchange, session: int) -> list[dict[str, Any]]:
    told = exchange.hears(session)
    assert all(set(message) == {"subscriptionId", "event"} for message in told)
    return [message["event"] for message in told]


def test_an_orders_life_is_told_report_by_report() -> None:
    exchange = Exchange(fees=Fees(maker=1000, taker=0))
    session, (ann, bob, _) = subscribe(exchange), exchange.users
    placed = exchange.place(session, ann, "SELL", "0.5", "9000", newClientOrderId="mine")
    new, position = events(exchange, session)
    now = exchange.clock // 1000
    assert new == {
        "e": "executionReport", "E": now, "s": "BTCUSDT", "c": "mine", "S": "SELL", "o": "LIMIT", "f": "GTC",
        "q": "0.50000000", "p": "9000.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "",
        "x": "NEW", "X": "NEW", "r": "NONE", "i": placed["orderId"], "l": "0.00000000", "z": "0.00000000",
        "L": "0.00000000", "n": "0", "N": None, "T": now, "t": -1, "I": 1, "w": True, "m": False, "M": False,
        "O": now, "Z": "0.00000000", "Y": "0.00000000", "Q": "0.00000000", "W": now, "V": "NONE",
    }  # fmt: skip
    assert position == {
        "e": "outboundAccountPosition", "E": now, "u": now,
        "B": [{"a": "BTC", "f": "999999.50000000", "l": "0.50000000"}],
    }  # fmt: skip
    exchange.coinflex(bob, 2000, PRICE)
    trade, position = events(exchange, session)
    assert (trade["x"], trade["X"], trade["l"], trade["z"], trade["L"]) == (
        "TRADE", "PARTIALLY_FILLED", "0.20000000", "0.20000000", "9000.00000000",
    )  # fmt: skip
    assert (trade["t"], trade["m"], trade["Y"], trade["Z"]) == (1, True, "1800.00000000", "1800.00000000")
    assert (trade["n"], trade["N"], trade["w"]) == ("1.80000000", "USDT", True)
    assert {balance["a"]: (balance["f"], balance["l"]) for balance in position["B"]} == {
        "BTC": ("999999.50000000", "0.30000000"),
        "USDT": ("1001798.20000000", "0.00000000"),
    }
    exchange.call(session, "order.cancel", ann, symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="end")
    cancelled, position = events(exchange, session)
    assert (cancelled["x"], cancelled["X"], cancelled["c"], cancelled["C"]) == (
        "CANCELED",
        "CANCELED",
        "end",
        "mine",
    )
    assert (cancelled["z"], cancelled["w"]) == ("0.20000000", False)
    assert position["B"] == [{"a": "BTC", "f": "999999.80000000", "l": "0.00000000"}]


def test_a_taker_is_told_of_the_order_before_its_trades() -> None:
    exchange = Exchange()
    exchange.coinflex(exchange.users[1], -1000, PRICE)
    exchange.coinflex(exchange.users[1], -1000, PRICE + 10_000)
    session = subscribe(exchange)
    exchange.place(session, exchange.users[0], "BUY", "0.3", None)
    *reports, position = events(exchange, session)
    assert [(r["x"], r["X"], r["z"]) for r in reports] == [
        ("NEW", "NEW", "0.00000000"),
        ("TRADE", "PARTIALLY_FILLED", "0.10000000"),
        ("TRADE", "PARTIALLY_FILLED", "0.20000000"),
        ("EXPIRED", "EXPIRED", "0.20000000"),
    ]
    assert reports[-1]["eR"] == "INSUFFICIENT_LIQUIDITY"
    assert [report["I"] for report in reports] == sorted({report["I"] for report in reports})
    assert position["e"] == "outboundAccountPosition"


def test_orders_through_another_dialect_are_told_too() -> None:
    exchange = Exchange()
    session = subscribe(exchange)
    exchange.coinflex(exchange.users[1], -1000, PRICE)
    assert events(exchange, session) == []
    exchange.coinflex(exchange.users[0], 300, PRICE)
    exchange.coinflex(exchange.users[0], 300)
    reports = [event for event in events(exchange, session) if event["e"] == "executionReport"]
    assert [(r["o"], r["x"], r["X"]) for r in reports] == [
        ("LIMIT", "NEW", "NEW"),
        ("LIMIT", "TRADE", "FILLED"),
        ("MARKET", "NEW", "NEW"),
        ("MARKET", "TRADE", "FILLED"),
    ]
    assert reports[0]["c"]


def test_reports_add_up_to_what_the_account_has() -> None:
    exchange = Exchange()
    session, user = subscribe(exchange), exchange.users[0]
    before = {b["asset"]: b for b in exchange.call(session, "account.status", user)["balances"]}
    for count in range(20):
        exchange.coinflex(exchange.users[1], (-1) ** count * 700, PRICE + count % 3 * 10_000)
        exchange.place(session, user, "BUY" if count % 2 == 0 else "SELL", "0.05", f"{9000 + count % 3}")
    known = {name: (b["free"], b["locked"]) for name, b in before.items()}
    for event in events(exchange, session):
        if event["e"] == "outboundAccountPosition":
            known |= {b["a"]: (b["f"], b["l"]) for b in event["B"]}
    after = exchange.call(session, "account.status", user)["balances"]
    assert known == {b["asset"]: (b["free"], b["locked"]) for b in after}


def test_a_deposit_is_a_balance_update() -> None:
    exchange = Exchange()
    session, user = subscribe(exchange), exchange.users[0]
    exchange.venue.state.deposit(user.id, exchange.venue.state.symbols.codes["BTC"], -50_000_000)
    exchange.publish()
    update, position = events(exchange, session)
    assert (update["e"], update["a"], update["d"]) == ("balanceUpdate", "BTC", "-0.50000000")
    assert position["B"] == [{"a": "BTC", "f": "999999.50000000", "l": "0.00000000"}]


def test_a_connection_follows_several_accounts_each_once() -> None:
    exchange = Exchange()
    session = subscribe(exchange)
    again = exchange.refused(session, "userDataStream.subscribe.signature", exchange.users[0])
    assert again == (-2035, "User Data Stream subscription already active.")
    other = exchange.call(session, "userDataStream.subscribe.signature", exchange.users[1])
    assert other == {"subscriptionId": 1}
    assert exchange.call(session, "session.subscriptions") == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    assert exchange.call(session, "session.status")["userDataStream"] is True
    exchange.coinflex(exchange.users[1], 100, PRICE)
    assert {message["subscriptionId"] for message in exchange.hears(session)} == {1}
    exchange.call(session, "userDataStream.unsubscribe", subscriptionId=0)
    assert exchange.refused(session, "userDataStream.unsubscribe", subscriptionId=0)[0] == -2036
    assert exchange.call(session, "userDataStream.subscribe.signature", exchange.users[0]) == {"subscriptionId": 2}


def test_the_end_of_a_subscription_is_told() -> None:
    exchange = Exchange()
    session = subscribe(exchange)
    assert exchange.call(session, "userDataStream.unsubscribe") == {}
    end = {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": exchange.clock // 1000}}
    assert exchange.hears(session) == [end]
    exchange.coinflex(exchange.users[0], 100, PRICE)
    assert exchange.hears(session) == []
    assert exchange.refused(session, "userDataStream.unsubscribe")[0] == -2036


def test_only_a_session_that_has_logged_on_subscribes_without_a_signature() -> None:
    exchange = Exchange()
    session = exchange.connect(API)
    code, _ = exchange.refused(session, "userDataStream.subscribe")
    assert code == -2015


@pytest.mark.parametrize("how", ["/ws/{}", "/stream?streams={}", "SUBSCRIBE"])
def test_a_listen_key_is_a_stream_of_its_owner(how: str) -> None:
    exchange = Exchange()
    api, user = exchange.connect(API), exchange.users[0]
    key = exchange.call(api, "userDataStream.start", apiKey=user.binance.api_key, margin="CROSS")["listenKey"]
    session = exchange.connect(how.format(key) if "{" in how else "/ws")
    if how == "SUBSCRIBE":
        assert exchange.ask(session, "SUBSCRIBE", [key])["result"] is None
    exchange.coinflex(user, 100, PRICE)
    exchange.coinflex(exchange.users[1], 100, PRICE)
    told = [message.get("data", message) for message in exchange.hears(session)]
    assert [event["e"] for event in told] == ["executionReport", "outboundAccountPosition"]
    exchange.call(api, "userDataStream.stop", apiKey=user.binance.api_key, listenKey=key)
    exchange.coinflex(user, 100, PRICE)
    assert exchange.hears(session) == []


def test_a_listen_key_lives_as_long_as_it_is_pinged() -> None:
    exchange = Exchange(listen_key_seconds=60, pong_timeout=10**9)
    api, user = exchange.connect(API), exchange.users[0]
    named: dict[str, Any] = {"apiKey": user.binance.api_key}
    cross = exchange.call(api, "userDataStream.start", **named, margin="CROSS")["listenKey"]
    assert exchange.call(api, "userDataStream.start", **named, margin="CROSS")["listenKey"] == cross
    isolated: dict[str, Any] = {**named, "margin": "ISOLATED", "symbol": "BTCUSDT"}
    other = exchange.call(api, "userDataStream.start", **isolated)["listenKey"]
    assert other != cross
    sessions = {key: exchange.connect(f"/ws/{key}") for key in (cross, other)}
    exchange.jump(40)
    exchange.call(api, "userDataStream.ping", **named, listenKey=cross)
    exchange.jump(40)
    assert exchange.hears(sessions[cross]) == []
    [expired] = exchange.hears(sessions[other])
    assert expired == {"e": "listenKeyExpired", "E": exchange.clock // 1000, "listenKey": other}
    for key, name in ((other, user), (cross, exchange.users[1]), ("nonsense", user), (None, user)):
        params: dict[str, Any] = {"apiKey": name.binance.api_key, **({"listenKey": key} if key else {})}
        code = exchange.refused(api, "userDataStream.ping", **params)
        assert code == (-1125, "This listenKey does not exist.")
    assert exchange.clock > SECOND


def test_nobody_is_told_of_strangers_affairs() -> None:
    exchange = Exchange()
    session, market = subscribe(exchange, 2), exchange.connect("/ws/btcusdt@trade")
    exchange.coinflex(exchange.users[0], -100, PRICE)
    exchange.coinflex(exchange.users[1], 100, PRICE)
    assert exchange.hears(session) == []
    [trade] = exchange.hears(market)
    assert set(trade) == {"e", "E", "s", "t", "p", "q", "T", "m", "M"}


def test_a_connection_that_has_ended_is_forgotten() -> None:
    exchange = Exchange()
    session = subscribe(exchange)
    exchange.venue.close(session)
    exchange.venue.close(session)
    assert not exchange.venue.state.user_data.listens(exchange.users[0].id)
    exchange.coinflex(exchange.users[0], 100, PRICE)
    assert exchange.hears(session) == []
