"""The socket manager's document, example by example, changed in nothing but import and url."""

import asyncio
import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import event_threads
from tests.integration.binance_market import managers, run, trade, trading
from tests.peers import PATIENCE
from wsclient import ClientClosed, Reconnect
from wsclient.binance import BinanceSocketManager, Client, Socket, enums
from wsclient.binance.enums import *  # noqa: F403 - as the document has it
from wsclient.sandbox import Sandbox
from wsclient.sandbox.binance_limits import BinanceSettings

Make = Callable[..., BinanceSocketManager]


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, binance=BinanceSettings(orders_10s=None)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


@pytest.fixture
def make(exchange: Sandbox) -> Iterator[Make]:
    yield from managers(exchange)


@pytest.fixture
def client(exchange: Sandbox) -> Iterator[Client]:
    key = exchange.users[0].binance
    with Client(key.api_key, key.api_secret, url=exchange.binance_api_url, socket_timeout=PATIENCE) as client:
        yield client


def test_create_the_manager_and_receive_from_a_trade_socket(exchange: Sandbox, client: Client) -> None:
    async def main() -> Any:
        bm = BinanceSocketManager(client)
        # start any sockets here, i.e a trade socket
        ts = bm.trade_socket('BNBBTC')  # fmt: skip
        # then start receiving messages
        async with ts as tscm:
            trade(exchange)
            res = await tscm.recv()
            print(res)
        bm.stop()
        return res

    res = run(main())
    assert (res["e"], res["s"], res["t"]) == ("trade", "BNBBTC", 1)


def test_set_a_custom_timeout(client: Client) -> None:
    # set a timeout of 60 seconds
    bm = BinanceSocketManager(client, user_timeout=60)
    assert not event_threads()
    bm.stop()


def test_manually_enter_and_exit_the_context_manager(exchange: Sandbox, client: Client) -> None:
    async def main() -> Any:
        bm = BinanceSocketManager(client)
        ts = bm.trade_socket('BNBBTC')  # fmt: skip
        # enter the context manager
        await ts.__aenter__()
        trade(exchange)
        # receive a message
        msg = await ts.recv()
        # exit the context manager
        await ts.__aexit__()
        with pytest.raises(ClientClosed):
            await ts.recv()
        bm.stop()
        return msg

    assert run(main())["t"] == 1


def test_a_socket_that_cant_reconnect_tells_the_callback(exchange: Sandbox, make: Make) -> None:
    told: queue.Queue[Any] = queue.Queue()

    # check for it like so
    def process_message(msg: Any) -> None:
        if msg['e'] == 'error':  # fmt: skip
            told.put(msg)  # close and restart the socket
        else:
            told.put(msg["t"])  # process message normally

    tries: list[float] = []
    bm = make(reconnect=Reconnect(base=0, random=lambda: tries.append(1) or 0.0))  # type: ignore[func-returns-value]
    bm.trade_socket('BNBBTC', process_message)  # fmt: skip
    exchange.ledger.wait_for(lambda ledger: ledger.executed("SUBSCRIBE"))
    trade(exchange)
    assert told.get(timeout=PATIENCE) == 1
    exchange.stop()
    assert told.get(timeout=PATIENCE) == {'e': 'error', 'm': 'Max reconnect retries reached'}  # fmt: skip
    assert len(tries) == 5


def test_multiplex_socket(exchange: Sandbox, make: Make) -> None:
    bm = make()
    # pass a list of stream names
    ms = bm.multiplex_socket(['bnbbtc@aggTrade', 'neobtc@ticker'])  # fmt: skip
    with ms as socket, trading(exchange):
        seen: dict[str, str] = {}
        while len(seen) < 2:
            message = socket.recv(PATIENCE)
            seen[message["stream"]] = message["data"]["e"]
    assert seen == {"bnbbtc@aggTrade": "aggTrade", "neobtc@ticker": "24hrTicker"}


def all_sockets(bm: BinanceSocketManager, callback: Any) -> dict[Socket, str]:
    """Each socket of the document, and what its events are called."""
    return {
        bm.depth_socket('BNBBTC'): "depthUpdate",
        bm.depth_socket('BNBBTC', depth=BinanceSocketManager.WEBSOCKET_DEPTH_5): "",
        bm.kline_socket('BNBBTC', interval=KLINE_INTERVAL_30MINUTE): "kline",  # noqa: F405
        bm.aggtrade_socket('BNBBTC'): "aggTrade",
        bm.trade_socket('BNBBTC'): "trade",
        bm.symbol_ticker_socket('BNBBTC'): "24hrTicker",
        bm.ticker_socket(callback): "24hrTicker",
        bm.miniticker_socket(): "24hrMiniTicker",
        bm.miniticker_socket(5000): "24hrMiniTicker",
        bm.symbol_book_ticker_socket('BNBBTC'): "",
    }  # fmt: skip


def test_every_market_socket_of_the_document_brings_its_events(exchange: Sandbox, make: Make) -> None:
    process_message: queue.Queue[Any] = queue.Queue()
    sockets = all_sockets(make(), process_message.put)

    async def first(socket: Socket) -> Any:
        async with socket as entered:
            async for message in entered:
                return message
        raise AssertionError("it ended")

    async def main() -> list[Any]:
        return await asyncio.gather(*(first(socket) for socket in sockets))

    with trading(exchange):
        messages = run(main())
        called = process_message.get(timeout=PATIENCE)
    assert [message.get("e", "") for message in messages] == list(sockets.values())
    assert called["e"] == "24hrTicker"
    assert {"lastUpdateId", "bids", "asks"} <= messages[1].keys()
    assert messages[2]["k"]["i"] == "30m"
    assert len(exchange.ledger.connections) == 1


def test_user_sockets_for_spot_and_both_kinds_of_margin(client: Client, make: Make) -> None:
    bm = make(client)
    symbol = "BNBBTC"
    sockets = [bm.user_socket(), bm.margin_socket(), bm.isolated_margin_socket(symbol)]

    async def main() -> list[Any]:
        for socket in sockets:
            await socket.__aenter__()
        client.order_place("BTCUSDT", "BUY", "LIMIT", "0.001", "100")
        return [await socket.recv() for socket in sockets]

    assert {(event["e"], event["X"]) for event in run(main())} == {("executionReport", "NEW")}


def test_the_words_of_the_enums_are_the_exchanges() -> None:
    names = [name for name in dir(enums) if name.startswith("KLINE_INTERVAL_")]
    assert len(names) == 16
    assert KLINE_INTERVAL_30MINUTE == "30m"  # noqa: F405
    assert (WEBSOCKET_DEPTH_5, WEBSOCKET_DEPTH_10, WEBSOCKET_DEPTH_20) == ("5", "10", "20")  # noqa: F405
