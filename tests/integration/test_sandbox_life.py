"""Starting and stopping: nothing before, nothing after, and prompt whatever clients do meanwhile."""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.integration.sandbox_peer import USDT, XBT, Peer, guest, member
from wsclient.binance import BinanceSocketManager, Client
from wsclient.coinbase import Feed, Token
from wsclient.sandbox import Sandbox


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def sandbox_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("wsclient-sandbox")]


def test_constructing_starts_nothing_and_stopping_leaves_nothing() -> None:
    threads, files = threading.active_count(), open_files()
    exchange = Sandbox()
    assert not exchange.running
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = exchange.url
    assert (threading.active_count(), open_files()) == (threads, files)
    for _ in range(3):
        with exchange, guest(exchange) as peer:
            peer.recv()
            assert sandbox_threads() == [f"wsclient-sandbox-{exchange.port}"]
        assert (threading.active_count(), open_files()) == (threads, files)
    exchange.stop()
    assert not exchange.running


def test_stopping_is_idempotent_and_safe_from_many_threads() -> None:
    exchange = Sandbox(traders=500).start()
    assert exchange.start() is exchange
    with connect(exchange.url) as websocket:
        stoppers = [threading.Thread(target=exchange.stop) for _ in range(10)]
        for thread in stoppers:
            thread.start()
        for thread in stoppers:
            thread.join(5)
        assert sandbox_threads() == []
        closed = Peer(websocket).ended()
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1001


def test_stopping_on_its_own_thread_happens_right_after() -> None:
    with Sandbox(traders=0) as exchange:
        exchange.run(lambda engine: exchange.stop())
        exchange.stop()
        assert sandbox_threads() == []


def test_it_starts_again_where_it_was() -> None:
    exchange = Sandbox(traders=0)
    with exchange:
        url = exchange.url
        with member(exchange) as peer:
            placed = peer.place(5000, 90_000_000)["id"]
    with exchange:
        assert exchange.url == url
        with member(exchange) as peer:
            assert [order["id"] for order in peer.done("GetOrders")["orders"]] == [placed]


def test_its_engine_can_be_asked_before_while_and_after_it_runs() -> None:
    exchange = Sandbox(traders=0)
    user = exchange.users[0].id

    def place_one() -> int:
        exchange.run(lambda engine: engine.place(user, base=XBT, counter=USDT, quantity=5, price=10**6))
        return exchange.run(lambda engine: len(exchange.run(lambda same: same.orders(user))))

    assert place_one() == 1
    with exchange, guest(exchange) as watcher:
        watcher.recv()
        watcher.done("WatchOrders", base=XBT, counter=USDT, watch=True)
        assert place_one() == 2
        assert watcher.notice("OrderOpened")["quantity"] == 5
        with pytest.raises(KeyError):
            exchange.run(lambda engine: engine.orders(4711))
    assert place_one() == 3


def test_an_engine_that_fails_is_error_8_to_one_and_nothing_to_the_others() -> None:
    with Sandbox(traders=0) as exchange, member(exchange) as peer, member(exchange, 1) as other:
        exchange.run(lambda engine: setattr(engine, "orders", None))
        assert (peer.call("GetOrders")["error_code"], peer.call("GetBalances")["error_code"]) == (8, 0)
        other.place(5, 10**6)
        assert [type(trouble.error) for trouble in exchange.ledger.troubles] == [TypeError]


def test_waiting_on_the_ledger_may_ask_the_engine() -> None:
    with Sandbox(traders=200) as exchange:

        def traded() -> int | None:
            return exchange.run(lambda engine: engine.ticker(XBT, USDT).last)

        assert exchange.ledger.wait_for(lambda ledger: traded())


def test_two_exchanges_in_one_process_know_nothing_of_each_other() -> None:
    with Sandbox(traders=0) as one, Sandbox(traders=0, seed=1) as two:
        assert one.url != two.url
        assert one.users[0] != two.users[0]
        with member(one) as peer, member(two) as other:
            peer.place(5, 10**6)
            assert other.done("GetOrders")["orders"] == []


def test_one_seed_makes_one_exchange() -> None:
    def market(seed: int) -> list[tuple[int, int]]:
        exchange = Sandbox(seed=seed)
        return exchange.run(lambda engine: [(o.quantity, o.price) for o in engine.book(XBT, USDT)])

    assert Sandbox(seed=5).users == Sandbox(seed=5).users
    assert len(market(5)) > 20
    assert market(5) == market(5) != market(6)


def test_a_port_in_use_is_told_clearly() -> None:
    with Sandbox(traders=0) as exchange:
        other = Sandbox(traders=0, port=exchange.port)
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{exchange.port}: .*in use"):
            other.start()
        assert not other.running
        other.stop()
    with other:
        assert other.running
    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1:99999"):
        Sandbox(traders=0, port=99999).start()


def test_markets_move_by_themselves_unless_told_not_to() -> None:
    with Sandbox(traders=500) as exchange, guest(exchange) as peer:
        peer.recv()
        assert len(peer.done("WatchOrders", base=XBT, counter=USDT, watch=True)["orders"]) > 20
        peer.done("WatchTicker", base=XBT, counter=USDT, watch=True)
        assert peer.notice("OrderOpened")
        assert peer.notice("TickerChanged")
        assert exchange.ledger.troubles == []


