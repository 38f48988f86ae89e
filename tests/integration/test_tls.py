"""wss: certificates are verified unless told otherwise, and everything else is as without TLS."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificate, self_signed
from tests.conftest import MakeClient, event_threads
from tests.peers import Peer, PeerServer, Stopwatch
from wsclient import NotSent, Reply, TransportError, WSClient
from wsclient.sandbox import Sandbox

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}


def watch(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=True)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "wsclient" and record.levelno == logging.WARNING
    ]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"))


def answering(peer: Peer) -> None:
    peer.welcome()
    while True:
        peer.reply(peer.receive())


def test_a_self_signed_certificate_is_refused(
    make_client: MakeClient, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    with PeerServer(answering, tls=certificate.server_context()) as server:
        with pytest.raises(NotSent) as caught:
            watch(make_client(server.url))
        assert type(caught.value.__cause__) is TransportError
        assert "certificate" in str(caught.value)
        assert "insecure_ssl" in str(caught.value)
    assert warnings(caplog) == []


def test_a_self_signed_certificate_is_accepted_by_insecure_ssl_with_one_warning(
    make_client: MakeClient, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    def once(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.close(1000)

    closed = threading.Semaphore(0)
    with PeerServer(once, tls=certificate.server_context()) as server:
        client = make_client(
            server.url,
            insecure_ssl=True,
            reconnect=None,
            close_handler=lambda client, code, reason: closed.release(),
        )
        for _ in range(3):
            assert watch(client).result(5)["error_code"] == 0
            assert closed.acquire(timeout=5)
        assert server.connections == 3
    assert len(warnings(caplog)) == 1
    assert "certificate" in warnings(caplog)[0]


def test_insecure_ssl_of_one_client_is_not_another_ones(make_client: MakeClient, certificate: Certificate) -> None:
    with PeerServer(answering, tls=certificate.server_context()) as server:
        watch(make_client(server.url, insecure_ssl=True)).result(5)
        with pytest.raises(NotSent):
            watch(make_client(server.url))
        watch(make_client(server.url, insecure_ssl=True)).result(5)


def test_a_certificate_of_ones_own_authority_is_accepted_by_its_context(
    make_client: MakeClient, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    with PeerServer(answering, tls=certificate.server_context()) as server:
        client = make_client(server.url, ssl_context=certificate.client_context())
        assert watch(client).result(5)["error_code"] == 0
    assert warnings(caplog) == []


def test_a_certificate_for_another_host_is_refused(make_client: MakeClient, tmp_path: Path) -> None:
    other = self_signed(tmp_path, "DNS:elsewhere.test")
    with PeerServer(answering, tls=other.server_context()) as server:
        with pytest.raises(NotSent, match="certificate"):
            watch(make_client(server.url, ssl_context=other.client_context()))
        watch(make_client(server.url, insecure_ssl=True)).result(5)


def test_a_server_without_tls_is_told_as_that(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_for_end()

    with PeerServer(script, handshake=False) as server:
        with pytest.raises(NotSent) as caught:
            watch(make_client(server.url.replace("ws:", "wss:")))
        assert type(caught.value.__cause__) is TransportError


def test_a_redirect_from_wss_to_ws_is_not_followed(
    make_client: MakeClient, certificate: Certificate, exchange: Sandbox
) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond("301 Moved", f"Location: {exchange.url}")
        peer.wait_for_end()

    with PeerServer(script, tls=certificate.server_context(), handshake=False) as server:
        client = make_client(server.url, insecure_ssl=True)
        with pytest.raises(NotSent, match="from wss to ws"):
            watch(client)
    assert exchange.ledger.connections == []


def test_a_whole_session_over_tls(make_client: MakeClient, certificate: Certificate) -> None:
    with Sandbox(traders=0, certfile=str(certificate.cert), keyfile=str(certificate.key)) as exchange:
        user = exchange.users[0]
        client = make_client(exchange.url, ssl_context=certificate.client_context())
        client.set_auth_data(user.id, user.cookie, user.passphrase)
        assert client.GetBalances().result(5)["balances"]
        replies = [client.EstimateMarketOrder(**PAIR, quantity=number + 1) for number in range(200)]
        assert all(reply.result(5)["error_code"] == 0 for reply in replies)
        assert client.call("GetOrders")["orders"] == []
        with Stopwatch() as stopping:
            client.stop()
        assert stopping.seconds < 1.5
        assert event_threads() == []
        closures = exchange.ledger.wait_for(lambda ledger: ledger.closures)
        assert [closed.code for closed in closures] == [1000]


def test_large_messages_both_ways_over_tls(make_client: MakeClient, certificate: Certificate) -> None:
    def script(peer: Peer) -> None:
        for _ in range(8):
            call = peer.receive()
            peer.reply(call, filling=call["filling"])
        peer.wait_for_close()

    with PeerServer(script, tls=certificate.server_context()) as server:
        client = make_client(server.url, insecure_ssl=True)
        sizes = [1, 16_383, 16_384, 16_385, 65_536, 300_000, 1_000_000, 3]
        replies = [client.send({"method": "WatchTicker", "filling": "x" * size}) for size in sizes]
        assert [len(reply.result(10)["filling"]) for reply in replies] == sizes


def test_many_threads_over_tls_never_mix_messages(make_client: MakeClient, certificate: Certificate) -> None:
    def script(peer: Peer) -> None:
        while True:
            call = peer.receive()
            peer.reply(call, filling=call["filling"])

    with PeerServer(script, tls=certificate.server_context()) as server:
        client = make_client(server.url, insecure_ssl=True, socket_timeout=10)
        right = []

        def work(number: int) -> None:
            for size in (1, 126, 20_000, 70_000) * 10:
                filling = chr(97 + number) * size
                reply = client.send({"method": "WatchTicker", "filling": filling})
                right.append(reply.result(20)["filling"] == filling)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert right == [True] * 320
        assert server.connections == 1


def test_the_end_of_tcp_without_the_end_of_tls_is_a_lost_connection(
    make_client: MakeClient, certificate: Certificate
) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.abort()

    with PeerServer(script, tls=certificate.server_context()) as server:
        error = watch(make_client(server.url, insecure_ssl=True)).exception(5)
    assert isinstance(error, TransportError)
    assert isinstance(error.__cause__, TransportError)


def test_a_peer_over_tls_that_never_reads_is_left_in_time(
    make_client: MakeClient, certificate: Certificate
) -> None:
    def script(peer: Peer) -> None:
        peer.wait_for_test()

    with PeerServer(script, tls=certificate.server_context(), receive_buffer=4096) as server:
        client = make_client(server.url, insecure_ssl=True, socket_timeout=0.5)
        message = {"method": "WatchTicker", "filling": "x" * 8_000_000}
        with Stopwatch() as sending, pytest.raises(TransportError):
            client.send(message)
        assert sending.seconds < 3
        with Stopwatch() as stopping:
            client.stop()
        assert stopping.seconds < 1
        assert event_threads() == []
