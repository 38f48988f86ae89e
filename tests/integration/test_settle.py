"""Orders whose outcome is unknown: what settling finds out, and that nothing is ever placed twice."""

import pickle
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import Peer, PeerServer
from wsclient import (
    CommandError,
    InsufficientFunds,
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    Reconnect,
    Reply,
    TonceOutOfSequence,
    WouldDeadlock,
    WSClient,
)
from wsclient.coinflex.tonces import AUTO, Again, Tonces
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Delay, Drop, Gate, Mute

AT_ONCE = Reconnect(base=0)
XBT_USDT: dict[str, Any] = {"base": "XBT", "counter": "USDT"}
CODES = {"base": 63488, "counter": 65283}
LOW = 1_000_000


@pytest.fixture
def unique() -> Iterator[Sandbox]:
    """An exchange with the later rule: a tonce is unique among the open orders."""
    with Sandbox(traders=0, tonces="unique") as exchange:
        yield exchange


def logged_in(client: WSClient, exchange: Sandbox, number: int = 0) -> WSClient:
    user = exchange.users[number]
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    client.authenticate()
    return client


def bid(client: WSClient, **fields: Any) -> Reply[Any]:
    return client.PlaceOrder(**{**XBT_USDT, "quantity": 10_000, "price": LOW, **fields})


def cut_off(client: WSClient, exchange: Sandbox, when: Any = "before", **fields: Any) -> Reply[Any]:
    """An order whose connection is cut before it is run, or after it is executed."""
    exchange.faults.add(Drop(method="PlaceOrder", when=when))
    reply = bid(client, **fields)
    assert isinstance(reply.exception(5), OutcomeUnknown)
    return reply


def orders(exchange: Sandbox, number: int = 0) -> int:
    return exchange.run(lambda engine: len(engine.orders(exchange.users[number].id)))


def placed(exchange: Sandbox) -> int:
    """How many orders were ever placed."""
    return sum(event.code == 0 for event in exchange.ledger.executed("PlaceOrder"))


def quiet(make_client: MakeClient, exchange: Sandbox, **options: Any) -> WSClient:
    options.setdefault("reconnect", AT_ONCE)
    return logged_in(make_client(exchange.url, err_handler=lambda client, error: None, **options), exchange)


# -- tonces


def test_an_order_has_a_tonce_of_its_own_unless_told_otherwise(make_client: MakeClient, exchange: Sandbox) -> None:
    client = quiet(make_client, exchange)
    tonces = []
    for _ in range(3):
        reply = bid(client)
        reply.result(5)
        tonces.append(reply.request["tonce"])
    assert tonces == sorted(set(tonces))
    assert all(type(tonce) is int for tonce in tonces)
    bid(client, tonce=tonces[-1] + 10**9).result(5)
    bid(client).result(5)  # greater than the user's own, too
    reply = bid(client, tonce=None)
    reply.result(5)
    assert "tonce" not in reply.request
    own = [order["tonce"] for order in client.GetOrders().result(5)["orders"]]
    assert own.count(None) == 1


