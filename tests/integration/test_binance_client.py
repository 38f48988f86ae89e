"""The request API's client against the sandbox: lazy, signed in three ways, honest about outcomes."""

import asyncio
import os
import pickle
import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Literal

import pytest

from tests.conftest import event_threads
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import (
    AuthenticationError,
    ClientClosed,
    CommandError,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Reconnect,
    TooFast,
    WouldDeadlock,
    WSClientError,
)
from wsclient.binance import Client, NotPlaced, RateLimit, SlowDown
from wsclient.binance.errors import CantTell
from wsclient.sandbox import Sandbox
from wsclient.sandbox.binance_faults import Answer
from wsclient.sandbox.binance_limits import BinanceSettings
from wsclient.sandbox.faults import Drop, Mute

Make = Callable[..., Client]
Kind = Literal["hmac", "ed25519", "rsa"]

AT_ONCE = Reconnect(base=0)
BID: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.0001", "price": "100"}
ORDERS = int(os.environ.get("WSCLIENT_BINANCE_ORDERS", "400"))
"""How many orders the test under cuts places; 10,000 for the whole of it."""

UNLIMITED = BinanceSettings(connections=None, request_weight=None, orders_10s=None, orders_day=None)


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, binance=UNLIMITED) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


@pytest.fixture
def make(exchange: Sandbox) -> Iterator[Make]:
    """Makes clients of the sandbox's first user, with a key of the kind that is wanted, and stops them."""
    clients: list[Client] = []

    def made(kind: Kind | None = "hmac", user: int = 0, **options: Any) -> Client:
        keys = exchange.users[user].binance_keys
        options = {"url": exchange.binance_api_url, "socket_timeout": PATIENCE, "reconnect": AT_ONCE, **options}
        if kind is None:
            client = Client(**options)
        elif kind == "hmac":
            client = Client(keys.hmac.api_key, keys.hmac.api_secret, **options)
        else:
            key = keys.ed25519 if kind == "ed25519" else keys.rsa
            client = Client(key.api_key, private_key=key.private_key, **options)
        clients.append(client)
        return client

    yield made
    for client in clients:
        client.stop()


def methods(exchange: Sandbox) -> Counter[str]:
    return Counter(command.method or "" for command in exchange.ledger.commands())


def bid(client: Client, **changes: Any) -> Any:
    return client.order_place(**{**BID, **changes})


# -- lazy


def test_nothing_happens_before_the_first_call(exchange: Sandbox, make: Make) -> None:
    client = make()
    assert not exchange.ledger.connections
    assert client.state.value == "idle"
    assert not event_threads()
    assert client.ping().result(PATIENCE) == {}
    assert len(exchange.ledger.connections) == 1
    assert methods(exchange) == {"ping": 1}


def test_public_methods_need_no_key_and_private_ones_are_refused_without_one(
    exchange: Sandbox, make: Make
) -> None:
    client = make(None)
    assert client.time().result(PATIENCE)["serverTime"] > 0
    assert client.exchange_info("BTCUSDT").result(PATIENCE)["symbols"][0]["symbol"] == "BTCUSDT"
    assert client.depth("BNBBTC", limit=5).result(PATIENCE)["bids"] == []
    assert client.trades_recent("BNBBTC").result(PATIENCE) == []
    assert isinstance(client.klines("BNBBTC", "1m", limit=2).result(PATIENCE), list)
    assert client.ticker_price("BTCUSDT").result(PATIENCE)["symbol"] == "BTCUSDT"
    assert client.call("session.status", PATIENCE)["apiKey"] is None
    with pytest.raises(AuthenticationError):
        client.account_status()
    assert "account.status" not in methods(exchange)


@pytest.mark.parametrize("kind", ["hmac", "ed25519", "rsa"])
def test_every_kind_of_key_trades(exchange: Sandbox, make: Make, kind: Kind) -> None:
    client = make(kind)
    order = bid(client).result(PATIENCE)
    assert client.order_status("BTCUSDT", order["orderId"]).result(PATIENCE)["status"] == "NEW"
    assert [row["orderId"] for row in client.open_orders_status("BTCUSDT").result(PATIENCE)] == [order["orderId"]]
    cancelled = client.order_cancel("BTCUSDT", client_order_id=order["clientOrderId"]).result(PATIENCE)
    assert cancelled["status"] == "CANCELED"
    bid(client)
    assert len(client.open_orders_cancel_all("BTCUSDT").result(PATIENCE)) == 1
    assert client.order_test("BTCUSDT", "BUY", "MARKET", quantity=Decimal("0.0001")).result(PATIENCE) == {}
    assert client.account_status(omit_zero_balances=True).result(PATIENCE)["uid"] == exchange.users[0].id
    asked = methods(exchange)
    assert asked["time"] == 1
    assert asked["session.logon"] == (1 if kind == "ed25519" else 0)


