"""Connections of market streams to an exchange that refuses, and what becomes of the streams on them."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
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


@pytest.mark.parametrize("refusal", [(2, "Invalid request"), (3, "Too many requests")])
def test_a_stream_that_a_replacement_refuses_stays_where_it_is_until_another_grants_it(
    refusal: tuple[int, str],
) -> None:
    replaced = threading.Event()

    def first(peer: Peer) -> None:
        def differently(peer: Peer, message: dict[str, Any]) -> bool:
            if message["method"] == "SUBSCRIBE":
                peer.send_text({"result": None, "id": message["id"]})
                tell(peer, 1)
                peer.send_text({"stream": "!serverShutdown", "data": {"e": "serverShutdown"}})
                return True
            return False

        try:
            answer(peer, differently)
        finally:
            replaced.set()

    def second(peer: Peer) -> None:
        def differently(peer: Peer, message: dict[str, Any]) -> bool:
            refuse(peer, message, *refusal)
            return True

        answer(peer, differently)

    def third(peer: Peer) -> None:
        def differently(peer: Peer, message: dict[str, Any]) -> bool:
            peer.send_text({"result": None, "id": message["id"]})
            tell(peer, 1, 2)
            return True

        answer(peer, differently)

    renewal = Renewal(overlap=0.05)
    with PeerServer([first, second, third]) as server, manager(server, renewal=renewal) as bm:
        with bm.trade_socket("AAA") as socket:
            assert [socket.recv(PATIENCE)["t"] for _ in range(2)] == [1, 2]
            assert replaced.wait(PATIENCE)
        assert server.connections == 3


def test_what_was_refused_for_asking_too_much_is_asked_again() -> None:
    asked: list[str] = []

    def differently(peer: Peer, message: dict[str, Any]) -> bool:
        if message["method"] != "SUBSCRIBE":
            return False
        asked.extend(message["params"])
        if len(asked) > 2:
            return False
        refuse(peer, message, 3, "Too many requests")
        return True

    with PeerServer(lambda peer: answer(peer, differently)) as server, manager(server) as bm:
        with bm.trade_socket("AAA"):
            pass
        assert server.connections == 1
    assert asked == ["aaa@trade"] * 3


def test_pauses_between_replacements_that_cant_be_had_are_drawn_as_those_of_reconnecting() -> None:
    drawn: queue.Queue[float] = queue.Queue()

    def chance() -> float:
        drawn.put(0.0)
        return 0.0

    def script(peer: Peer) -> None:
        if peer.number:
            peer.read_request()
            peer.respond("429 Too Many Requests")
            return
        peer.upgrade()
        message = peer.receive()
        peer.send_text({"result": None, "id": message["id"]})
        peer.send_text({"stream": "!serverShutdown", "data": {"e": "serverShutdown"}})
        answer(peer)

    options = {"reconnect": Reconnect(random=chance), "renewal": Renewal(overlap=0.01)}
    with PeerServer(script, handshake=False) as server, manager(server, **options) as bm, bm.trade_socket("AAA"):
        for _ in range(5):
            drawn.get(timeout=PATIENCE)
        assert server.connections >= 5


class Gap:
    """An exchange whose first connection ends after trade 3, and whose second one goes on with 8.

    recent: the answers to trades.recent, one after the other, of which the last stays
    """

    def __init__(self, *recent: Any, following: Sequence[int] = (8, 9)) -> None:
        self.recent = list(recent)
        self.following = following
        self.subscribed = 0

    def __call__(self, peer: Peer) -> None:
        while True:
            message = peer.receive()
            if message["method"] != "SUBSCRIBE":
                result = self.recent.pop(0) if len(self.recent) > 1 else self.recent[0]
                peer.send_text({"id": message["id"], "status": 200, "result": result})
                continue
            peer.send_text({"result": None, "id": message["id"]})
            self.subscribed += 1
            if self.subscribed > 1:
                tell(peer, *self.following)
                continue
            tell(peer, 1, 2, 3)
            peer.close(1001)
            return


def rows(first: int, last: int, time: int | None = None) -> list[dict[str, Any]]:
    """Trades as they are told to who asks."""
    return [
        {"id": number, "price": "1", "qty": "1", "time": number if time is None else time}
        for number in range(first, last + 1)
    ]


def ids(gap: Gap, count: int) -> tuple[list[int], int]:
    """Those of the trades that are told, and how many were missed."""
    with PeerServer(gap) as server, manager(server) as bm, bm.trade_socket("AAA") as socket:
        return [socket.recv(PATIENCE)["t"] for _ in range(count)], bm.missed


def test_an_answer_that_is_behind_the_stream_is_asked_for_again() -> None:
    assert ids(Gap(rows(1, 6), rows(1, 6), rows(1, 9)), 9) == ([1, 2, 3, 4, 5, 6, 7, 8, 9], 0)


@pytest.mark.parametrize("answer", [None, {"id": 4}, [None, {"id": "4"}]])
def test_trades_that_an_answer_doesnt_have_are_counted_as_missed(answer: Any) -> None:
    assert ids(Gap(answer), 5) == ([1, 2, 3, 8, 9], 4)


def test_in_a_quiet_market_the_trades_of_an_exchange_that_was_reset_are_fetched() -> None:
    assert ids(Gap(rows(1, 2, time=50), following=()), 5) == ([1, 2, 3, 1, 2], 0)
