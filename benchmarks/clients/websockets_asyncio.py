"""websockets, its asyncio client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from .. import measure
from ..measure import Figures
from ..texts import MARK, START, Handler
from . import asynchronous


def feed(url: str, count: int, parse: bool) -> Figures:
    async def run() -> Figures:
        loads = json.loads
        received = 0
        async with connect(url, compression=None, proxy=None) as ws:
            timed = measure.Timed(count)
            await ws.send(json.dumps({**START, "tag": 1}))
            async for text in ws:
                received += 1
                if parse:
                    loads(text)
            return timed.ended(received)

    return asyncio.run(run())


async def _receive(
    ws: ClientConnection, pending: asynchronous.Pending, handler: Handler | None, noisy: bool
) -> None:
    async for text in ws:
        assert isinstance(text, str)
        if not noisy or MARK in text:
            pending.resolve(text)
        if handler is not None:
            handler(text)


@asynccontextmanager
async def _caller(
    url: str, handler: Handler | None = None, noisy: bool = False
) -> AsyncIterator[asynchronous.Call]:
    async with connect(url, compression=None, proxy=None) as ws:
        pending = asynchronous.Pending()

        async def call(request: dict[str, Any]) -> Any:
            text, future = pending.add(request)
            await ws.send(text)
            return await future

        receiving = asyncio.create_task(_receive(ws, pending, handler, noisy))
        yield call
        receiving.cancel()


calls = partial(asynchronous.calls, _caller)
feed_calls = partial(asynchronous.feed_calls, _caller)
memory = partial(asynchronous.memory, _caller)
