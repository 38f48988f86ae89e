"""How a Binance socket ends: while it is being entered, by its callback, with its manager or its client."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.binance_market import managers, run, trade
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import ClientClosed, Reconnect
from wsclient.binance import BinanceSocketManager
from wsclient.sandbox import Sandbox
from wsclient.sandbox.binance_limits import BinanceSettings

Make = Callable[..., BinanceSocketManager]


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, binance=BinanceSettings(orders_10s=None)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


@pytest.fixture
def make(exchange: Sandbox) -> Iterator[Make]:
    yield from managers(exchange)


def test_a_callback_that_exits_leaves_the_other_sockets_alone(no_socket_left: None) -> None:
    exited = threading.Event()

    def process(message: Any) -> None:
        if message["e"] == "error":
            exited.set()
            sys.exit("giving up")

    with Sandbox(traders=0) as exchange:
        bm = BinanceSocketManager(
            url=exchange.binance_url, reconnect=Reconnect(tries=1, base=0), socket_timeout=PATIENCE
        )
        port = exchange.port
        with bm.trade_socket("BNBBTC"):
            bm.trade_socket("BNBBTC", process)
            exchange.stop()
            assert exited.wait(PATIENCE)
    with Sandbox(traders=0, port=port) as exchange, bm, bm.trade_socket("NEOBTC") as other:
        trade(exchange, "NEOBTC")
        assert other.recv(PATIENCE)["s"] == "NEOBTC"


@pytest.mark.parametrize("how", ["manager", "socket"])
@pytest.mark.parametrize("who", ["thread", "coroutine"])
def test_who_is_entering_a_socket_is_told_when_it_is_ended(how: str, who: str) -> None:
    asked = threading.Event()

    def mute(peer: Peer) -> None:
        peer.receive()
        asked.set()
        peer.wait_for_end()

    with PeerServer(mute) as server:
        bm = BinanceSocketManager(url=f"ws://127.0.0.1:{server.port}", socket_timeout=PATIENCE)
        socket = bm.trade_socket("BNBBTC")
        told: list[BaseException] = []

        def enter() -> None:
            try:
                if who == "thread":
                    socket.__enter__()
                else:
                    run(socket.__aenter__())
            except BaseException as error:
                told.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        assert asked.wait(PATIENCE)
        (bm.stop if how == "manager" else socket.close)()
        thread.join(PATIENCE / 2)
        alive = thread.is_alive()
        bm.stop()
        assert not alive
        assert [type(error) for error in told] == [ClientClosed]
