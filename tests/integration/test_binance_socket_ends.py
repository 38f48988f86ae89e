"""How a Binance socket ends: while it is being entered, by its callback, with its manager or its client."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.binance_market import managers, trade
from tests.peers import PATIENCE
from wsclient import Reconnect
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
