"""The sandbox's Binance over real sockets, with the `websockets` package as its client."""

import base64
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.integration.binance_peer import BinancePeer, api, limit_order, signed, streams
from tests.integration.sandbox_peer import USDT, XBT, member
from wsclient import WSClient
from wsclient.sandbox import Sandbox
from wsclient.sandbox.binance_faults import Answer
from wsclient.sandbox.binance_limits import BinanceSettings
from wsclient.sandbox.faults import CutFrame, Delay, Drop, Duplicate, Gate, Mute
from wsclient.sandbox.ledger import Ledger
from wsclient.sandbox.limits import Rate
from wsclient.sandbox.noticefaults import Repeat, Skip

PRICE = 90_000_000
Book = dict[str, dict[str, str]]


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    """A sandbox in which nothing happens by itself, and tests may be hasty."""
    with Sandbox(traders=0, binance=BinanceSettings(messages=None, orders_10s=None)) as exchange:
        yield exchange
    assert exchange.ledger.troubles == []


def place(exchange: Sandbox, number: int, quantity: int, price: int | None = None) -> None:
    """Place an order behind every dialect's back."""
    user = exchange.users[number].id
    exchange.run(lambda engine: engine.place(user, base=XBT, counter=USDT, quantity=quantity, price=price))


def test_an_order_through_binance_fills_against_one_through_coinflex(exchange: Sandbox) -> None:
    ann, bob = exchange.users[:2]
    with (
        member(exchange, ann) as coinflex,
        api(exchange) as binance,
        streams(exchange, "/ws/btcusdt@trade") as market,
    ):
        order = coinflex.place(-5000, PRICE)
        placed = binance.call("order.place", bob, **limit_order("BUY", "0.2", "9000", newClientOrderId="mine"))
        assert (placed["status"], placed["cummulativeQuoteQty"]) == ("FILLED", "1800.00000000")
        match = coinflex.notice("OrdersMatched")
        assert (match["ask"], match["quantity"], match["total"]) == (order["id"], 2000, 18_000_000)
        trade = market.event(lambda event: event["e"] == "trade")
        assert (trade["p"], trade["q"], trade["t"]) == ("9000.00000000", "0.20000000", 1)


def test_an_order_of_our_own_client_is_seen_on_binances_streams(exchange: Sandbox) -> None:
    user = exchange.users[0]
    client = WSClient(exchange.url, socket_timeout=5)
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    with client, api(exchange) as binance, streams(exchange, "/stream?streams=btcusdt@depth@100ms") as market:
        binance.call("userDataStream.subscribe.signature", user)
        client.PlaceOrder(base=XBT, counter=USDT, quantity=15_000, price=PRICE).result(timeout=5)
        assert market.event(lambda event: "U" in event)["b"] == [["9000.00000000", "1.50000000"]]
        report = binance.event(lambda event: event["e"] == "executionReport")
        assert (report["s"], report["S"], report["q"], report["X"]) == ("BTCUSDT", "BUY", "1.50000000", "NEW")
        [order] = binance.call("openOrders.status", user)
        cancelled = binance.call("order.cancel", user, symbol="BTCUSDT", orderId=order["orderId"])
        assert cancelled["status"] == "CANCELED"
        assert client.GetOrders().result(timeout=5)["orders"] == []


def apply(book: Book, event: dict[str, Any]) -> None:
    for side in ("b", "a"):
        for price, quantity in event[side]:
            if float(quantity):
                book[side][price] = quantity
            else:
                book[side].pop(price, None)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "NEOBTC"])
def test_a_book_kept_by_the_rule_is_the_engines_while_traders_are_busy(no_socket_left: None, symbol: str) -> None:
    name = symbol.lower()
    with (
        Sandbox(traders=400) as exchange,
        api(exchange) as binance,
        streams(exchange, f"/ws/{name}@depth@100ms") as market,
    ):
        held = [market.recv()]
        while True:
            snapshot = binance.call("depth", symbol=symbol, limit=5000)
            if snapshot["lastUpdateId"] >= held[0]["U"]:
                break
        update_id = snapshot["lastUpdateId"]
        book = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
        first = True
        checked = 0
        while checked < 5:
            event = held.pop(0) if held else market.recv()
            if event["u"] <= update_id:
                continue
            if first:
                assert event["U"] <= update_id + 1 <= event["u"]
            else:
                assert event["U"] == update_id + 1
            first = False
            apply(book, event)
            update_id = event["u"]
            truth = binance.call("depth", symbol=symbol, limit=5000)
            if truth["lastUpdateId"] == update_id:  # else the book has moved on in between
                assert book == {"b": dict(truth["bids"]), "a": dict(truth["asks"])}
                checked += 1
        assert exchange.ledger.troubles == []


