"""The account's events: subscribed to with each kind of key, got back after losses, for margin by listenKeys."""

import logging
import queue
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest

from tests.integration.binance_market import managers
from tests.peers import PATIENCE
from wsclient import AuthenticationError, ClientClosed, CommandError, Reconnect
from wsclient.binance import BinanceSocketManager, Client
from wsclient.binance.accounts import RequestedKeys
from wsclient.binance.socket import PlainSocket
from wsclient.sandbox import Sandbox
from wsclient.sandbox.binance_faults import Answer
from wsclient.sandbox.binance_limits import BinanceSettings

MakeClient = Callable[..., Client]
Make = Callable[..., BinanceSocketManager]
Kind = Literal["hmac", "ed25519", "rsa"]

SETTINGS = BinanceSettings(orders_10s=None, request_weight=None, listen_key_seconds=2)


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, binance=SETTINGS) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


@pytest.fixture
def make_client(exchange: Sandbox) -> Iterator[MakeClient]:
    """Makes clients of the sandbox's first user, and stops them."""
    clients: list[Client] = []

    def made(kind: Kind = "hmac", **options: Any) -> Client:
        keys = exchange.users[0].binance_keys
        options = {"reconnect": Reconnect(base=0), "err_handler": lambda client, error: None, **options}
        options = {"url": exchange.binance_api_url, "socket_timeout": PATIENCE, **options}
        if kind == "hmac":
            clients.append(Client(keys.hmac.api_key, keys.hmac.api_secret, **options))
        else:
            key = keys.ed25519 if kind == "ed25519" else keys.rsa
            clients.append(Client(key.api_key, private_key=key.private_key, **options))
        return clients[-1]

    yield made
    for client in clients:
        client.stop()


@pytest.fixture
def make(exchange: Sandbox) -> Iterator[Make]:
    yield from managers(exchange)


class Events(queue.Queue[dict[str, Any]]):
    """What a listener is told."""

    def next(self, name: str) -> dict[str, Any]:
        """The next event of a name; others before it are dropped."""
        while True:
            event = self.get(timeout=PATIENCE)
            if event["e"] == name:
                return event


def bid(client: Client, price: str = "100") -> Any:
    return client.order_place("BTCUSDT", "BUY", "LIMIT", "0.001", price).result(PATIENCE)


# -- the request API's own


@pytest.mark.parametrize("kind", ["hmac", "ed25519", "rsa"])
def test_a_listener_is_told_of_orders_and_deposits(exchange: Sandbox, make_client: MakeClient, kind: Kind) -> None:
    client, events = make_client(kind), Events()
    remove = client.user_data(events.put)
    order = bid(client)
    assert events.next("executionReport")["i"] == order["orderId"]
    exchange.binance.deposit(exchange.users[0], "BTC", "0.5")
    assert events.next("balanceUpdate")["d"] == "0.50000000"
    remove()
    exchange.ledger.wait_for(lambda ledger: ledger.executed("userDataStream.unsubscribe"))
    method = "userDataStream.subscribe" + ("" if kind == "ed25519" else ".signature")
    assert len(exchange.ledger.executed(method)) == 1


def test_listeners_share_one_subscription(exchange: Sandbox, make_client: MakeClient) -> None:
    client, one, other = make_client(), Events(), Events()
    remove = client.user_data(one.put)
    client.user_data(other.put)
    bid(client)
    assert one.next("executionReport") == other.next("executionReport")
    remove()
    remove()
    bid(client)
    other.next("executionReport")
    assert not exchange.ledger.commands("userDataStream.unsubscribe")
    assert len(exchange.ledger.executed("userDataStream.subscribe.signature")) == 1


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_after_a_loss_the_orders_are_reconciled(exchange: Sandbox, make_client: MakeClient, kind: Kind) -> None:
    client, other, events = make_client(kind), make_client(), Events()
    client.user_data(events.put)
    kept, cancelled = bid(client)["orderId"], bid(client, "101")["orderId"]
    other.log_on()
    events.next("executionReport")
    events.next("executionReport")
    exchange.faults.add(Answer(method="openOrders.status", status=500))  # asked for again with the next connection
    exchange.binance.end_day([exchange.binance.sessions[0]])
    other.order_cancel("BTCUSDT", cancelled).result(PATIENCE)
    exchange.ledger.wait_for(lambda ledger: len(ledger.commands("openOrders.status")) == 2)
    exchange.binance.end_day([max(exchange.binance.sessions)])
    assert [order["orderId"] for order in events.next("ordersReconciled")["orders"]] == [kept]
    [ended] = events.next("ordersReconciled")["orders"]
    assert (ended["orderId"], ended["status"]) == (cancelled, "CANCELED")
    placed = bid(client)["orderId"]
    assert events.next("executionReport")["i"] == placed


def test_a_terminated_subscription_is_renewed(exchange: Sandbox, make_client: MakeClient) -> None:
    client, events = make_client(), Events()
    client.user_data(events.put)
    exchange.binance.terminate_user_data(exchange.users[0])
    events.next("eventStreamTerminated")
    events.next("ordersReconciled")
    bid(client)
    events.next("executionReport")


