"""wsclient's Binance: sockets that share a connection, and the request API's client."""

import asyncio

from wsclient.binance import BinanceSocketManager, Client

from .. import measure, streams
from ..measure import Figures


def _manager(url: str) -> BinanceSocketManager:
    return BinanceSocketManager(url=url, overflow="block")  # nothing is dropped


def multiplex(url: str, count: int) -> Figures:
    """Received by a coroutine."""

    async def run() -> Figures:
        async with _manager(url).multiplex_socket(streams.NAMES) as socket:
            await socket.recv()
            timed = measure.Timed(count)
            for _ in range(count):
                await socket.recv()
            return timed.ended()

    return asyncio.run(run())


def plain(url: str, count: int) -> Figures:
    """Received by a thread."""
    with _manager(url).multiplex_socket(streams.NAMES) as socket:
        socket.recv()
        timed = measure.Timed(count)
        for _ in range(count):
            socket.recv()
        return timed.ended()


def signed_window(url: str, size: int, count: int, warm_up: int) -> Figures:
    with Client(streams.KEY, streams.SECRET, url=url) as client:
        return measure.window(
            lambda: client.submit("order.status", symbol="BTCUSDT", origClientOrderId="mine"), size, count, warm_up
        )


def signed_calls(url: str, count: int, warm_up: int) -> Figures:
    with Client(streams.KEY, streams.SECRET, url=url) as client:
        return measure.latencies(
            lambda: client.call("order.status", symbol="BTCUSDT", origClientOrderId="mine"), count, warm_up
        )
