"""A lone caller who reads his own reply: interrupted, flooded, or beside one who has to write."""

import signal
import threading
from types import FrameType
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import Peer, PeerServer, Stopwatch
from wsclient import AuthenticationError, InvalidRequest, NotSent, OutcomeUnknown, Reply, WSClient

PAIR = {"base": 1, "counter": 2}


def watch(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=True)


def answers_the_second(peer: Peer) -> None:
    first = peer.receive()
    peer.reply(peer.receive())
    peer.reply(first)
    peer.wait_for_close()
    peer.close_frame()


def never_answers(peer: Peer) -> None:
    peer.receive()
    peer.wait_for_close()
    peer.close_frame()


class InSignal:
    """Runs a function in a signal's handler, on the main thread, on top of whatever it does then."""

    def __init__(self, action: Any) -> None:
        def handle(number: int, frame: FrameType | None) -> None:
            action()

        self._before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.2)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)


def test_a_signals_handler_may_stop_the_client_whose_reply_the_interrupted_thread_waits_for(
    make_client: MakeClient,
) -> None:
    took: list[float] = []

    def stop() -> None:
        with Stopwatch() as stopping:
            client.stop()
        took.append(stopping.seconds)

    with PeerServer(never_answers) as server:
        client = make_client(server.url, socket_timeout=5)
        with InSignal(stop), pytest.raises(OutcomeUnknown):
            watch(client).result(10)
    assert took[0] < 2


def test_a_signals_handler_may_call_while_the_interrupted_thread_waits(
    make_client: MakeClient,
) -> None:
    inner: list[Any] = []
    with PeerServer(answers_the_second) as server:
        client = make_client(server.url)
        with InSignal(lambda: inner.append(watch(client).result(5))):
            outer = watch(client).result(5)
        client.stop()
    assert (inner[0]["tag"], outer["tag"]) == (2, 1)


def test_what_a_handler_left_half_written_goes_out_while_a_caller_reads(make_client: MakeClient) -> None:
    waiting = threading.Event()
    sent: list[Reply[Any]] = []

    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.ping(b"now")
        assert waiting.wait(5)
        peer.reply(peer.receive())
        peer.wait_for_close()

    def pinged(client: WSClient, payload: bytes) -> None:
        sent.append(client.send({"method": "WatchTicker", "blob": "x" * 12_000_000}))
        waiting.set()

    with PeerServer(script) as server:
        client = make_client(server.url, ping_handler=pinged, socket_timeout=2)
        watch(client).result(5)
        assert waiting.wait(5)
        assert sent[0].result(10)["error_code"] == 0
        client.stop()


def test_a_timeout_holds_while_notices_pour_in(make_client: MakeClient) -> None:
    enough = threading.Event()

    def script(peer: Peer) -> None:
        peer.receive()
        while not enough.is_set():
            peer.send_text('{"notice":"Flood"}')
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url)
        reply = watch(client)
        with Stopwatch() as waited, pytest.raises(TimeoutError):
            reply.result(0.2)
        enough.set()
        client.stop()
    assert waited.seconds < 2


def test_a_calls_timeout_counts_the_login_too(make_client: MakeClient) -> None:
    greet = threading.Event()

    def script(peer: Peer) -> None:
        assert greet.wait(5)
        peer.log_in()
        peer.receive()
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url, socket_timeout=5)
        client.set_auth_data(1, "Zm9v", "passphrase")
        threading.Timer(0.8, greet.set).start()
        with Stopwatch() as waited, pytest.raises(TimeoutError, match="within 1 s"):
            client.call("GetBalances", timeout=1)
        client.stop()
    assert waited.seconds < 1.6


def test_waiting_for_a_month_is_no_mistake(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url, ping_interval=30 * 86400.0)
        assert watch(client).result(30 * 86400)["error_code"] == 0
        client.stop()


def test_an_error_handler_that_mends_the_credentials_and_calls_again_is_answered(make_client: MakeClient) -> None:
    outcome: list[Any] = []
    ended = threading.Event()

    def script(peer: Peer) -> None:
        peer.welcome()
        peer.reply(peer.receive("Authenticate"), error_code=7, error_msg="wrong cookie")
        peer.reply(peer.receive("Authenticate"))
        peer.reply(peer.receive("GetBalances"))
        peer.wait_for_close()

    def note(done: Any) -> None:
        outcome.append(done.exception())
        ended.set()

    def mend(client: WSClient, error: Exception) -> None:
        if isinstance(error, AuthenticationError) and not outcome:
            client.set_auth_data(1, "Z29vZA==", "right")
            client.GetBalances().add_done_callback(note)

    with PeerServer(script) as server:
        client = make_client(server.url, err_handler=mend)
        client.set_auth_data(1, "Zm9v", "wrong")
        assert isinstance(client.GetOrders().exception(5), AuthenticationError)
        assert ended.wait(5)
        client.stop()
    assert outcome == [None]


def test_an_error_handler_may_want_a_lock_that_the_failing_caller_holds(make_client: MakeClient) -> None:
    lock = threading.Lock()
    told = threading.Event()

    def on_error(client: WSClient, error: Exception) -> None:
        with lock:
            told.set()

    client = make_client("ws://127.0.0.1:1/v1", err_handler=on_error)
    with lock:
        assert isinstance(watch(client).exception(5), NotSent)
    assert told.wait(5)


def test_an_error_handler_may_want_a_lock_that_the_caller_of_a_lost_call_holds(make_client: MakeClient) -> None:
    lock = threading.Lock()
    told = threading.Event()

    def on_error(client: WSClient, error: Exception) -> None:
        with lock:
            told.set()

    def script(peer: Peer) -> None:
        peer.receive()
        peer.abort()

    with PeerServer(script) as server:
        client = make_client(server.url, err_handler=on_error)
        with lock:
            assert isinstance(watch(client).exception(5), OutcomeUnknown)
        assert told.wait(5)
        client.stop()


def test_a_json_library_that_fails_leaves_no_call_behind(make_client: MakeClient) -> None:
    def dumps(message: dict[str, Any]) -> str:
        raise OverflowError("too big")

    client = make_client("ws://127.0.0.1:1/v1", json_dumps=dumps)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="too big"):
            client.WatchTicker(**PAIR, watch=True, tag=5)


@pytest.mark.parametrize("url", ["wss://user:hunter2/x@host/v1", "wss://user:hunter2\N{ACCOUNT OF}@host/v1"])
def test_a_wrong_urls_error_quotes_nothing_of_it(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        WSClient(url)
    assert "hunter2" not in str(caught.value)