def test_tonces_of_many_threads_rise_in_the_order_of_the_wire(make_client: MakeClient, exchange: Sandbox) -> None:
    """Under the increasing rule one that came too late would be refused."""
    client = quiet(make_client, exchange, compression="deflate")
    failures: queue.Queue[Exception] = queue.Queue()

    def work() -> None:
        for _ in range(20):
            try:
                bid(client, quantity=1).result(10)
            except CommandError as error:
                failures.put(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures.empty()
    assert orders(exchange) == 160


def test_tonces_rise_though_the_clock_stands_still_or_goes_back() -> None:
    times = iter([100, 100, 50, 1000])
    tonces = Tonces(lambda: next(times))
    assert [tonces.next() for _ in range(3)] == [100, 101, 102]
    tonces.seen(5000)
    assert tonces.next() == 5001
    assert repr(AUTO) == "AUTO"


# -- settling


def test_an_order_that_is_open_is_found(make_client: MakeClient, exchange: Sandbox) -> None:
    client = quiet(make_client, exchange)
    reply = cut_off(client, exchange, "executed")
    order = client.settle(reply, timeout=5)
    assert order["tonce"] == reply.request["tonce"]
    assert order["quantity"] == 10_000
    assert orders(exchange) == 1


def test_an_order_that_never_arrived_is_placed_once(make_client: MakeClient, exchange: Sandbox) -> None:
    client = quiet(make_client, exchange)
    reply = cut_off(client, exchange)
    assert orders(exchange) == 0
    assert client.settle(reply, timeout=5)["id"]
    assert orders(exchange) == 1
    assert client.settle(reply, timeout=5)["tonce"] == reply.request["tonce"]  # asked again it is open
    assert orders(exchange) == 1


def test_an_order_that_was_filled_is_not_placed_again(make_client: MakeClient, exchange: Sandbox) -> None:
    client = quiet(make_client, exchange)
    bid(client, quantity=10_000, price=2 * LOW, tonce=1).result(5)
    reply = cut_off(client, exchange, "executed", quantity=-10_000, price=LOW)
    with pytest.raises(OutcomeUnknown, match="was placed, and has been filled or cancelled") as raised:
        client.settle(reply, timeout=5)
    assert isinstance(raised.value.__cause__, OutcomeUnknown)
    assert orders(exchange) == 0


def test_an_order_that_a_later_one_has_overtaken_is_not_placed_any_more(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange)
    reply = cut_off(client, exchange)
    bid(client).result(5)
    with pytest.raises(OutcomeUnknown, match="never arrived and can't be placed"):
        client.settle(reply, timeout=5)
    assert orders(exchange) == 1


def test_under_the_unique_rule_nothing_is_placed_again(make_client: MakeClient, unique: Sandbox) -> None:
    client = quiet(make_client, unique, tonces="unique")
    reply = cut_off(client, unique)
    with pytest.raises(OutcomeUnknown, match="never arrived, or has been filled"):
        client.settle(reply, timeout=5)
    assert orders(unique) == 0
    reply = cut_off(client, unique, "executed")
    assert client.settle(reply, timeout=5)["tonce"] == reply.request["tonce"]


def test_settling_tells_every_other_outcome_as_it_is(make_client: MakeClient, exchange: Sandbox) -> None:
    client = quiet(make_client, exchange)
    placed = bid(client)
    assert client.settle(placed, timeout=5) is placed.result(0)
    with pytest.raises(InsufficientFunds):
        client.settle(bid(client, quantity=10**15), timeout=5)
    with pytest.raises(TonceOutOfSequence):
        client.settle(bid(client, tonce=1), timeout=5)
    unnumbered = cut_off(client, exchange, tonce=None)
    with pytest.raises(OutcomeUnknown, match="before the reply"):
        client.settle(unnumbered, timeout=5)


def test_a_question_that_could_not_be_sent_is_not_taken_for_the_orders_outcome(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange, reconnect=None)
    reply = cut_off(client, exchange)
    exchange.stop()
    with pytest.raises(OutcomeUnknown, match="still unknown") as raised:
        client.settle(reply, timeout=5)
    assert not isinstance(raised.value, NotSent)


def test_only_what_a_call_has_given_can_be_settled(make_client: MakeClient, exchange: Sandbox) -> None:
    client = make_client(exchange.url)
    for wrong in ("foo", None, {"id": 1}, ValueError()):
        with pytest.raises(InvalidRequest, match="settle"):
            client.settle(wrong)  # type: ignore[arg-type]
    assert not exchange.ledger.connections


def test_settling_on_the_event_thread_would_wait_for_itself(make_client: MakeClient, exchange: Sandbox) -> None:
    raised: queue.Queue[BaseException | None] = queue.Queue()

    def on_message(client: WSClient, text: str) -> None:
        try:
            client.settle(reply)
        except WouldDeadlock as error:
            raised.put(error)

    client = make_client(exchange.url, err_handler=lambda client, error: None)
    logged_in(client, exchange)
    reply = bid(client)
    reply.result(5)
    client = make_client(exchange.url, on_message)
    client.EstimateMarketOrder(**XBT_USDT, quantity=1)
    assert isinstance(raised.get(timeout=5), WouldDeadlock)


@pytest.mark.parametrize("when", ["before", "executed"])
def test_nothing_is_placed_again_after_the_exchange_forgot_its_tonces(
    make_client: MakeClient, exchange: Sandbox, when: Any
) -> None:
    """CancelAllOrders resets them, so that they no longer show what was placed."""
    client = quiet(make_client, exchange)
    reply = cut_off(client, exchange, when)
    client.call("CancelAllOrders")
    with pytest.raises(OutcomeUnknown, match="CancelAllOrders"):
        client.settle(reply, timeout=5)
    assert orders(exchange) == 0
    later = cut_off(client, exchange)  # what came after it is as safe as ever
    assert client.settle(later, timeout=5)["id"]
    assert orders(exchange) == 1


def test_cancelling_all_orders_while_settling_keeps_the_order_from_going_out(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange)
    reply = cut_off(client, exchange)
    gate = Gate()
    exchange.faults.add(Delay(method="GetOrders", gate=gate))
    with ThreadPoolExecutor(1) as pool:
        settling = pool.submit(client.settle, reply, 10)
        exchange.ledger.wait_for(lambda ledger: ledger.executed("GetOrders"))
        client.call("CancelAllOrders")
        gate.open()
        assert isinstance(settling.exception(10), OutcomeUnknown)
    assert exchange.ledger.executed("PlaceOrder") == []


def test_an_order_goes_out_again_only_with_tonces_that_the_exchange_knows() -> None:
    tonces = Tonces(lambda: 100)
    tonce = tonces.next()
    tonces.seen(Again(tonce))
    tonces.reset()
    with pytest.raises(NotSent, match="CancelAllOrders"):
        tonces.seen(Again(tonce))
    tonces.seen(Again(tonces.next()))


def test_a_new_client_that_cancels_all_orders_settles_nothing_of_an_older_one(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    unknown = cut_off(quiet(make_client, exchange), exchange, "executed").exception()
    assert isinstance(unknown, OutcomeUnknown)
    again = quiet(make_client, exchange)
    again.call("CancelAllOrders")
    with pytest.raises(OutcomeUnknown, match="CancelAllOrders"):
        again.settle(unknown, timeout=5)
    assert placed(exchange) == 1


def test_an_order_is_settled_by_a_new_client_of_the_same_account(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    unknown = cut_off(quiet(make_client, exchange), exchange, "executed").exception()
    assert isinstance(unknown, OutcomeUnknown)
    travelled = pickle.loads(pickle.dumps(unknown))
    assert travelled.request == unknown.request
    assert quiet(make_client, exchange).settle(travelled, timeout=5)["tonce"] == unknown.request["tonce"]  # type: ignore[index]


@pytest.mark.parametrize("resubmit", [True, False])
def test_nothing_is_settled_on_another_account(make_client: MakeClient, exchange: Sandbox, resubmit: bool) -> None:
    client = quiet(make_client, exchange, resubmit=resubmit)
    other = exchange.users[1]
    client.set_auth_data(other.id, other.cookie, other.passphrase)  # counts from the next login
    exchange.faults.add(Drop(method="PlaceOrder", when="before"))
    reply = bid(client)
    with pytest.raises(OutcomeUnknown, match="another account" if resubmit else "connection ended"):
        reply.result(5)
    with pytest.raises(OutcomeUnknown, match="another account"):
        client.settle(reply, timeout=5)
    assert placed(exchange) == 0


def test_an_order_that_was_under_way_while_it_was_settled_is_found_open(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    """It arrives between the question and the second placing, which is refused for that reason."""
    client = quiet(make_client, exchange)
    reply = cut_off(client, exchange)
    gate = Gate()
    exchange.faults.add(Delay(method="GetOrders", gate=gate))
    elsewhere = quiet(make_client, exchange)
    with ThreadPoolExecutor(1) as pool:
        settling = pool.submit(client.settle, reply, 10)
        exchange.ledger.wait_for(lambda ledger: ledger.executed("GetOrders"))
        bid(elsewhere, tonce=reply.request["tonce"]).result(5)
        gate.open()
        assert settling.result(10)["tonce"] == reply.request["tonce"]
    assert orders(exchange) == 1


def test_an_open_order_with_the_same_tonce_that_is_another_one_is_not_taken_for_it(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange)
    bid(client, tonce=7).result(5)
    reply = cut_off(client, exchange, tonce=7, quantity=-20_000, price=99_000_000)
    with pytest.raises(OutcomeUnknown, match="isn't this one"):
        client.settle(reply, timeout=5)
    assert orders(exchange) == 1


def test_a_tonce_that_the_exchange_refuses_spoils_none_that_follow(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange)
    for tonce in (2**63, -(2**63)):
        with pytest.raises(InvalidRequest, match="64 bits"):
            bid(client, tonce=tonce)
    with pytest.raises(CommandError):
        client.send({"method": "PlaceOrder", **CODES, "quantity": 1, "price": LOW, "tonce": 2**80}).result(5)
    assert bid(client).result(5)["id"]


def test_tonces_after_a_cancelling_without_an_answer_are_doubtful_for_a_minute() -> None:
    """It may wait in a buffer of the exchange's, and take effect after what was placed meanwhile."""
    now = 1_000_000_000
    tonces = Tonces(lambda: now)
    assert not tonces.forgets(tonces.next())
    tonces.reset()
    tonces.doubt()
    doubtful = tonces.next()
    now += 60_000_000
    safe = tonces.next()
    assert tonces.forgets(doubtful)
    assert not tonces.forgets(safe)


def test_no_more_tonces_are_kept_in_mind_than_are_needed() -> None:
    tonces = Tonces(lambda: 0)
    tonces.reset()
    for _ in range(20_000):
        tonces.next()
    assert tonces.forgets(1)
    assert not tonces.forgets(20_000)


def test_an_outcome_that_was_raised_can_be_settled_too(make_client: MakeClient, exchange: Sandbox) -> None:
    client = logged_in(make_client(exchange.url), exchange)
    exchange.faults.add(Drop(method="PlaceOrder", when="before"))
    with pytest.raises(OutcomeUnknown) as caught:
        client.call("PlaceOrder", **XBT_USDT, quantity=10_000, price=LOW)
    assert caught.value.request is not None
    assert caught.value.request["tonce"] is not None
    assert client.settle(caught.value, timeout=5)["id"]
    assert orders(exchange) == 1
    with pytest.raises(OutcomeUnknown):
        client.settle(OutcomeUnknown("of somebody else's"))


# -- resubmit=True


@pytest.mark.parametrize("when", ["before", "executed"])
def test_with_resubmit_a_cut_off_order_ends_as_a_fact(
    make_client: MakeClient, exchange: Sandbox, when: Any
) -> None:
    client = quiet(make_client, exchange, resubmit=True)
    exchange.faults.add(Drop(method="PlaceOrder", when=when))
    reply = bid(client)
    assert reply.result(5)["id"]
    assert orders(exchange) == 1


def test_with_resubmit_orders_in_flight_come_before_whatever_is_called_meanwhile(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange, resubmit=True)
    exchange.faults.add(Drop(method="PlaceOrder", when="before"))
    replies = [bid(client) for _ in range(20)]
    assert len({reply.result(5)["id"] for reply in replies}) == 20
    assert orders(exchange) == 20


def test_with_resubmit_a_connection_cut_again_while_settling_settles_on_the_next(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange, resubmit=True)
    exchange.faults.add(Drop(method="PlaceOrder", when="executed"))
    exchange.faults.add(Drop(method="GetOrders", times=2))
    assert bid(client).result(5)["tonce"]
    assert orders(exchange) == 1


def test_with_resubmit_too_nothing_is_placed_again_that_may_have_been_cancelled(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange, resubmit=True)
    exchange.faults.add(Drop(method="CancelAllOrders", when="executed"))
    exchange.faults.add(Mute(method="PlaceOrder"))
    reply = bid(client)
    assert isinstance(client.CancelAllOrders().exception(5), OutcomeUnknown)
    assert isinstance(reply.exception(5), OutcomeUnknown)
    assert orders(exchange) == 0


def test_stopped_while_settling_it_stays_unknown(make_client: MakeClient, exchange: Sandbox) -> None:
    client = quiet(make_client, exchange, resubmit=True, reconnect=Reconnect(5, 3600, 3600, lambda: 1.0))
    exchange.faults.add(Drop(method="PlaceOrder", when="before"))
    lost = threading.Event()
    client.tap(lambda text: None)
    reply = bid(client)
    reply.add_done_callback(lambda _: lost.set())
    exchange.ledger.wait_for(lambda ledger: ledger.commands("PlaceOrder"))
    client.stop()
    assert isinstance(reply.exception(5), OutcomeUnknown)


def test_what_is_settled_again_and_again_is_placed_once_for_each_connection(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange, resubmit=True)
    exchange.faults.add(Drop(method="PlaceOrder", when="before", times=4))
    assert bid(client).result(10)["id"]
    sessions = [command.session for command in exchange.ledger.commands("PlaceOrder")]
    assert len(sessions) == len(set(sessions)) == 5


def test_a_handler_that_waits_for_its_order_behind_a_full_queue_gets_it_settled(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.log_in()
        if peer.number == 0:
            peer.send_text({"notice": "first"})
            peer.receive("PlaceOrder")
            peer.send_text({"notice": "which fills the queue"})
            peer.end()
            return
        peer.reply(peer.receive("GetOrders"), orders=[])
        peer.reply(peer.receive("PlaceOrder"), id=1, time=1)
        peer.wait_for_close()

    settled: queue.Queue[Any] = queue.Queue()

    def on_message(client: WSClient, text: str) -> None:
        if "first" in text:
            settled.put(bid(client).result(10))

    with PeerServer(script) as server:
        client = make_client(
            server.url,
            msg_handler=on_message,
            err_handler=lambda client, error: None,
            reconnect=AT_ONCE,
            resubmit=True,
            handler_queue=1,
        )
        client.set_auth_data(1, "Y29va2ll", "passphrase")
        client.authenticate()
        assert settled.get(timeout=10)["id"] == 1
        client.stop()


def test_resubmit_needs_the_rule_under_which_it_is_safe(make_client: MakeClient) -> None:
    for wrong in ({"tonces": "unique"}, {"reconnect": None}):
        with pytest.raises(InvalidRequest):
            WSClient("ws://127.0.0.1:9", resubmit=True, **wrong)
    with pytest.raises(InvalidRequest):
        WSClient("ws://127.0.0.1:9", tonces="any")  # type: ignore[arg-type]


# -- cancel_on_disconnect


def test_orders_cancelled_on_disconnect_go_out_with_persist_false(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = quiet(make_client, exchange, cancel_on_disconnect=True)
    assert bid(client).request["persist"] is False
    assert bid(client, persist=True).request["persist"] is True
    assert bid(client, persist="fill_or_kill").request["persist"] == "fill_or_kill"
    assert "persist" not in bid(client, cancel_on_disconnect=False).request
    assert "persist" not in client.PlaceOrder(**XBT_USDT, total=1).request
    client.call("PlaceOrder", **XBT_USDT, quantity=10_000, price=LOW)
    plain = quiet(make_client, exchange)
    assert bid(plain, cancel_on_disconnect=True).request["persist"] is False
    with pytest.raises(InvalidRequest):
        bid(plain, cancel_on_disconnect=True, persist=True)
    assert exchange.ledger.commands("PlaceOrder")
