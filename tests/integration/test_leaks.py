"""Nothing piles up: threads, descriptors and secrets are where they were, or where they belong, afterwards.

WSCLIENT_TEST_CYCLES (default 100) sets how often the cycle of connect, authenticate, call, stop is run; the design
promises 500.
"""

import gc
import json
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import Peer, PeerServer, Recorder
from wsclient import (
    AuthenticationError,
    CommandError,
    NotSent,
    OutcomeUnknown,
    Reply,
    TransportError,
    WSClient,
    WSClientError,
)
from wsclient.coinflex.signing import Credentials
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Drop, Refuse

CYCLES = int(os.environ.get("WSCLIENT_TEST_CYCLES", "100"))
PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}
ROOT = Path(__file__).resolve().parents[2]


def watch(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=True)


def descriptors() -> int:
    """How many file descriptors this process has open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


# -- threads and descriptors


def test_cycles_of_connect_authenticate_call_stop_leave_everything_as_it_was(exchange: Sandbox) -> None:
    user = exchange.users[0]

    def cycle() -> None:
        with WSClient(exchange.url) as client:
            client.set_auth_data(user.id, user.cookie, user.passphrase)
            assert client.GetBalances().result(5)["balances"]
            assert client.call("WatchTicker", **PAIR, watch=True)["error_code"] == 0
        session = exchange.ledger.connections[-1].session
        exchange.ledger.wait_for(lambda ledger: ledger.closure(session))

    cycle()  # what is made once for all clients is made now
    gc.collect()
    threads, files = set(threading.enumerate()), descriptors()
    for _ in range(CYCLES):
        cycle()
    assert set(threading.enumerate()) == threads
    assert descriptors() <= files
    assert {closed.code for closed in exchange.ledger.closures} == {1000}


def test_failed_connections_leave_everything_as_it_was(exchange: Sandbox) -> None:
    def cycle() -> None:
        exchange.faults.add(Refuse(), Drop(when="executed"))
        with WSClient(exchange.url) as client:
            with pytest.raises(NotSent):
                watch(client)
            assert isinstance(watch(client).exception(5), OutcomeUnknown)
            assert watch(client).result(5)["error_code"] == 0
        sessions = {opened.session for opened in exchange.ledger.connections}
        exchange.ledger.wait_for(lambda ledger: sessions <= {closed.session for closed in ledger.closures})

    cycle()
    gc.collect()
    threads, files = set(threading.enumerate()), descriptors()
    for _ in range(CYCLES // 5):
        cycle()
    assert set(threading.enumerate()) == threads
    assert descriptors() <= files + 1  # a connection that was refused may take the server a moment to forget


def test_a_stopped_client_is_forgotten_with_all_that_it_held(make_client: MakeClient, exchange: Sandbox) -> None:
    client = WSClient(exchange.url)
    replies = [watch(client) for _ in range(10)]
    for reply in replies:
        reply.exception(5)
    client.stop()
    references = [weakref.ref(one) for one in (client, *replies)]
    del client, replies, reply
    gc.collect()
    assert [reference() for reference in references] == [None] * 11


def test_a_client_that_never_called_needs_no_stop() -> None:
    reference = weakref.ref(WSClient("ws://127.0.0.1:9"))
    gc.collect()
    assert reference() is None


def test_calls_that_ended_are_not_kept(make_client: MakeClient, exchange: Sandbox) -> None:
    client = make_client(exchange.url)
    references = []
    for number in range(100):
        reply = client.EstimateMarketOrder(**PAIR, quantity=number + 1)
        reply.result(5)
        references.append(weakref.ref(reply))
    del reply
    gc.collect()
    assert sum(reference() is not None for reference in references) <= 1


# -- importing


IMPORT = """
import socket, sys, threading
opened = []
sys.addaudithook(lambda event, args: opened.append((event, args)) if event.startswith("socket.") else None)
import wsclient
client = wsclient.WSClient("ws://127.0.0.1:9")
client.set_auth_data(1, "c", "p")
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
assert not opened, opened
client.stop()
assert not opened, opened
"""


def test_importing_and_constructing_start_no_thread_and_touch_no_socket() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_program_that_forgets_to_stop_still_ends(exchange: Sandbox) -> None:
    program = f"import wsclient; print(wsclient.WSClient({exchange.url!r}).call('WatchTicker', **{PAIR})['tag'])"
    program = program.replace("**{", "watch=True, **{")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "1", "")


# -- secrets

COOKIE = "c2VjcmV0LWNvb2tpZQ=="
PASSPHRASE = "correct horse battery staple"
URL_SECRET = "pass-in-url"
QUERY_SECRET = "token-in-query"


def assert_no_secret(*told: object) -> None:
    key = Credentials(7, COOKIE, PASSPHRASE)._key
    secrets = [COOKIE, PASSPHRASE, URL_SECRET, QUERY_SECRET, str(key), f"{key:x}", key.to_bytes(28, "big").hex()]
    for one in told:
        text = one.decode("latin-1") if isinstance(one, bytes) else str(one)
        for secret in secrets:
            assert secret not in text, f"{secret!r} is in {text[:500]}"


def everything_about(error: BaseException) -> list[object]:
    """All that a log, a debugger or a pickle shows of an error."""
    told: list[object] = []
    seen: set[int] = set()
    queue: list[BaseException] = [error]
    while queue:
        one = queue.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        told += [str(one), repr(one), repr(one.args), repr(vars(one))]
        told.append("".join(traceback.format_exception(one)))
        if isinstance(one, WSClientError):
            dump = pickle.dumps(one)
            again = pickle.loads(dump)
            assert type(again) is type(one)
            assert str(again) == str(one)
            told.append(dump)
        queue += [cause for cause in (one.__cause__, one.__context__) if cause is not None]
    return told


def refusing_the_login(peer: Peer) -> None:
    peer.welcome()
    while True:
        peer.reply(peer.receive(), error_code=7, error_msg="no")


def closing_in_the_login(peer: Peer) -> None:
    peer.welcome()
    peer.receive("Authenticate")
    peer.close(1008, "no")


def answering(peer: Peer) -> None:
    peer.welcome()
    while True:
        call = peer.receive()
        peer.reply(call, error_code=0 if call["method"] == "Authenticate" else 1, error_msg="no")


def closing_in_the_call(peer: Peer) -> None:
    peer.log_in()
    peer.receive()
    peer.abort()


def no_websocket(peer: Peer) -> None:
    peer.respond("403 Forbidden")


@pytest.mark.parametrize(
    "script", [refusing_the_login, closing_in_the_login, answering, closing_in_the_call, no_websocket]
)
def test_no_secret_is_in_errors_logs_pickles_or_reprs(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, script: Callable[[Peer], None]
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("wsclient", "websocket"):
        caplog.set_level(logging.DEBUG, logger=name)
    for handled in (True, False):
        told = Recorder()
        with PeerServer(script) as server:
            url = server.url.replace("ws://", f"ws://me:{URL_SECRET}@") + f"?key={QUERY_SECRET}"
            client = make_client(url, **told.handlers(errors=handled))
            client.set_auth_data(7, COOKIE, PASSPHRASE)
            assert_no_secret(repr(client), str(client), threading.enumerate())
            try:
                error = client.CancelOrder(id=1).exception(5)
            except WSClientError as raised:
                error = raised
            assert isinstance(error, WSClientError)
            assert_no_secret(*everything_about(error), repr(client))
            client.stop()
        for reported in told.all_errors():
            assert_no_secret(*everything_about(reported))
    assert_no_secret(caplog.text, *(record.__dict__ for record in caplog.records))


def test_credentials_show_and_pickle_no_secret(make_client: MakeClient) -> None:
    credentials = Credentials(7, COOKIE, PASSPHRASE)
    assert_no_secret(repr(credentials), str(credentials))
    assert "7" in repr(credentials)
    with pytest.raises(TypeError):
        pickle.dumps(credentials)
    client = make_client("ws://127.0.0.1:9")
    client.set_auth_data(7, COOKIE, PASSPHRASE)
    with pytest.raises(TypeError):
        pickle.dumps(client)


def test_the_passphrase_is_not_kept(make_client: MakeClient) -> None:
    passphrase = "a passphrase that " + "is nowhere else"
    client = make_client("ws://127.0.0.1:9")
    client.set_auth_data(7, COOKIE, passphrase)
    held = _reachable_strings(client)
    assert COOKIE in held  # so far reaches the search
    assert passphrase not in held


def _reachable_strings(start: object) -> set[str]:
    """The strings that are held, however indirectly, by an object of ours."""
    found: set[str] = set()
    seen: set[int] = set()
    queue = [start]
    while queue:
        one = queue.pop()
        if id(one) in seen or isinstance(one, type) or (callable(one) and not isinstance(one, WSClient)):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            found.add(one)
        elif type(one).__module__.startswith(("wsclient", "builtins")):
            queue += [held for held in gc.get_referents(one) if type(held).__name__ != "module"]
    return found


def test_errors_are_picklable_with_what_they_carry() -> None:
    error = CommandError(4, "too poor", {"method": "PlaceOrder", "tag": 3})
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.message, again.request) == (4, "too poor", {"method": "PlaceOrder", "tag": 3})
    for kind in (TransportError, NotSent, OutcomeUnknown, AuthenticationError):
        again = pickle.loads(pickle.dumps(kind("why")))
        assert type(again) is kind
        assert str(again) == "why"
        assert isinstance(again, ConnectionError)


def test_credentials_over_plain_ws_to_another_machine_are_warned_of_once(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: real("127.0.0.1", *rest, **named))

    def script(peer: Peer) -> None:
        peer.log_in()
        peer.reply(peer.receive(), balances=[])
        peer.close(1000)

    closed = threading.Semaphore(0)
    with PeerServer(script) as server:
        client = make_client(
            server.url.replace("127.0.0.1", "exchange.test"),
            close_handler=lambda client, code, reason: closed.release(),
        )
        client.set_auth_data(7, COOKIE, PASSPHRASE)
        for _ in range(2):
            client.GetBalances().result(5)
            assert closed.acquire(timeout=5)
        assert server.connections == 2
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "plain ws" in warned[0]
    assert_no_secret(*warned)


def test_nothing_is_warned_of_on_this_machine(
    make_client: MakeClient, exchange: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    user = exchange.users[0]
    client = make_client(exchange.url)
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    client.GetBalances().result(5)
    client.stop()
    assert [record for record in caplog.records if record.name == "wsclient"] == []


def test_the_login_signs_and_sends_what_the_protocol_page_says_and_no_more(make_client: MakeClient) -> None:
    def script(peer: Peer) -> dict[str, Any]:
        message = peer.log_in()
        peer.reply(peer.receive(), balances=[])
        return message

    with PeerServer(script) as server:
        client = make_client(server.url)
        client.set_auth_data(7, COOKIE, PASSPHRASE)
        client.GetBalances().result(5)
        client.stop()
        message = server.result()
    assert set(message) == {"method", "user_id", "cookie", "nonce", "signature", "tag"}
    assert PASSPHRASE not in json.dumps(message)