def test_orders_of_two_clients_fill_each_other(make: Make) -> None:
    make().order_place("BTCUSDT", "SELL", "LIMIT", "0.5", Decimal("40000")).result(PATIENCE)
    bought = make("ed25519", 1).order_place("BTCUSDT", "BUY", "MARKET", "0.2").result(PATIENCE)
    assert bought["status"] == "FILLED"
    assert Decimal(bought["cummulativeQuoteQty"]) == Decimal("8000")


def test_threads_that_race_on_a_new_client_make_one_connection_and_one_logon(
    exchange: Sandbox, make: Make
) -> None:
    client = make("ed25519")
    barrier = threading.Barrier(16)
    outcomes: queue.Queue[Any] = queue.Queue()

    def work() -> None:
        barrier.wait(PATIENCE)
        outcomes.put(bid(client).exception(PATIENCE))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [outcomes.get_nowait() for _ in range(16)] == [None] * 16
    assert len(exchange.ledger.connections) == 1
    asked = methods(exchange)
    assert (asked["time"], asked["session.logon"], asked["order.place"]) == (1, 1, 16)
    assert len(exchange.binance.orders(exchange.users[0])) == 16


def test_a_reply_can_be_awaited(make: Make) -> None:
    async def ask() -> Any:
        return await make(None).time()

    assert "serverTime" in asyncio.run(ask())


# -- refusals


def test_a_wrong_secret_is_a_refusal_and_tells_no_secret(exchange: Sandbox, make: Make) -> None:
    key = exchange.users[0].binance.api_key
    client = Client(key, "wrong-secret", url=exchange.binance_api_url)
    with client, pytest.raises(CommandError) as caught:
        client.call("account.status", PATIENCE)
    assert caught.value.code == -1022
    assert key not in repr(caught.value) + repr(client)
    with pytest.raises(TypeError):
        pickle.dumps(client)


def test_a_logon_that_is_refused_fails_the_call_and_tells_no_secret(exchange: Sandbox, make: Make) -> None:
    keys = exchange.users[0].binance_keys
    stranger = exchange.users[1].binance_keys.ed25519
    client = Client(keys.ed25519.api_key, private_key=stranger.private_key, url=exchange.binance_api_url)
    with client, pytest.raises(AuthenticationError) as caught:
        client.log_on()
    assert "-1022" in str(caught.value)
    cause = caught.value.__cause__
    assert keys.ed25519.api_key not in repr(cause)
    assert "signature" not in repr(cause)


def test_a_signature_that_is_refused_is_a_failed_authentication(exchange: Sandbox) -> None:
    key = exchange.users[0].binance
    with Client(key.api_key, "another secret", url=exchange.binance_api_url) as client:
        reply = client.account_status()  # nothing is raised by the call, which has left
        with pytest.raises(AuthenticationError, match="-1022"):
            reply.result(PATIENCE)
        assert client.stats().calls.refused == 1
    with (
        Client("A" * 64, key.api_secret, url=exchange.binance_api_url) as client,
        pytest.raises(AuthenticationError, match="-2015"),
    ):
        client.call("account.status")


def test_refusals_belong_to_their_call_and_have_classes(make: Make) -> None:
    client = make()
    poor, unknown = bid(client, quantity="1000000"), client.order_status("BTCUSDT", 12345)
    assert type(poor.exception(PATIENCE)) is InsufficientFunds
    assert type(unknown.exception(PATIENCE)) is NotFound
    with pytest.raises(InvalidRequest):
        bid(client, price=0.1)
    assert client.ping().result(PATIENCE) == {}


def test_a_clock_that_is_wrong_is_put_right_after_the_first_refusal(exchange: Sandbox, make: Make) -> None:
    client = make()
    client.log_on()
    client._dialect.clock.told(1_000_000)  # half a century ago
    with pytest.raises(CommandError) as caught:
        client.call("account.status", PATIENCE)
    assert caught.value.code == -1021
    assert client.call("account.status", PATIENCE)["accountType"] == "SPOT"
    assert abs(client.sync_clock()) < PATIENCE
    assert methods(exchange)["time"] == 3


