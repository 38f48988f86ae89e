"""What a socket promises: to coroutines, to threads, to callbacks; and what becomes of it when it can't be had."""

import asyncio
import functools
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import event_threads
from tests.integration.binance_market import managers, run, trade
from tests.peers import PATIENCE
from wsclient import AuthenticationError, ClientClosed, InvalidRequest, Reconnect, TransportError, WouldDeadlock
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


def test_a_thread_receives_iterates_and_is_told_of_silence(exchange: Sandbox, make: Make) -> None:
    with make().trade_socket("BNBBTC") as socket:
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.01)
        trade(exchange, count=3)
        assert socket.recv(PATIENCE)["t"] == 1
        assert [next(socket)["t"] for _ in range(2)] == [2, 3]
    with pytest.raises(ClientClosed):
        socket.recv(PATIENCE)
    assert list(socket) == []


def test_nothing_is_connected_before_a_socket_is_entered_or_after_the_last_is_left(
    exchange: Sandbox, make: Make
) -> None:
    bm = make()
    first, second = bm.trade_socket("BNBBTC"), bm.aggtrade_socket("BNBBTC")
    assert not exchange.ledger.connections
    with first:
        with second:
            assert len(exchange.ledger.connections) == 1
        exchange.ledger.wait_for(lambda ledger: ledger.executed("UNSUBSCRIBE"))
    exchange.ledger.wait_for(lambda ledger: ledger.closures)
    with first as socket:  # again
        trade(exchange)
        assert socket.recv(PATIENCE)["e"] == "trade"


def test_there_is_one_socket_of_a_kind_and_symbol(exchange: Sandbox, make: Make) -> None:
    bm = make()
    assert bm.trade_socket("BNBBTC") is bm.trade_socket("bnbbtc")
    assert bm.trade_socket("BNBBTC") is not bm.depth_socket("BNBBTC")
    assert bm.depth_socket("BNBBTC") is not bm.depth_socket("BNBBTC", depth=20)
    assert bm.multiplex_socket(["bnbbtc@trade"]) is not bm.trade_socket("BNBBTC")
    with bm.trade_socket("BNBBTC") as one, bm.trade_socket("BNBBTC") as other:
        trade(exchange, count=2)
        assert {one.recv(PATIENCE)["t"], other.recv(PATIENCE)["t"]} == {1, 2}
    assert len(exchange.ledger.executed("SUBSCRIBE")) == 1


@pytest.mark.parametrize(("overflow", "left"), [("drop_oldest", [3, 4, 5]), ("drop_newest", [1, 2, 3])])
def test_a_full_queue_drops_by_its_policy_and_counts(
    exchange: Sandbox, make: Make, overflow: Any, left: list[int]
) -> None:
    bm = make(max_queue_size=3, overflow=overflow)
    seen: queue.Queue[Any] = queue.Queue()
    with bm.trade_socket("BNBBTC") as socket:
        bm.multiplex_socket(["bnbbtc@trade"], seen.put)  # is told after the other
        trade(exchange, count=5)
        assert [seen.get(timeout=PATIENCE)["data"]["t"] for _ in range(5)] == [1, 2, 3, 4, 5]
        assert [socket.recv(PATIENCE)["t"] for _ in range(3)] == left
        assert socket.dropped == 2
        trade(exchange)
        assert socket.recv(PATIENCE)["t"] == 6  # it lives on


def test_with_blocking_nothing_is_dropped(exchange: Sandbox, make: Make) -> None:
    with make(max_queue_size=2, overflow="block").trade_socket("BNBBTC") as socket:
        trade(exchange, count=50)
        assert [socket.recv(PATIENCE)["t"] for _ in range(50)] == list(range(1, 51))
        assert socket.dropped == 0


def test_a_first_connection_that_cant_be_had_is_told_at_once(exchange: Sandbox, make: Make) -> None:
    bm = make()
    exchange.stop()
    socket = bm.trade_socket("BNBBTC")
    with pytest.raises(TransportError), socket:
        pass
    with pytest.raises(TransportError):
        run(socket.__aenter__())
    told: queue.Queue[Any] = queue.Queue()
    bm.ticker_socket(told.put)
    assert told.get(timeout=PATIENCE)["e"] == "error"


def test_a_socket_that_gave_up_can_be_entered_again(no_socket_left: None) -> None:
    with Sandbox(traders=0) as exchange:
        bm = BinanceSocketManager(url=exchange.binance_url, reconnect=Reconnect(tries=1, base=0))
        socket = bm.trade_socket("BNBBTC")
        port = exchange.port
        plain = socket.__enter__()
    assert plain.recv(PATIENCE) == {"e": "error", "m": "Max reconnect retries reached"}
    with pytest.raises(TransportError):
        plain.recv(PATIENCE)
    socket.__exit__(None, None, None)
    with Sandbox(traders=0, port=port) as exchange, bm, bm.trade_socket("BNBBTC") as again:
        trade(exchange)
        assert again.recv(PATIENCE)["t"] == 1


def test_a_callback_cant_wait_for_what_its_own_thread_brings(exchange: Sandbox, make: Make) -> None:
    bm = make()
    told: queue.Queue[Any] = queue.Queue()
    with bm.trade_socket("BNBBTC") as entered:

        def callback(message: Any) -> None:
            try:
                told.put(entered.recv(PATIENCE)["t"])  # it is there already
                entered.recv()
            except WouldDeadlock as error:
                told.put(error)
            try:
                bm.trade_socket("NEOBTC").__enter__()
            except WouldDeadlock as error:
                told.put(error)

        bm.multiplex_socket(["bnbbtc@trade"], callback)
        with bm.multiplex_socket(["bnbbtc@trade"]) as both:
            trade(exchange)
            assert told.get(timeout=PATIENCE) == 1
            assert [type(told.get(timeout=PATIENCE)) for _ in range(2)] == [WouldDeadlock] * 2
            assert both.recv(PATIENCE)["data"]["t"] == 1
    with bm.trade_socket("NEOBTC"):  # by one who can wait
        pass


