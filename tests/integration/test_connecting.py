"""Connections that can't be made: silence, slowness, HTTP that is no WebSocket, and names that lead nowhere."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import MakeClient, event_threads, open_sockets
from tests.peers import Drip, Peer, PeerServer, Recorder, Script, Stopwatch, accept_key
from wsclient import NotSent, OutcomeUnknown, ProtocolError, State, TransportError, WSClient
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Refuse

WATCH: dict[str, Any] = {"base": "XBT", "counter": "USDT", "watch": True}


def watch(client: WSClient) -> Any:
    return client.WatchTicker(**WATCH)


def connecting_error(client: WSClient) -> BaseException:
    """Why a client without an err_handler can't connect."""
    with pytest.raises(NotSent) as caught:
        watch(client)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.__cause__ is not None
    assert client.state is State.IDLE
    return caught.value.__cause__


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, while we hold it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


# -- nobody there


def test_a_closed_port_is_not_sent_with_the_reason_as_its_cause(make_client: MakeClient, closed_port: int) -> None:
    cause = connecting_error(make_client(f"ws://127.0.0.1:{closed_port}"))
    assert type(cause) is TransportError
    assert isinstance(cause.__cause__, ConnectionRefusedError)
    assert str(closed_port) in str(cause)


def test_a_closed_port_is_told_once_to_the_error_handler_and_by_the_reply(
    make_client: MakeClient, closed_port: int
) -> None:
    told = Recorder()
    client = make_client(f"ws://127.0.0.1:{closed_port}", **told.handlers())
    error = watch(client).exception(5)
    assert isinstance(error, NotSent)
    assert type(error.__cause__) is TransportError
    client.stop()
    assert told.all_errors() == [error.__cause__]
    assert told.opened.empty()
    assert told.closed.empty()


def test_each_call_to_a_closed_port_tries_again(make_client: MakeClient, closed_port: int) -> None:
    told = Recorder()
    client = make_client(f"ws://127.0.0.1:{closed_port}", **told.handlers())
    for _ in range(3):
        assert isinstance(watch(client).exception(5), NotSent)
    client.stop()
    assert len(told.all_errors()) == 3


def test_a_host_that_cannot_be_resolved_is_told_as_that(make_client: MakeClient) -> None:
    cause = connecting_error(make_client("ws://exchange.invalid/v1", socket_timeout=5))
    assert type(cause) is TransportError
    assert "resolved" in str(cause)


def test_nothing_is_left_after_a_connection_that_failed(make_client: MakeClient, closed_port: int) -> None:
    before = open_sockets()
    client = make_client(f"ws://127.0.0.1:{closed_port}")
    connecting_error(client)
    for thread in event_threads():  # it ends by itself: there is nothing for it to do
        thread.join(5)
    assert event_threads() == []
    assert open_sockets() == before


# -- somebody, but slow

SLOW: dict[str, Script] = {
    "silent": lambda peer: peer.wait_for_end(),
    "dripping": Drip(b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 1000),
    "dripping header lines": Drip(b"HTTP/1.1 101 Switching Protocols\r\n" + b"A: b\r\n" * 200),
    "dripping a status line": Drip(b"HTTP/1.1 200 " + b"x" * 1000),
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW.keys())
def test_a_handshake_that_takes_too_long_as_a_whole_ends_in_time(make_client: MakeClient, script: Any) -> None:
    with PeerServer(script, handshake=False) as server, Stopwatch() as watch:
        cause = connecting_error(make_client(server.url, socket_timeout=0.4))
    assert type(cause) is TransportError
    assert "0.4 s" in str(cause)
    assert watch.seconds < 2


def test_a_tls_handshake_that_never_ends_ends_in_time(make_client: MakeClient) -> None:
    with PeerServer(SLOW["silent"], handshake=False) as server, Stopwatch() as watch:
        cause = connecting_error(make_client(server.url.replace("ws:", "wss:"), socket_timeout=0.4))
    assert type(cause) is TransportError
    assert watch.seconds < 2


