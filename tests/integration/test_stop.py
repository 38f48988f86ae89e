"""stop(): from any thread, in any state, as often as one likes; in time, and nothing outlives it."""

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import MakeClient, event_threads
from tests.peers import Peer, PeerServer, Recorder, Stopwatch, take
from wsclient import ClientClosed, NotSent, OutcomeUnknown, Reply, State, WSClient, WSClientError
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Mute

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}
KINDS = ("msg_handler", "open_handler", "ping_handler", "pong_handler")
MARGIN = 0.5
"""Seconds that a busy machine may add to a promised bound."""


def watch(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=True)


def answering(peer: Peer) -> int | None:
    """Answers every call until the client closes; returns the code of its Close frame."""
    peer.welcome()
    peer.ping(b"ping")
    peer.frame(0xA, b"pong")
    while True:
        frame = peer.receive_frame()
        if frame.opcode == 0x8:
            peer.close_frame(1000)
            peer.end()
            return int.from_bytes(frame.payload[:2], "big")
        if frame.opcode == 0x1:
            peer.reply(int(frame.payload.rpartition(b'"tag": ')[2].rstrip(b"}")))


def in_background(function: Callable[[], object]) -> "queue.Queue[Any]":
    """Runs it in a thread of its own; what it returns or raises comes out of the queue."""
    outcome: queue.Queue[Any] = queue.Queue()

    def run() -> None:
        try:
            outcome.put(function())
        except BaseException as error:
            outcome.put(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def outcome_of(client: WSClient) -> BaseException | None:
    """How a call ended, raised or not; None for a reply."""
    try:
        return watch(client).exception(5)
    except WSClientError as error:
        return error


def assert_stopped(client: WSClient) -> None:
    assert client.state is State.STOPPED
    with pytest.raises(ClientClosed):
        watch(client)
    with pytest.raises(ClientClosed):
        client.authenticate()
    with pytest.raises(ClientClosed):
        client.call("GetBalances")


# -- in every state


def test_stop_before_the_first_call_does_nothing_and_is_final(make_client: MakeClient) -> None:
    client = make_client("ws://127.0.0.1:9")
    client.stop()
    client.stop()
    assert_stopped(client)


def test_stop_closes_in_good_order_and_ends_the_event_thread(make_client: MakeClient) -> None:
    told = Recorder()
    with PeerServer(answering) as server:
        client = make_client(server.url, **told.handlers())
        watch(client).result(5)
        client.stop()
        assert event_threads() == []
        assert told.closed.get_nowait() == (1000, "")
        assert server.result() == 1000
        client.close()
        assert_stopped(client)
    assert told.closed.empty()
    assert told.all_errors() == []


def test_leaving_a_with_block_stops_also_after_an_error(make_client: MakeClient) -> None:
    with PeerServer(answering) as server:
        client = make_client(server.url)

        def work() -> None:
            with client as same:
                assert same is client
                watch(client).result(5)
                raise KeyError

        with pytest.raises(KeyError):
            work()
        assert event_threads() == []
        assert_stopped(client)


def test_stop_after_the_connection_ended_is_quiet(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.close(1000)

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        watch(client).result(5)
        told.closing()
        client.stop()
    assert told.closed.empty()
    assert told.all_errors() == []
    assert_stopped(client)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_stop_while_connecting_tells_those_who_wait_and_is_in_time(make_client: MakeClient, scheme: str) -> None:
    accepted = threading.Event()

    def script(peer: Peer) -> None:
        peer.socket.recv(1)  # the request, or a ClientHello, begins
        accepted.set()
        peer.wait_for_end()

    with PeerServer(script, handshake=False) as server:
        client = make_client(f"{scheme}://127.0.0.1:{server.port}", socket_timeout=1.0)
        outcomes = [in_background(lambda: watch(client)) for _ in range(3)]
        assert accepted.wait(5)
        with Stopwatch() as stopping:
            client.stop()
        for outcome in outcomes:
            error = take(outcome, 1)
            assert isinstance(error, NotSent), error
            assert isinstance(error.__cause__, ClientClosed)
    assert stopping.seconds < 1.0 + MARGIN
    if scheme == "ws":  # a TLS handshake is waited out, and may end a moment after stop()
        assert event_threads() == []


def test_stop_while_the_login_waits_for_its_welcome_tells_the_caller(make_client: MakeClient) -> None:
    opened = threading.Event()

    def script(peer: Peer) -> None:
        opened.set()
        peer.close_frame(1000) if peer.wait_for_close() else None
        peer.end()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), socket_timeout=5)
        client.set_auth_data(1, "Y29va2ll", "passphrase")
        outcome = in_background(lambda: client.GetBalances())
        assert opened.wait(5)
        take(told.opened)
        with Stopwatch() as stopping:
            client.stop()
        error = take(outcome).exception(0)
        assert isinstance(error, WSClientError)
        assert not isinstance(error, OutcomeUnknown)
        assert isinstance(error.__cause__, ClientClosed)
    assert stopping.seconds < 4
    assert told.all_errors() == []


