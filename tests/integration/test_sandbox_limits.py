"""Rate limits by a clock of the test's own, idle connections, and too many of them."""

import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.integration.sandbox_peer import USDT, XBT, guest, member
from wsclient.sandbox import Sandbox
from wsclient.sandbox.limits import Rate, RateLimits


class Clock:
    """Microseconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_600_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchange(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(traders=0, rate_limits=True, clock=clock) as exchange:
        yield exchange


def test_ten_information_requests_in_ten_seconds_are_allowed_to_a_connection(
    exchange: Sandbox, clock: Clock
) -> None:
    with member(exchange) as peer, member(exchange) as other:
        for _ in range(5):
            peer.done("GetBalances")
        clock.now += 4_000_000
        for _ in range(5):
            peer.done("GetOrders")
        refused = peer.call("GetTradeVolume", asset=XBT)
        assert (refused["error_code"], refused["tag"]) == (6, 11)
        other.done("GetOrders")
        clock.now += 5_999_999
        assert peer.call("GetOrders")["error_code"] == 6
        clock.now += 1
        for _ in range(5):
            peer.done("GetOrders")
        assert peer.call("GetOrders")["error_code"] == 6


def test_orders_are_limited_by_user_wherever_they_come_from(clock: Clock) -> None:
    limits = RateLimits(orders=Rate(3, 1))
    with (
        Sandbox(traders=0, rate_limits=limits, clock=clock) as exchange,
        member(exchange) as one,
        member(exchange) as two,
        member(exchange, 1) as stranger,
    ):
        one.place(5, 10_000)
        two.done("EstimateMarketOrder", base=XBT, counter=USDT, quantity=1)
        assert one.call("CancelOrder", id=99)["error_code"] == 1
        assert two.call("CancelAllOrders")["error_code"] == 6
        assert len(exchange.run(lambda engine: engine.orders(exchange.users[0].id))) == 1
        stranger.done("CancelAllOrders")
        clock.now += 1_000_000
        two.done("CancelAllOrders")


def test_without_rate_limits_nothing_is_refused() -> None:
    with Sandbox(traders=0) as exchange, member(exchange) as peer:
        for _ in range(300):
            peer.done("GetBalances")


def test_a_connection_without_traffic_is_dropped_and_pings_are_traffic() -> None:
    with Sandbox(traders=0, idle_timeout=0.2) as exchange, guest(exchange, ping_interval=0.05) as busy:
        busy.recv()
        began = time.monotonic()
        with guest(exchange, ping_interval=None) as idle:
            idle.recv()
            with pytest.raises(ConnectionClosed) as closed:
                idle.recv()
            assert time.monotonic() - began >= 0.2
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert busy.call("GetBalances")["error_code"] == 7
        [entry] = exchange.ledger.wait_for(lambda ledger: ledger.closures)
        assert (entry.code, entry.reason) == (1001, "no traffic for 0.2 s")


def test_too_many_connections_are_refused_until_one_has_left() -> None:
    with Sandbox(traders=0, max_connections=2) as exchange:
        with guest(exchange) as first, guest(exchange):
            first.recv()
            with pytest.raises(InvalidStatus) as refused, connect(exchange.url):
                pass
            assert refused.value.response.status_code == 503
        exchange.ledger.wait_for(lambda ledger: len(ledger.closures) == 2)
        with guest(exchange) as late:
            late.recv()
