"""What clients do wrong, by mistake or on purpose: it costs them their connection at most, and others nothing."""

import socket
import struct
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from tests.integration.sandbox_peer import USDT, XBT, Peer, guest, member
from wsclient.sandbox import Sandbox
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.users import FIRST_USER


@pytest.fixture(scope="module")
def exchange() -> Iterator[Sandbox]:
    with Sandbox(traders=0) as exchange:
        yield exchange
    assert exchange.ledger.troubles == []


@pytest.fixture
def peer(exchange: Sandbox) -> Iterator[Peer]:
    with guest(exchange) as peer:
        peer.recv()
        yield peer


NASTY = [
    "",
    " ",
    "no JSON",
    "{",
    "null",
    "true",
    "17",
    '"GetBalances"',
    "[]",
    '[{"method": "GetBalances"}]',
    "{}",
    '{"method": null}',
    '{"method": 5}',
    '{"method": ["GetBalances"]}',
    '{"method": {"a": 1}}',
    '{"method": "getbalances"}',
    '{"method": "__class__"}',
    '{"method": "\\ud800"}',
    '{"method": "' + "x" * 60_000 + '"}',
    '{"method": "WatchOrders", "base": NaN}',
    '{"method": "WatchOrders", "base": Infinity}',
    '{"method": "WatchOrders", "base": 1e999, "counter": 65283, "watch": true}',
    '{"method": "WatchOrders", "base": 63488.0, "counter": 65283, "watch": true}',
    '{"method": "WatchOrders", "base": "63488", "counter": "65283", "watch": true}',
    '{"method": "WatchOrders", "base": [63488], "counter": {"a": 1}, "watch": true}',
    '{"method": "WatchOrders", "base": true, "counter": 65283, "watch": true}',
    '{"method": "WatchOrders", "base": ' + "9" * 4000 + ', "counter": 65283, "watch": true}',
    '{"method": "WatchOrders", "base": ' + "9" * 50_000 + "}",
    '{"method": "EstimateMarketOrder", "base": 63488, "counter": 65283, "quantity": "5"}',
    '{"method": "EstimateMarketOrder", "base": 63488, "counter": 65283, "quantity": 1e3}',
    '{"method": "EstimateMarketOrder", "base": 63488, "counter": 65283, "quantity": -9223372036854775809}',
    '{"method": "Authenticate", "user_id": {}, "cookie": [], "nonce": 1e5, "signature": {"r": 1}}',
    "[" * 50_000,
    '{"a":' * 10_000,
    '{"method": "GetBalances"}' + " " * 70_000,
    '"' + "x" * (16 * 1024 * 1024 - 2) + '"',
]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_a_nasty_message_is_error_8_and_the_connection_lives(peer: Peer, text: str) -> None:
    peer.websocket.send(text)
    reply = peer.recv()
    assert reply["error_code"] == 8
    assert "tag" not in reply
    assert isinstance(reply["error_msg"], str)
    assert peer.call("GetBalances")["error_code"] == 7


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"quantity": 0, "price": 10_000},
        {"quantity": 5, "price": 0},
        {"quantity": 5, "price": -10_000},
        {"quantity": "5", "price": 10_000},
        {"quantity": 5.0, "price": 10_000},
        {"quantity": True, "price": 10_000},
        {"quantity": 2**63, "price": 10_000},
        {"quantity": 2**62, "price": 2**62},
        {"quantity": 5, "price": 10_000, "tonce": 0},
        {"quantity": 5, "price": 10_000, "tonce": "1"},
        {"quantity": 5, "price": 10_000, "persist": "forever"},
        {"quantity": 5, "price": 10_000, "persist": []},
        {"quantity": 5, "price": 10_000, "post_only": 1},
        {"total": 0},
        {"quantity": 5, "total": 5},
    ],
    ids=str,
)
def test_an_order_of_nonsense_is_error_8(exchange: Sandbox, order: dict[str, object]) -> None:
    with member(exchange) as peer:
        assert peer.call("PlaceOrder", base=XBT, counter=USDT, **order)["error_code"] == 8
        assert peer.done("GetOrders")["orders"] == []


@pytest.mark.parametrize("tag", [0, None, "1", 1.0, True, [], {}, 2**70])
def test_a_tag_that_is_no_integer_or_zero_is_not_echoed(peer: Peer, tag: object) -> None:
    peer.send({"method": "EstimateMarketOrder", "tag": tag})
    assert "tag" not in peer.recv()


