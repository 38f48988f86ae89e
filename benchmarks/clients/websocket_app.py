"""websocket-client's WebSocketApp: callbacks on a thread that runs it."""

import itertools
import json
import threading
from concurrent.futures import Future
from typing import Any

from websocket import WebSocketApp

from .. import measure
from ..measure import Figures
from ..texts import CALL, MARK, START, Handler


class Caller:
    """Calls from any thread; the thread of `run_forever` receives."""

    def __init__(self, url: str, handler: Handler | None = None, noisy: bool = False) -> None:
        self._tags = itertools.count(1)
        self._pending: dict[int, Future[Any]] = {}
        self._handler = handler
        self._noisy = noisy
        opened = threading.Event()
        self._app = WebSocketApp(url, on_open=lambda _: opened.set(), on_message=self._received)
        threading.Thread(target=self._app.run_forever, daemon=True).start()
        opened.wait()

    def send(self, request: dict[str, Any]) -> "Future[Any]":
        tag = next(self._tags)
        future: Future[Any] = Future()
        self._pending[tag] = future
        self._app.send(json.dumps({**request, "tag": tag}))
        return future

    def call(self, request: dict[str, Any]) -> Any:
        return self.send(request).result()

    def _received(self, _: WebSocketApp, text: str) -> None:
        if not self._noisy or MARK in text:
            message = json.loads(text)
            future = self._pending.pop(message.get("tag"), None)
            if future is not None:
                future.set_result(message)
        if self._handler is not None:
            self._handler(text)


def feed(url: str, count: int, parse: bool) -> Figures:
    loads = json.loads
    received = 0
    timed = None

    def start(app: WebSocketApp) -> None:
        nonlocal timed
        timed = measure.Timed(count)
        app.send(json.dumps({**START, "tag": 1}))

    def parsed(_: WebSocketApp, text: str) -> None:
        nonlocal received
        received += 1
        loads(text)

    def raw(_: WebSocketApp, text: str) -> None:
        nonlocal received
        received += 1

    WebSocketApp(url, on_open=start, on_message=parsed if parse else raw).run_forever()
    assert timed is not None
    return timed.ended(received)


def calls(url: str, count: int, warm_up: int, handler: bool) -> Figures:
    caller = Caller(url, _ignore if handler else None)
    return measure.latencies(lambda: caller.call(CALL), count, warm_up)


def feed_calls(url: str, count: int, warm_up: int) -> Figures:
    received = 0

    def counted(text: str) -> None:
        nonlocal received
        received += 1

    caller = Caller(url, counted, noisy=True)
    caller.call(START)
    return measure.latencies(lambda: caller.call(CALL), count, warm_up)


def threads(url: str, threads: int, each: int, warm_up: int) -> Figures:
    caller = Caller(url)
    return measure.threads(lambda: caller.call(CALL), threads, each, warm_up)


def window(url: str, size: int, count: int, warm_up: int) -> Figures:
    caller = Caller(url)
    return measure.window(lambda: caller.send(CALL), size, count, warm_up)


def memory(url: str, connections: int) -> Figures:
    def connected() -> Caller:
        caller = Caller(url)
        caller.call(CALL)
        return caller

    return measure.memory(connected, connections)


def _ignore(text: str) -> None:
    pass
