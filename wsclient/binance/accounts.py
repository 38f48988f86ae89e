"""Where the messages of user sockets come from: the request API for spot, streams named by a listenKey for margin.

Source: the protocol page, "WebSocket API (request and reply)", the paragraph "User data".
"""

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from ..core.worker import Job, Worker
from ..errors import ClientClosed, CommandError, InvalidRequest, WSClientError
from .client import Client
from .multiplexer import Multiplexer
from .stream import Sink

logger = logging.getLogger("wsclient")


class SpotFeed:
    """The events of a client's account, on the client's own connection. Subscribing waits, on the worker."""

    def __init__(self, client: Client, worker: Worker) -> None:
        self._client = client
        self._worker = worker
        self._remove: Callable[[], None] | None = None  # the worker's

    def begin(self, sink: Sink) -> "Future[None]":
        ready: Future[None] = Future()
        self._worker.do(lambda: self._begin(sink, ready))
        return ready

    def _begin(self, sink: Sink, ready: "Future[None]") -> None:
        try:
            self._remove = self._client.user_data(lambda event: sink.put(event))
        except (WSClientError, TimeoutError) as error:
            ready.set_exception(error)
            if isinstance(error, WSClientError):
                sink.failed(error)
        else:
            ready.set_result(None)

    def end(self, sink: Sink) -> None:
        self._worker.do(self._end)

    def _end(self) -> None:
        remove, self._remove = self._remove, None
        if remove is not None:
            remove()


class ListenKeys(Protocol):
    """How the keys of one account's user streams are had. It may block, and raise any `WSClientError`."""

    def start(self) -> str:
        """A key; the one that there is, made to last longer, or a new one."""

    def ping(self, key: str) -> None:
        """Makes a key last longer. Raises `CommandError` if there is no such key any more."""

    def stop(self, key: str) -> None:
        """Gives a key back."""


class RequestedKeys:
    """Keys asked for over the request API.

    scope: what `userDataStream.start` is asked with: {"margin": "CROSS"}, or "ISOLATED" and the symbol
    timeout: seconds for an answer
    """

    def __init__(self, client: Client, scope: dict[str, str], timeout: float) -> None:
        self._client = client
        self._scope = scope
        self._timeout = timeout

    def start(self) -> str:
        answer = self._client.call("userDataStream.start", self._timeout, **self._scope)
        key = answer.get("listenKey") if isinstance(answer, dict) else None
        if not isinstance(key, str):
            raise InvalidRequest("the exchange gave no listenKey")
        return key

    def ping(self, key: str) -> None:
        self._client.call("userDataStream.ping", self._timeout, listenKey=key)

    def stop(self, key: str) -> None:
        self._client.call("userDataStream.stop", self._timeout, listenKey=key)


class KeyedFeed:
    """The events of a margin account: those of the stream that is named by its listenKey.

    keep_alive: seconds after which the key is made to last longer, again and again
    """

    def __init__(self, keys: ListenKeys, streams: Multiplexer, worker: Worker, keep_alive: float) -> None:
        self._keys = keys
        self._streams = streams
        self._worker = worker
        self._keep_alive = keep_alive
        # touched by the worker alone:
        self._sink: _Keyed | None = None
        self._key: str | None = None
        self._next: Job | None = None

    def begin(self, sink: Sink) -> "Future[None]":
        ready: Future[None] = Future()
        self._worker.do(lambda: self._begin(sink, ready))
        return ready

    def end(self, sink: Sink) -> None:
        self._worker.do(self._end)

    def _begin(self, sink: Sink, ready: "Future[None]") -> None:
        self._sink = _Keyed(sink, lambda: self._worker.do(self._renew))
        try:
            subscribed = self._follow(self._keys.start())
        except (WSClientError, TimeoutError) as error:
            self._sink = None
            ready.set_exception(error)
            if isinstance(error, WSClientError):
                sink.failed(error)
            return
        subscribed.add_done_callback(lambda done: _copy(done, ready))
        self._ping_later()

    def _follow(self, key: str) -> "Future[None]":
        assert self._sink is not None
        old, self._key = self._key, key
        subscribed = self._streams.begin(self._sink, [key])
        if old is not None:
            self._streams.end(self._sink, [old])
        return subscribed

    def _ping_later(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._worker.do(self._ping, self._keep_alive)

    def _ping(self) -> None:
        if self._key is None:
            return
        try:
            self._keys.ping(self._key)
        except CommandError:
            self._renew()
            return
        except (WSClientError, TimeoutError) as error:
            logger.warning("a listenKey can't be kept alive for now: %s", error)
        self._ping_later()

    def _renew(self) -> None:
        """The key has expired: goes on with another one."""
        if self._sink is None:
            return
        try:
            key = self._keys.start()
            if key != self._key:
                self._follow(key)
        except ClientClosed:
            return
        except CommandError as error:
            self._sink.failed(error)
            return
        except (WSClientError, TimeoutError) as error:
            logger.warning("an expired listenKey can't be replaced for now: %s", error)
            self._next = self._worker.do(self._renew, 5.0)
            return
        self._ping_later()

    def _end(self) -> None:
        sink, key = self._sink, self._key
        self._sink = self._key = None
        if self._next is not None:
            self._next.cancel()
        if sink is None or key is None:
            return
        self._streams.end(sink, [key])
        try:
            self._keys.stop(key)
        except (WSClientError, TimeoutError) as error:
            logger.info("a listenKey couldn't be given back: %s", error)


class _Keyed:
    """Passes on what comes, without the key, and tells when the key has expired."""

    def __init__(self, sink: Sink, expired: Callable[[], object]) -> None:
        self._sink = sink
        self._expired = expired

    def put(self, item: str | dict[str, Any]) -> None:
        if isinstance(item, str):
            try:
                item = json.loads(item)["data"]
            except (ValueError, TypeError, KeyError):
                logger.error("what came on a user stream can't be read")
                return
        assert isinstance(item, dict)
        if item.get("e") == "listenKeyExpired":
            self._expired()
        self._sink.put(item)

    def subscribed(self) -> None:
        self._sink.subscribed()

    def lost(self) -> None:
        self._sink.lost()

    def failed(self, error: WSClientError) -> None:
        self._sink.failed(error)


def _copy(done: "Future[None]", ready: "Future[None]") -> None:
    error = done.exception()
    if error is None:
        ready.set_result(None)
    else:
        ready.set_exception(error)
