"""Proxies: an HTTP and a SOCKS one, chosen by argument or environment, and never for this machine itself.

The exchange is called exchange.test, which only the proxy can resolve.
"""

import base64
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import self_signed
from tests.conftest import MakeClient, open_sockets
from tests.peers import Drip, Peer, PeerServer, Stopwatch
from wsclient import NotSent, Reply, TransportError, WSClient
from wsclient.sandbox import Sandbox

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def watch(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=True)


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def pump(one: socket.socket, other: socket.socket) -> None:
    """Moves bytes from one socket to the other until it ends."""
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def relay(client: socket.socket, port: int, early: bytes = b"") -> None:
    """Connects two sockets until both have ended. Every name leads to this machine."""
    with socket.create_connection(("127.0.0.1", port)) as server:
        client.settimeout(None)
        server.sendall(early)
        back = threading.Thread(target=pump, args=(server, client), daemon=True)
        back.start()
        pump(client, server)
        back.join(10)


class Proxies:
    """What the proxies below were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.credentials: list[str | None] = []

    def http(self, peer: Peer) -> None:
        target = peer.read_request().split(" ")[1]
        self.asked.append(target)
        self.credentials.append(peer.header("Proxy-Authorization"))
        peer.respond("200 Connection established")
        relay(peer.socket, int(target.rpartition(":")[2]))

    def socks5(self, peer: Peer) -> None:
        version, methods = peer._take(2)
        assert version == 5
        offered = peer._take(methods)
        credentials = None
        if 2 in offered:
            peer.raw(b"\x05\x02")
            peer._take(1)
            user = peer._take(peer._take(1)[0])
            credentials = (user + b":" + peer._take(peer._take(1)[0])).decode()
            peer.raw(b"\x01\x00")
        else:
            peer.raw(b"\x05\x00")
        assert peer._take(4) == b"\x05\x01\x00\x03", "the name wasn't left to the proxy"
        host = peer._take(peer._take(1)[0]).decode()
        port = int.from_bytes(peer._take(2), "big")
        self.asked.append(f"{host}:{port}")
        self.credentials.append(credentials)
        peer.raw(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        relay(peer.socket, port)


@pytest.fixture
def proxies() -> Proxies:
    return Proxies()


@pytest.fixture
def http_proxy(no_socket_left: None, proxies: Proxies) -> Iterator[str]:
    with PeerServer(proxies.http, handshake=False) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
def socks_proxy(no_socket_left: None, proxies: Proxies) -> Iterator[str]:
    with PeerServer(proxies.socks5, handshake=False) as server:
        yield f"127.0.0.1:{server.port}"


def by_name(exchange: Sandbox) -> str:
    return exchange.url.replace("127.0.0.1", "exchange.test")


def test_an_http_proxy_is_asked_for_the_exchange(
    make_client: MakeClient, exchange: Sandbox, http_proxy: str, proxies: Proxies
) -> None:
    user = exchange.users[0]
    client = make_client(by_name(exchange), proxy=f"http://{http_proxy}")
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    assert client.GetBalances().result(5)["balances"]
    client.stop()
    assert proxies.asked == [f"exchange.test:{exchange.port}"]
    assert proxies.credentials == [None]


def test_a_socks_proxy_is_asked_for_the_exchange(
    make_client: MakeClient, exchange: Sandbox, socks_proxy: str, proxies: Proxies
) -> None:
    client = make_client(by_name(exchange), proxy=f"socks5h://{socks_proxy}")
    assert watch(client).result(5)["error_code"] == 0
    client.stop()
    assert proxies.asked == [f"exchange.test:{exchange.port}"]


@pytest.mark.parametrize("kind", ["http", "socks"])
def test_a_proxy_is_told_the_user_and_password_of_its_url(
    make_client: MakeClient, exchange: Sandbox, http_proxy: str, socks_proxy: str, proxies: Proxies, kind: str
) -> None:
    url = f"http://me:s%40crt@{http_proxy}" if kind == "http" else f"socks5h://me:s%40crt@{socks_proxy}"
    client = make_client(by_name(exchange), proxy=url)
    assert watch(client).result(5)["error_code"] == 0
    client.stop()
    expected = "Basic " + base64.b64encode(b"me:s@crt").decode() if kind == "http" else "me:s@crt"
    assert proxies.credentials == [expected]


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_the_environments_proxy_is_used(
    make_client: MakeClient,
    exchange: Sandbox,
    http_proxy: str,
    proxies: Proxies,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, f"http://{http_proxy}")
    assert watch(make_client(by_name(exchange))).result(5)["error_code"] == 0
    assert len(proxies.asked) == 1


def test_wss_takes_the_https_proxy_and_speaks_tls_through_it(
    make_client: MakeClient,
    http_proxy: str,
    socks_proxy: str,
    proxies: Proxies,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("https_proxy", f"http://{http_proxy}")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Sandbox(traders=0, certfile=str(certificate.cert), keyfile=str(certificate.key)) as exchange:
        for proxy in (None, f"socks5h://{socks_proxy}"):
            client = make_client(by_name(exchange), ssl_context=certificate.client_context(), proxy=proxy)
            assert watch(client).result(5)["error_code"] == 0
            client.stop()
    assert len(proxies.asked) == 2


def test_a_proxy_by_argument_counts_more_than_the_environment(
    make_client: MakeClient, exchange: Sandbox, http_proxy: str, proxies: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "*")
    assert watch(make_client(by_name(exchange), proxy=f"http://{http_proxy}")).result(5)["error_code"] == 0
    assert len(proxies.asked) == 1


@pytest.mark.parametrize("excepted", ["exchange.test", ".test", "other.test, exchange.test", "*"])
def test_no_proxy_excepts_hosts(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", excepted)
    with pytest.raises(NotSent, match="resolved"):  # it was tried without the proxy
        watch(make_client("ws://exchange.test:1/v1", socket_timeout=5))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_no_proxy_is_ever_used_for_this_machine_itself(
    make_client: MakeClient, exchange: Sandbox, monkeypatch: pytest.MonkeyPatch, host: str, how: str
) -> None:
    proxy = "http://127.0.0.1:9"
    for name in VARIABLES[:3]:
        monkeypatch.setenv(name, proxy)
    client = make_client(exchange.url.replace("127.0.0.1", host), proxy=proxy if how == "argument" else None)
    assert watch(client).result(5)["error_code"] == 0


# -- proxies that fail


def connecting_error(client: WSClient) -> BaseException | None:
    with pytest.raises(NotSent) as caught:
        watch(client)
    return caught.value.__cause__


@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_a_proxy_that_is_not_there_is_a_transport_error(make_client: MakeClient, kind: str) -> None:
    client = make_client("ws://exchange.test/v1", proxy=f"{kind}://me:topsecret@127.0.0.1:9")
    cause = connecting_error(client)
    assert type(cause) is TransportError
    assert "topsecret" not in str(cause)
    assert "ws://exchange.test/v1 through the proxy 127.0.0.1:9: " in str(cause)


@pytest.mark.parametrize("value", ["http://me:topsecret@127.0.0.1:9", "127.0.0.1:9"])
def test_a_failing_proxy_of_the_environment_is_named_with_its_variable(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    cause = connecting_error(make_client("wss://exchange.test/v1"))
    assert "through the proxy 127.0.0.1:9 (from HTTPS_PROXY): " in str(cause)
    assert "topsecret" not in str(cause)


def test_a_socks_proxy_without_its_package_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['python_socks'] = None; from wsclient import NotSent, WSClient\n"
        "client = WSClient('ws://exchange.test', proxy='socks5h://127.0.0.1:9')\n"
        "try: client.WatchTicker(base=1, counter=2, watch=True)\n"
        "except NotSent as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install '/path/to/wsclient[socks]'" in done.stdout


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_refuses_is_a_transport_error_with_its_status(make_client: MakeClient, status: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond(status)
        peer.wait_for_end()

    with PeerServer(script, handshake=False) as server:
        cause = connecting_error(make_client("ws://exchange.test/v1", proxy=f"http://127.0.0.1:{server.port}"))
    assert type(cause) is TransportError
    assert status[:3] in str(cause)


@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_a_proxy_that_says_nothing_ends_in_time(make_client: MakeClient, kind: str) -> None:
    with PeerServer(lambda peer: peer.wait_for_end(), handshake=False) as server, Stopwatch() as waited:
        proxy = f"{kind}://127.0.0.1:{server.port}"
        client = make_client("ws://exchange.test/v1", proxy=proxy, socket_timeout=0.4)
        assert type(connecting_error(client)) is TransportError
    assert waited.seconds < 2


def test_a_proxy_that_drips_ends_in_time(make_client: MakeClient) -> None:
    drip = Drip(b"HTTP/1.1 200 Fine\r\n" + b"X: y\r\n" * 60, pause=0.01)
    with PeerServer(drip, handshake=False) as server, Stopwatch() as waited:
        proxy = f"http://127.0.0.1:{server.port}"
        client = make_client("ws://exchange.test/v1", proxy=proxy, socket_timeout=0.4)
        assert type(connecting_error(client)) is TransportError
    assert waited.seconds < 2


def test_no_socket_is_left_where_tls_fails_behind_a_proxy(
    make_client: MakeClient, http_proxy: str, socks_proxy: str, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    with PeerServer(lambda peer: None, tls=certificate.server_context()) as server:
        for proxy in (f"http://{http_proxy}", f"socks5h://{socks_proxy}"):
            before = len(open_sockets())
            client = make_client(server.url.replace("127.0.0.1", "exchange.test"), proxy=proxy)
            assert "certificate" in str(connecting_error(client))
            client.stop()
            assert len(open_sockets()) <= before + 3  # the proxy's own may take a moment to end
