"""picows, on asyncio's own event loop."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from .. import measure
from ..measure import Figures
from ..texts import CALL, MARK, START, Handler
from . import asynchronous


class _Parsed(WSListener):
    def __init__(self) -> None:
        self.received = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.received += 1
            json.loads(frame.get_payload_as_utf8_text())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


class _Raw(WSListener):
    def __init__(self) -> None:
        self.received = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.received += 1
            frame.get_payload_as_utf8_text()
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


def feed(url: str, count: int, parse: bool) -> Figures:
    async def run() -> Figures:
        transport, listener = await ws_connect(_Parsed if parse else _Raw, url)
        timed = measure.Timed(count)
        transport.send(WSMsgType.TEXT, json.dumps({**START, "tag": 1}).encode())
        await transport.wait_disconnected()
        return timed.ended(listener.received)

    return asyncio.run(run())


class _Caller(WSListener):
    """Resolves futures by tag, right where the frame is read."""

    def __init__(self, handler: Handler | None, noisy: bool) -> None:
        self._handler = handler
        self._noisy = noisy
        self._pending = asynchronous.Pending()
        self._transport: Any = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            text = frame.get_payload_as_utf8_text()
            if not self._noisy or MARK in text:
                self._pending.resolve(text)
            if self._handler is not None:
                self._handler(text)

    def send(self, request: dict[str, Any]) -> "asyncio.Future[Any]":
        text, future = self._pending.add(request)
        self._transport.send(WSMsgType.TEXT, text.encode())
        return future


@asynccontextmanager
async def _listening(url: str, handler: Handler | None = None, noisy: bool = False) -> AsyncIterator[_Caller]:
    transport, listener = await ws_connect(lambda: _Caller(handler, noisy), url)
    yield listener
    transport.disconnect()


@asynccontextmanager
async def _caller(
    url: str, handler: Handler | None = None, noisy: bool = False
) -> AsyncIterator[asynchronous.Call]:
    async with _listening(url, handler, noisy) as listener:
        yield listener.send


calls = partial(asynchronous.calls, _caller)
feed_calls = partial(asynchronous.feed_calls, _caller)
memory = partial(asynchronous.memory, _caller)


def window(url: str, size: int, count: int, warm_up: int) -> Figures:
    async def run() -> Figures:
        async with _listening(url) as listener:
            return await measure.async_window(lambda: listener.send(CALL), size, count, warm_up)

    return asyncio.run(run())