@pytest.mark.parametrize("tag", [1, -1, 2**63 - 1, -(2**63)])
def test_any_other_integer_is_echoed(peer: Peer, tag: int) -> None:
    peer.send({"method": "EstimateMarketOrder", "tag": tag})
    assert peer.recv()["tag"] == tag


def closing_code(peer: Peer) -> int:
    closed = peer.ended()
    assert closed.rcvd is not None
    return closed.rcvd.code


def test_binary_messages_are_closed_with_1003(peer: Peer) -> None:
    peer.websocket.send(b'{"method": "GetBalances"}')
    assert closing_code(peer) == 1003


def test_bad_utf_8_is_closed_with_1007(peer: Peer) -> None:
    peer.websocket.send(b"\xc3\x28", text=True)
    assert closing_code(peer) == 1007


def test_a_frame_that_breaks_the_protocol_is_closed_with_1002(peer: Peer) -> None:
    peer.websocket.socket.sendall(Frame(Opcode.TEXT, b"unmasked").serialize(mask=False))
    assert closing_code(peer) == 1002


def test_a_message_above_the_limit_is_closed_with_1009(exchange: Sandbox) -> None:
    with Sandbox(traders=0, max_message_size=1000) as small, guest(small) as peer:
        peer.recv()
        peer.websocket.send("x" * 1001)
        assert closing_code(peer) == 1009


def test_a_frame_announcing_nine_exabytes_is_closed_with_1009(peer: Peer) -> None:
    peer.websocket.socket.sendall(b"\x81\xff" + struct.pack(">Q", 2**63 - 1) + bytes(4))
    assert closing_code(peer) == 1009


def test_other_paths_and_plain_requests_are_turned_away(exchange: Sandbox) -> None:
    for path, status in (("", 404), ("/", 404), ("/v2", 404), ("/v1/", 404), ("/" + "x" * 5000, 404)):
        with pytest.raises(InvalidStatus) as refused, connect(exchange.url.removesuffix("/v1") + path):
            pass
        assert refused.value.response.status_code == status
    with connect(exchange.url + "?key=value") as websocket:
        assert Peer(websocket).recv()["notice"] == "Welcome"


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\r\n" * 100,
        b"GET /" + b"x" * 100_000,
        bytes(range(256)) * 10,
    ],
    ids=range(6),
)
def test_who_speaks_no_websocket_is_hung_up_on(exchange: Sandbox, octets: bytes) -> None:
    address = urlsplit(exchange.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as sock:
        try:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except OSError:
            pass
    with guest(exchange) as peer:
        assert peer.recv()["notice"] == "Welcome"


def churn(engine: Engine) -> None:
    """Give the watchers of a book much to read."""
    for _ in range(1000):
        engine.place(FIRST_USER, base=XBT, counter=USDT, quantity=1, price=10**6)
        engine.cancel_all(FIRST_USER)


def test_a_consumer_that_reads_nothing_is_dropped_and_the_others_are_served(exchange: Sandbox) -> None:
    with Sandbox(traders=0, max_backlog=100_000) as exchange, member(exchange, 1) as owner:
        address = urlsplit(exchange.url)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((address.hostname, address.port))
        with slow, connect(exchange.url, sock=slow, max_queue=1, close_timeout=0.1, compression=None) as websocket:
            peer = Peer(websocket)
            peer.recv()
            peer.done("WatchOrders", base=XBT, counter=USDT, watch=True)
            session = exchange.ledger.connections[-1].session

            for _ in range(200):
                if exchange.ledger.closure(session):
                    break
                exchange.run(churn)
                assert owner.call("GetOrders")["error_code"] == 0
            closed = exchange.ledger.wait_for(lambda ledger: ledger.closure(session))
            assert closed is not None
            assert closed.code == 1008
            assert owner.call("GetOrders")["error_code"] == 0


def test_a_client_that_sends_without_reading_has_to_wait(exchange: Sandbox) -> None:
    with member(exchange) as owner:
        address = urlsplit(exchange.url)
        greedy = socket.socket()
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.connect((address.hostname, address.port))
        with greedy, connect(exchange.url, sock=greedy, max_queue=1, close_timeout=0.1) as websocket:
            greedy.settimeout(0.2)
            frame = Frame(Opcode.TEXT, b'{"method": "GetBalances"}').serialize(mask=True) * 1000
            with pytest.raises(OSError, match="timed out"):
                websocket.socket.sendall(frame * 10_000)
        assert owner.call("GetOrders")["error_code"] == 0