def test_a_session_logs_on_with_ed25519_and_hears_of_its_account(exchange: Sandbox) -> None:
    user = exchange.users[2]
    with api(exchange) as binance:
        key = serialization.load_pem_private_key(user.binance_ed25519.private_key.encode(), None)
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        params: dict[str, Any] = {"apiKey": user.binance_ed25519.api_key, "timestamp": time.time_ns() // 1_000_000}
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        signature = base64.b64encode(key.sign(text.encode())).decode()
        binance.call("session.logon", **params, signature=signature)
        assert binance.call("userDataStream.subscribe") == {"subscriptionId": 0}
        binance.call("order.place", **limit_order("BUY", "1", "9000"), timestamp=time.time_ns() // 1_000_000)
        assert binance.event(lambda event: event["e"] == "executionReport")["X"] == "NEW"
        exchange.binance.deposit(user, "BTC", "0.5")
        update = binance.event(lambda event: event["e"] == "balanceUpdate")
        assert (update["a"], update["d"]) == ("BTC", "0.50000000")
        binance.call("session.logout")
        assert binance.event(lambda event: event["e"] == "eventStreamTerminated")


def test_a_client_that_answers_pings_stays_and_a_deaf_one_is_dropped(no_socket_left: None) -> None:
    settings = BinanceSettings(ping_interval=0.2, pong_timeout=1.0)
    with (
        Sandbox(traders=0, binance=settings) as exchange,
        streams(exchange, "/ws/btcusdt@trade") as good,
        socket.create_connection(("127.0.0.1", exchange.port)) as deaf,
    ):
        deaf.settimeout(10)
        deaf.sendall(
            b"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        said = b""
        while data := deaf.recv(4096):
            said += data
        assert b"101 Switching Protocols" in said
        assert said.endswith(b"\x88\x0e\x03\xf0Pong timeout")
        assert said.count(b"\x89\x0d") >= 4
        place(exchange, 0, -10, PRICE)
        place(exchange, 1, 10, PRICE)
        assert good.event(lambda event: event["e"] == "trade")
        closure = exchange.ledger.wait_for(lambda ledger: ledger.closures)[0]
        assert (closure.session, closure.code, closure.reason) == (2, 1008, "Pong timeout")


def test_a_sixth_message_within_a_second_ends_the_connection(no_socket_left: None) -> None:
    with Sandbox(traders=0, binance=BinanceSettings(messages=Rate(5, 30))) as exchange:
        with streams(exchange, "/ws") as peer:
            for _ in range(3):
                peer.reply(peer.ask("LIST_SUBSCRIPTIONS"))
            peer.websocket.ping()
            peer.websocket.pong()
            peer.ask("LIST_SUBSCRIPTIONS")
            closed = peer.ended()
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "Too many requests")
        assert len(exchange.ledger.executed("LIST_SUBSCRIPTIONS")) == 3


def test_who_connects_too_often_is_refused(no_socket_left: None) -> None:
    with Sandbox(traders=0, binance=BinanceSettings(connections=Rate(2, 300))) as exchange:
        with streams(exchange, "/ws"), api(exchange):
            pass
        with pytest.raises(InvalidStatus) as refused, streams(exchange, "/ws"):
            pass
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"] == "300"
        with member(exchange):  # another venue's affair
            pass


def test_a_thousand_streams_on_one_connection(exchange: Sandbox) -> None:
    names = [f"s{number}usdt@trade" for number in range(1022)]
    with streams(exchange, "/stream") as peer:
        peer.reply(peer.ask("SUBSCRIBE", [*names, "btcusdt@trade"]))
        assert "error" in peer.reply(peer.ask("SUBSCRIBE", ["a@trade", "b@trade"]))
        assert peer.reply(peer.ask("SUBSCRIBE", ["ethusdt@trade"]))["result"] is None
        place(exchange, 0, -10, PRICE)
        place(exchange, 1, 10, PRICE)
        assert peer.event(lambda event: event.get("e") == "trade")["s"] == "BTCUSDT"


def test_a_day_ends_on_command(exchange: Sandbox) -> None:
    with streams(exchange, "/ws/btcusdt@trade") as one, api(exchange) as other:
        first, second = exchange.binance.sessions
        exchange.binance.end_day([first])
        closed = one.ended()
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1001
        assert other.call("ping") == {}
        exchange.binance.end_day()
        assert other.ended().rcvd is not None
        exchange.ledger.wait_for(lambda ledger: ledger.closure(second))


def test_a_shutdown_is_announced_before_it_comes(exchange: Sandbox) -> None:
    with streams(exchange, "/stream?streams=btcusdt@trade") as one, api(exchange) as other:
        exchange.binance.announce_shutdown(grace=0.3)
        for peer in (one, other):
            closed = peer.ended()
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1001
        assert one.heard[0]["stream"] == "!serverShutdown"
        assert other.heard[0]["event"]["e"] == "serverShutdown"
        with api(exchange) as again:
            assert again.call("ping") == {}


# ---------------------------------------------------------------- faults


def truth(exchange: Sandbox, client_id: str) -> dict[str, Any] | None:
    return exchange.binance.order(exchange.users[0], "BTCUSDT", client_id)


def ask_to_place(peer: BinancePeer, exchange: Sandbox, client_id: str, **more: Any) -> int:
    params = limit_order("BUY", "1", "9000", newClientOrderId=client_id, **more)
    return peer.ask("order.place", signed(exchange.users[0], **params))


@pytest.mark.parametrize(("when", "placed"), [("before", False), ("executed", True), ("answered", True)])
def test_a_cut_connection_leaves_its_order_placed_or_not(exchange: Sandbox, when: Any, placed: bool) -> None:
    exchange.faults.add(Drop(method="order.place", when=when))
    with api(exchange) as peer:
        ask_to_place(peer, exchange, "mine")
        assert isinstance(peer.ended(), ConnectionClosedError)
        assert [message["status"] for message in peer.heard] == ([200] if when == "answered" else [])
    assert (truth(exchange, "mine") is not None) is placed


def test_half_a_reply_is_no_reply_and_the_order_stands(exchange: Sandbox) -> None:
    exchange.faults.add(CutFrame(method="order.place"))
    with api(exchange) as peer:
        ask_to_place(peer, exchange, "mine")
        peer.ended()
        assert peer.heard == []
    order = truth(exchange, "mine")
    assert order is not None
    assert order["status"] == "NEW"


def test_replies_are_swallowed_delayed_and_repeated(exchange: Sandbox) -> None:
    gate = Gate()
    exchange.faults.add(
        Mute(method="order.place"), Delay(method="order.place", gate=gate), Duplicate(method="order.place")
    )
    with api(exchange) as peer:
        muted, delayed, doubled = (ask_to_place(peer, exchange, name) for name in ("a", "b", "c"))
        assert [peer.recv()["id"], peer.recv()["id"]] == [doubled, doubled]
        gate.open()
        assert peer.recv()["id"] == delayed
        assert peer.call("ping") == {}
        assert all(message.get("id") != muted for message in peer.heard)
    assert [order["clientOrderId"] for order in exchange.binance.orders(exchange.users[0])] == ["a", "b", "c"]


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize(("status", "code"), [(500, -1007), (503, -1000), (400, -1007)])
def test_a_status_that_says_nothing_hides_what_was_done(
    exchange: Sandbox, executed: bool, status: int, code: int
) -> None:
    exchange.faults.add(Answer(method="order.place", status=status, code=code, executed=executed))
    with api(exchange) as peer:
        reply = peer.reply(ask_to_place(peer, exchange, "mine"))
        assert (reply["status"], reply["error"]["code"]) == (status, code)
        asked = peer.reply(
            peer.ask("order.status", signed(exchange.users[0], symbol="BTCUSDT", origClientOrderId="mine"))
        )
        assert asked["status"] == (200 if executed else 400)
    assert (truth(exchange, "mine") is not None) is executed


def test_a_client_can_be_told_to_slow_down(exchange: Sandbox) -> None:
    exchange.faults.add(Answer(method="order.place", status=429, code=-1003, message="slow down", retry_after=2))
    with api(exchange) as peer:
        data = peer.reply(ask_to_place(peer, exchange, "mine"))["error"]["data"]
        assert data["retryAfter"] - data["serverTime"] == 2000


def test_a_fault_may_be_meant_for_one_user(exchange: Sandbox) -> None:
    ann, bob = exchange.users[:2]
    exchange.faults.add(Answer(user=bob.id, method="order.place"))
    with api(exchange) as peer:
        assert peer.call("order.place", ann, **limit_order("BUY", "1", "9000"))["status"] == "NEW"
        reply = peer.reply(peer.ask("order.place", signed(bob, **limit_order("BUY", "1", "9000"))))
        assert reply["status"] == 500


def test_messages_of_streams_are_lost_and_repeated(exchange: Sandbox) -> None:
    exchange.faults.add(Skip(kind="trade", nth=2), Repeat(kind="trade", nth=2))  # the second not lost
    with streams(exchange, "/stream?streams=btcusdt@trade") as peer:
        for _ in range(4):
            place(exchange, 0, -10, PRICE)
            place(exchange, 1, 10, PRICE)
        assert [peer.recv()["data"]["t"] for _ in range(4)] == [1, 3, 3, 4]
    assert exchange.binance.last_trade_id("BTCUSDT") == 4


def test_the_ledger_tells_every_orders_truth_by_its_client_order_id(exchange: Sandbox) -> None:
    exchange.faults.add(Drop(method="order.place", when="before", nth=2), Drop(method="order.place", nth=4))
    answered = set()
    for number in range(6):
        with api(exchange) as peer:
            ask_to_place(peer, exchange, f"n{number}")
            try:
                answered.add(peer.recv()["result"]["clientOrderId"])
            except ConnectionClosedError:
                pass
    ledger: Ledger = exchange.ledger
    commands = ledger.commands("order.place", user=exchange.users[0].id)
    sent = [command.fields["params"]["newClientOrderId"] for command in commands]
    executed = [
        entry.command.fields["params"]["newClientOrderId"]
        for entry in ledger.executed("order.place")
        if entry.code == 0
    ]
    assert sent == [f"n{number}" for number in range(6)]
    assert set(sent) - set(executed) == {"n1"}
    assert set(executed) - answered == {"n4"}
    assert [order["clientOrderId"] for order in exchange.binance.orders(exchange.users[0])] == executed
    shown = json.dumps([dict(command.fields) for command in commands])
    assert exchange.users[0].binance.api_key not in shown
    assert "signature" not in shown


def test_trades_reach_many_connections_while_orders_come_from_many(exchange: Sandbox) -> None:
    """Four clients place, two listen: every trade id once, in order, on both."""
    users, trades = exchange.users[:4], 50
    seen: list[list[int]] = [[], []]

    def listen(peer: BinancePeer, ids: list[int]) -> None:
        while len(ids) < trades * 2:
            ids.append(peer.event(lambda event: event["e"] == "trade")["t"])

    def trade(side: str, number: int) -> None:
        with api(exchange) as peer:
            for _ in range(trades):
                peer.call("order.place", users[number], **limit_order(side, "0.01", "9000"))

    with (
        streams(exchange, "/ws/btcusdt@trade") as one,
        streams(exchange, "/stream?streams=btcusdt@trade/btcusdt@depth") as other,
    ):
        listeners = [threading.Thread(target=listen, args=args) for args in zip((one, other), seen, strict=True)]
        for side, (first, second) in (("SELL", (0, 1)), ("BUY", (2, 3))):
            placing = [threading.Thread(target=trade, args=(side, number)) for number in (first, second)]
            for thread in placing if side == "SELL" else [*listeners, *placing]:
                thread.start()
            for thread in placing:
                thread.join(30)
        for thread in listeners:
            thread.join(30)
    assert seen == [list(range(1, 2 * trades + 1))] * 2
    assert [order["status"] for user in users for order in exchange.binance.orders(user)] == [
        "FILLED"
    ] * 4 * trades


def test_everything_that_the_market_streams_have_moves_with_the_traders(no_socket_left: None) -> None:
    names = [
        *("trade", "aggTrade", "bookTicker", "ticker", "miniTicker", "avgPrice", "kline_1s", "kline_1m"),
        *("depth", "depth@100ms", "depth5", "depth10", "depth20", "depth5@100ms", "ticker_1h"),
    ]
    wanted = {f"{symbol}@{name}" for symbol, name in itertools.product(("bnbbtc", "neobtc", "btcusdt"), names)}
    wanted |= {"!ticker@arr", "!miniTicker@arr", "!miniTicker@arr@1000ms", "!ticker_1h@arr"}
    with (
        Sandbox(traders=1000, seed=3) as exchange,
        connect(f"{exchange.binance_url}/stream?streams={'/'.join(sorted(wanted))}", max_queue=None) as websocket,
    ):
        end = time.monotonic() + 30
        while wanted:
            wanted.discard(json.loads(websocket.recv(timeout=end - time.monotonic()))["stream"])
        assert exchange.ledger.troubles == []
