"""How connections live and end: Pings, limits, a day, a shutdown."""

import pytest

from tests.unit.sandbox.binance_exchange import SECOND, Exchange
from wsclient.sandbox.limits import Rate

KINDS = pytest.mark.parametrize("target", ["/ws/btcusdt@trade", "/stream?streams=btcusdt@trade", "/ws-api/v3"])


@KINDS
def test_the_exchange_pings_and_wants_the_payload_back(target: str) -> None:
    exchange = Exchange()
    session = exchange.connect(target)
    exchange.wait(19.9)
    assert exchange.pings == []
    exchange.wait(0.1)
    [ping] = exchange.pings
    assert ping.session == session
    exchange.venue.heard(session, "pong", ping.payload)
    exchange.wait(40)
    assert len(exchange.pings) == 3
    exchange.venue.heard(session, "pong", exchange.pings[-1].payload)
    exchange.wait(59)
    assert not exchange.ended


@KINDS
@pytest.mark.parametrize("answer", [None, b"", b"another payload"])
def test_who_does_not_answer_within_a_minute_is_dropped(target: str, answer: bytes | None) -> None:
    exchange = Exchange()
    session = exchange.connect(target)
    exchange.wait(20)
    for _ in range(59):
        exchange.wait(1)
        if answer is not None:
            exchange.venue.heard(session, "pong", answer)
    assert not exchange.ended
    exchange.wait(1)
    assert exchange.ended == {session: (1008, "Pong timeout")}


def test_a_fifth_message_within_a_second_is_fine_and_a_sixth_ends_the_connection() -> None:
    exchange = Exchange(messages=Rate(5, 1))
    session = exchange.connect("/ws")
    for kind in ("text", "ping", "pong", "text", "text"):
        exchange.venue.heard(session, kind, b"")
    exchange.publish()
    assert not exchange.ended
    exchange.clock += SECOND - 1
    exchange.venue.heard(session, "pong", b"")
    exchange.publish()
    assert exchange.ended == {session: (1008, "Too many requests")}


def test_the_window_rolls_where_a_bucket_would_let_twice_as_many_through() -> None:
    exchange = Exchange(messages=Rate(5, 1))
    patient, hasty = exchange.connect("/ws"), exchange.connect("/ws")
    for _ in range(40):  # 250 ms apart: four a second
        exchange.venue.heard(patient, "text", b"")
        exchange.clock += SECOND // 4
    for count in range(10):  # five at the end of one second, five at the beginning of the next
        exchange.venue.heard(hasty, "text", b"")
        exchange.clock += SECOND // 10 if count == 4 else 0
    exchange.publish()
    assert list(exchange.ended) == [hasty]


def test_the_request_api_does_not_count_messages() -> None:
    exchange = Exchange(messages=Rate(5, 1))
    session = exchange.connect("/ws-api/v3")
    for _ in range(100):
        exchange.venue.heard(session, "text", b"")
    exchange.publish()
    assert not exchange.ended


def test_an_address_connects_as_often_as_it_may() -> None:
    exchange = Exchange(connections=Rate(3, 300))
    for target in ("/ws", "/stream", "/ws-api/v3"):
        assert exchange.venue.admit(target, "10.0.0.1") is None
    denial = exchange.venue.admit("/ws", "10.0.0.1")
    assert denial is not None
    assert denial.status == 429
    assert denial.headers["Retry-After"] == "300"
    assert exchange.venue.admit("/ws", "10.0.0.2") is None
    exchange.clock += 300 * SECOND
    assert exchange.venue.admit("/ws", "10.0.0.1") is None


@KINDS
def test_a_connection_lives_for_a_day(target: str) -> None:
    exchange = Exchange(lifetime=86_400, pong_timeout=10**9)
    session = exchange.connect(target)
    exchange.jump(86_399)
    assert not exchange.ended
    exchange.jump(1)
    code, reason = exchange.ended[session]
    assert code == 1001
    assert reason


def test_a_day_can_be_ended_for_some() -> None:
    exchange = Exchange()
    one, other = exchange.connect("/ws"), exchange.connect("/ws-api/v3")
    exchange.venue.end_day([one])
    exchange.publish()
    assert list(exchange.ended) == [one]
    assert exchange.venue.sessions == (other,)


def test_a_shutdown_is_announced_in_the_form_of_each_connection_and_comes_when_it_was_said() -> None:
    exchange = Exchange()
    raw, combined, api = exchange.connect("/ws"), exchange.connect("/stream"), exchange.connect("/ws-api/v3")
    late = exchange.connect("/ws")
    exchange.venue.shut_down([raw, combined, api, 99], 5)
    exchange.publish()
    event = {"e": "serverShutdown", "E": exchange.clock // 1000}
    assert exchange.hears(raw) == [event]
    assert exchange.hears(combined) == [{"stream": "!serverShutdown", "data": event}]
    assert exchange.hears(api) == [{"event": event}]
    exchange.wait(4.9)
    assert not exchange.ended
    exchange.wait(0.1)
    assert set(exchange.ended) == {raw, combined, api}
    assert {code for code, _ in exchange.ended.values()} == {1001}
    assert exchange.venue.sessions == (late,)


@pytest.mark.parametrize("path", ["/ws", "/ws/a@trade", "/ws/", "/stream", "/stream/", "/ws-api/v3"])
def test_the_paths_are_served(path: str) -> None:
    assert Exchange().venue.serves(path)


@pytest.mark.parametrize("path", ["/", "/v1", "/wss", "/streams", "/ws-api", "/ws-api/v3/", "/ws-api/v2"])
def test_other_paths_are_not(path: str) -> None:
    assert not Exchange().venue.serves(path)