def test_a_tls_handshake_that_drips_ends_in_time(make_client: MakeClient) -> None:
    drip = Drip(b"\x16\x03\x03\x3f\xff" + bytes(1000))
    with PeerServer(drip, handshake=False) as server, Stopwatch() as watch:
        cause = connecting_error(make_client(server.url.replace("ws:", "wss:"), socket_timeout=0.4))
    assert type(cause) is TransportError
    assert watch.seconds < 2


def test_a_port_that_does_not_even_accept_ends_in_time(make_client: MakeClient) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = []
        try:
            for _ in range(8):  # more than the system queues: from some one on, TCP gets no answer
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(address)
                waiting.append(sock)
            with Stopwatch() as watch:
                cause = connecting_error(make_client(f"ws://127.0.0.1:{address[1]}", socket_timeout=0.4))
        finally:
            for sock in waiting:
                sock.close()
    assert type(cause) is TransportError
    assert watch.seconds < 2


# -- HTTP, but no WebSocket


def http(status: str, *headers: str, body: bytes = b"") -> Any:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond(status, *headers, body=body)
        peer.wait_for_end()

    return script


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "404 Not Found", "500 Oops", "100 Continue"])
def test_another_http_answer_is_told_with_its_status(make_client: MakeClient, status: str) -> None:
    with PeerServer(http(status, "Content-Length: 5", body=b"hello"), handshake=False) as server:
        cause = connecting_error(make_client(server.url))
    assert type(cause) is TransportError
    assert status[:3] in str(cause)


@pytest.mark.parametrize("status", [200, 403, 503])
def test_a_refusal_by_an_honest_server_is_told_with_its_status(
    make_client: MakeClient, exchange: Sandbox, status: int
) -> None:
    exchange.faults.add(Refuse(status=status))
    client = make_client(exchange.url)
    assert str(status) in str(connecting_error(client))
    assert "last" in watch(client).result(5)
    assert len(exchange.ledger.connections) == 1


