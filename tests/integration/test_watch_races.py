"""Books whose watches meet losses, interruptions and the user's own calls at the worst moment."""

import queue
import signal
import threading
import time
from typing import Any, Self

import pytest

from tests.conftest import MakeClient
from tests.peers import PATIENCE, PING, PONG, Peer, PeerServer, drained
from wsclient import ClientClosed, Conflict, NotSent, OutcomeUnknown, ProtocolError, Reconnect, StaleFeed, WSClient
from wsclient.coinflex.book import OrderBook

BASE, COUNTER = 63488, 65283
PAIR: dict[str, Any] = {"base": BASE, "counter": COUNTER}
SOON = Reconnect(tries=20, base=0.01, cap=0.05)


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


# -- answers that don't come


def mute(peer: Peer) -> None:
    """Answers Pings, and nothing else."""
    while True:
        frame = peer.receive_frame()
        if frame.opcode == PING:
            peer.frame(PONG, frame.payload)


def test_a_connection_on_which_a_first_watch_is_not_answered_is_replaced(make_client: MakeClient) -> None:
    told: list[Exception] = []
    with PeerServer([mute, serve]) as server:
        client = make_client(
            server.url,
            err_handler=lambda client, error: told.append(error),
            reconnect=SOON,
            socket_timeout=0.3,
            ping_interval=0.1,
        )
        assert not client.order_book(BASE, COUNTER).wait(PATIENCE).stale
        client.stop()
    assert [type(error) for error in told] == [StaleFeed]


def test_a_connection_on_which_an_unwatch_is_not_answered_is_replaced_where_a_book_waits_for_it(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchOrders"), orders=[])
        mute(peer)

    told: list[Exception] = []
    with PeerServer([script, serve]) as server:
        client = make_client(
            server.url,
            err_handler=lambda client, error: told.append(error),
            reconnect=SOON,
            socket_timeout=0.3,
            ping_interval=0.1,
        )
        client.order_book(BASE, COUNTER).wait(PATIENCE).close()
        assert not client.order_book(BASE, COUNTER).wait(PATIENCE).stale
        client.stop()
    assert [type(error) for error in told] == [StaleFeed]


def test_a_book_that_is_asked_for_on_the_event_thread_has_to_be_answered_in_time_too(
    make_client: MakeClient,
) -> None:
    books: queue.Queue[OrderBook] = queue.Queue()
    with PeerServer([mute, serve]) as server:
        client = make_client(
            server.url,
            open_handler=lambda client: books.put(client.order_book(BASE, COUNTER)),
            err_handler=lambda client, error: None,
            reconnect=SOON,
            socket_timeout=0.3,
            ping_interval=0.1,
        )
        client.EstimateMarketOrder(**PAIR, quantity=1)
        assert not books.get(timeout=PATIENCE).wait(PATIENCE).stale
        client.stop()


def test_a_slow_handler_is_not_taken_for_an_answer_that_does_not_come(make_client: MakeClient) -> None:
    timeout = 0.3

    def script(peer: Peer) -> None:
        watch = peer.receive("WatchOrders")
        answer(peer, peer.receive("EstimateMarketOrder"), set())
        assert armed.wait(PATIENCE)
        peer.send_text({"notice": "TickerChanged", **PAIR})
        assert busy.wait(PATIENCE)
        answer(peer, watch, set())
        answered.set()
        serve(peer)

    def handle(client: WSClient, text: str) -> None:
        if "TickerChanged" in text:
            busy.set()
            assert answered.wait(PATIENCE)
            time.sleep(2 * timeout)  # being slow

    told: list[Exception] = []
    armed, busy, answered = threading.Event(), threading.Event(), threading.Event()
    with PeerServer(script) as server:
        client = make_client(
            server.url,
            handle,
            err_handler=lambda client, error: told.append(error),
            reconnect=SOON,
            socket_timeout=timeout,
        )
        book = client.order_book(BASE, COUNTER)
        ask(client)  # after which the event thread has been told that the watch's answer is due
        armed.set()
        book.wait(PATIENCE)
        ask(client)  # on the connection that there was, since it hasn't ended
        client.stop()
    assert (told, server.connections) == ([], 1)


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


# -- quiet


@pytest.mark.parametrize("users_first", [True, False])
@pytest.mark.parametrize("books", [None, PATIENCE])
def test_the_users_own_stale_after_counts_while_a_book_shares_the_watch_and_when_that_is_closed(
    make_client: MakeClient, users_first: bool, books: float | None
) -> None:
    def script(peer: Peer) -> None:
        if users_first:
            serve(peer)
        peer.reply(peer.receive("WatchOrders"), orders=[])
        peer.reply(peer.receive("WatchOrders"), orders=[])  # as no exchange would while it watches already
        watching = {(BASE, COUNTER)}
        while True:
            answer(peer, peer.receive(), watching)

    def own() -> None:
        client.WatchOrders(**PAIR, watch=True, stale_after=0.1).result(PATIENCE)

    told: queue.Queue[Exception] = queue.Queue()
    with PeerServer(script) as server:
        client = make_client(server.url, err_handler=lambda client, error: told.put(error))
        if users_first:
            own()
        book = client.order_book(BASE, COUNTER, stale_after=books).wait(PATIENCE)
        if not users_first:
            own()
        drained(told)
        for _ in range(2):
            assert "0.1 s" in str(told.get(timeout=PATIENCE))
        book.close()
        ask(client)
        drained(told)
        for _ in range(2):
            assert "0.1 s" in str(told.get(timeout=PATIENCE))
        client.stop()


# -- notices that make no sense


@pytest.mark.parametrize("notice", [{"notice": []}, {"notice": "TickerChanged", "base": {}, "counter": 1}])
def test_a_notice_that_belongs_nowhere_costs_the_connection_and_says_why(
    make_client: MakeClient, notice: dict[str, Any]
) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchOrders"), orders=[])
        peer.receive("EstimateMarketOrder")
        peer.send_text(notice)
        peer.wait_for_end()

    told: queue.Queue[Exception] = queue.Queue()
    with PeerServer(script) as server:
        client = make_client(server.url, err_handler=lambda client, error: told.put(error), reconnect=None)
        client.order_book(BASE, COUNTER).wait(PATIENCE)
        with pytest.raises(OutcomeUnknown):
            ask(client)
        assert isinstance(told.get(timeout=PATIENCE), ProtocolError)
        client.stop()


# -- lost


@pytest.mark.parametrize("how", ["close", "violation"])
def test_a_book_is_stale_from_the_peers_close_on_though_the_connection_lingers(
    make_client: MakeClient, how: str
) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchOrders"), orders=[])
        peer.receive("EstimateMarketOrder")
        if how == "close":
            peer.close_frame(1001)
        else:
            peer.send_text('"notice"')  # no object
        assert stale.wait(PATIENCE)
        seen.append(reply.done())  # which is told at the connection's end, and that waits for us
        peer.end()

    seen: list[bool] = []
    changes: list[bool] = []
    stale = threading.Event()
    with PeerServer(script) as server:
        client = make_client(
            server.url, err_handler=lambda client, error: None, reconnect=None, socket_timeout=PATIENCE
        )
        book = client.order_book(BASE, COUNTER).wait(PATIENCE)

        def changed(book: OrderBook) -> None:
            changes.append(book.stale)
            stale.set()

        book.on_change(changed)
        reply = client.EstimateMarketOrder(**PAIR, quantity=1)
        with pytest.raises(OutcomeUnknown):
            reply.result(PATIENCE)
        client.stop()
    assert (seen, changes) == ([False], [True])


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
