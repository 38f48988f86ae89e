"""What the event thread does for calls made on it, and how it goes on when something fails there."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import NotSent, Reconnect, Reply, TransportError, WSClient

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}

alarmed = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no such timers here")


def estimate(client: WSClient) -> Reply[Any]:
    return client.EstimateMarketOrder(**PAIR, quantity=1)


class Pauses:
    """Takes the place of waiting before tries; counts them, and ends each at once."""

    def __init__(self) -> None:
        self.made = threading.Semaphore(0)
        self.count = 0

    def random(self) -> float:
        self.count += 1
        self.made.release()
        return 0.001


# -- calls that are made one after the other when connections end


@pytest.mark.parametrize("greets", [True, False])
def test_calls_of_a_close_handler_open_connections_no_faster_than_the_policy_allows(
    make_client: MakeClient, greets: bool
) -> None:
    """A server that takes each connection and ends it would be stormed."""

    def script(peer: Peer) -> None:
        if greets:
            peer.welcome()
        peer.close_frame(1013, "try again later")
        peer.end()

    pauses = Pauses()
    with PeerServer(script) as server:
        client = make_client(
            server.url,
            err_handler=lambda client, error: None,
            close_handler=lambda client, code, reason: estimate(client),
            reconnect=Reconnect(base=1, random=pauses.random),
        )
        estimate(client)
        for _ in range(5):
            assert pauses.made.acquire(timeout=PATIENCE)
        connections = server.connections
        client.stop()
    assert connections <= 3 + pauses.count  # the first call tries three times by itself


def test_calls_that_callbacks_repeat_open_connections_no_faster_than_the_policy_allows(
    make_client: MakeClient,
) -> None:
    pauses = Pauses()
    begun = threading.Event()

    def on_error(client: WSClient, error: Exception) -> None:
        if not begun.is_set():
            begun.set()
            again(client)

    def again(client: WSClient) -> None:
        if not pauses.made.acquire(blocking=False) or pauses.count < 5:
            estimate(client).add_done_callback(
                lambda reply: again(client) if isinstance(reply.exception(), NotSent) else None
            )
        else:
            enough.set()

    enough = threading.Event()
    client = make_client(
        "ws://127.0.0.1:9", err_handler=on_error, reconnect=Reconnect(base=1, random=pauses.random)
    )
    estimate(client)
    assert enough.wait(PATIENCE)
    assert pauses.count >= 5


def test_somebody_who_waits_ends_such_a_pause(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        if peer.number < 5:  # more than one call tries
            peer.end()
            return
        while True:
            peer.reply(peer.receive())

    def long() -> float:
        pausing.set()
        return 1.0

    pausing = threading.Event()
    with PeerServer(script) as server:
        client = make_client(
            server.url,
            err_handler=lambda client, error: None,
            close_handler=lambda client, code, reason: estimate(client),
            reconnect=Reconnect(base=1000, cap=1000, random=long),
        )
        estimate(client)
        assert pausing.wait(PATIENCE)
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(client.call, "EstimateMarketOrder", PATIENCE, **PAIR, quantity=1)
            while isinstance(told.exception(PATIENCE), TransportError):  # the next ones end, too
                told = pool.submit(client.call, "EstimateMarketOrder", PATIENCE, **PAIR, quantity=1)
            assert told.result()["error_code"] == 0
        client.stop()


# -- many calls before the login


def test_thousands_of_private_calls_of_a_handler_go_out_in_order_after_the_login(make_client: MakeClient) -> None:
    count = 4000
    tags: list[int] = []

    def script(peer: Peer) -> None:
        peer.log_in()
        for _ in range(count):
            call = peer.receive("GetBalances")
            tags.append(call["tag"])
            peer.reply(call, balances=[])
        peer.wait_for_close()

    replies: list[Reply[Any]] = []
    asked = threading.Event()

    def on_open(client: WSClient) -> None:
        replies.extend(client.GetBalances() for _ in range(count))
        asked.set()

    with PeerServer(script) as server:
        client = make_client(server.url, open_handler=on_open)
        client.set_auth_data(1, "Y29va2ll", "passphrase")
        client.authenticate()
        assert asked.wait(PATIENCE)
        assert all(reply.result(PATIENCE)["error_code"] == 0 for reply in replies)
        client.stop()
    assert tags == [reply.tag for reply in replies]


def test_a_login_that_takes_longer_than_the_caller_waits_is_told_in_time(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.welcome()
        login = peer.receive("Authenticate")
        assert told.wait(PATIENCE)
        peer.reply(login)
        peer.reply(peer.receive("GetOrders"), orders=[])
        peer.wait_for_close()

    told = threading.Event()
    with PeerServer(script) as server:
        client = make_client(server.url)
        client.set_auth_data(1, "Y29va2ll", "passphrase")
        with pytest.raises(NotSent, match="login"):
            client.call("GetBalances", timeout=0.1)
        told.set()
        assert client.call("GetOrders", timeout=PATIENCE)["orders"] == []
        client.stop()


def test_a_call_that_timed_out_can_still_be_asked_for_its_outcome(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive()
        assert told.wait(PATIENCE)
        peer.reply(call, quantity=7)
        peer.wait_for_close()

    told = threading.Event()
    with PeerServer(script) as server:
        client = make_client(server.url)
        with pytest.raises(TimeoutError, match="reply") as caught:
            client.call("EstimateMarketOrder", timeout=0.1, **PAIR, quantity=1)
        told.set()
        assert caught.value.reply.result(PATIENCE)["quantity"] == 7  # type: ignore[attr-defined]
        client.stop()


# -- mistakes


def test_a_mistake_on_the_event_thread_is_told_and_the_next_call_finds_another_thread(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchOrders"), orders=[])
        if peer.number == 0:
            assert whole.wait(PATIENCE)
            peer.end()
            return
        peer.reply(peer.receive("EstimateMarketOrder"))
        peer.wait_for_close()

    def mistaken() -> float:
        raise ZeroDivisionError

    failed, whole = threading.Event(), threading.Event()

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "the event thread failed" in record.getMessage():
                failed.set()

    listening = Listening()
    logging.getLogger("wsclient").addHandler(listening)
    try:
        with PeerServer(script) as server:
            client = make_client(
                server.url, err_handler=lambda client, error: None, reconnect=Reconnect(random=mistaken)
            )
            book = client.order_book("XBT", "USDT").wait(PATIENCE)
            whole.set()
            assert failed.wait(PATIENCE)
            with pytest.raises(TransportError, match="ZeroDivisionError"):
                book.wait(PATIENCE)
            assert estimate(client).result(PATIENCE)["error_code"] == 0
            assert not book.wait(PATIENCE).stale
            client.stop()
    finally:
        logging.getLogger("wsclient").removeHandler(listening)


# -- signals


@pytest.fixture
def alarm() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Has a function called by a signal, soon."""
    before = signal.getsignal(signal.SIGALRM)

    def soon(do: Callable[[], object]) -> None:
        signal.signal(signal.SIGALRM, lambda number, frame: do())
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    yield soon
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@alarmed
@pytest.mark.parametrize("timeout", [None, PATIENCE])
@pytest.mark.parametrize("handled", [True, False])
def test_a_signal_does_not_end_a_wait(
    make_client: MakeClient, alarm: Callable[[Callable[[], object]], None], timeout: float | None, handled: bool
) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive()
        assert came.wait(PATIENCE)
        peer.reply(call)
        peer.wait_for_close()

    came = threading.Event()
    with PeerServer(script) as server:
        client = make_client(server.url, msg_handler=(lambda client, text: None) if handled else None)
        alarm(came.set)
        assert estimate(client).result(timeout)["error_code"] == 0
        client.stop()


@alarmed
@pytest.mark.parametrize("handled", [True, False])
def test_the_handler_of_a_signal_may_call_while_its_thread_waits_for_a_reply(
    make_client: MakeClient, alarm: Callable[[Callable[[], object]], None], handled: bool
) -> None:
    def script(peer: Peer) -> None:
        first = peer.receive()
        second = peer.receive()
        peer.reply(first, quantity=1)
        peer.reply(second, quantity=2)
        peer.reply(peer.receive(), quantity=3)
        peer.wait_for_close()

    inner: list[int] = []
    with PeerServer(script) as server:
        client = make_client(server.url, msg_handler=(lambda client, text: None) if handled else None)
        client._connection.connect()
        alarm(lambda: inner.extend(estimate(client).result(PATIENCE)["quantity"] for _ in range(2)))
        assert client.call("EstimateMarketOrder", PATIENCE, **PAIR, quantity=1)["quantity"] == 1
        client.stop()
    assert inner == [2, 3]