def test_stop_while_authenticating_tells_the_caller(make_client: MakeClient, exchange: Sandbox) -> None:
    user = exchange.users[0]
    exchange.faults.add(Mute(method="Authenticate"))
    client = make_client(exchange.url, socket_timeout=5)
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    outcome = in_background(lambda: client.GetBalances())
    exchange.ledger.wait_for(lambda ledger: ledger.authentications)
    with Stopwatch() as stopping:
        client.stop()
    error = take(outcome)
    assert isinstance(error, WSClientError)
    assert not isinstance(error, OutcomeUnknown)
    assert isinstance(error.__cause__, ClientClosed)
    assert stopping.seconds < 4
    assert exchange.ledger.commands("GetBalances") == []


def test_calls_pending_at_stop_end_unknown_with_client_closed_as_cause(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    told = Recorder()
    exchange.faults.add(Mute(times=None))
    client = make_client(exchange.url, **told.handlers())
    replies = [watch(client) for _ in range(10)]
    exchange.ledger.wait_for(lambda ledger: len(ledger.executed()) == 10)
    client.stop()
    errors = [reply.exception(0) for reply in replies]
    assert all(isinstance(error, OutcomeUnknown) for error in errors)
    assert all(isinstance(error.__cause__, ClientClosed) for error in errors if error)
    assert len({id(error) for error in errors}) == 10
    assert told.closing() == (1000, "")
    assert told.all_errors() == []


def test_a_reply_that_arrives_before_the_peers_close_still_counts(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive()
        assert peer.wait_for_close() == 1000
        peer.reply(call, last=7)
        peer.close_frame(1000)
        peer.end()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        reply = watch(client)
        client.stop()
        assert reply.result(0)["last"] == 7
    assert told.messages.empty()


# -- from a handler


@pytest.mark.parametrize("kind", [*KINDS, "err_handler", "close_handler"])
def test_stop_from_a_handler_returns_and_ends_everything(make_client: MakeClient, kind: str) -> None:
    told = Recorder()
    stopped = threading.Event()

    def handler(client: WSClient, *arguments: object) -> None:
        client.stop()
        client.stop()
        stopped.set()

    def script(peer: Peer) -> int | None:
        if kind not in ("err_handler", "close_handler"):
            return answering(peer)
        peer.receive()
        peer.close(1008)
        return None

    with PeerServer(script) as server:
        client = make_client(server.url, **{**told.handlers(), kind: handler})
        outcome = take(in_background(lambda: watch(client).exception(5)))
        # ClientClosed is raised where the handler was faster than the call
        assert outcome is None or isinstance(outcome, (OutcomeUnknown, NotSent, ClientClosed))
        assert stopped.wait(5)
        client.stop()
        assert event_threads() == []
        assert server.connections == 1
        if kind != "close_handler":
            told.closing()
        assert told.closed.empty()


def test_stop_from_a_callback_returns_and_ends_everything(make_client: MakeClient) -> None:
    with PeerServer(answering) as server:
        client = make_client(server.url)
        done = threading.Event()

        def callback(reply: object) -> None:
            client.stop()
            done.set()

        watch(client).add_done_callback(callback)
        assert done.wait(5)
        client.stop()
        assert event_threads() == []
        assert server.result() == 1000


def test_stop_from_err_handler_while_connecting_fails_ends_everything(make_client: MakeClient) -> None:
    stopped = threading.Event()

    def on_error(client: WSClient, error: Exception) -> None:
        client.stop()
        stopped.set()

    client = make_client("ws://127.0.0.1:9", err_handler=on_error)
    try:
        assert isinstance(watch(client).exception(5), NotSent)
    except NotSent as error:
        pytest.fail(f"with an err_handler nothing is raised, but {error!r} was")
    assert stopped.wait(5)
    client.stop()
    assert event_threads() == []
    assert_stopped(client)


def test_stop_does_not_wait_for_a_handler_for_longer_than_socket_timeout(make_client: MakeClient) -> None:
    entered, leave = threading.Event(), threading.Event()

    def on_message(client: WSClient, text: str) -> None:
        entered.set()
        leave.wait(10)

    with PeerServer(answering) as server:
        client = make_client(server.url, on_message, socket_timeout=0.4)
        watch(client)
        assert entered.wait(5)
        try:
            with Stopwatch() as stopping:
                client.stop()
        finally:
            leave.set()
        assert stopping.seconds < 0.4 + MARGIN


# -- from many threads


@pytest.mark.parametrize("state", ["idle", "connecting", "open"])
def test_ten_threads_that_stop_at_once_all_return_and_close_once(make_client: MakeClient, state: str) -> None:
    told = Recorder()
    begun = threading.Event()
    closes: queue.Queue[int] = queue.Queue()

    def script(peer: Peer) -> None:
        if state == "connecting":
            peer.read_request()
            begun.set()
            return peer.wait_for_end()
        peer.upgrade()
        while True:
            frame = peer.receive_frame()
            if frame.opcode == 0x8:
                closes.put(1)
                peer.close_frame()
                return peer.end()
            begun.set()

    with PeerServer(script, handshake=False) as server:
        client = make_client(server.url, **told.handlers())
        if state != "idle":
            in_background(lambda: watch(client))
            assert begun.wait(5)
        together = threading.Barrier(10)

        def stop() -> State:
            together.wait(5)
            client.stop()
            return client.state

        outcomes = [in_background(stop) for _ in range(10)]
        assert [take(outcome) for outcome in outcomes] == [State.STOPPED] * 10
        assert event_threads() == []
        assert server.connections == (0 if state == "idle" else 1)
    assert closes.qsize() == (1 if state == "open" else 0)
    assert told.closed.qsize() == (1 if state == "open" else 0)
    assert told.all_errors() == []


def test_calls_that_race_with_stop_each_have_an_honest_outcome(make_client: MakeClient, exchange: Sandbox) -> None:
    for _ in range(20):
        client = make_client(exchange.url, socket_timeout=5)
        together = threading.Barrier(9)

        def call(client: WSClient = client, together: threading.Barrier = together) -> list[BaseException | None]:
            outcomes: list[BaseException | None] = []
            together.wait(5)
            while not outcomes or not isinstance(outcomes[-1], ClientClosed):
                outcomes.append(outcome_of(client))
            return outcomes

        callers = [in_background(call) for _ in range(8)]
        together.wait(5)
        client.stop()
        for caller in callers:
            outcomes = take(caller)
            assert isinstance(outcomes, list), outcomes
            for error in outcomes:
                if isinstance(error, (NotSent, OutcomeUnknown)):
                    assert isinstance(error.__cause__, ClientClosed)
                else:  # CommandError: somebody watches already
                    assert error is None or not isinstance(error, ConnectionError)


# -- peers that don't help


def test_a_peer_that_never_answers_the_close_is_left_in_time(make_client: MakeClient) -> None:
    told = Recorder()

    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.wait_for_end()

    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), socket_timeout=0.6)
        watch(client).result(5)
        with Stopwatch() as stopping:
            client.stop()
        assert event_threads() == []
        server.result()  # the socket is closed
    assert stopping.seconds < 0.6 + MARGIN
    assert told.closing() == (None, None)
    assert told.all_errors() == []