def never_ends(peer: Peer) -> None:
    peer.read_request()
    peer.raw(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        peer.raw(b"X-Padding: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n" * 100)


def one_long_line(peer: Peer) -> None:
    peer.read_request()
    while True:
        peer.raw(b"x" * 65536)


@pytest.mark.parametrize("script", [never_ends, one_long_line])
def test_a_handshake_without_end_is_bounded(make_client: MakeClient, script: Any) -> None:
    with PeerServer(script, handshake=False) as server:
        cause = connecting_error(make_client(server.url, socket_timeout=5))
    assert isinstance(cause, ProtocolError)
    assert "bytes" in str(cause)


def upgrading(*headers: str, accept: str | None = None) -> Any:
    def script(peer: Peer) -> None:
        peer.upgrade(*headers, accept=accept)
        peer.wait_for_end()

    return script


def case_folded(peer: Peer) -> None:
    peer.read_request()
    key = peer.header("Sec-WebSocket-Key")
    assert key is not None
    peer.respond(
        "101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key).swapcase()}",
    )
    peer.wait_for_end()


BROKEN = {
    "a wrong key": upgrading(accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    "the key in another case": case_folded,
    "an empty key": upgrading(accept=""),
    "an extension": upgrading("Sec-WebSocket-Extensions: x-unasked"),
    "a subprotocol": upgrading("Sec-WebSocket-Protocol: chat"),
    "no Upgrade header": http("101 Switching Protocols"),
    "a status that is no number": http("abc nonsense"),
    "no HTTP": lambda peer: (peer.read_request(), peer.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), peer.wait_for_end()),
    "a header that is none": http("101 Switching Protocols", "nonsense"),
    "a header that is no UTF-8": lambda peer: (
        peer.read_request(),
        peer.raw(b"HTTP/1.1 101 Switching\r\nX: \xff\xfe\r\n\r\n"),
        peer.wait_for_end(),
    ),
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_opening_handshake_is_a_protocol_error(make_client: MakeClient, script: Any) -> None:
    with PeerServer(script, handshake=False) as server:
        cause = connecting_error(make_client(server.url))
        assert isinstance(cause, ProtocolError)


def test_the_end_in_the_middle_of_the_handshake_is_a_transport_error(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.raw(b"HTTP/1.1 101 Switch")
        peer.end()

    with PeerServer(script, handshake=False) as server:
        assert type(connecting_error(make_client(server.url))) is TransportError


def test_what_comes_together_with_the_handshake_is_not_lost(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        key = peer.header("Sec-WebSocket-Key")
        assert key is not None
        peer.raw(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n\x81\x05hello"
        )
        peer.reply(peer.receive())
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script, handshake=False) as server:
        client = make_client(server.url, **told.handlers())
        watch(client).result(5)
        assert told.message() == "hello"


# -- redirects


def redirecting(location: str, status: str = "301 Moved Permanently") -> Any:
    return http(status, f"Location: {location}", "Content-Length: 0")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(make_client: MakeClient, exchange: Sandbox, status: int) -> None:
    with PeerServer(redirecting(exchange.url, f"{status} Elsewhere"), handshake=False) as server:
        client = make_client(server.url)
        assert "last" in watch(client).result(5)
        assert server.connections == 1
        assert len(exchange.ledger.connections) == 1


def test_five_redirects_are_followed_and_no_sixth(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        if peer.number == 5 and enough.is_set():
            peer.upgrade()
            peer.reply(peer.receive())
            peer.wait_for_close()
        else:
            redirecting("/elsewhere")(peer)

    enough = threading.Event()
    with PeerServer(script, handshake=False) as server:
        cause = connecting_error(make_client(server.url))
        assert type(cause) is TransportError
        assert "more than 5 times" in str(cause)
        assert server.connections == 6
    enough.set()
    with PeerServer(script, handshake=False) as server:
        watch(make_client(server.url)).result(5)
        assert server.connections == 6


def test_a_redirect_does_not_carry_the_urls_password_along(make_client: MakeClient) -> None:
    def second(peer: Peer) -> str | None:
        peer.upgrade()
        peer.reply(peer.receive())
        return peer.header("Authorization")

    def first(peer: Peer) -> str | None:
        redirecting("/elsewhere")(peer)
        return peer.header("Authorization")

    with PeerServer([first, second], handshake=False) as server:
        client = make_client(server.url.replace("ws://", "ws://me:secret@"))
        watch(client).result(5)
        client.stop()
        assert server.result() == "Basic bWU6c2VjcmV0"
        assert server.result() is None


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "mailto:me", "ws://[::"])
def test_a_redirect_to_nowhere_is_a_transport_error(make_client: MakeClient, location: str) -> None:
    with PeerServer(redirecting(location), handshake=False) as server:
        assert type(connecting_error(make_client(server.url))) is TransportError
        assert server.connections == 1


# -- many who wait for one connection


@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_64_threads_that_wait_for_a_connection_that_fails_are_all_told_in_errors_of_their_own(
    make_client: MakeClient, handled: bool
) -> None:
    told = Recorder()
    all_asked = threading.Barrier(65)
    errors: list[BaseException | None] = []

    def script(peer: Peer) -> None:
        peer.read_request()
        all_asked.wait(10)  # then at least they are all on their way
        peer.wait_for_end()

    def call() -> None:
        all_asked.wait(10)
        try:
            errors.append(watch(client).exception(10))
        except NotSent as error:
            errors.append(error)

    with PeerServer(script, handshake=False) as server:
        client = make_client(server.url, **told.handlers(errors=handled), socket_timeout=1.5)
        threads = [threading.Thread(target=call) for _ in range(63)]
        for thread in threads:
            thread.start()
        first = threading.Thread(target=lambda: errors.append(_error_of(client)))
        first.start()  # it makes the connection attempt for which the others wait
        all_asked.wait(10)
        for thread in (*threads, first):
            thread.join(10)
        assert server.connections == 1
    client.stop()
    assert len(errors) == 64
    assert all(isinstance(error, NotSent) and isinstance(error.__cause__, TransportError) for error in errors)
    assert len({id(error) for error in errors}) == 64
    assert len(told.all_errors()) == (1 if handled else 0)


def _error_of(client: WSClient) -> BaseException | None:
    try:
        error: BaseException | None = watch(client).exception(10)
    except NotSent as raised:
        return raised
    return error


def test_an_outcome_is_never_unknown_where_nothing_was_sent(make_client: MakeClient, closed_port: int) -> None:
    cause = connecting_error(make_client(f"ws://127.0.0.1:{closed_port}"))
    assert not isinstance(cause, OutcomeUnknown)