def test_an_order_has_an_outcome_of_its_own_while_the_clock_is_in_doubt_and_the_time_cant_be_had(
    exchange: Sandbox, make: Make
) -> None:
    told: list[Exception] = []
    client = make(socket_timeout=0.3, err_handler=lambda client, error: told.append(error))
    client.log_on()
    client._dialect.clock.told(1_000_000)
    assert isinstance(bid(client).exception(PATIENCE), CommandError)
    assert client._dialect.clock.doubted
    exchange.faults.add(Mute(method="time", times=None))
    refused = bid(client).exception(PATIENCE)
    assert isinstance(refused, CommandError)
    assert (refused.code, refused.request["method"]) == (-1021, "order.place")
    exchange.faults.add(Mute(method="order.place"))
    with pytest.raises(TimeoutError) as caught:
        client.call("order.place", 0.2, **BID)
    assert caught.value.reply.request["method"] == "order.place"  # type: ignore[attr-defined]
    assert client.call("ping", PATIENCE) == {}
    assert methods(exchange)["time"] == 3  # the login's, and one for each of these orders
    assert not told


# -- rate limits


def test_after_a_429_calls_are_refused_until_the_exchange_wants_them(exchange: Sandbox, make: Make) -> None:
    client = make(None)
    exchange.faults.add(Answer(method="ping", status=429, code=-1003, retry_after=1000))
    refused = client.ping().exception(PATIENCE)
    assert isinstance(refused, SlowDown)
    assert isinstance(refused, RateLimited)
    assert refused.retry_after == pytest.approx(1000, abs=1)
    assert not refused.banned
    with pytest.raises(TooFast) as caught:
        client.time()
    assert 990 < caught.value.retry_after <= 1000
    assert methods(exchange) == {"ping": 1}


def test_with_a_rate_limit_calls_wait_for_the_end_of_a_ban(exchange: Sandbox, make: Make) -> None:
    client = make(None, rate_limit=True)
    exchange.faults.add(Answer(method="ping", status=418, code=-1003, retry_after=0.3))
    refused = client.ping().exception(PATIENCE)
    assert isinstance(refused, SlowDown)
    assert refused.banned
    assert client.call("time", PATIENCE)["serverTime"] > 0


def test_a_limit_of_orders_holds_up_orders_and_nothing_else(no_socket_left: None) -> None:
    with Sandbox(traders=0, binance=BinanceSettings(orders_10s=5)) as exchange:
        key = exchange.users[0].binance
        limit = RateLimit(wait=0)
        with Client(key.api_key, key.api_secret, url=exchange.binance_api_url, rate_limit=limit) as client:
            client.log_on()
            told = [bid(client).exception(PATIENCE) for _ in range(5)]
            refused = bid(client).exception(PATIENCE)
            assert told == [None] * 5
            assert isinstance(refused, SlowDown)
            assert refused.code == -1015
            with pytest.raises(TooFast):  # orders have to keep still; anything else need not
                bid(client)
            assert client.rate_limits
            assert client.ping().result(PATIENCE) == {}


# -- outcomes


@pytest.mark.parametrize(("status", "code"), [(503, -1007), (500, -1000), (400, -1007)])
@pytest.mark.parametrize("executed", [True, False])
def test_an_order_that_the_exchange_cant_tell_of_is_settled(
    exchange: Sandbox, make: Make, status: int, code: int, executed: bool
) -> None:
    client = make(recv_window=200)
    exchange.faults.add(Answer(method="order.place", status=status, code=code, executed=executed))
    reply = bid(client)
    assert type(reply.exception(PATIENCE)) is CantTell
    if executed:
        assert client.settle(reply, PATIENCE)["clientOrderId"] == reply.request["params"]["newClientOrderId"]
    else:  # it has arrived, so that nobody can say that it won't be executed yet
        with pytest.raises(CantTell) as caught:
            client.settle(reply, PATIENCE, grace=0.4)
        assert caught.value.request == reply.request
        assert methods(exchange)["order.status"] > 1
    assert len(exchange.binance.orders(exchange.users[0])) == int(executed)


def test_an_order_that_shows_after_its_window_is_found_where_the_exchange_couldnt_tell() -> None:
    def script(peer: Peer) -> None:
        asked = 0
        while True:
            call = peer.receive()
            if call["method"] == "time":
                peer.send_text({"id": call["id"], "status": 200, "result": {"serverTime": 1_000_000}})
            elif call["method"] == "order.place":
                peer.send_text({"id": call["id"], "status": 504, "error": {"code": -1007, "msg": "Timeout"}})
            elif (asked := asked + 1) < 3:
                peer.send_text({"id": call["id"], "status": 400, "error": {"code": -2013, "msg": "No such order"}})
            else:
                peer.send_text({"id": call["id"], "status": 200, "result": {"status": "FILLED"}})

    with PeerServer(script) as server, Client("key", "secret", url=f"ws://127.0.0.1:{server.port}") as client:
        reply = bid(client, timestamp=1)  # whose window is past long ago
        assert client.settle(reply, PATIENCE) == {"status": "FILLED"}