def test_a_callback_that_raises_changes_nothing(exchange: Sandbox, make: Make) -> None:
    told: queue.Queue[Any] = queue.Queue()

    def callback(message: Any) -> None:
        told.put(message["t"])
        raise ValueError("the callback's own")

    socket = make().trade_socket("BNBBTC", callback)
    with socket:
        trade(exchange, count=2)
        assert [told.get(timeout=PATIENCE) for _ in range(2)] == [1, 2]
    trade(exchange)
    assert told.get(timeout=PATIENCE) == 3
    socket.close()
    exchange.ledger.wait_for(lambda ledger: ledger.closures)


def test_an_unanswered_subscription_is_asked_for_on_another_connection(exchange: Sandbox, make: Make) -> None:
    exchange.faults.add(Mute(method="SUBSCRIBE"))
    with make(socket_timeout=0.5).trade_socket("BNBBTC") as socket:
        trade(exchange)
        assert socket.recv(PATIENCE)["t"] == 1
    assert len(exchange.ledger.connections) == 2


def test_who_gives_up_entering_leaves_the_socket_to_others(exchange: Sandbox, make: Make) -> None:
    gate = Gate()
    exchange.faults.add(Delay(method="SUBSCRIBE", gate=gate))
    bm = make()

    async def main() -> Any:
        patient = asyncio.create_task(bm.trade_socket("BNBBTC").__aenter__())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bm.trade_socket("BNBBTC").__aenter__(), 0.05)
        gate.open()
        socket = await patient
        trade(exchange)
        return await socket.recv()

    assert run(main())["t"] == 1


def test_a_user_socket_takes_a_callback_later_too(exchange: Sandbox, make: Make) -> None:
    key, told = exchange.users[0].binance, queue.Queue[Any]()
    with Client(key.api_key, key.api_secret, url=exchange.binance_api_url) as client:
        bm = make(client)
        with bm.user_socket() as socket:
            bm.user_socket(told.put)
            exchange.binance.deposit(exchange.users[0], "BTC", "1")
            assert told.get(timeout=PATIENCE) == socket.recv(PATIENCE)
        bm.stop()


def test_stopping_ends_every_socket(exchange: Sandbox, make: Make) -> None:
    bm = make()
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            socket.recv()
        except ClientClosed as error:
            errors.append(error)

    with bm.trade_socket("BNBBTC") as socket:
        thread = threading.Thread(target=wait)
        thread.start()
        bm.stop()
        thread.join(PATIENCE)
    assert len(errors) == 1
    assert not event_threads()
    with pytest.raises(ClientClosed):
        bm.trade_socket("BNBBTC")


def test_a_socket_has_to_be_entered_and_a_thread_receives_from_what_with_gives(
    exchange: Sandbox, make: Make
) -> None:
    bm = make()
    socket = bm.trade_socket("BNBBTC")

    async def receive() -> Any:
        with pytest.raises(InvalidRequest, match="enter the socket first"):
            async for _ in socket:
                pass
        async with socket:
            with pytest.raises(TimeoutError):
                await socket.recv(timeout=0.01)
            trade(exchange)
            return await socket.recv(timeout=PATIENCE)

    with pytest.raises(InvalidRequest, match="enter the socket first"):
        _ = socket.recv(timeout=1)
    assert run(receive())["t"] == 1
    with socket as entered:
        with pytest.raises(InvalidRequest, match="with … as socket"):
            _ = socket.recv(timeout=1)
        trade(exchange)
        assert entered.recv(timeout=PATIENCE)["t"] == 2


def test_what_cant_be_meant_is_refused(make: Make) -> None:
    async def awaited(message: Any) -> None:
        """Nobody would await it."""

    class Awaited:
        async def __call__(self, message: Any) -> None:
            """Likewise."""

    bm = make()
    for wrong in (
        lambda: bm.trade_socket("bnb@trade"),
        lambda: bm.depth_socket("BNBBTC", depth=7),
        lambda: bm.depth_socket("BNBBTC", interval=50),
        lambda: bm.multiplex_socket([]),
        lambda: bm.multiplex_socket(['a"b']),
        lambda: bm.miniticker_socket(0),
        lambda: bm.ticker_socket("process_message"),  # type: ignore[arg-type]
        lambda: bm.ticker_socket(callback=awaited),
        lambda: bm.ticker_socket().add_callback(functools.partial(awaited)),
        lambda: bm.ticker_socket(callback=Awaited()),
        lambda: BinanceSocketManager(overflow="forget"),  # type: ignore[arg-type]
        lambda: BinanceSocketManager(max_queue_size=0),
        lambda: BinanceSocketManager(user_timeout=-1),
        lambda: BinanceSocketManager(ping_interval=0.5),
        lambda: BinanceSocketManager("key"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidRequest):
            wrong()
    with pytest.raises(AuthenticationError):
        bm.user_socket()


def test_a_name_that_the_exchange_refuses_fails_its_socket_alone(exchange: Sandbox, make: Make) -> None:
    bm = make()
    with bm.trade_socket("BNBBTC") as socket:
        with pytest.raises(Exception, match="stream name"), bm.multiplex_socket(["x" * 101, "neobtc@trade"]):
            pass
        trade(exchange)
        assert socket.recv(PATIENCE)["t"] == 1
