"""websockets, its threading client: a loop for the feed; for calls a thread that receives and resolves futures."""

import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from .. import measure
from ..measure import Figures
from ..texts import CALL, MARK, START, Handler


class Caller:
    """Calls from any thread; a thread of its own receives.

    handler: given every text
    noisy: a feed runs, so that only texts with a tag are parsed
    """

    def __init__(self, ws: ClientConnection, handler: Handler | None = None, noisy: bool = False) -> None:
        self._ws = ws
        self._tags = itertools.count(1)
        self._pending: dict[int, Future[Any]] = {}
        receive: Callable[[], None] = self._receive if handler is None else lambda: self._hand_over(handler, noisy)
        threading.Thread(target=receive, daemon=True).start()

    def send(self, request: dict[str, Any]) -> "Future[Any]":
        tag = next(self._tags)
        future: Future[Any] = Future()
        self._pending[tag] = future
        self._ws.send(json.dumps({**request, "tag": tag}))
        return future

    def call(self, request: dict[str, Any]) -> Any:
        return self.send(request).result()

    def _receive(self) -> None:
        pending = self._pending
        for text in self._ws:
            message = json.loads(text)
            future = pending.pop(message.get("tag"), None)
            if future is not None:
                future.set_result(message)

    def _hand_over(self, handler: Handler, noisy: bool) -> None:
        pending = self._pending
        for text in self._ws:
            assert isinstance(text, str)
            if not noisy or MARK in text:
                message = json.loads(text)
                future = pending.pop(message.get("tag"), None)
                if future is not None:
                    future.set_result(message)
            handler(text)


def _connect(url: str) -> AbstractContextManager[ClientConnection]:
    return connect(url, compression=None, proxy=None)


def feed(url: str, count: int, parse: bool) -> Figures:
    with _connect(url) as ws:
        timed = measure.Timed(count)
        ws.send(json.dumps({**START, "tag": 1}))
        return timed.ended(measure.consume(ws, parse))


def calls(url: str, count: int, warm_up: int, handler: bool) -> Figures:
    with _connect(url) as ws:
        caller = Caller(ws, _ignore if handler else None)
        return measure.latencies(lambda: caller.call(CALL), count, warm_up)


def feed_calls(url: str, count: int, warm_up: int) -> Figures:
    received = 0

    def counted(text: str) -> None:
        nonlocal received
        received += 1

    with _connect(url) as ws:
        caller = Caller(ws, counted, noisy=True)
        caller.call(START)
        return measure.latencies(lambda: caller.call(CALL), count, warm_up)


def threads(url: str, threads: int, each: int, warm_up: int) -> Figures:
    with _connect(url) as ws:
        caller = Caller(ws)
        return measure.threads(lambda: caller.call(CALL), threads, each, warm_up)


def window(url: str, size: int, count: int, warm_up: int) -> Figures:
    with _connect(url) as ws:
        caller = Caller(ws)
        return measure.window(lambda: caller.send(CALL), size, count, warm_up)


def memory(url: str, connections: int) -> Figures:
    def connected() -> object:
        context = _connect(url)
        caller = Caller(context.__enter__())
        caller.call(CALL)
        return context, caller

    return measure.memory(connected, connections)


def _ignore(text: str) -> None:
    pass