@pytest.mark.parametrize("when", ["before", "executed", "answered"])
def test_an_order_cut_off_is_settled_on_the_next_connection(
    exchange: Sandbox, make: Make, when: Literal["before", "executed", "answered"]
) -> None:
    client = make("ed25519", recv_window=200, err_handler=lambda client, error: None)
    client.log_on()
    exchange.faults.add(Drop(method="order.place", when=when))
    reply = bid(client)
    if when == "before":
        with pytest.raises(NotPlaced):
            client.settle(reply, PATIENCE)
    else:
        order = client.settle(reply, PATIENCE)
        assert exchange.binance.order(exchange.users[0], "BTCUSDT", order["clientOrderId"]) is not None
    assert "apiKey" not in reply.request["params"]


def test_settling_waits_for_no_recv_window_once_the_client_is_stopped(exchange: Sandbox, make: Make) -> None:
    client = make(recv_window=60_000)
    exchange.faults.add(Answer(method="order.place", status=503))
    reply = bid(client)
    told: list[BaseException] = []

    def settle() -> None:
        try:
            client.settle(reply)
        except WSClientError as error:
            told.append(error)

    assert reply.exception(PATIENCE) is not None
    thread = threading.Thread(target=settle)
    thread.start()
    client.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert isinstance(told[0], OutcomeUnknown | ClientClosed)


def test_what_can_only_be_waited_for_elsewhere_is_refused_on_the_event_thread(make: Make) -> None:
    told: queue.Queue[BaseException] = queue.Queue()

    def on_open(client: Client) -> None:
        for wait in (lambda: client.call("time"), client.log_on, lambda: client.settle(client.ping())):
            try:
                wait()
            except WSClientError as error:
                told.put(error)

    client = make(open_handler=on_open)
    client.ping().result(PATIENCE)
    assert [type(told.get(timeout=PATIENCE)) for _ in range(3)] == [WouldDeadlock] * 3


def test_a_stopped_client_refuses_and_its_pending_calls_are_told(exchange: Sandbox, make: Make) -> None:
    client = make()
    client.log_on()
    exchange.faults.add(Mute(method="order.place"))
    reply = bid(client)
    client.stop()
    assert isinstance(reply.exception(PATIENCE), OutcomeUnknown)
    with pytest.raises(ClientClosed):
        client.ping()
    assert not event_threads()


def test_no_order_under_random_cuts_is_misclassified_or_placed_twice(exchange: Sandbox, make: Make) -> None:
    """Each of many orders ends as placed or as not placed, and the exchange's own list says the same."""
    for when in ("before", "executed", "answered"):
        exchange.faults.add(Drop(method="order.place", when=when, times=None, chance=0.03))
    for executed in (True, False):
        exchange.faults.add(Answer(method="order.place", executed=executed, times=None, chance=0.03))
    exchange.faults.add(Drop(method="order.status", when="before", times=None, chance=0.05))
    client = make("ed25519", recv_window=300, err_handler=lambda client, error: None)
    placed: list[str] = []
    absent: list[str] = []
    untold: list[str] = []
    open_ones: list[str] = []
    failures: list[BaseException] = []
    numbers = iter(range(ORDERS))
    lock = threading.Lock()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            name = f"order-{number}"
            force = chance.choice(("IOC", "FOK"))
            try:
                settle(name, bid(client, client_order_id=name, time_in_force=force))
            except BaseException as error:
                failures.append(error)
                return

    def settle(name: str, reply: Any) -> None:
        while True:
            try:
                order = client.settle(reply, PATIENCE, grace=0.1)
                assert order["clientOrderId"] == name
                placed.append(name)
                return
            except CantTell:
                untold.append(name)
                return
            except (NotSent, AuthenticationError):  # NotPlaced is a NotSent
                absent.append(name)
                return
            except OutcomeUnknown:
                open_ones.append(name)  # asking was cut off too: ask again

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    there = Counter(order["clientOrderId"] for order in exchange.binance.orders(exchange.users[0]))
    assert set(there.values()) == {1}
    assert set(there) == set(placed)
    assert len(placed) + len(absent) + len(untold) == ORDERS
    assert not set(placed) & {*absent, *untold}
    connections = len(exchange.ledger.connections)
    print(f"{len(placed)} placed, {len(absent)} not, {len(untold)} untold")
    print(f"{len(open_ones)} asked for again, {connections} connections")
    if ORDERS >= 400:
        assert absent
        assert len(exchange.ledger.connections) > 1
