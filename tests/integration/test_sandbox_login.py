"""Logging in to the sandbox: every refusal of the protocol page, and what a nonce is good for."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.sandbox_peer import Peer, encoded, guest, login
from wsclient.coinflex.curve import N
from wsclient.sandbox import Sandbox
from wsclient.sandbox.limits import Rate, RateLimits


@pytest.fixture(scope="module")
def exchange() -> Iterator[Sandbox]:
    with Sandbox(traders=0) as exchange:
        yield exchange


@pytest.fixture
def peer(exchange: Sandbox) -> Iterator[Peer]:
    with guest(exchange) as peer:
        yield peer


def attempt(peer: Peer, message: dict[str, Any]) -> int:
    peer.send(message)
    code = peer.recv()["error_code"]
    assert isinstance(code, int)
    return code


def test_every_connection_is_welcomed_with_a_nonce_of_its_own(exchange: Sandbox) -> None:
    nonces = set()
    for _ in range(3):
        with guest(exchange) as peer:
            welcome = peer.recv()
            assert welcome["notice"] == "Welcome"
            assert set(welcome) == {"notice", "nonce"}
            assert len(base64.b64decode(welcome["nonce"], validate=True)) == 16
            nonces.add(welcome["nonce"])
    assert len(nonces) == 3


def test_every_ready_made_user_can_log_in(exchange: Sandbox) -> None:
    assert len(exchange.users) >= 8
    for user in exchange.users:
        with guest(exchange) as peer:
            peer.log_in(user)
            assert {row["asset"] for row in peer.done("GetBalances")["balances"]} == set(user.balances)


def test_a_signature_made_elsewhere_is_accepted_and_a_failed_attempt_leaves_the_connection(
    exchange: Sandbox, peer: Peer
) -> None:
    user = exchange.users[1]
    nonce = peer.recv()["nonce"]
    assert attempt(peer, login(user, nonce, cookie="d3Jvbmc=")) == 7
    assert attempt(peer, login(exchange.users[2], nonce, user_id=user.id, cookie=user.cookie)) == 7
    assert attempt(peer, login(user, base64.b64encode(bytes(16)).decode())) == 7
    assert peer.call("GetBalances")["error_code"] == 7
    assert attempt(peer, login(user, nonce)) == 0
    assert peer.call("GetBalances")["error_code"] == 0


def test_an_unknown_user_is_error_1(exchange: Sandbox, peer: Peer) -> None:
    assert attempt(peer, login(exchange.users[0], peer.recv()["nonce"], user_id=4711)) == 1


def test_a_nonce_is_good_for_one_success(exchange: Sandbox, peer: Peer) -> None:
    message = login(exchange.users[0], peer.recv()["nonce"])
    assert attempt(peer, message) == 0
    assert attempt(peer, message) == 8
    with guest(exchange) as other:
        other.recv()
        assert attempt(other, message) == 7


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": None},
        {"user_id": "1001"},
        {"user_id": True},
        {"user_id": 1001.0},
        {"user_id": -1},
        {"user_id": 1 << 64},
        {"cookie": None},
        {"cookie": 5},
        {"nonce": None},
        {"nonce": "AAAA"},
        {"nonce": "not base64 at all!"},
        {"nonce": "é" * 24},
        {"signature": None},
        {"signature": "AAAA"},
        {"signature": []},
        {"signature": [encoded(5)]},
        {"signature": [encoded(5), encoded(5), encoded(5)]},
        {"signature": [encoded(5), 5]},
        {"signature": [encoded(0), encoded(5)]},
        {"signature": [encoded(5), encoded(5).replace("==", "")]},
        {"signature": [encoded(5), base64.b64encode((N - 1).to_bytes(29, "big")).decode()]},
        {"signature": [[], {}]},
    ],
)
def test_a_malformed_login_is_error_8(exchange: Sandbox, peer: Peer, changes: dict[str, Any]) -> None:
    nonce = peer.recv()["nonce"]
    assert attempt(peer, login(exchange.users[0], nonce, **changes)) == 8
    assert attempt(peer, login(exchange.users[0], nonce)) == 0


@pytest.mark.parametrize(
    "method",
    ["GetBalances", "GetOrders", "PlaceOrder", "ModifyOrder", "CancelOrder", "CancelAllOrders", "GetTradeVolume"],
)
def test_private_methods_before_the_login_are_error_7(peer: Peer, method: str) -> None:
    peer.recv()
    assert peer.call(method)["error_code"] == 7


def test_too_many_attempts_are_error_6_until_an_hour_has_passed() -> None:
    now = [1_600_000_000_000_000]
    limits = RateLimits(authentications=Rate(3, 3600))
    with Sandbox(traders=0, rate_limits=limits, clock=lambda: now[0]) as exchange, guest(exchange) as peer:
        user, nonce = exchange.users[0], peer.recv()["nonce"]
        assert [attempt(peer, login(user, nonce, cookie="AAAA")) for _ in range(4)] == [7, 7, 7, 6]
        assert attempt(peer, login(user, nonce)) == 6
        now[0] += 3_600_000_000 - 1
        assert attempt(peer, login(user, nonce)) == 6
        now[0] += 1
        assert attempt(peer, login(user, nonce)) == 0


def test_the_ledger_knows_the_logins_and_none_of_their_secrets(exchange: Sandbox, peer: Peer) -> None:
    user = exchange.users[3]
    before = len(exchange.ledger.authentications)
    message = login(user, peer.recv()["nonce"])
    assert attempt(peer, message) == 0
    tried = exchange.ledger.wait_for(lambda ledger: ledger.authentications[before:])
    assert [entry.code for entry in tried] == [0]
    assert tried[0].command.fields["user_id"] == user.id
    written = repr(exchange.ledger.entries())
    assert user.cookie not in written
    assert user.passphrase not in written + repr(exchange.users)
    assert message["signature"][0] not in written
