"""Books whose watches meet losses, interruptions and the user's own calls at the worst moment."""

import signal
import threading
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import NotSent, WSClient

BASE, COUNTER = 63488, 65283
PAIR: dict[str, Any] = {"base": BASE, "counter": COUNTER}


def serve(peer: Peer) -> None:
    """Watches as the protocol page says, refusals included; nothing happens in its markets."""
    watching: set[tuple[int, int]] = set()
    while True:
        answer(peer, peer.receive(), watching)


def answer(peer: Peer, asked: dict[str, Any], watching: set[tuple[int, int]]) -> None:
    market = asked["base"], asked["counter"]
    if asked["method"] != "WatchOrders":
        peer.reply(asked, quantity=1, total=1)
    elif asked["watch"] and market in watching:
        peer.reply(asked, error_code=2, error_msg="watching already")
    elif asked["watch"]:
        watching.add(market)
        peer.reply(asked, orders=[])
    elif market in watching:
        watching.discard(market)
        peer.reply(asked)
    else:
        peer.reply(asked, error_code=1, error_msg="not watching")


def ask(client: WSClient) -> None:
    """A call, after whose reply everything before it has been taken in."""
    client.EstimateMarketOrder(**PAIR, quantity=1).result(PATIENCE)


# -- interrupted


def test_a_book_whose_beginning_was_interrupted_is_begun_when_it_is_asked_for_again(
    make_client: MakeClient,
) -> None:
    interrupted = threading.Event()
    caller = threading.get_ident()

    def script(peer: Peer) -> None:
        signal.pthread_kill(caller, signal.SIGINT)  # which waits for the handshake by now
        assert interrupted.wait(PATIENCE)
        peer.upgrade()
        serve(peer)

    with PeerServer(script, handshake=False) as server:
        client = make_client(server.url, socket_timeout=PATIENCE)
        try:
            with pytest.raises(KeyboardInterrupt):
                client.order_book(BASE, COUNTER).wait(PATIENCE)
        finally:
            interrupted.set()
        ask(client)
        book = client.order_book(BASE, COUNTER)
        assert not book.wait(PATIENCE).stale
        client.stop()


def test_who_waits_for_a_book_whose_beginning_was_interrupted_is_told(make_client: MakeClient) -> None:
    interrupted = threading.Event()
    caller = threading.get_ident()
    told: list[BaseException | None] = []

    def share() -> None:
        book = client.order_book(BASE, COUNTER)
        signal.pthread_kill(caller, signal.SIGINT)
        try:
            book.wait(PATIENCE)
        except NotSent as error:
            told.append(error.__cause__)

    def script(peer: Peer) -> None:
        sharing.start()
        assert interrupted.wait(PATIENCE)

    sharing = threading.Thread(target=share)
    with PeerServer(script, handshake=False) as server:
        client = make_client(server.url, socket_timeout=PATIENCE)
        try:
            with pytest.raises(KeyboardInterrupt):
                client.order_book(BASE, COUNTER).wait(PATIENCE)
            sharing.join(PATIENCE)
        finally:
            interrupted.set()
        client.stop()
    assert len(told) == 1
