"""Faults of the wire, seen from a client's end of a real socket."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import InvalidMessage
from websockets.sync.client import connect

from tests.integration.sandbox_peer import DEADLINE, USDT, XBT, Peer, guest, member
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Refuse, Unfed
from wsclient.sandbox.wire import How
from wsclient.sandbox.wirefaults import Cut, Lag

PRICE = 90_000_000
HANDSHAKE = (
    b"GET /v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_ESTIMATE = json.dumps(
    {"method": "EstimateMarketOrder", "base": XBT, "counter": USDT, "quantity": 1, "tag": 77}
).encode()
ESTIMATE = bytes((0x81, 0x80 | len(_ESTIMATE))) + bytes(4) + _ESTIMATE
"""A command as a frame, masked with zeros."""


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


def cut_of(exchange: Sandbox, before: int) -> tuple[int | None, int, int]:
    """The cut that is the next after so many: its session and the bytes that had passed."""
    cut = exchange.ledger.wait_for(lambda ledger: ledger.cuts[before:])[0]
    return cut.session, cut.received, cut.sent


def test_a_connection_is_accepted_and_reset_at_once(exchange: Sandbox) -> None:
    exchange.faults.add(Cut(received=0))
    before = len(exchange.ledger.cuts)
    with socket.create_connection(("127.0.0.1", exchange.port)) as sock:
        sock.settimeout(DEADLINE)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert cut_of(exchange, before) == (None, 0, 0)


def test_a_handshake_ends_at_a_byte(exchange: Sandbox) -> None:
    exchange.faults.add(Cut(sent=50, how="close"))
    before = len(exchange.ledger.cuts)
    with pytest.raises(InvalidMessage):
        connect(exchange.url).close()
    session, _, sent = cut_of(exchange, before)
    assert (session, sent) == (None, 50)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_command_of_which_a_byte_is_missing_never_runs(exchange: Sandbox, how: How) -> None:
    exchange.faults.add(Cut(received=len(HANDSHAKE + ESTIMATE) - 1, how=how))
    cuts, before = len(exchange.ledger.cuts), len(exchange.ledger.commands())
    with raw(exchange) as sock:
        sock.sendall(ESTIMATE)
        until_the_end(sock)
    session, received, _ = cut_of(exchange, cuts)
    assert received == len(HANDSHAKE + ESTIMATE) - 1
    assert session is not None
    exchange.ledger.wait_for(lambda ledger: ledger.closure(session))
    assert len(exchange.ledger.commands()) == before


@pytest.mark.parametrize(("late", "answered"), [(False, False), (True, True)])
def test_a_command_that_came_whole_runs_and_is_answered_if_the_cut_is_late(
    exchange: Sandbox, late: bool, answered: bool
) -> None:
    exchange.faults.add(Cut(received=len(HANDSHAKE + ESTIMATE), late=late, how="close"))
    before = len(exchange.ledger.executed("EstimateMarketOrder"))
    with raw(exchange) as sock:
        sock.sendall(ESTIMATE + ESTIMATE)
        assert (b'"tag":77' in until_the_end(sock)) is answered
    session = exchange.ledger.connections[-1].session
    exchange.ledger.wait_for(lambda ledger: ledger.closure(session))
    assert len(exchange.ledger.executed("EstimateMarketOrder")) == before + 1


def test_a_half_open_connection_says_nothing_and_stays(exchange: Sandbox) -> None:
    exchange.faults.add(Cut(received=len(HANDSHAKE), how="mute"))
    cuts = len(exchange.ledger.cuts)
    with raw(exchange, greeted=False) as sock:
        cut_of(exchange, cuts)
        sock.sendall(ESTIMATE)  # the system takes it
        with member(exchange) as other:
            other.settled()
        sock.setblocking(False)
        heard = sock.recv(65536) if readable(sock) else b""
        assert b'"tag":77' not in heard
        assert not readable(sock)
        session = next(cut.session for cut in exchange.ledger.cuts[cuts:])
        assert session is None or session in exchange.ledger.open_sessions()


def test_a_slow_connection_in_single_bytes_still_works(exchange: Sandbox) -> None:
    exchange.faults.add(Lag(seconds=0.01, piece=1))
    with connect(exchange.url) as websocket:
        peer = Peer(websocket).log_in(exchange.users[0])
        assert peer.place(5000, PRICE)["id"]
        assert peer.notice("OrderOpened")["quantity"] == 5000


def test_a_feed_falls_silent_while_pings_and_commands_are_answered(exchange: Sandbox) -> None:
    exchange.faults.add(Unfed(method="WatchOrders"))
    with guest(exchange) as watcher, member(exchange) as trader:
        watcher.done("WatchOrders", base=XBT, counter=USDT, watch=True)
        trader.place(5000, PRICE)
        assert trader.notice("OrderOpened")
        assert watcher.websocket.ping().wait(DEADLINE)
        assert [notice["notice"] for notice in watcher.settled()] == ["Welcome"]


def test_attempts_to_connect_are_counted_with_their_times(exchange: Sandbox) -> None:
    before = len(exchange.ledger.attempts)
    exchange.faults.add(Refuse(times=3))
    for _ in range(3):
        with raw(exchange, greeted=False) as sock:
            until_the_end(sock)
    attempts = exchange.ledger.attempts[before:]
    assert len(attempts) == 3
    assert [attempt.time for attempt in attempts] == sorted(attempt.time for attempt in attempts)
    assert 3 <= exchange.ledger.most_attempts(3600) <= len(exchange.ledger.attempts)


def test_all_connections_are_cut_at_once_and_new_ones_are_welcome(exchange: Sandbox) -> None:
    with member(exchange) as one, guest(exchange) as other:
        assert exchange.cut_all() >= 2
        assert one.ended().rcvd is None
        assert other.ended().rcvd is None
    with member(exchange) as again:
        assert again.settled() == []


@contextmanager
def raw(exchange: Sandbox, *, greeted: bool = True) -> Iterator[socket.socket]:
    """A connection whose bytes can be counted, perhaps once its Welcome is there."""
    with socket.create_connection(("127.0.0.1", exchange.port)) as sock:
        sock.settimeout(DEADLINE)
        sock.sendall(HANDSHAKE)
        heard = b""
        while greeted and b"Welcome" not in heard:
            heard += sock.recv(65536)
        yield sock


def until_the_end(sock: socket.socket) -> bytes:
    heard = b""
    try:
        while more := sock.recv(65536):
            heard += more
    except ConnectionResetError:
        pass
    return heard


def readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])
