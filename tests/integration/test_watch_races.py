"""Books whose watches meet interruptions, the user's own calls, and each other, at the worst moment."""

import signal
import threading
import time
from typing import Self

import pytest

from tests.conftest import MakeClient
from tests.integration.watching_peer import BASE, COUNTER, PAIR, SOON, answer, ask, serve
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import ClientClosed, Conflict, NotSent, StaleFeed
from wsclient.coinflex.book import OrderBook

# -- interrupted


class Interruption:
    """Interrupts the main thread once, as a Ctrl-C does, in whatever it waits for."""

    def __init__(self) -> None:
        self._raised = False
        self.over = threading.Event()

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGUSR1, self._handle)
        return self

    def __exit__(self, *how: object) -> None:
        signal.signal(signal.SIGUSR1, self._before)

    def happen(self) -> None:
        """On another thread. More than once, since a signal that comes just before a wait is seen after it."""
        until = time.monotonic() + PATIENCE
        while not self.over.wait(0.05):
            assert time.monotonic() < until
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _handle(self, number: int, frame: object) -> None:
        if not self._raised:
            self._raised = True
            raise KeyboardInterrupt


def test_a_book_whose_beginning_was_interrupted_is_begun_when_it_is_asked_for_again(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        interruption.happen()  # to who waits for the handshake
        peer.upgrade()
        serve(peer)

    with Interruption() as interruption, PeerServer(script, handshake=False) as server:
        client = make_client(server.url, socket_timeout=PATIENCE)
        try:
            with pytest.raises(KeyboardInterrupt):
                client.order_book(BASE, COUNTER).wait(PATIENCE)
        finally:
            interruption.over.set()
        ask(client)
        book = client.order_book(BASE, COUNTER)
        assert not book.wait(PATIENCE).stale
        client.stop()


def test_who_waits_for_a_book_whose_beginning_was_interrupted_is_told(make_client: MakeClient) -> None:
    told: list[BaseException | None] = []

    def share() -> None:
        book = client.order_book(BASE, COUNTER)
        shared.set()
        try:
            book.wait(PATIENCE)
        except NotSent as error:
            told.append(error.__cause__)

    def script(peer: Peer) -> None:
        sharing.start()
        assert shared.wait(PATIENCE)
        interruption.happen()

    sharing, shared = threading.Thread(target=share), threading.Event()
    with Interruption() as interruption, PeerServer(script, handshake=False) as server:
        client = make_client(server.url, socket_timeout=PATIENCE)
        try:
            with pytest.raises(KeyboardInterrupt):
                client.order_book(BASE, COUNTER).wait(PATIENCE)
            sharing.join(PATIENCE)
        finally:
            interruption.over.set()
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


# -- closed while it is brought back


def test_a_book_that_is_closed_when_it_was_brought_back_and_others_were_not_yet_is_ended_and_can_be_had_again(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        watching: set[tuple[int, int]] = set()
        answer(peer, peer.receive("WatchOrders"), watching)
        other = peer.receive("WatchOrders")
        if peer.number == 1:
            restoring.set()
            assert closed.wait(PATIENCE)
        answer(peer, other, watching)
        if peer.number == 0:
            peer.receive("EstimateMarketOrder")
            peer.close(1001)
            return
        while True:
            asked = peer.receive()
            answer(peer, asked, watching)
            if asked["method"] == "EstimateMarketOrder":
                seen.append(set(watching))

    seen: list[set[tuple[int, int]]] = []
    restoring, closed = threading.Event(), threading.Event()
    with PeerServer(script) as server:
        client = make_client(server.url, err_handler=lambda client, error: None, reconnect=SOON)
        book = client.order_book(BASE, COUNTER).wait(PATIENCE)
        other = client.order_book(BASE, 3).wait(PATIENCE)
        client.EstimateMarketOrder(**PAIR, quantity=1)
        assert restoring.wait(PATIENCE)
        book.close()
        closed.set()
        other.wait(PATIENCE)
        ask(client)
        assert seen == [{(BASE, 3)}]
        assert client.order_book(BASE, COUNTER).wait(PATIENCE) is not book
        client.stop()


# -- closed by one and asked for by another


def test_who_asks_for_a_book_while_it_is_being_closed_has_a_new_one(make_client: MakeClient) -> None:
    got: list[OrderBook] = []

    def changed(book: OrderBook) -> None:
        if book.stale and not got:
            got.append(client.order_book(BASE, COUNTER))

    with PeerServer(serve) as server:
        client = make_client(server.url)
        book = client.order_book(BASE, COUNTER).wait(PATIENCE)
        book.on_change(changed)
        book.close()
        [again] = got
        assert again is not book
        assert again.wait(PATIENCE) is client.order_book(BASE, COUNTER)
        client.stop()


def test_books_that_many_threads_open_and_close_at_once_are_followed_in_the_end(make_client: MakeClient) -> None:
    def trade() -> None:
        start.wait(PATIENCE)
        for _ in range(15):
            book = client.order_book(BASE, COUNTER)
            try:
                book.wait(PATIENCE)
            except ClientClosed:
                pass  # by another one
            book.close()
        done.append(threading.current_thread())

    done: list[threading.Thread] = []
    start = threading.Barrier(4)
    with PeerServer(serve) as server:
        client = make_client(server.url)
        threads = [threading.Thread(target=trade) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(3 * PATIENCE)
        assert len(done) == 4
        assert not client.order_book(BASE, COUNTER).wait(PATIENCE).stale
        assert server.connections == 1
        client.stop()