def test_a_storm_of_a_hundred_connections_is_served_and_cleared_away() -> None:
    files = open_files()

    async def one(url: str) -> None:
        async with connect_async(url) as websocket:
            peer_welcome = await asyncio.wait_for(websocket.recv(), 10)
            assert "Welcome" in str(peer_welcome)
            await websocket.send('{"method": "EstimateMarketOrder", "tag": 5}')
            assert '"tag":5' in str(await asyncio.wait_for(websocket.recv(), 10))

    async def storm(url: str) -> None:
        await asyncio.gather(*(one(url) for _ in range(100)))

    with Sandbox() as exchange:
        asyncio.run(storm(exchange.url))
        exchange.ledger.wait_for(lambda ledger: len(ledger.closures) == 100)
        assert len({opened.session for opened in exchange.ledger.connections}) == 100
        assert exchange.ledger.open_sessions() == set()
        assert exchange.ledger.troubles == []
    assert open_files() == files


def test_it_stops_promptly_while_a_hundred_clients_are_sending_and_some_never_answer() -> None:
    exchange = Sandbox(traders=1000).start()
    sockets = [socket.create_connection(("127.0.0.1", exchange.port)) for _ in range(20)]
    handshake = (
        b"GET /v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for sock in sockets[:10]:  # these connect and never answer the Close frame; the rest don't even shake hands
        sock.sendall(handshake)

    async def chatter() -> None:
        async with connect_async(exchange.url) as websocket:
            try:
                while True:
                    await websocket.send('{"method": "GetBalances"}')
                    await websocket.recv()
            except ConnectionClosed:
                return

    async def crowd() -> None:
        await asyncio.gather(*(chatter() for _ in range(80)))

    thread = threading.Thread(target=lambda: asyncio.run(crowd()))
    thread.start()
    exchange.ledger.wait_for(lambda ledger: len(ledger.executed("GetBalances")) > 200, timeout=10)
    began = time.monotonic()
    exchange.stop()
    assert time.monotonic() - began < 3
    thread.join(10)
    assert not thread.is_alive()
    assert sandbox_threads() == []
    for sock in sockets:
        sock.close()


def test_tls_is_served_with_a_certificate(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="certfile"):
        Sandbox(keyfile="key.pem")
    with pytest.raises(OSError, match="No such file"):
        Sandbox(certfile=str(tmp_path / "none.pem"))
    certificate = Path(__file__).with_name("localhost.pem")
    trusting = ssl.create_default_context(cafile=certificate)
    with Sandbox(traders=0, certfile=str(certificate)) as exchange:
        assert exchange.url.startswith("wss://127.0.0.1:")
        with guest(exchange, ssl=trusting) as peer:
            peer.log_in(exchange.users[0]).done("GetBalances")
        with pytest.raises(ssl.SSLCertVerificationError), guest(exchange):
            pass
        with socket.create_connection(("127.0.0.1", exchange.port)) as sock:
            sock.sendall(b"GET /v1 HTTP/1.1\r\n\r\n")
            assert not sock.recv(100).startswith(b"HTTP")
        with guest(exchange, ssl=trusting) as peer:
            peer.recv()
        assert exchange.ledger.troubles == []


def test_a_tls_handshake_that_never_ends_does_not_hold_up_a_stop() -> None:
    files = open_files()
    exchange = Sandbox(traders=0, certfile=str(Path(__file__).with_name("localhost.pem"))).start()
    with socket.create_connection(("127.0.0.1", exchange.port)) as sock:
        sock.sendall(b"\x16\x03\x01")
        began = time.monotonic()
        exchange.stop()
        assert time.monotonic() - began < 3
    assert open_files() == files
    assert exchange.ledger.troubles == []


# ---------------------------------------------------------------- python -m wsclient.sandbox


def command_line(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "wsclient.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_serves_until_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with command_line("--port", "0", "--seed", "3") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        url = lines[0].split()[-1]
        demo = Sandbox(seed=3).users[0]
        for text in (str(demo.id), demo.cookie, demo.passphrase, "clientExample.py"):
            assert any(text in line for line in lines)
        with connect(url) as websocket:
            peer = Peer(websocket).log_in(demo)
            peer.done("WatchOrders", base=XBT, counter=USDT, watch=True)
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(5) == 0
            assert time.monotonic() - began < 2
        output, errors = process.communicate()
        assert (output, errors) == ("", "")


def test_the_command_line_explains_itself_and_its_failures() -> None:
    with command_line("-h") as process:
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 0
        assert "--rate-limits" in output
    with Sandbox(traders=0) as exchange, command_line("--port", str(exchange.port)) as process:
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 1
        assert output == ""
        assert errors.count("\n") == 1
        assert f"cannot listen on 127.0.0.1:{exchange.port}" in errors


def keywords(lines: list[str]) -> dict[str, Any]:
    """What the lines give as keywords."""
    parts = (line.split() for line in lines)
    return {part[0]: part[1] for part in parts}


def test_what_the_command_line_prints_of_other_venues_can_be_used_as_it_is() -> None:
    with command_line("--port", "0", "--venues") as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()
        # each line below a venue's is a keyword and what it is to be given
        coinbase, binance = (
            next(number for number, line in enumerate(lines) if line.startswith(name))
            for name in ("Coinbase's", "Binance's")
        )
        told, asked = keywords(lines[coinbase + 1 : binance]), keywords(lines[binance + 1 : -2])
        auth = Token(told.pop("key"), told.pop("secret"), told.pop("passphrase"))
        with Feed(**told, auth=auth) as feed:
            assert not feed.order_book("BTC-USDT", level=3).wait(10).stale
        with Client(**asked) as client, BinanceSocketManager(client) as manager:
            assert client.call("account.status", timeout=10)["uid"]
            assert not manager.order_book("BTCUSDT").wait(10).stale
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