def test_a_peer_that_never_stops_sending_is_left_in_time(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        while True:
            peer.send_text({"notice": "TickerChanged", "last": 1})

    with PeerServer(script) as server:
        client = make_client(server.url, socket_timeout=0.6)
        watch(client).result(5)
        with Stopwatch() as stopping:
            client.stop()
        assert event_threads() == []
    assert stopping.seconds < 0.6 + MARGIN


def test_a_peer_that_never_reads_and_a_full_buffer_are_left_in_time(make_client: MakeClient) -> None:
    first = threading.Event()

    def script(peer: Peer) -> None:
        first.set()
        peer.wait_for_test()

    told = Recorder()
    with PeerServer(script, receive_buffer=4096) as server:
        client = make_client(server.url, **told.handlers(), socket_timeout=1.0)
        message = {"method": "WatchTicker", "padding": "x" * 300_000}
        replies: queue.Queue[Reply[Any]] = queue.Queue()

        def send() -> None:
            for _ in range(50):
                replies.put(client.send(message))

        # 8 threads write until the system's buffers are full, and then wait
        senders = [in_background(send) for _ in range(8)]
        assert first.wait(5)
        for _ in range(4):
            take(replies)
        with Stopwatch() as stopping:
            client.stop()
        assert event_threads() == []
        assert stopping.seconds < 1.0 + MARGIN
        for sender in senders:
            assert isinstance(take(sender), (ClientClosed, type(None)))
        while not replies.empty():
            assert isinstance(replies.get().exception(0), (OutcomeUnknown, NotSent))


def test_stop_waits_for_no_name_look_up_longer_than_socket_timeout(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        entered.set()
        leave.wait(10)
        raise socket.gaierror("by the test")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    client = make_client("ws://slow.invalid", socket_timeout=0.4)
    outcome = in_background(lambda: watch(client))
    assert entered.wait(5)
    try:
        with Stopwatch() as stopping:
            client.stop()
        assert stopping.seconds < 0.4 + MARGIN
        assert isinstance(take(outcome), NotSent)
    finally:
        leave.set()


def test_a_call_queued_by_a_handler_is_told_client_closed_by_stop(make_client: MakeClient) -> None:
    queued: queue.Queue[Reply[Any]] = queue.Queue()
    again = threading.Event()

    def first(peer: Peer) -> None:
        peer.upgrade()
        peer.receive()
        peer.close(1008)

    def second(peer: Peer) -> None:
        peer.read_request()
        again.set()
        peer.wait_for_end()

    with PeerServer([first, second], handshake=False) as server:
        client = make_client(server.url, close_handler=lambda client, code, reason: queued.put(watch(client)))
        watch(client)
        reply = take(queued)
        assert again.wait(5)
        client.stop()
        error = reply.exception(0)
        assert isinstance(error, NotSent)
        assert isinstance(error.__cause__, ClientClosed)
