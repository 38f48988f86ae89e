"""What handlers may do: raise, call, wait where that is refused, stop; nothing of it harms the event thread."""

import json
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import MakeClient, event_threads
from tests.peers import Peer, PeerServer, Recorder, take
from wsclient import AuthenticationError, NotSent, Reply, State, TransportError, WouldDeadlock, WSClient
from wsclient.sandbox import Sandbox

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}
KINDS = ("msg_handler", "open_handler", "close_handler", "ping_handler", "pong_handler")


def watch(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=True)


def logged_in(client: WSClient, exchange: Sandbox) -> WSClient:
    user = exchange.users[0]
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    return client


def everything(peer: Peer) -> None:
    """Gives each kind of handler something to do, answers all calls, and ends when asked for the ticker of ETH."""
    peer.welcome()
    peer.ping(b"ping")
    peer.frame(0xA, b"pong")
    while True:
        call = peer.receive()
        peer.reply(call)
        if call.get("watch") is False:
            return peer.close(1000, "bye")


def end(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=False)


# -- raising


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raised", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_handler_that_raises_is_reported_and_changes_nothing_else(
    make_client: MakeClient, kind: str, raised: type[BaseException]
) -> None:
    told = Recorder()
    error = raised("by the test")

    def handler(*arguments: object) -> None:
        raise error

    with PeerServer(everything) as server:
        handlers = {**told.handlers(), kind: handler}
        client = make_client(server.url, **handlers)
        assert watch(client).result(5)["error_code"] == 0
        assert end(client).result(5)["error_code"] == 0
        if kind != "close_handler":
            assert told.closing() == (1000, "bye")
        first = told.error()
        assert first is error or first.__cause__ is error
        assert isinstance(first, Exception)
        if kind == "msg_handler":
            for _ in range(2):  # the Welcome and two replies
                told.error()
        client.stop()
    assert told.all_errors() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_that_raises_without_an_error_handler_is_logged(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    told = Recorder()

    def handler(*arguments: object) -> None:
        raise ValueError("by the test")

    with PeerServer(everything) as server:
        client = make_client(server.url, **{**told.handlers(errors=False), kind: handler})
        assert watch(client).result(5)["error_code"] == 0
        assert end(client).result(5)["error_code"] == 0
        client.stop()
    logged = [record for record in caplog.records if record.name == "wsclient" and record.exc_info]
    assert len(logged) == (3 if kind == "msg_handler" else 1)
    assert all("by the test" in str(record.exc_info) for record in logged)


@pytest.mark.parametrize("raised", [ValueError, SystemExit])
def test_an_error_handler_that_raises_is_logged_and_not_told_to_itself(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, raised: type[BaseException]
) -> None:
    calls: queue.Queue[Exception] = queue.Queue()

    def on_error(client: WSClient, error: Exception) -> None:
        calls.put(error)
        raise raised("by the error handler")

    def on_open(client: WSClient) -> None:
        raise ValueError("by the open handler")

    with PeerServer(everything) as server:
        client = make_client(server.url, err_handler=on_error, open_handler=on_open)
        assert watch(client).result(5)["error_code"] == 0
        client.stop()
    assert str(take(calls)) == "by the open handler"
    assert calls.empty()
    assert len([record for record in caplog.records if record.name == "wsclient"]) == 1


def test_an_error_handler_that_raises_in_the_callers_thread_changes_nothing_else(make_client: MakeClient) -> None:
    def on_error(client: WSClient, error: Exception) -> None:
        raise ValueError("by the error handler")

    client = make_client("ws://127.0.0.1:9", err_handler=on_error)
    assert isinstance(client.GetBalances().exception(5), AuthenticationError)
    assert isinstance(watch(client).exception(5), NotSent)


def test_a_callback_that_raises_changes_nothing_else(make_client: MakeClient) -> None:
    received = threading.Event()

    def script(peer: Peer) -> None:
        first, second = peer.receive(), peer.receive()
        assert received.wait(5)
        peer.reply(first)
        peer.reply(second)
        peer.wait_for_close()

    def raising(reply: object) -> None:
        raise SystemExit

    with PeerServer(script) as server:
        client = make_client(server.url)
        first, second = watch(client), watch(client)
        first.add_done_callback(raising)
        received.set()
        assert first.result(5)["error_code"] == 0
        assert second.result(5)["error_code"] == 0


# -- calling


def test_every_handler_gets_the_client_and_what_the_table_says(make_client: MakeClient) -> None:
    calls: dict[str, tuple[Any, ...]] = {}
    closed = threading.Event()

    def handler(kind: str) -> Callable[..., None]:
        def handle(*arguments: Any) -> None:
            calls.setdefault(kind, arguments)
            if kind == "close_handler":
                closed.set()

        return handle

    with PeerServer(everything) as server:
        client = make_client(server.url, **{kind: handler(kind) for kind in KINDS})
        end(client).result(5)
        assert closed.wait(5)
    assert calls["open_handler"] == (client,)
    assert calls["close_handler"] == (client, 1000, "bye")
    assert calls["ping_handler"] == (client, b"ping")
    assert calls["pong_handler"] == (client, b"pong")
    assert calls["msg_handler"][0] is client
    assert json.loads(calls["msg_handler"][1])["notice"] == "Welcome"


def test_handlers_run_on_one_thread_alone(make_client: MakeClient) -> None:
    threads = set()
    with PeerServer(everything) as server:
        client = make_client(
            server.url, **{kind: lambda *arguments: threads.add(threading.current_thread()) for kind in KINDS}
        )
        watch(client).result(5)
        end(client).result(5)
        client.stop()
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def calling_back(kind: str, calls: "queue.Queue[Any]", call: Callable[[WSClient], Any]) -> dict[str, Any]:
    """A handler that makes the call when it is first called."""
    once = threading.Lock()

    def handler(client: WSClient, *arguments: Any) -> None:
        if once.acquire(blocking=False):
            try:
                calls.put(call(client))
            except BaseException as error:
                calls.put(error)

    return {kind: handler}


@pytest.mark.parametrize("kind", ["msg_handler", "open_handler", "ping_handler", "pong_handler"])
@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_a_public_call_from_a_handler_is_sent_and_answered(
    make_client: MakeClient, kind: str, handled: bool
) -> None:
    calls: queue.Queue[Any] = queue.Queue()
    told = Recorder()
    with PeerServer(everything) as server:
        handlers = {**told.handlers(errors=handled), **calling_back(kind, calls, watch)}
        client = make_client(server.url, **handlers)
        watch(client).result(5)
        assert take(calls).result(5)["error_code"] == 0
        client.stop()
        assert server.connections == 1
    assert told.all_errors() == []


@pytest.mark.parametrize("kind", ["msg_handler", "open_handler"])
def test_a_private_call_from_a_handler_before_the_login_is_queued_behind_it(
    make_client: MakeClient, exchange: Sandbox, kind: str
) -> None:
    calls: queue.Queue[Any] = queue.Queue()
    client = make_client(exchange.url, **calling_back(kind, calls, lambda client: client.GetBalances()))
    logged_in(client, exchange)
    watch(client).result(5)
    assert take(calls).result(5)["balances"]
    client.stop()
    assert len(exchange.ledger.authentications) == 1
    assert len(exchange.ledger.connections) == 1
    # in order: nothing private before its login
    methods = [command.method for command in exchange.ledger.commands() if command.method != "WatchTicker"]
    assert methods == ["Authenticate", "GetBalances"]


def test_private_calls_from_a_handler_keep_their_order(make_client: MakeClient, exchange: Sandbox) -> None:
    calls: queue.Queue[Any] = queue.Queue()

    def several(client: WSClient) -> list[Reply[Any]]:
        return [client.CancelOrder(id=number) for number in range(1, 20)]

    client = logged_in(make_client(exchange.url, **calling_back("open_handler", calls, several)), exchange)
    watch(client).result(5)
    for reply in take(calls):
        reply.exception(5)
    asked = [command.fields["id"] for command in exchange.ledger.commands("CancelOrder")]
    assert asked == list(range(1, 20))


@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_a_private_call_from_a_handler_whose_login_is_refused_fails_and_is_told_once(
    make_client: MakeClient, exchange: Sandbox, handled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    calls: queue.Queue[Any] = queue.Queue()
    told = Recorder()
    handlers = {
        **told.handlers(errors=handled),
        **calling_back("open_handler", calls, lambda client: client.GetBalances()),
    }
    client = make_client(exchange.url, **handlers)
    client.set_auth_data(exchange.users[0].id, exchange.users[0].cookie, "the wrong one")
    watch(client).result(5)
    assert isinstance(take(calls).exception(5), AuthenticationError)
    assert watch_again(client)
    client.stop()
    assert len(told.all_errors()) == (1 if handled else 0)
    assert len([record for record in caplog.records if record.name == "wsclient"]) == (0 if handled else 1)


def watch_again(client: WSClient) -> bool:
    """Whether the connection still answers."""
    return client.EstimateMarketOrder(**PAIR, quantity=1).exception(5) is None or client.state is State.OPEN


WAITING: dict[str, Callable[[WSClient], object]] = {
    "result()": lambda client: watch(client).result(),
    "result(0)": lambda client: watch(client).result(0),
    "exception()": lambda client: watch(client).exception(),
    "call()": lambda client: client.call("WatchTicker", **PAIR, watch=True),
    "authenticate()": lambda client: client.authenticate(),
}


@pytest.mark.parametrize("kind", ["msg_handler", "open_handler", "ping_handler", "pong_handler"])
@pytest.mark.parametrize("wait", WAITING.values(), ids=WAITING.keys())
def test_waiting_on_the_event_thread_raises_would_deadlock_and_hangs_nobody(
    make_client: MakeClient, kind: str, wait: Callable[[WSClient], object]
) -> None:
    calls: queue.Queue[Any] = queue.Queue()
    with PeerServer(everything) as server:
        client = make_client(server.url, **calling_back(kind, calls, wait))
        client.set_auth_data(1, "Y29va2ll", "passphrase")
        watch(client).result(5)
        error = take(calls)
        assert isinstance(error, WouldDeadlock), error
        assert "event thread" in str(error)
        watch(client).result(5)


def test_a_reply_that_is_there_can_be_read_on_the_event_thread(make_client: MakeClient) -> None:
    results: queue.Queue[Any] = queue.Queue()
    with PeerServer(everything) as server:
        client = make_client(server.url)
        reply = watch(client)
        reply.add_done_callback(lambda reply: results.put(reply.result()))
        assert take(results)["error_code"] == 0


def test_the_reply_is_there_before_msg_handler_is_called_with_its_text(make_client: MakeClient) -> None:
    done: queue.Queue[bool] = queue.Queue()
    made: queue.Queue[Reply[Any]] = queue.Queue()

    def on_message(client: WSClient, text: str) -> None:
        if "tag" in text:
            done.put(take(made).done())

    with PeerServer(everything) as server:
        client = make_client(server.url, on_message)
        made.put(watch(client))
        assert take(done)


@pytest.mark.parametrize("kind", ["close_handler", "err_handler"])
def test_a_call_from_the_handler_of_the_end_is_queued_until_the_connection_is_back(
    make_client: MakeClient, kind: str
) -> None:
    calls: queue.Queue[Any] = queue.Queue()

    def first(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.close(1008)

    def second(peer: Peer) -> None:
        peer.reply(peer.receive(), last=2)
        peer.wait_for_close()

    with PeerServer([first, second]) as server:
        client = make_client(server.url, **calling_back(kind, calls, watch), reconnect=None)
        watch(client).result(5)
        assert take(calls).result(5)["last"] == 2
        assert server.connections == 2


@pytest.mark.parametrize("kind", ["close_handler", "err_handler"])
def test_a_call_from_the_handler_of_the_end_fails_where_the_connection_does_not_come_back(
    make_client: MakeClient, kind: str
) -> None:
    calls: queue.Queue[Any] = queue.Queue()

    def gone(peer: Peer) -> None:
        peer.abort()

    def first(peer: Peer) -> None:
        peer.upgrade()
        peer.reply(peer.receive())
        peer.close(1008)

    with PeerServer([first, gone], handshake=False) as server:
        client = make_client(server.url, **calling_back(kind, calls, watch), reconnect=None)
        watch(client).result(5)
        error = take(calls).exception(5)
        assert isinstance(error, NotSent)
        assert isinstance(error.__cause__, TransportError)
        assert server.connections == 2


def test_a_call_from_err_handler_about_a_connection_that_failed_fails_too_and_ends(
    make_client: MakeClient,
) -> None:
    calls: queue.Queue[Any] = queue.Queue()
    client = make_client("ws://127.0.0.1:9", err_handler=lambda client, error: calls.put(watch(client)))
    assert isinstance(watch(client).exception(5), NotSent)
    assert isinstance(take(calls).exception(5), NotSent)
    for thread in event_threads():
        thread.join(5)
    assert event_threads() == []


def test_cancelling_a_call_that_waits_for_the_login_sends_nothing(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.receive("WatchTicker")
        assert cancelled.wait(5)
        peer.log_in()
        peer.reply(peer.receive("GetOrders"), orders=[])
        peer.wait_for_close()

    cancelled = threading.Event()
    calls: queue.Queue[Any] = queue.Queue()

    def two(client: WSClient) -> tuple[Reply[Any], Reply[Any]]:
        return client.GetBalances(), client.GetOrders()

    with PeerServer(script) as server:
        client = make_client(server.url, **calling_back("open_handler", calls, two))
        client.set_auth_data(1, "Y29va2ll", "passphrase")
        watch(client)
        dropped, kept = take(calls)
        assert dropped.cancel()
        assert dropped.cancelled()
        cancelled.set()
        assert kept.result(5)["orders"] == []


def test_new_credentials_in_a_handler_count_from_the_next_login(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    user = exchange.users[0]

    def on_error(client: WSClient, error: Exception) -> None:
        client.set_auth_data(user.id, user.cookie, user.passphrase)

    client = make_client(exchange.url, err_handler=on_error)
    client.set_auth_data(user.id, user.cookie, "the wrong one")
    assert isinstance(client.GetBalances().exception(5), AuthenticationError)
    assert client.GetBalances().result(5)["balances"]
    assert len(exchange.ledger.connections) == 1