def test_what_cant_be_subscribed_to_is_raised(exchange: Sandbox, make_client: MakeClient) -> None:
    with Client(url=exchange.binance_api_url) as nobody, pytest.raises(AuthenticationError):
        nobody.user_data(print)
    client = make_client()
    exchange.faults.add(Answer(method="userDataStream.subscribe.signature", status=400, code=-2015))
    with pytest.raises(CommandError):
        client.user_data(print)
    events = Events()
    client.user_data(events.put)  # once more
    bid(client)
    events.next("executionReport")
    client.stop()
    assert "stopped" in events.next("error")["m"]
    with pytest.raises(ClientClosed):
        client.user_data(print)


# -- sockets


def test_a_user_socket_is_told_when_its_exchange_is_gone(
    exchange: Sandbox, make_client: MakeClient, make: Make
) -> None:
    client = make_client()
    with make(client).user_socket() as socket:
        bid(client)
        assert socket.recv(PATIENCE)["X"] == "NEW"
        exchange.stop()
        while (message := socket.recv(PATIENCE))["e"] != "error":
            pass
        assert message == {"e": "error", "m": "Max reconnect retries reached"}


class Watched(RequestedKeys):
    """Remembers the keys."""

    def __init__(self, client: Client, margin: str, symbol: str | None = None) -> None:
        scope = {"margin": margin} if symbol is None else {"margin": margin, "symbol": symbol}
        super().__init__(client, scope, PATIENCE)
        self.keys: list[str] = []

    def start(self) -> str:
        self.keys.append(super().start())
        return self.keys[-1]


def test_a_margin_socket_is_kept_alive_for_as_long_as_it_is_open(
    exchange: Sandbox, make_client: MakeClient, make: Make
) -> None:
    client = make_client()
    with make(client, user_timeout=0.2).margin_socket() as socket:
        # longer than a key lives that isn't kept alive
        exchange.ledger.wait_for(lambda ledger: len(ledger.executed("userDataStream.ping")) >= 12, PATIENCE)
        bid(client)
        assert socket.recv(PATIENCE)["X"] == "NEW"
    exchange.ledger.wait_for(lambda ledger: ledger.executed("userDataStream.stop"))
    assert len(exchange.ledger.executed("userDataStream.start")) == 1


@pytest.mark.parametrize("told", [True, False])
def test_an_expired_key_is_replaced_and_no_key_is_told_to_anybody(
    exchange: Sandbox, make_client: MakeClient, make: Make, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client, made = make_client(), list[Watched]()

    def keys(margin: str, symbol: str | None = None) -> Watched:
        made.append(Watched(client, margin, symbol))
        return made[-1]

    bm = make(client, user_timeout=3600 if told else 0.2, listen_keys=keys)
    with bm.isolated_margin_socket("BNBBTC") as socket:
        [first] = made[0].keys
        if told:
            exchange.binance.expire_listen_key(first)
            assert socket.recv(PATIENCE)["e"] == "listenKeyExpired"
        else:
            made[0].stop(first)  # which nobody is told; the next ping is refused
        exchange.ledger.wait_for(lambda ledger: len(ledger.executed("SUBSCRIBE")) == 2)
        exchange.ledger.wait_for(lambda ledger: ledger.executed("UNSUBSCRIBE"))
        bid(client)
        assert socket.recv(PATIENCE)["e"] == "executionReport"
        assert len(set(made[0].keys)) == 2
        shown = repr(socket) + repr(bm) + caplog.text
    assert not any(key in shown for key in made[0].keys)


def test_a_margin_socket_is_got_back_after_a_loss(exchange: Sandbox, make_client: MakeClient, make: Make) -> None:
    client = make_client()
    with make(client).margin_socket() as socket:
        for asked in (1, 2):
            bid(client)
            report(socket)
            exchange.binance.end_day([max(exchange.binance.sessions)])
            exchange.ledger.wait_for(lambda ledger: len(ledger.executed("SUBSCRIBE")) > asked)  # noqa: B023
        bid(client)
        report(socket)


def report(socket: PlainSocket) -> dict[str, Any]:
    """The next report of an order."""
    while (message := socket.recv(PATIENCE))["e"] != "executionReport":
        pass
    return message


def test_a_margin_account_that_isnt_there_is_refused(make_client: MakeClient, make: Make) -> None:
    bm = make(make_client())
    with pytest.raises(CommandError), bm.isolated_margin_socket("NOPE"):
        pass


def test_listeners_that_come_and_go_on_two_threads_miss_nothing_while_they_are_there(
    exchange: Sandbox, make_client: MakeClient
) -> None:
    client, user = make_client(), exchange.users[0]

    def work(number: int) -> None:
        draw = random.Random(number)
        for turn in range(70):
            events, amount = Events(), f"0.{number}{turn:03d}0000"
            remove = client.user_data(events.put)
            exchange.binance.deposit(user, "BTC", amount)
            while events.next("balanceUpdate")["d"] != amount:
                pass
            remove()
            for _ in range(draw.randrange(2000)):  # so that the two don't go on in step
                pass

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(work, number) for number in (1, 2)]:
                done.result()
    finally:
        sys.setswitchinterval(usual)
