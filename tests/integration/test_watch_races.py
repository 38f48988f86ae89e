"""Books whose watches meet losses, interruptions and the user's own calls at the worst moment."""

import signal
import threading
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import Conflict, NotSent, StaleFeed, WSClient

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


# -- together with the user's own calls


def placed(id: int) -> dict[str, int]:
    return {"id": id, "quantity": 5, "price": 7, "time": id}


def test_a_book_may_be_asked_for_while_the_users_own_watch_is_under_way(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        users = peer.receive("WatchOrders")
        books = peer.receive("WatchOrders")
        peer.reply(users, orders=[])
        peer.send_text({"notice": "OrderOpened", **PAIR, **placed(1)})
        peer.reply(books, error_code=2, error_msg="watching already")
        ended = peer.receive("WatchOrders")
        assert ended["watch"] is False
        peer.send_text({"notice": "OrderOpened", **PAIR, **placed(2)})  # and closed before the watch begins anew
        peer.reply(ended)
        peer.reply(peer.receive("WatchOrders"), orders=[placed(3)])
        peer.send_text({"notice": "OrderOpened", **PAIR, **placed(4)})
        serve(peer)

    with PeerServer(script) as server:
        client = make_client(server.url)
        own = client.WatchOrders(**PAIR, watch=True)
        book = client.order_book(BASE, COUNTER).wait(PATIENCE)
        assert own.result(PATIENCE)["orders"] == []
        ask(client)
        assert [order.id for order in book.orders] == [3, 4]
        book.close()  # which leaves the user's own
        assert client._connection.keeps(("WatchOrders", BASE, COUNTER))
        client.stop()


def test_a_book_that_is_refused_though_nothing_is_watched_says_so(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchOrders"), error_code=2, error_msg="watching already")
        peer.reply(peer.receive("WatchOrders"), error_code=1, error_msg="not watching")
        peer.reply(peer.receive("WatchOrders"), error_code=2, error_msg="watching already")
        serve(peer)

    with PeerServer(script) as server:
        client = make_client(server.url)
        book = client.order_book(BASE, COUNTER)
        with pytest.raises(Conflict):
            book.wait(PATIENCE)
        assert not client.order_book(BASE, COUNTER).wait(PATIENCE).stale
        client.stop()


def test_a_book_that_is_closed_while_it_takes_over_the_users_own_watch_gives_it_back(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        watching: set[tuple[int, int]] = set()
        answer(peer, peer.receive("WatchOrders"), watching)
        ended = peer.receive("WatchOrders")
        assert ended["watch"] is False
        ending.set()
        assert closed.wait(PATIENCE)
        answer(peer, ended, watching)
        answer(peer, peer.receive("WatchOrders"), watching)
        seen.append(set(watching))
        back.set()
        serve(peer)

    seen: list[set[tuple[int, int]]] = []
    ending, closed, back = threading.Event(), threading.Event(), threading.Event()
    with PeerServer(script) as server:
        client = make_client(server.url)
        client.WatchOrders(**PAIR, watch=True).result(PATIENCE)
        book = client.order_book(BASE, COUNTER)
        assert ending.wait(PATIENCE)
        book.close()
        closed.set()
        assert back.wait(PATIENCE)
        ask(client)
        assert client._connection.keeps(("WatchOrders", BASE, COUNTER))
        client.stop()
    assert seen == [{(BASE, COUNTER)}]


def test_a_book_is_renewed_though_the_user_asks_for_its_watch_meanwhile(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        watching: set[tuple[int, int]] = set()
        answer(peer, peer.receive("WatchOrders"), watching)
        ended = peer.receive("WatchOrders")
        assert ended["watch"] is False
        renewing.set()
        assert asked.wait(PATIENCE)
        answer(peer, ended, watching)
        users = peer.receive("WatchOrders")  # before the second half of the renewal
        answer(peer, users, watching)
        answer(peer, peer.receive("WatchOrders"), watching)  # which is refused
        answer(peer, peer.receive("WatchOrders"), watching)
        peer.reply(peer.receive("WatchOrders"), orders=[placed(3)])
        while True:
            answer(peer, peer.receive(), watching)

    renewing, asked = threading.Event(), threading.Event()
    with PeerServer(script) as server:
        client = make_client(server.url, err_handler=lambda client, error: told.append(error))
        told: list[Exception] = []
        book = client.order_book(BASE, COUNTER, stale_after=0.3)
        whole = threading.Event()
        book.on_change(lambda book: whole.set() if book.orders and not book.stale else None)
        assert renewing.wait(PATIENCE)
        own = client.WatchOrders(**PAIR, watch=True)
        asked.set()
        assert own.result(PATIENCE)["orders"] == []
        assert whole.wait(PATIENCE)
        assert {type(error) for error in told} == {StaleFeed}
        book.close()
        assert client._connection.keeps(("WatchOrders", BASE, COUNTER))
        client.stop()


def test_a_book_that_the_users_unwatch_may_have_ended_is_begun_anew_whatever_is_answered_first(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        asked = [peer.receive("WatchOrders"), peer.receive("WatchOrders")]
        books, users = sorted(asked, key=lambda request: not request["watch"])
        peer.reply(users)
        peer.reply(books, orders=[])
        ended = peer.receive("WatchOrders")
        assert ended["watch"] is False
        peer.reply(ended)
        peer.reply(peer.receive("WatchOrders"), orders=[placed(3)])
        serve(peer)

    with PeerServer(script) as server:
        client = make_client(server.url)
        book = client.order_book(BASE, COUNTER)
        whole = threading.Event()
        book.on_change(lambda book: whole.set() if book.orders and not book.stale else None)
        client.WatchOrders(**PAIR, watch=False).result(PATIENCE)
        assert whole.wait(PATIENCE)
        client.stop()
