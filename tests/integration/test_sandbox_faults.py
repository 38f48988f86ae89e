"""Each scripted fault, seen from a client's end of the socket."""

import threading
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.integration.sandbox_peer import USDT, XBT, Peer, guest, login, member
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import (
    CutFrame,
    Delay,
    Drop,
    Duplicate,
    Garbage,
    Gate,
    Mute,
    Refuse,
    Reorder,
    Silence,
    Welcome,
)

PRICE = 90_000_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(traders=0) as exchange:
        yield exchange
    assert exchange.ledger.troubles == []


@pytest.fixture
def exchange(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.faults.clear()
    sandbox.run(lambda engine: [engine.cancel_all(user.id) for user in sandbox.users])


@pytest.fixture
def peer(exchange: Sandbox) -> Iterator[Peer]:
    with member(exchange) as peer:
        yield peer


def ask_to_place(peer: Peer) -> int:
    return peer.ask("PlaceOrder", base=XBT, counter=USDT, quantity=5000, price=PRICE)


def open_orders(exchange: Sandbox) -> int:
    return exchange.run(lambda engine: len(engine.orders(exchange.users[0].id)))


def test_a_mute_exchange_runs_the_command_and_never_answers(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(Mute(method="PlaceOrder"))
    ask_to_place(peer)
    assert peer.notice("OrderOpened")["quantity"] == 5000
    assert peer.settled() == []
    command = exchange.ledger.commands("PlaceOrder")[-1]
    outcome = exchange.ledger.outcome(command)
    assert outcome is not None
    assert outcome.code == 0
    assert not exchange.ledger.was_answered(command)
    ask_to_place(peer)
    assert peer.notice("OrderOpened")


def test_a_silent_connection_says_nothing_and_stays_open(exchange: Sandbox) -> None:
    user = exchange.users[0]
    with guest(exchange, close_timeout=0.1) as peer:
        peer.log_in(user)
        exchange.faults.add(Silence(method="GetOrders"))
        peer.ask("GetOrders")
        exchange.ledger.wait_for(lambda ledger: ledger.commands("GetOrders"))
        exchange.run(lambda engine: engine.place(user.id, base=XBT, counter=USDT, quantity=1, price=PRICE))
        pong = peer.websocket.ping()
        with member(exchange) as other:
            other.settled()
        assert not pong.is_set()
        with pytest.raises(TimeoutError):
            peer.recv(timeout=0.1)


def test_a_silent_connection_may_answer_pings(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(Silence(method="GetOrders", answer_pings=True))
    peer.ask("GetOrders")
    assert peer.websocket.ping().wait(5)
    peer.ask("CancelAllOrders")
    exchange.ledger.wait_for(lambda ledger: ledger.executed("CancelAllOrders"))
    assert [entry.sent for entry in exchange.ledger.answered("CancelAllOrders")] == [False]


@pytest.mark.parametrize(
    ("when", "placed", "answered"), [("before", 0, 0), ("executed", 1, 0), ("answered", 1, 1)]
)
def test_a_connection_is_dropped_before_or_after_the_command_or_the_reply(
    exchange: Sandbox, peer: Peer, when: str, placed: int, answered: int
) -> None:
    exchange.faults.add(Drop(method="PlaceOrder", when=when))  # type: ignore[arg-type]
    ask_to_place(peer)
    closed = peer.ended()
    assert closed.rcvd is None
    session = exchange.ledger.connections[-1].session
    entry = exchange.ledger.wait_for(lambda ledger: ledger.closure(session))
    assert entry is not None
    assert entry.code == 1006
    assert len([message for message in peer.notices if "error_code" in message]) == answered
    assert open_orders(exchange) == placed


def test_what_was_sent_behind_a_dropped_command_never_runs(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(Drop(method="GetBalances", when="before"))
    session = exchange.ledger.connections[-1].session
    before = len(exchange.ledger.commands("PlaceOrder"))
    peer.ask("GetBalances")
    try:
        for _ in range(50):
            ask_to_place(peer)
    except ConnectionClosed:
        pass
    peer.ended()
    exchange.ledger.wait_for(lambda ledger: ledger.closure(session))
    assert len(exchange.ledger.commands("PlaceOrder")) == before


def test_a_connection_is_closed_with_the_code_that_was_asked_for(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(Drop(code=4711, reason="tired"))
    peer.ask("GetOrders")
    closed = peer.ended()
    assert closed.rcvd is not None
    assert (closed.rcvd.code, closed.rcvd.reason) == (4711, "tired")
    session = exchange.ledger.connections[-1].session
    entry = exchange.ledger.wait_for(lambda ledger: ledger.closure(session))
    assert entry is not None
    assert (entry.code, entry.reason) == (4711, "tired")


def test_a_connection_is_cut_in_the_middle_of_a_frame(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(CutFrame(method="GetBalances"))
    peer.ask("GetBalances")
    assert isinstance(peer.ended(), ConnectionClosedError)
    assert len(exchange.ledger.executed("GetBalances")) == 1


def test_a_reply_is_delayed_until_the_test_opens_the_gate(exchange: Sandbox, peer: Peer) -> None:
    gate = Gate()
    exchange.faults.add(Delay(method="GetOrders", gate=gate))
    delayed = peer.ask("GetOrders")
    assert peer.settled() == []
    threading.Thread(target=gate.open).start()
    assert peer.reply(delayed)["orders"] == []


def test_a_reply_is_delayed_by_seconds_and_the_command_is_not(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(Delay(method="PlaceOrder", seconds=0.05))
    tag = ask_to_place(peer)
    assert peer.notice("OrderOpened")
    assert peer.reply(tag)["error_code"] == 0


@pytest.mark.parametrize("order", ["shuffled", "reversed"])
def test_replies_are_reordered_and_none_is_kept_for_ever(exchange: Sandbox, peer: Peer, order: str) -> None:
    exchange.faults.add(Reorder(window=4, order=order))  # type: ignore[arg-type]
    tags = [peer.ask("GetOrders") for _ in range(18)]
    replies = [peer.recv()["tag"] for _ in tags]
    assert sorted(replies) == tags
    assert replies != tags
    for start in range(0, 18, 4):
        window = tags[start : start + 4]
        assert sorted(replies[start : start + 4]) == window
        if order == "reversed":
            assert replies[start : start + 4] == window[::-1]


def test_orders_that_do_not_persist_end_with_a_connection_that_was_cut(exchange: Sandbox, peer: Peer) -> None:
    peer.place(5000, PRICE, persist=False)
    kept = peer.place(6000, PRICE)["id"]
    exchange.faults.add(Drop(method="GetBalances", when="before"))
    peer.ask("GetBalances")
    peer.ended()
    exchange.ledger.wait_for(lambda ledger: open_orders(exchange) == 1)
    assert [order.id for order in exchange.run(lambda engine: engine.orders(exchange.users[0].id))] == [kept]


def test_a_reply_comes_twice(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(Duplicate(method="PlaceOrder"))
    tag = ask_to_place(peer)
    first = peer.reply(tag)
    assert peer.reply(tag) == first
    assert open_orders(exchange) == 1


def test_garbage_comes_before_a_reply_or_in_its_place(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(Garbage(payload="no JSON {", instead=False), Garbage(payload=b"\x00\xff"))
    tag = peer.ask("GetOrders")
    assert peer.websocket.recv(timeout=5) == "no JSON {"
    assert peer.reply(tag)["error_code"] == 0
    peer.ask("GetOrders")
    assert peer.websocket.recv(timeout=5) == b"\x00\xff"
    assert peer.settled() == []


def test_raw_garbage_breaks_the_protocol(exchange: Sandbox, peer: Peer) -> None:
    exchange.faults.add(Garbage(payload=b"\xff\xff\xff\xff", raw=True))
    peer.ask("GetOrders")
    closed = peer.ended()
    assert closed.sent is not None
    assert closed.sent.code == 1002


def test_a_welcome_is_withheld_altered_or_comes_twice(exchange: Sandbox) -> None:
    exchange.faults.add(
        Welcome(copies=0),
        Welcome(copies=2),
        Welcome(omit=("nonce",)),
        Welcome(replace={"nonce": "AAAA"}),
        Welcome(text="hello"),
        Welcome(drop=True),
    )
    with guest(exchange) as peer:
        peer.ask("EstimateMarketOrder", base=XBT, counter=USDT, quantity=1)
        assert peer.recv()["tag"] == 1
    with guest(exchange) as peer:
        first = peer.recv()
        assert peer.recv() == first
        peer.send(login(exchange.users[0], first["nonce"]))
        assert peer.recv() == {"error_code": 0}
    with guest(exchange) as peer:
        assert peer.recv() == {"notice": "Welcome"}
    with guest(exchange) as peer:
        assert peer.recv() == {"notice": "Welcome", "nonce": "AAAA"}
    with guest(exchange) as peer:
        assert peer.websocket.recv(timeout=5) == "hello"
    with guest(exchange) as peer:
        assert peer.ended().rcvd is None
        assert len(peer.notices) == 1
    with guest(exchange) as peer:
        peer.log_in(exchange.users[0])


def test_connections_are_refused_as_often_as_asked(exchange: Sandbox) -> None:
    exchange.faults.add(Refuse(times=2), Refuse(status=403, headers={"X-Reason": "Sunday"}))
    for status in (503, 503, 403):
        with pytest.raises(InvalidStatus) as refused, connect(exchange.url):
            pass
        assert refused.value.response.status_code == status
    assert refused.value.response.headers["X-Reason"] == "Sunday"
    with guest(exchange) as peer:
        assert peer.recv()["notice"] == "Welcome"
    assert [entry.status for entry in exchange.ledger.refusals][-3:] == [503, 503, 403]


def test_a_fault_meets_only_whom_and_what_it_is_meant_for(exchange: Sandbox) -> None:
    with member(exchange, 0) as one, member(exchange, 1) as other:
        exchange.faults.add(Mute(method="GetOrders", user=exchange.users[1].id, nth=2, times=1))
        for _ in range(3):
            one.done("GetOrders")
        other.done("GetBalances")
        other.done("GetOrders")
        other.ask("GetOrders")
        other.done("GetOrders")
        assert exchange.faults.waiting == []
        assert len(exchange.ledger.executed("GetOrders")) >= 6
