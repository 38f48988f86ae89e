"""What the asyncio clients share: futures by tag, and the jobs that need no more than a way to call."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from .. import measure
from ..measure import Figures
from ..texts import CALL, START, Handler


class Pending:
    """Calls that wait for their replies, by tag."""

    def __init__(self) -> None:
        self._tags = itertools.count(1)
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._loop = asyncio.get_running_loop()

    def add(self, request: dict[str, Any]) -> "tuple[str, asyncio.Future[Any]]":
        tag = next(self._tags)
        future = self._futures[tag] = self._loop.create_future()
        return json.dumps({**request, "tag": tag}), future

    def resolve(self, text: str) -> None:
        message = json.loads(text)
        future = self._futures.pop(message.get("tag"), None)
        if future is not None:
            future.set_result(message)


Call = Callable[[dict[str, Any]], Awaitable[Any]]


class Connect(Protocol):
    """Connects, and gives what calls. handler: given every text; noisy: only texts with a tag are parsed"""

    def __call__(
        self, url: str, handler: Handler | None = None, noisy: bool = False
    ) -> AbstractAsyncContextManager[Call]: ...


def calls(connect: Connect, url: str, count: int, warm_up: int, handler: bool) -> Figures:
    async def run() -> Figures:
        async with connect(url, _ignore if handler else None) as call:
            return await measure.async_latencies(lambda: call(CALL), count, warm_up)

    return asyncio.run(run())


def feed_calls(connect: Connect, url: str, count: int, warm_up: int) -> Figures:
    received = 0

    def counted(text: str) -> None:
        nonlocal received
        received += 1

    async def run() -> Figures:
        async with connect(url, counted, noisy=True) as call:
            await call(START)
            return await measure.async_latencies(lambda: call(CALL), count, warm_up)

    return asyncio.run(run())


def memory(connect: Connect, url: str, connections: int) -> Figures:
    async def run() -> Figures:
        async def connected() -> object:
            context = connect(url)
            await (await context.__aenter__())(CALL)
            return context

        kept = [await connected() for _ in range(3)]
        before = measure.resident()
        kept += [await connected() for _ in range(connections)]
        return {"kib": (measure.resident() - before) / connections}

    return asyncio.run(run())


def _ignore(text: str) -> None:
    pass
