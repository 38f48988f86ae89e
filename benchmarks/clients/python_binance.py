"""python-binance: its BinanceSocketManager, and its calls over the WebSocket API."""

import asyncio
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.ws.websocket_api import WebsocketAPI

from .. import measure, streams
from ..measure import Figures


def multiplex(url: str, count: int) -> Figures:
    async def run() -> Figures:
        client = AsyncClient(streams.KEY, streams.SECRET)
        manager = BinanceSocketManager(client, max_queue_size=count + 10)  # nothing is dropped
        manager.STREAM_URL = f"{url}/"  # to which it adds "stream?streams=…"
        async with manager.multiplex_socket(list(streams.NAMES)) as socket:
            await socket.recv()
            timed = measure.Timed(count)
            for _ in range(count):
                await socket.recv()
            return timed.ended()

    return asyncio.run(run())


def signed_window(url: str, size: int, count: int, warm_up: int) -> Figures:
    async def run() -> Figures:
        client = AsyncClient(streams.KEY, streams.SECRET)
        client.ws_api = WebsocketAPI(url=url)

        def send() -> "asyncio.Future[Any]":
            call: asyncio.Future[Any] = asyncio.ensure_future(
                client.ws_get_order(symbol="BTCUSDT", origClientOrderId="mine")
            )
            return call

        return await measure.async_window(send, size, count, warm_up)

    return asyncio.run(run())


def signed_calls(url: str, count: int, warm_up: int) -> Figures:
    async def run() -> Figures:
        client = AsyncClient(streams.KEY, streams.SECRET)
        client.ws_api = WebsocketAPI(url=url)
        return await measure.async_latencies(
            lambda: client.ws_get_order(symbol="BTCUSDT", origClientOrderId="mine"), count, warm_up
        )

    return asyncio.run(run())
