"""Handlers behind a queue, on real sockets: what they may do there, and what slow ones hold up."""

import queue
import threading
from typing import Any, get_args

import pytest

from tests.conftest import MakeClient, event_threads
from tests.peers import Peer, PeerServer, take
from wsclient import InvalidRequest, MessagesDropped, OutcomeUnknown, Reconnect, Reply, TransportError, WSClient
from wsclient.core.backlog import Policy
from wsclient.sandbox import Sandbox

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}
PATIENCE = 10.0


def watch(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=True)


def flood(peer: Peer, count: int) -> None:
    for number in range(count):
        peer.send_text(f'{{"notice": "Test", "number": {number}}}')


@pytest.mark.parametrize("wrong", [{"handler_queue": 0}, {"handler_queue": 5, "queue_policy": "drop"}])
def test_a_queue_that_makes_no_sense_is_refused(make_client: MakeClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        make_client("ws://127.0.0.1:9", **wrong)


def test_nothing_runs_before_the_first_call_nor_after_stop(make_client: MakeClient, exchange: Sandbox) -> None:
    opened = threading.Event()
    client = make_client(exchange.url, open_handler=lambda client: opened.set(), handler_queue=10)
    assert event_threads() == []
    watch(client).result(PATIENCE)
    assert opened.wait(PATIENCE)
    assert len(event_threads()) == 2
    client.stop()
    assert event_threads() == []


@pytest.mark.parametrize("policy", get_args(Policy))
def test_a_handler_on_the_queue_may_wait_for_replies_log_in_and_stop(
    make_client: MakeClient, exchange: Sandbox, policy: Policy
) -> None:
    results: queue.Queue[Any] = queue.Queue()
    user = exchange.users[0]

    def on_open(client: WSClient) -> None:
        client.authenticate()
        results.put(client.GetBalances().result(PATIENCE)["balances"])
        results.put(client.call("GetOrders", PATIENCE)["orders"])
        client.stop()
        results.put("stopped")

    def on_close(client: WSClient, code: int | None, reason: str | None) -> None:
        results.put("closed")

    client = make_client(
        exchange.url, open_handler=on_open, close_handler=on_close, handler_queue=1, queue_policy=policy
    )
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    watch(client)
    assert take(results)
    assert take(results) == []
    assert take(results) == "stopped"
    assert take(results) == "closed"


def test_a_reply_never_waits_behind_notices_even_where_the_queue_blocks(make_client: MakeClient) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        while True:
            call = peer.receive()
            flood(peer, 100)
            peer.reply(call, last=7)

    def slow(client: WSClient, text: str) -> None:
        assert go.wait(PATIENCE)

    with PeerServer(script) as server:
        client = make_client(server.url, slow, handler_queue=2)
        watch(client).result(PATIENCE)
        for _ in range(3):
            assert watch(client).result(PATIENCE)["last"] == 7
        assert client.stats().queue_depth > 300
        go.set()
        client.stop()


def test_a_handler_waits_for_a_reply_behind_more_notices_than_the_queue_holds(make_client: MakeClient) -> None:
    results: queue.Queue[Any] = queue.Queue()
    seen: list[str] = []

    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        flood(peer, 50)
        call = peer.receive()
        flood(peer, 50)
        peer.reply(call, last=7)
        peer.wait_for_close()

    def asks(client: WSClient, text: str) -> None:
        seen.append(text)
        if len(seen) == 1:
            results.put(watch(client).result(PATIENCE)["last"])
        if len(seen) == 102:
            results.put(len(seen))

    with PeerServer(script) as server:
        client = make_client(server.url, asks, handler_queue=2)
        watch(client).result(PATIENCE)
        assert take(results) == 7
        assert take(results) == 102  # and nothing was dropped
        assert client.stats().dropped == 0


def test_a_connection_whose_queue_is_full_and_never_emptied_is_given_up_for_the_sake_of_a_call(
    make_client: MakeClient,
) -> None:
    go = threading.Event()
    told: queue.Queue[Exception] = queue.Queue()

    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.receive()
        flood(peer, 20_000)  # and no reply
        peer.wait_for_close()

    def slow(client: WSClient, text: str) -> None:
        assert go.wait(PATIENCE)

    with PeerServer(script) as server:
        client = make_client(
            server.url,
            slow,
            lambda client, error: told.put(error),
            handler_queue=2,
            socket_timeout=0.3,
            reconnect=None,
        )
        watch(client).result(PATIENCE)
        unknown = watch(client).exception(PATIENCE)
        assert isinstance(unknown, OutcomeUnknown)
        assert "full queue" in str(unknown.__cause__)
        go.set()
        error = take(told)
        assert isinstance(error, TransportError)
        assert "full queue" in str(error)
        client.stop()


def test_dropped_messages_are_told_and_counted(make_client: MakeClient) -> None:
    go = threading.Event()
    told: queue.Queue[Exception] = queue.Queue()

    def script(peer: Peer) -> None:
        call = peer.receive()
        flood(peer, 100)
        peer.reply(call)
        peer.wait_for_close()

    def slow(client: WSClient, text: str) -> None:
        assert go.wait(PATIENCE)

    with PeerServer(script) as server:
        client = make_client(
            server.url,
            slow,
            lambda client, error: told.put(error),
            handler_queue=5,
            queue_policy="drop_oldest",
        )
        watch(client).result(PATIENCE)
        dropped = client.stats().dropped
        assert dropped >= 90
        go.set()
        count = 0
        while count < dropped:  # in one report, or in two if the handler began in the middle of the flood
            error = take(told)
            assert isinstance(error, MessagesDropped)
            count += error.count
        assert count == dropped
        client.stop()


@pytest.mark.parametrize("policy", get_args(Policy))
def test_stop_returns_while_a_handler_never_does(make_client: MakeClient, policy: Policy) -> None:
    go = threading.Event()
    busy = threading.Event()

    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        flood(peer, 1000)
        peer.wait_for_close()

    def stuck(client: WSClient, text: str) -> None:
        busy.set()
        assert go.wait(PATIENCE)

    with PeerServer(script) as server:
        client = make_client(server.url, stuck, handler_queue=2, queue_policy=policy, socket_timeout=0.5)
        watch(client).result(PATIENCE)
        assert busy.wait(PATIENCE)
        client.stop()
        assert not go.is_set()
        go.set()


def test_balances_are_conflated_to_the_newest(make_client: MakeClient) -> None:
    busy, go, ended = threading.Event(), threading.Event(), threading.Event()
    seen: list[str] = []

    def script(peer: Peer) -> None:
        call = peer.receive()
        peer.send_text('{"notice": "Other"}')
        assert busy.wait(PATIENCE)
        for balance in range(50):
            peer.send_text(f'{{"notice": "BalanceChanged", "asset": 1, "balance": {balance}}}')
        peer.send_text('{"notice": "End"}')
        peer.reply(call)
        peer.wait_for_close()

    def slow(client: WSClient, text: str) -> None:
        seen.append(text)
        busy.set()
        assert go.wait(PATIENCE)
        if "End" in text:
            ended.set()

    with PeerServer(script) as server:
        client = make_client(server.url, slow, handler_queue=10, queue_policy="conflate")
        watch(client).result(PATIENCE)
        go.set()
        assert ended.wait(PATIENCE)
        assert [text for text in seen if "Balance" in text] == [
            '{"notice": "BalanceChanged", "asset": 1, "balance": 49}'
        ]
        assert client.stats().conflated == 49
        assert client.stats().dropped == 0


def test_a_handler_may_wait_behind_a_full_queue_for_a_book_to_be_whole_again(make_client: MakeClient) -> None:
    """The event thread doesn't wait for room meanwhile: it alone can bring the connection back."""
    opened = {"notice": "OrderOpened", "base": 1, "counter": 2, "id": 1, "quantity": 5, "price": 7, "time": 1}

    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchOrders"), orders=[])
        if peer.number == 0:
            assert watched.wait(10)
            peer.send_text(opened)  # is being handled,
            peer.send_text(opened)  # and this one fills the queue
            peer.end()
        else:
            peer.wait_for_close()

    watched, lost = threading.Event(), threading.Event()
    whole: queue.Queue[bool] = queue.Queue()

    def on_message(client: WSClient, text: str) -> None:
        if "OrderOpened" in text and whole.empty():
            book = client.order_book(1, 2)
            assert lost.wait(10)
            whole.put(not book.wait(10).stale)

    with PeerServer(script) as server:
        client = make_client(
            server.url,
            msg_handler=on_message,
            err_handler=lambda client, error: None,
            handler_queue=1,
            reconnect=Reconnect(base=0),
        )
        book = client.order_book(1, 2).wait(10)
        book.on_change(lambda book: lost.set() if book.stale else None)
        watched.set()
        assert whole.get(timeout=10)
        client.stop()
