"""The sandbox's Coinbase feed over real sockets, seen by the `websockets` package."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.integration.coinbase_peer import FeedPeer, feed, get, signed
from tests.unit.sandbox.coinbase_books import FullBook, LevelBook, order_number
from wsclient import Assets, WSClient
from wsclient.sandbox import Sandbox
from wsclient.sandbox.assets import USD
from wsclient.sandbox.coinbase import CoinbaseSettings
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.faults import Drop, Mute, Refuse
from wsclient.sandbox.noticefaults import Break, Hush, Late, Repeat, Skip
from wsclient.sandbox.traders import Traders

XBT, USDT = Assets["XBT"], Assets["USDT"]
PRODUCT = "BTC-USDT"
PRICE = 90_000_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(traders=0) as exchange:
        yield exchange
    assert exchange.ledger.troubles == []


@pytest.fixture
def exchange(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.faults.clear()
    sandbox.run(lambda engine: [engine.cancel_all(user.id) for user in sandbox.users])


def place(exchange: Sandbox, quantity: int, price: int | None = PRICE, user: int = 0) -> int | None:
    owner = exchange.users[user].id
    return exchange.run(
        lambda engine: engine.place(owner, base=XBT, counter=USDT, quantity=quantity, price=price).id
    )


# ---------------------------------------------------------------- one exchange, two dialects


def test_an_order_placed_through_wsclient_is_seen_on_the_feed(exchange: Sandbox) -> None:
    user = exchange.users[0]
    with feed(exchange) as stranger, feed(exchange) as owner, WSClient(exchange.url) as client:
        stranger.subscribe("full", "ticker", product_ids=[PRODUCT], user=1)
        owner.subscribe("user", product_ids=[PRODUCT], user=0)
        client.set_auth_data(user.id, user.cookie, user.passphrase)
        order = client.PlaceOrder(base=XBT, counter=USDT, quantity=-15_000, price=PRICE).result(timeout=5)
        received, opened = stranger.recv(), stranger.recv()
        assert (received["type"], opened["type"]) == ("received", "open")
        assert order_number(opened["order_id"]) == order["id"]
        assert (opened["side"], opened["price"], opened["remaining_size"]) == ("sell", "9000.0000", "1.5000")
        assert opened["product_id"] == PRODUCT
        assert "user_id" not in opened
        assert int(owner.next("open")["user_id"], 16) == user.id

        client.PlaceOrder(base=XBT, counter=USDT, quantity=5_000).result(timeout=5)
        told = stranger.until("ticker")
        assert [message["type"] for message in told] == ["received", "match", "done", "ticker"]
        assert told[0]["order_type"] == "market"
        assert order_number(told[1]["maker_order_id"]) == order["id"]
        assert (told[3]["price"], told[3]["last_size"], told[3]["side"]) == ("9000.0000", "0.5000", "buy")
        client.CancelOrder(id=order["id"]).result(timeout=5)
        done = stranger.next("done")
        assert (done["reason"], done["remaining_size"]) == ("canceled", "1.0000")


def test_a_book_is_the_same_by_feed_and_by_page(exchange: Sandbox) -> None:
    for number in range(5):
        place(exchange, 10_000 + number, PRICE - 10_000 * number)
        place(exchange, -10_000 - number, PRICE + 10_000 * (number + 1))
    with feed(exchange) as peer:
        peer.subscribe("level2", product_ids=[PRODUCT], user=0)
        snapshot = peer.next("snapshot")
    status, page = get(exchange, f"/products/{PRODUCT}/book?level=2")
    assert status == 200
    assert snapshot["bids"] == [row[:2] for row in page["bids"]]
    assert snapshot["asks"] == [row[:2] for row in page["asks"]]
    assert len(snapshot["bids"]) == len(snapshot["asks"]) == 5
    assert get(exchange, "/products/NO-SUCH/book") == (404, {"message": "NotFound"})
    assert exchange.ledger.fetches[-1].target == "/products/NO-SUCH/book"


def test_books_followed_over_the_wire_are_the_engines_at_the_same_sequence(exchange: Sandbox) -> None:
    product, pair = "BTC-USD", (XBT, USD)
    traders = exchange.run(lambda engine: Traders(engine.markets.values(), seed=5, first=7001))
    with feed(exchange) as peer:
        peer.subscribe("full", "level2", product_ids=[product], user=0)
        level2 = LevelBook()
        level2.apply(peer.next("snapshot"))
        full = FullBook.of_page(get(exchange, f"/products/{product}/book?level=3")[1])
        exchange.run(traders.open)
        for _ in range(40):
            for _ in range(40):
                exchange.run(traders.step)
            for message in peer.settled():
                if message["type"] == "l2update":
                    level2.apply(message)
                    assert level2.levels == full.levels()
                else:
                    full.apply(message)
            orders = exchange.run(lambda engine: engine.book(*pair, limit=None))
            _, page = get(exchange, f"/products/{product}/book?level=3")
            assert page["sequence"] == full.sequence
            assert FullBook.of_page(page).rows() == full.rows()
            assert {order_number(number): row[1:] for number, row in full.rows().items()} == {
                order.id: (Decimal(order.price) / 100, Decimal(abs(order.quantity)) / 10**8) for order in orders
            }
        assert full.sequence > 1150
    exchange.run(lambda engine: [engine.cancel_all(user) for user in traders.users])


def test_traders_keep_the_documents_markets_moving() -> None:
    products = ["BTC-USD", "ETH-USD", "ETH-EUR", "ETH-BTC"]
    with Sandbox(traders=2000) as exchange, feed(exchange) as peer:
        peer.subscribe("matches", product_ids=products)
        moved: set[str] = set()
        while moved != set(products):
            moved.add(peer.next("match")["product_id"])
    assert exchange.ledger.troubles == []


def test_sequences_have_no_gap_however_fast_the_market_is() -> None:
    with Sandbox(traders=3000) as exchange, feed(exchange) as peer:
        peer.subscribe("full", product_ids=["BTC-USD"], user=0)
        last = peer.next("received", "open", "match", "change", "done")["sequence"]
        for _ in range(500):
            message = peer.recv()
            assert message["sequence"] == last + 1
            last += 1


# ---------------------------------------------------------------- subscribing, and not


def test_who_does_not_subscribe_in_time_is_dropped() -> None:
    with Sandbox(traders=0, coinbase=CoinbaseSettings(subscribe_within=0.1)) as exchange:
        with feed(exchange) as peer, feed(exchange) as subscribed:
            subscribed.subscribe("heartbeat", product_ids=[PRODUCT])
            messages, closed = peer.ended()
            assert messages == []
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1008
            assert subscribed.next("heartbeat")["product_id"] == PRODUCT
        assert exchange.ledger.troubles == []


def test_the_time_to_subscribe_in_is_the_sandboxs_own() -> None:
    now = [1_600_000_000_000_000]
    with Sandbox(traders=0, clock=lambda: now[0]) as exchange, feed(exchange) as peer:
        assert peer.websocket.ping().wait(5)
        now[0] += 5_000_000
        _, closed = peer.ended()
        assert closed.rcvd is not None
        assert closed.rcvd.reason == "no subscribe message in time"


def test_signed_subscriptions_are_verified(exchange: Sandbox) -> None:
    with feed(exchange) as peer:
        error = peer.subscribe("level2", product_ids=[PRODUCT])
        assert error["message"] == "Failed to subscribe"
        assert "level2, level3, and full channels now require authentication" in error["reason"]
        wrong = signed(exchange.users[0], signature=signed(exchange.users[1])["signature"])
        error = peer.subscribe("level2", product_ids=[PRODUCT], **wrong)
        assert (error["message"], error["reason"]) == ("Authentication Failed", "invalid signature")
        assert peer.subscribe("level2", product_ids=[PRODUCT], user=0)["type"] == "subscriptions"
        command = exchange.ledger.commands("subscribe")[-1]
        assert set(command.fields) == {"type", "channels", "product_ids"}
        assert [entry.code for entry in exchange.ledger.executed("subscribe")[-3:]] == [1, 1, 0]


def test_auth_may_be_left_to_the_user_channel() -> None:
    with Sandbox(traders=0, coinbase=CoinbaseSettings(require_auth=False)) as exchange, feed(exchange) as peer:
        assert peer.subscribe("level2", "full", product_ids=["ETH-EUR"])["type"] == "subscriptions"
        assert peer.next("snapshot")["product_id"] == "ETH-EUR"


def test_the_direct_feed_takes_users_only(exchange: Sandbox) -> None:
    with feed(exchange, exchange.coinbase_direct_url) as peer:
        assert peer.subscribe("ticker", product_ids=[PRODUCT])["type"] == "error"
        assert peer.subscribe("ticker", product_ids=[PRODUCT], user=0)["type"] == "subscriptions"


def test_addresses_are_known_from_the_start_on() -> None:
    exchange = Sandbox(traders=0)
    for name in ("coinbase_url", "coinbase_direct_url", "coinbase_rest_url"):
        with pytest.raises(RuntimeError):
            getattr(exchange, name)
    with exchange:
        assert exchange.coinbase_url == f"ws://127.0.0.1:{exchange.port}/coinbase"
        assert exchange.coinbase_rest_url == f"http://127.0.0.1:{exchange.port}"


def test_messages_are_compressed_for_whom_asks_for_it(exchange: Sandbox) -> None:
    with feed(exchange) as peer, feed(exchange, compression=None) as plain:
        assert [extension.name for extension in peer.websocket.protocol.extensions] == ["permessage-deflate"]
        assert plain.websocket.protocol.extensions == []
        for each in (peer, plain):
            each.subscribe("status")
            assert len(each.next("status")["products"]) > 60


# ---------------------------------------------------------------- slow consumers


def test_a_consumer_that_does_not_read_is_told_so_and_dropped() -> None:
    with Sandbox(traders=0, max_backlog=100_000, idle_timeout=None) as exchange:
        user = exchange.users[1].id

        def rush(engine: Engine) -> None:
            for _ in range(200):
                engine.place(user, base=XBT, counter=USDT, quantity=1, price=10_000)
                engine.cancel_all(user)

        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            sock.connect(("127.0.0.1", exchange.port))
            with feed(exchange, sock=sock, compression=None, max_queue=1) as peer:
                peer.subscribe("full", product_ids=[PRODUCT], user=0)
                line = exchange._server._lines[peer.session]
                while not exchange.run(lambda engine: line.ended):
                    exchange.run(rush)
                messages, closed = peer.ended()
        assert messages[-1] == {"type": "error", "message": "ErrSlowConsume"}
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1008
        assert exchange.ledger.troubles == []


# ---------------------------------------------------------------- faults


@pytest.fixture
def follower(exchange: Sandbox) -> Iterator[FeedPeer]:
    with feed(exchange) as peer:
        peer.subscribe("full", "level2", product_ids=[PRODUCT], user=0)
        peer.next("snapshot")
        yield peer


def sequences(peer: FeedPeer) -> list[int]:
    """The sequences of the messages up to now, counted from the first one."""
    numbers = [message["sequence"] for message in peer.settled() if message["type"] != "l2update"]
    return [number - numbers[0] for number in numbers]


def test_a_sequence_is_skipped(exchange: Sandbox, follower: FeedPeer) -> None:
    exchange.faults.add(Skip(kind="open", product=PRODUCT, nth=2))
    for _ in range(3):
        place(exchange, 10_000)
    assert sequences(follower) == [0, 1, 2, 4, 5]
    assert exchange.faults.waiting == []


def test_a_sequence_is_repeated_at_once_or_later(exchange: Sandbox, follower: FeedPeer) -> None:
    exchange.faults.add(Repeat(kind="open"), Repeat(kind="received", nth=2, after=5))
    for _ in range(3):
        place(exchange, 10_000)
    assert sequences(follower) == [0, 1, 1, 2, 3, 4, 5, 2]


def test_sequences_are_reordered(exchange: Sandbox, follower: FeedPeer) -> None:
    exchange.faults.add(Late(kind="received", nth=2, by=3))
    for _ in range(3):
        place(exchange, 10_000)
    assert sequences(follower) == [0, 1, 3, 4, 2, 5]


def test_what_nothing_follows_is_late_by_time(exchange: Sandbox, follower: FeedPeer) -> None:
    exchange.faults.add(Late(kind="open", by=100, linger=0.05))
    place(exchange, 10_000)
    assert [message["type"] for message in follower.until("open")] == ["received", "l2update", "open"]


def test_an_update_comes_before_the_snapshot(exchange: Sandbox) -> None:
    exchange.faults.add(Late(kind="snapshot", product=PRODUCT, linger=60))
    with feed(exchange) as peer:
        peer.subscribe("level2", product_ids=[PRODUCT], user=0)
        assert peer.settled() == []
        place(exchange, 10_000)
        assert [message["type"] for message in peer.until("snapshot")] == ["l2update", "snapshot"]


@pytest.mark.parametrize(("when", "seen"), [("before", 1), ("after", 2)])
def test_the_connection_is_cut_at_a_message(exchange: Sandbox, follower: FeedPeer, when: Any, seen: int) -> None:
    exchange.faults.add(Break(kind="open", when=when))
    place(exchange, 10_000)
    messages, closed = follower.ended()
    assert len([message for message in messages if message["type"] != "l2update"]) == seen
    assert closed.rcvd is None


def test_the_connection_is_closed_at_a_message_with_a_code(exchange: Sandbox, follower: FeedPeer) -> None:
    exchange.faults.add(Break(kind="open", code=1012, reason="restarting"))
    place(exchange, 10_000)
    _, closed = follower.ended()
    assert closed.rcvd is not None
    assert (closed.rcvd.code, closed.rcvd.reason) == (1012, "restarting")


def test_a_feed_falls_mute_for_one_session_and_answers_still(exchange: Sandbox, follower: FeedPeer) -> None:
    with feed(exchange) as other:
        other.subscribe("matches", product_ids=[PRODUCT])
        exchange.faults.add(Hush(kind="open"))
        place(exchange, -10_000)
        place(exchange, 10_000, user=1)
        assert [message["type"] for message in follower.settled()] == ["received"]
        assert other.next("match")
        assert follower.websocket.ping().wait(5)


def test_the_faults_of_commands_meet_subscriptions_too(exchange: Sandbox) -> None:
    exchange.faults.add(Mute(method="subscribe"), Drop(method="unsubscribe"))
    with feed(exchange) as peer:
        peer.send({"type": "subscribe", "channels": ["status"]})
        assert peer.recv()["type"] == "status"
        peer.send({"type": "unsubscribe", "channels": ["status"]})
        _, closed = peer.ended()
        assert closed.rcvd is None


def test_pages_are_refused_only_where_their_path_is_named(exchange: Sandbox) -> None:
    exchange.faults.add(Refuse(status=503), Refuse(path="/products", status=429, body="{}"))
    connection = HTTPConnection("127.0.0.1", exchange.port, timeout=5)
    connection.request("GET", f"/products/{PRODUCT}/book")
    assert connection.getresponse().status == 429
    connection.close()
    assert get(exchange, f"/products/{PRODUCT}/book")[0] == 200
    with pytest.raises(InvalidStatus), connect(exchange.coinbase_url):
        pass


# ---------------------------------------------------------------- bad clients, and many


def test_nonsense_is_answered_and_harms_nobody(exchange: Sandbox) -> None:
    with feed(exchange) as peer:
        for text in (
            "",
            "nonsense",
            "[]",
            '{"type": 5}',
            '{"type": "subscribe", "channels": [[[]]]}',
            "x" * 100_000,
        ):
            peer.websocket.send(text)
            assert peer.recv()["type"] == "error"
        peer.websocket.send(b"binary")
        with pytest.raises(ConnectionClosed):
            peer.recv()


def test_a_goodbye_that_overtakes_what_is_being_sent_is_no_trouble(exchange: Sandbox) -> None:
    with feed(exchange) as peer:
        peer.subscribe("full", product_ids=[PRODUCT], user=0)
        connection = exchange._server._lines[peer.session].connection
        user, close_frame = exchange.users[0].id, b"\x88\x82\x00\x00\x00\x00\x03\xe8"

        def tell_and_part(engine: Engine) -> None:
            connection.loop.call_soon(connection.data_received, close_frame)
            engine.place(user, base=XBT, counter=USDT, quantity=1, price=PRICE)

        exchange.run(tell_and_part)
        messages, closed = peer.ended()
        assert [message["type"] for message in messages] == ["received", "open"]
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1000
    assert exchange.ledger.troubles == []


def test_many_sessions_come_and_go_while_orders_are_placed(exchange: Sandbox) -> None:
    def visit(user: int) -> int:
        """Follow the feed for a while, with everybody else's orders on it, until one's own are seen."""
        seen = 0
        for _ in range(12):
            with feed(exchange) as peer:
                peer.subscribe("full", "level2", "heartbeat", product_ids=[PRODUCT], user=user)
                for _ in range(5):
                    number = place(exchange, 1, user=user)
                    while order_number(peer.next("open")["order_id"]) != number:
                        seen += 1
                exchange.run(lambda engine: engine.cancel_all(exchange.users[user].id))
        return seen

    with ThreadPoolExecutor(4) as visitors:
        seen = list(visitors.map(visit, range(4)))
    assert sum(seen) > 0, "they were there at the same time"
    assert get(exchange, f"/products/{PRODUCT}/book")[1]["bids"] == []


def test_the_command_line_tells_where_the_feed_is_and_the_demo_users_key() -> None:
    arguments = [sys.executable, "-m", "wsclient.sandbox", "--port", "0", "--seed", "3", "--venues"]
    demo = Sandbox(seed=3, traders=0).users[0].coinbase
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            lines.append(process.stdout.readline())
            assert lines[-1], "it has ended"
        url = next(word for word in "".join(lines).split() if "/coinbase" in word).rstrip(",")
        with connect(url) as websocket:
            websocket.send(json.dumps({"type": "subscribe", "channels": ["status"]}))
            assert json.loads(websocket.recv(timeout=5))["type"] == "subscriptions"
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    for text in (demo.key, demo.secret, demo.passphrase):
        assert any(text in line for line in lines)
