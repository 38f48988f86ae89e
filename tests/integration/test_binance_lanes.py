"""Connections of market streams to an exchange that refuses, and what becomes of the streams on them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import Reconnect
from wsclient.binance import BinanceSocketManager, Renewal

pytestmark = pytest.mark.usefixtures("no_socket_left")

Answer = Callable[[Peer, dict[str, Any]], bool]


def answer(peer: Peer, differently: Answer = lambda peer, message: False) -> None:
    """Grants whatever is asked, but for what is answered differently."""
    while True:
        message = peer.receive()
        if not differently(peer, message):
            peer.send_text({"result": None, "id": message["id"]})


def refuse(peer: Peer, message: dict[str, Any], code: int = 2, text: str = "Invalid request") -> None:
    peer.send_text({"error": {"code": code, "msg": text}, "id": message["id"]})


def tell(peer: Peer, *numbers: int, stream: str = "aaa@trade") -> None:
    """Trades of these numbers."""
    for number in numbers:
        peer.send_text({"stream": stream, "data": {"e": "trade", "t": number, "T": number}})


@contextmanager
def manager(server: PeerServer, **options: Any) -> Iterator[BinanceSocketManager]:
    options = {"socket_timeout": PATIENCE, "reconnect": Reconnect(base=0), **options}
    with BinanceSocketManager(url=f"ws://127.0.0.1:{server.port}", **options) as made:
        yield made


def test_a_refused_unsubscribe_keeps_no_stream_from_being_had() -> None:
    refused = threading.Event()
    asked: list[str] = []

    def differently(peer: Peer, message: dict[str, Any]) -> bool:
        if message["method"] == "UNSUBSCRIBE":
            refuse(peer, message)
            refused.set()
            return True
        asked.extend(message.get("params", ()))
        return False

    with (
        PeerServer(lambda peer: answer(peer, differently)) as server,
        manager(server) as bm,
        bm.trade_socket("AAA"),
    ):
        with bm.trade_socket("BBB"):
            pass
        assert refused.wait(PATIENCE)
        for symbol in ("CCC", "BBB"):
            with bm.trade_socket(symbol):
                pass
    assert asked == ["aaa@trade", "bbb@trade", "ccc@trade", "bbb@trade"]


def test_whatever_a_replaced_connection_answers_last_it_is_ended() -> None:
    ended = threading.Event()

    def first(peer: Peer) -> None:
        def differently(peer: Peer, message: dict[str, Any]) -> bool:
            if message["method"] == "LIST_SUBSCRIPTIONS":
                refuse(peer, message)
                return True
            peer.send_text({"result": None, "id": message["id"]})
            peer.send_text({"stream": "!serverShutdown", "data": {"e": "serverShutdown"}})
            return True

        try:
            answer(peer, differently)
        finally:
            ended.set()

    renewal = Renewal(overlap=0.05)
    with PeerServer([first, answer]) as server, manager(server, renewal=renewal) as bm, bm.trade_socket("AAA"):
        assert ended.wait(PATIENCE)
