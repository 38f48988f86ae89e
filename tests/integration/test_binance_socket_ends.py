"""How a Binance socket ends: while it is being entered, by its callback, with its manager or its client."""

import asyncio
import gc
import queue
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import event_threads
from tests.integration.binance_market import managers, run, trade
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import ClientClosed, CommandError, InvalidRequest, Reconnect, TransportError
from wsclient.binance import BinanceSocketManager, Client
from wsclient.sandbox import Sandbox
from wsclient.sandbox.binance_limits import BinanceSettings
from wsclient.sandbox.faults import Delay, Gate, Mute

Make = Callable[..., BinanceSocketManager]


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, binance=BinanceSettings(orders_10s=None)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


@pytest.fixture
def make(exchange: Sandbox) -> Iterator[Make]:
    yield from managers(exchange)


def test_a_callback_that_exits_leaves_the_other_sockets_alone(no_socket_left: None) -> None:
    exited = threading.Event()

    def process(message: Any) -> None:
        if message["e"] == "error":
            exited.set()
            sys.exit("giving up")

    with Sandbox(traders=0) as exchange:
        bm = BinanceSocketManager(
            url=exchange.binance_url, reconnect=Reconnect(tries=1, base=0), socket_timeout=PATIENCE
        )
        port = exchange.port
        with bm.trade_socket("BNBBTC"):
            bm.trade_socket("BNBBTC", process)
            exchange.stop()
            assert exited.wait(PATIENCE)
    with Sandbox(traders=0, port=port) as exchange, bm, bm.trade_socket("NEOBTC") as other:
        trade(exchange, "NEOBTC")
        assert other.recv(PATIENCE)["s"] == "NEOBTC"


@pytest.mark.parametrize("how", ["manager", "socket"])
@pytest.mark.parametrize("who", ["thread", "coroutine"])
def test_who_is_entering_a_socket_is_told_when_it_is_ended(how: str, who: str) -> None:
    asked = threading.Event()

    def mute(peer: Peer) -> None:
        peer.receive()
        asked.set()
        peer.wait_for_end()

    with PeerServer(mute) as server:
        bm = BinanceSocketManager(url=f"ws://127.0.0.1:{server.port}", socket_timeout=2)
        socket = bm.trade_socket("BNBBTC")
        told: list[BaseException] = []

        def enter() -> None:
            try:
                if who == "thread":
                    socket.__enter__()
                else:
                    run(socket.__aenter__())
            except BaseException as error:
                told.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        assert asked.wait(PATIENCE)
        (bm.stop if how == "manager" else socket.close)()
        thread.join(PATIENCE / 2)
        alive = thread.is_alive()
        bm.stop()
        assert not alive
        assert [type(error) for error in told] == [ClientClosed]


@pytest.fixture
def client(exchange: Sandbox) -> Iterator[Client]:
    """A client of the sandbox's first user, whose errors are told to who calls alone."""
    key = exchange.users[0].binance
    with Client(
        key.api_key,
        key.api_secret,
        url=exchange.binance_api_url,
        socket_timeout=PATIENCE,
        reconnect=Reconnect(tries=1, base=0),
        err_handler=lambda client, error: None,
    ) as client:
        yield client


class Keys:
    """Keys of margin accounts from elsewhere than the exchange's request API."""

    def __init__(self, *scope: str) -> None:
        pass

    def start(self) -> str:
        return "k" * 20

    def ping(self, key: str) -> None:
        pass

    def stop(self, key: str) -> None:
        pass


def test_the_accounts_sockets_cant_be_entered_once_their_manager_was_stopped(make: Make, client: Client) -> None:
    bm = make(client)
    sockets = [bm.user_socket(), bm.margin_socket(), bm.trade_socket("BNBBTC")]
    bm.stop()
    for socket in sockets:
        with pytest.raises(ClientClosed, match="the manager was stopped"), socket:
            pass
        with pytest.raises(ClientClosed, match="the manager was stopped"):
            socket.add_callback(print)


