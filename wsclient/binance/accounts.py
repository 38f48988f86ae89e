"""Where the messages of user sockets come from: the request API for spot, streams named by a listenKey for margin.

Source: the protocol page, "WebSocket API (request and reply)", the paragraph "User data".
"""

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from ..core.worker import Job, Worker
from ..errors import ClientClosed, CommandError, InvalidRequest, TransportError, WSClientError
from .client import Client
from .multiplexer import Multiplexer
from .stream import Sink
from .userdata import Ended

logger = logging.getLogger("wsclient")


class SpotFeed:
    """The events of a client's account, on the client's own connection. Subscribing waits, on the worker."""

    def __init__(self, client: Client, worker: Worker) -> None:
        self._client = client
        self._worker = worker
        self._now: _Listening | None = None  # touched by who begins and ends this, one at a time

    def begin(self, sink: Sink) -> "Future[None]":
        one = _Listening(self._client, sink)
        _do(self._worker, one.begin, abandoned=one.refuse)
        self._now = one
        return one.ready

    def end(self, sink: Sink) -> None:
        one, self._now = self._now, None
        if one is None:
            return
        one.leave()
        if self._worker.do(one.end, abandoned=one.end).refused:
            one.end()

    def without(self, error: WSClientError) -> str | None:
        return None


class _Listening:
    """A listener of the account's events, from its beginning to its end."""

    def __init__(self, client: Client, sink: Sink) -> None:
        self.ready: Future[None] = Future()
        self._client = client
        self._sink = sink
        self._lock = threading.Lock()  # guards what follows
        self._over = False  # the sink is told nothing more: it left, or this has failed
        self._remove: Callable[[], None] | None = None

    def begin(self) -> None:
        try:
            remove = self._client.user_data(self._tell)
        except Exception as error:
            self.ready.set_exception(error)
            self._fail(error)
            return
        with self._lock:
            over = self._over
            if not over:
                self._remove = remove
        if over:  # meanwhile
            remove()
        self.ready.set_result(None)

    def refuse(self) -> None:
        """The worker was stopped."""
        self.ready.set_exception(stopped())
        self._fail(stopped())

    def leave(self) -> None:
        """The sink wants no more. Quick."""
        with self._lock:
            self._over = True

    def end(self) -> None:
        with self._lock:
            self._over = True
            remove, self._remove = self._remove, None
        if remove is not None:
            remove()

    def _tell(self, event: dict[str, Any]) -> None:
        if isinstance(event, Ended):
            self._fail(event.error)
        elif not self._over:
            self._sink.put(event)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            over, self._over = self._over, True
        if not over:
            self._sink.failed(_as_ours(error))


class ListenKeys(Protocol):
    """How the keys of one account's user streams are had. It may block, and raise whatever it likes."""

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
        _do(
            self._worker,
            lambda: self._begin(sink, ready),
            abandoned=lambda: _cant_begin(sink, ready, stopped()),
        )
        return ready

    def end(self, sink: Sink) -> None:
        self._worker.do(self._end)  # once that was stopped, so were the streams

    def without(self, error: WSClientError) -> str | None:
        return None

    def _begin(self, sink: Sink, ready: "Future[None]") -> None:
        self._sink = _Keyed(sink, lambda: self._worker.do(self._renew))
        try:
            subscribed = self._follow(self._keys.start())
        except Exception as error:
            self._sink = None
            _cant_begin(sink, ready, error)
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
        except Exception as error:  # of whatever the user's own keys are asked for with, too: the next may do
            logger.warning("a listenKey can't be kept alive for now: %s", _said(error, self._key))
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
        except Exception as error:
            logger.warning("an expired listenKey can't be replaced for now: %s", _said(error, self._key))
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
        except Exception as error:
            logger.info("a listenKey couldn't be given back: %s", _said(error, key))


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


def stopped() -> ClientClosed:
    """What is told once the manager was stopped."""
    return ClientClosed("the manager was stopped: make a new one")


def _do(worker: Worker, job: Callable[[], object], *, abandoned: Callable[[], object]) -> None:
    """Begins something on the worker. Raises `ClientClosed` where that was stopped."""
    if worker.do(job, abandoned=abandoned).refused:
        raise stopped()


def _cant_begin(sink: Sink, ready: "Future[None]", error: Exception) -> None:
    """Tells who waits why nothing has begun, and who receives."""
    ready.set_exception(error)
    sink.failed(_as_ours(error))


def _as_ours(error: Exception) -> WSClientError:
    if isinstance(error, WSClientError):
        return error
    ours = TransportError(f"the account's events can't be had: {error or type(error).__name__}")
    ours.__cause__ = error
    return ours


def _said(error: Exception, key: str | None) -> str:
    """An error for the log: without the key, which the address that was asked may have shown."""
    said = f"{type(error).__name__}: {error}"
    return said if not key else said.replace(key, "…")


def _copy(done: "Future[None]", ready: "Future[None]") -> None:
    error = done.exception()
    if error is None:
        ready.set_result(None)
    else:
        ready.set_exception(error)
