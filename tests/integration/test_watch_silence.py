"""Books whose exchange is late, quiet, or talks nonsense, and those whose connection ends slowly."""

import queue
import threading
import time
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.integration.watching_peer import BASE, COUNTER, PAIR, SOON, answer, ask, serve
from tests.peers import PATIENCE, PING, PONG, Peer, PeerServer, drained
from wsclient import OutcomeUnknown, ProtocolError, StaleFeed, WSClient
from wsclient.coinflex.book import OrderBook

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
        assert made.wait(PATIENCE)
        seen.append(reply.done())  # which is told at the connection's end, and that waits for us
        peer.end()

    seen: list[bool] = []
    changes: list[bool] = []
    made, stale = threading.Event(), threading.Event()
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
        made.set()
        with pytest.raises(OutcomeUnknown):
            reply.result(PATIENCE)
        client.stop()
    assert (seen, changes) == ([False], [True])