def test_stopping_doesnt_leave_a_listener_with_the_client_though_the_worker_is_busy(
    exchange: Sandbox, make: Make, client: Client
) -> None:
    busy, gate = threading.Event(), threading.Event()

    class Slow(Keys):
        def start(self) -> str:
            busy.set()
            gate.wait(PATIENCE)
            return super().start()

    bm = make(client, listen_keys=Slow, socket_timeout=0.5)
    client.log_on()
    with bm.user_socket():
        bm.margin_socket(lambda message: None)
        assert busy.wait(PATIENCE)
        try:
            bm.stop()
            exchange.ledger.wait_for(lambda ledger: ledger.executed("userDataStream.unsubscribe"))
        finally:
            gate.set()


def test_why_a_margin_socket_cant_be_had_is_told_whatever_it_is(make: Make, client: Client) -> None:
    class Broken(Keys):
        def start(self) -> str:
            raise OSError("no route to the keys")

    told: queue.Queue[Any] = queue.Queue()
    bm = make(client, listen_keys=Broken)
    with pytest.raises(OSError, match="no route"), bm.margin_socket():
        pass
    bm.margin_socket(told.put)
    assert "no route to the keys" in told.get(timeout=PATIENCE)["m"]
    bm.margin_socket(told.put)  # tries again
    assert told.get(timeout=PATIENCE)["e"] == "error"


def test_a_callback_is_told_that_no_listen_key_came(exchange: Sandbox, make: Make, client: Client) -> None:
    client.log_on()
    exchange.faults.add(Mute(method="userDataStream.start"))
    told: queue.Queue[Any] = queue.Queue()
    make(client, socket_timeout=0.2).margin_socket(told.put)
    assert told.get(timeout=PATIENCE)["e"] == "error"


