"""The numbers of a client on real sockets."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import Peer, PeerServer
from wsclient import NotFound, NotSent, RateLimited, TooFast, WSClient
from wsclient.coinflex.limits import RateLimit
from wsclient.core.pacing import Limit
from wsclient.core.stats import CallStats
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Drop
from wsclient.sandbox.limits import Rate, RateLimits

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}
PATIENCE = 10.0


def estimate(client: WSClient) -> Any:
    return client.EstimateMarketOrder(**PAIR, quantity=1)


def test_a_new_client_has_done_nothing(make_client: MakeClient) -> None:
    stats = make_client("ws://127.0.0.1:9").stats()
    assert stats.calls == CallStats()
    assert stats.latency is None
    assert (stats.messages_in, stats.bytes_out, stats.connections, stats.pending) == (0, 0, 0, 0)


@pytest.mark.parametrize("waits", [True, False])
def test_messages_bytes_and_calls_are_counted(make_client: MakeClient, waits: bool) -> None:
    sent = []

    def script(peer: Peer) -> None:
        for _ in range(3):
            call = peer.receive()
            sent.append(call)
            peer.send_text('{"notice": "Test"}')
            peer.reply(call)
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url)
        for _ in range(3):
            if waits:
                client.call("WatchTicker", PATIENCE, **PAIR, watch=True)
            else:
                client.WatchTicker(**PAIR, watch=True).result(PATIENCE)
        stats = client.stats()
        assert (stats.messages_in, stats.messages_out) == (6, 3)
        assert stats.bytes_in > 6 * 20
        assert stats.bytes_out > 3 * 60
        assert (stats.connections, stats.reconnects, stats.pending) == (1, 0, 0)
        assert stats.calls == CallStats(replied=3)
        assert stats.latency is not None
        assert stats.latency.count == 3
        assert 0 < stats.latency.p50 <= stats.latency.max


@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_each_outcome_is_counted_once(make_client: MakeClient, handled: bool) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive(), error_code=1, error_msg="no such market")
        peer.receive()
        peer.abort()

    handlers = {"err_handler": lambda client, error: None} if handled else {}
    with PeerServer(script) as server:
        client = make_client(server.url, reconnect=None, **handlers)
        assert isinstance(client.WatchTicker(**PAIR, watch=True).exception(PATIENCE), NotFound)
        lost = client.WatchTicker(**PAIR, watch=True)
        assert lost.exception(PATIENCE) is not None
        try:
            client.GetBalances()
        except ConnectionError:
            assert not handled
        assert client.stats().calls == CallStats(refused=1, unknown=1, unauthenticated=1)
    away = make_client(server.url, reconnect=None, **handlers)
    try:
        away.WatchTicker(**PAIR, watch=True)
    except NotSent:
        assert not handled
    assert away.stats().calls == CallStats(not_sent=1)


def test_waits_that_were_too_long_are_counted_and_the_call_once_it_ends(make_client: MakeClient) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        call = peer.receive()
        assert go.wait(PATIENCE)
        peer.reply(call)
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url)
        reply = client.WatchTicker(**PAIR, watch=True)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                reply.result(0.001)
        assert client.stats().calls == CallStats(timed_out=2)
        assert client.stats().pending == 1
        go.set()
        reply.result(PATIENCE)
        assert client.stats().calls == CallStats(replied=1, timed_out=2)


def test_connections_and_their_traffic_add_up(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.close(1000)

    with PeerServer(script) as server:
        closed = threading.Semaphore(0)
        client = make_client(server.url, close_handler=lambda *_: closed.release(), reconnect=None)
        for number in range(1, 4):
            estimate(client).result(PATIENCE)
            assert closed.acquire(timeout=PATIENCE)
            stats = client.stats()
            assert (stats.connections, stats.reconnects) == (number, number - 1)
            # a reply and a Close each way
            assert (stats.messages_in, stats.messages_out) == (2 * number, 2 * number)


# -- rate limits


@pytest.fixture
def limited(no_socket_left: None) -> Iterator[Sandbox]:
    """An exchange with quick limits, so that reaching them takes no time."""
    limits = RateLimits(orders=Rate(20, 0.2), information=Rate(5, 0.2))
    with Sandbox(traders=0, rate_limits=limits) as exchange:
        yield exchange


LIMITS = RateLimit(orders=Limit(20, 0.2), information=Limit(5, 0.2, per_connection=True))


def signed_in(client: WSClient, exchange: Sandbox) -> WSClient:
    user = exchange.users[0]
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    return client


def test_without_a_rate_limit_the_exchange_refuses(make_client: MakeClient, limited: Sandbox) -> None:
    client = make_client(limited.url)
    replies = [estimate(client) for _ in range(40)]
    assert any(isinstance(reply.exception(PATIENCE), RateLimited) for reply in replies)


def test_many_threads_under_a_rate_limit_are_never_refused(make_client: MakeClient, limited: Sandbox) -> None:
    client = signed_in(make_client(limited.url, rate_limit=LIMITS), limited)
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for _ in range(12):
                estimate(client).exception(PATIENCE)
            for _ in range(2):
                client.GetOrders().result(PATIENCE)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert not [entry for entry in limited.ledger.executed() if entry.code == 6]
    calls = client.stats().calls
    assert calls.replied + calls.refused == 8 * 14


def test_a_call_that_may_not_wait_is_refused_at_once_and_not_sent(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    limits = RateLimit(orders=Limit(2, 1000), wait=0)
    client = make_client(exchange.url, rate_limit=limits)
    for _ in range(2):
        estimate(client).exception(PATIENCE)
    with pytest.raises(TooFast, match="orders are limited to 2 in 1000 s") as refused:
        estimate(client)
    assert refused.value.retry_after > 900
    client.WatchTicker(**PAIR, watch=True).result(PATIENCE)  # another kind
    assert len(exchange.ledger.commands("EstimateMarketOrder")) == 2
    assert client.stats().calls.not_sent == 1


def test_a_calls_own_timeout_bounds_its_wait(make_client: MakeClient, exchange: Sandbox) -> None:
    client = make_client(exchange.url, rate_limit=RateLimit(orders=Limit(1, 1000)))
    estimate(client).exception(PATIENCE)
    with pytest.raises(TooFast):
        client.call("EstimateMarketOrder", 5, **PAIR, quantity=1)


def test_the_event_thread_is_refused_rather_than_made_to_wait(make_client: MakeClient, exchange: Sandbox) -> None:
    client = make_client(exchange.url, rate_limit=RateLimit(orders=Limit(1, 1000)))
    outcome: list[object] = []
    done = threading.Event()

    def again(reply: object) -> None:
        try:
            outcome.append(estimate(client))
        except TooFast as error:
            outcome.append(error)
        done.set()

    estimate(client).add_done_callback(again)
    assert done.wait(PATIENCE)
    assert isinstance(outcome[0], TooFast)


def test_stop_ends_a_wait_for_the_rate_limit(make_client: MakeClient, exchange: Sandbox) -> None:
    client = make_client(exchange.url, rate_limit=RateLimit(orders=Limit(1, 1000)))
    estimate(client).exception(PATIENCE)
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            estimate(client)
        except NotSent as error:
            outcome.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    while client.stats().pending == 0:  # it is among the calls before it waits for its turn
        pass
    client.stop()
    waiter.join(PATIENCE)
    assert len(outcome) == 1
    assert type(outcome[0]) is NotSent


def test_a_new_connection_has_its_own_allowance(make_client: MakeClient, exchange: Sandbox) -> None:
    closed = threading.Event()
    limits = RateLimit(information=Limit(2, 1000, per_connection=True), wait=0)
    client = signed_in(
        make_client(exchange.url, close_handler=lambda *_: closed.set(), rate_limit=limits), exchange
    )
    for _ in range(2):
        client.GetOrders().result(PATIENCE)
    with pytest.raises(TooFast):
        client.GetOrders()
    exchange.faults.add(Drop(method="WatchTicker", when="answered"))
    client.WatchTicker(**PAIR, watch=True)
    assert closed.wait(PATIENCE)
    client.GetOrders().result(PATIENCE)