def test_a_key_is_kept_alive_whatever_asking_for_that_raises(
    make: Make, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    pings: queue.Queue[str] = queue.Queue()

    class Flaky(Keys):
        def ping(self, key: str) -> None:
            pings.put(key)
            raise OSError(f"no route to the keys?listenKey={key}")

    with make(client, listen_keys=Flaky, user_timeout=0.01).margin_socket():
        for _ in range(3):
            assert pings.get(timeout=PATIENCE)
    assert "no route to the keys?listenKey=…" in caplog.text


def test_a_user_socket_that_gave_up_raises_after_its_last_message(
    exchange: Sandbox, make: Make, client: Client
) -> None:
    with make(client).user_socket() as socket:
        exchange.stop()
        while (message := socket.recv(PATIENCE))["e"] != "error":
            pass
        assert message["m"] == "Max reconnect retries reached"
        for _ in range(2):
            with pytest.raises(TransportError, match="Max reconnect retries reached"):
                socket.recv(PATIENCE)


def test_a_user_socket_of_a_client_that_doesnt_reconnect_can_be_entered_again_after_a_cut(
    exchange: Sandbox, make: Make
) -> None:
    key = exchange.users[0].binance
    options: dict[str, Any] = {"reconnect": None, "err_handler": lambda client, error: None}
    with Client(key.api_key, key.api_secret, url=exchange.binance_api_url, **options) as client:
        socket = make(client).user_socket()
        with socket as entered:
            exchange.cut_all()
            while entered.recv(PATIENCE)["e"] != "error":
                pass
            with pytest.raises(TransportError):
                entered.recv(PATIENCE)
        with socket as entered:
            exchange.binance.deposit(exchange.users[0], "BTC", "1")
            assert entered.recv(PATIENCE)["e"] == "balanceUpdate"


def test_a_user_socket_ends_with_its_client(make: Make, client: Client) -> None:
    with make(client).user_socket() as socket:
        client.stop()
        assert [message["e"] for message in socket] == ["error"]


def test_a_callback_that_stops_its_manager_isnt_waited_for(
    exchange: Sandbox, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bm = make()
    stopped = threading.Event()

    def process(message: Any) -> None:
        bm.stop()
        stopped.set()

    with bm.trade_socket("NEOBTC"):
        bm.trade_socket("BNBBTC", process)
        exchange.ledger.wait_for(lambda ledger: len(ledger.executed("SUBSCRIBE")) == 2)
        trade(exchange)
        assert stopped.wait(PATIENCE / 2)  # and not as long as the event thread waits for itself
    assert not caplog.text
    bm.stop()
    assert not event_threads()


def test_a_user_socket_that_would_stop_its_client_is_refused(make: Make, client: Client) -> None:
    with pytest.raises(InvalidRequest, match="block"):
        make(client, overflow="block").user_socket()


def test_a_stream_that_isnt_given_back_leaves_the_others_of_its_socket_alone(no_socket_left: None) -> None:
    entered = threading.Event()

    def first(peer: Peer) -> None:
        peer.send_text({"result": None, "id": peer.receive()["id"]})
        assert entered.wait(PATIENCE)
        peer.abort()

    def second(peer: Peer) -> None:
        while True:
            asked = peer.receive()
            names = asked.get("params", [])
            if asked["method"] == "SUBSCRIBE" and {"aaa@depth", "bbb@depth"} & set(names):
                peer.send_text({"error": {"code": 2, "msg": "no such stream"}, "id": asked["id"]})
                continue
            peer.send_text({"result": None, "id": asked["id"]})
            for name in names:
                peer.send_text({"stream": name, "data": {"e": "depthUpdate", "u": 7}})

    names = ["aaa@depth", "bbb@depth", "ccc@depth"]
    seen: queue.Queue[Any] = queue.Queue()
    with (
        PeerServer([first, second]) as server,
        BinanceSocketManager(url=f"ws://127.0.0.1:{server.port}", reconnect=Reconnect(base=0)) as bm,
        bm.multiplex_socket(names) as socket,
        bm.multiplex_socket(names[:2]) as both,
    ):
        bm.multiplex_socket(names, seen.put)
        entered.set()
        messages = [socket.recv(PATIENCE) for _ in range(3)]
        called = [seen.get(timeout=PATIENCE) for _ in range(3)]
        refusals = [both.recv(PATIENCE) for _ in range(2)]
        with pytest.raises(CommandError, match="no such stream"):
            both.recv(PATIENCE)  # nothing is left of it
    for some in (messages, called):
        assert [message for message in some if "data" in message] == [
            {"stream": "ccc@depth", "data": {"e": "depthUpdate", "u": 7}}
        ]
        errors = [message for message in some if "data" not in message]
        assert sorted(message["stream"] for message in errors) == names[:2]
        assert all(message["e"] == "error" and "no such stream" in message["m"] for message in errors)
    assert [message["e"] for message in refusals] == ["error"] * 2
    assert "stream" not in refusals[1]


def test_a_socket_that_nobody_has_and_that_brings_nothing_is_forgotten(exchange: Sandbox, make: Make) -> None:
    bm = make()
    told: queue.Queue[Any] = queue.Queue()
    left = bm.trade_socket("BNBBTC")
    with left:
        assert bm.trade_socket("BNBBTC") is left
    closed = bm.ticker_socket(told.put)
    closed.close()
    with bm.trade_socket("NEOBTC", told.put):  # which is kept for its callback
        pass
    gone = [weakref.ref(left), weakref.ref(closed), weakref.ref(bm.multiplex_socket(["bnbbtc@trade"]))]
    del left, closed
    gc.collect()
    trade(exchange, "NEOBTC")
    assert told.get(timeout=PATIENCE)["s"] == "NEOBTC"
    assert [ref() for ref in gone] == [None] * 3
    assert bm.trade_socket("NEOBTC") is bm.trade_socket("NEOBTC", told.put)


def test_who_enters_after_a_closing_isnt_left_by_who_was_entering_before_it(exchange: Sandbox, make: Make) -> None:
    gate = Gate()
    exchange.faults.add(Delay(method="SUBSCRIBE", gate=gate))
    socket = make().trade_socket("BNBBTC")

    async def main() -> Any:
        first = asyncio.create_task(socket.__aenter__())
        await asyncio.sleep(0)
        socket.close()
        second = asyncio.create_task(socket.__aenter__())
        with pytest.raises(ClientClosed):
            await first
        gate.open()
        await second
        trade(exchange)
        try:
            return await socket.recv(PATIENCE)
        finally:
            await socket.__aexit__()

    assert run(main())["t"] == 1
