"""What a `BinanceSocketManager` makes: a socket, for coroutines and for threads."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from ..errors import ClientClosed, InvalidRequest, WouldDeadlock, WSClientError
from .inbox import Inbox, Item
from .stream import Sink

logger = logging.getLogger("wsclient")

Message = dict[str, Any]
Callback = Callable[[Message], object]


def check_callback(callback: object) -> None:
    """Raises `InvalidRequest` for what can't be called with messages."""
    if not callable(callback):
        raise InvalidRequest(f"a callback must be callable, not {callback!r}")
    if iscoroutinefunction(callback) or iscoroutinefunction(getattr(callback, "__call__", None)):  # noqa: B004
        raise InvalidRequest(
            f"nobody would await the coroutines of {callback!r}: `async with` the socket, and await its `recv()`"
        )


class Feed(Protocol):
    """Where a socket's messages come from."""

    def begin(self, sink: Sink) -> "Future[None]":
        """Brings messages from now on; tells when they are subscribed to. Quick: it waits for nothing."""

    def end(self, sink: Sink) -> None:
        """Brings no more."""

    def without(self, error: WSClientError) -> str | None:
        """The name of what alone an error has ended, where the rest goes on; None where nothing does."""


class Socket:
    """One socket of a `BinanceSocketManager`, open from its entering to its leaving.

        async with manager.trade_socket("BNBBTC") as socket:        # a coroutine's
            message = await socket.recv()

        with manager.trade_socket("BNBBTC") as socket:              # a thread's
            message = socket.recv(timeout=5)

    Either can be iterated over. Entering waits until the exchange has confirmed the subscription, and raises why
    that couldn't be had; in a callback, which can't wait, a thread's way raises `WouldDeadlock`. Those who enter
    one socket several times share its messages; the last to leave ends it.

    A message is a dict, as the exchange documents the event; where it tells several in one array, each comes by
    itself. A connection that is lost is got back by itself. Where that fails, the last message is
    `{"e": "error", "m": "Max reconnect retries reached"}`, after which `recv` raises; leave the socket and enter
    it again to try again. Where the exchange gives back all but one of several streams, the message
    `{"e": "error", "m": …, "stream": name}` says so, and the others go on.
    """

    def __init__(
        self,
        title: str,
        feed: Feed,
        inbox: Inbox,
        on_event_thread: Callable[[], bool] = lambda: False,
        called: "set[Socket] | None" = None,
    ) -> None:
        self._called: set[Socket] = set() if called is None else called  # which keeps those with callbacks
        self.on_event_thread = on_event_thread  # whether the caller's is one that brings messages
        self._title = title
        self._feed = feed
        self._inbox = inbox
        # for whoever brings messages: where there is no callback, the inbox itself
        self.put: Callable[[Item], None] = inbox.put
        self._turn = threading.RLock()  # guards what follows; a feed begins and ends while it is held
        self._users = 0
        self._closings = 0  # how often it was ended for all
        self._callbacks: tuple[Callback, ...] = ()
        self._ready: Future[None] | None = None  # while the feed is begun: whether it brings messages
        self._entered: Literal["with", "async with"] | None = None  # how it was last; read without the lock

    def __repr__(self) -> str:
        return f"<{self._title} socket, {'open' if self._ready is not None else 'closed'}>"

    @property
    def dropped(self) -> int:
        """Messages that nobody received in time, so that they gave way to others; see `overflow`."""
        return self._inbox.dropped

    def __len__(self) -> int:
        """How many messages wait to be received."""
        return len(self._inbox)

    def __bool__(self) -> bool:
        return True

    # -- coroutines

    async def __aenter__(self) -> Self:
        ready, closings = self._enter("async with")
        try:
            await asyncio.wrap_future(_own(ready))
        except BaseException:
            self._leave(closings)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._leave()

    def recv(self, timeout: float | None = None) -> Coroutine[Any, Any, Message]:
        """The next message, to be awaited. A thread asks what `with` has given it, see `PlainSocket`.

        timeout: seconds; without it as long as it takes

        Raises `TimeoutError`, `ClientClosed` when the socket was left, and why it has ended after the message that
        says so; at once `InvalidRequest` where the socket was never entered, or by a thread, which can't await.
        """
        if self._entered is None:
            raise InvalidRequest("enter the socket first: `async with` it, or `with` it in a thread")
        if self._entered == "with" and not _in_coroutine():
            raise InvalidRequest("a thread receives from what it has entered: `with … as socket: socket.recv()`")
        return self._received() if timeout is None else asyncio.wait_for(self._received(), timeout)

    async def _received(self) -> Message:
        inbox = self._inbox
        while True:
            try:
                return inbox.take()
            except IndexError:
                await inbox.arrival()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.recv()
        except ClientClosed:
            raise StopAsyncIteration from None

    # -- threads

    def __enter__(self) -> "PlainSocket":
        ready, closings = self._enter("with")
        try:
            if not ready.done() and self.on_event_thread():
                raise WouldDeadlock(
                    "entering a socket waits for what only this thread, the event thread, can read"
                )
            ready.result()
        except BaseException:
            self._leave(closings)
            raise
        return PlainSocket(self, self._inbox)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    # -- callbacks

    def add_callback(self, callback: Callback) -> None:
        """Begins the socket, if need be, and calls `callback(message)` for each message, on the thread that reads.

        What it raises is logged, and changes nothing. It ends with `close()`. Raises `InvalidRequest` for what
        can't be called so, coroutine functions too.
        """
        check_callback(callback)
        with self._turn:
            if callback not in self._callbacks:
                self._callbacks = (*self._callbacks, callback)
            self._called.add(self)
            self.put = self._call_and_put
            self._begin()

    def close(self) -> None:
        """Ends the socket for all who use it."""
        with self._turn:
            self._users = 0
            self._closings += 1
            self._callbacks = ()
            self._called.discard(self)
            self.put = self._inbox.put
            ready = self._end()
        self._told_closed(ready)

    # -- in and out

    def _enter(self, how: Literal["with", "async with"]) -> "tuple[Future[None], int]":
        with self._turn:
            self._entered = how
            if not self._users:
                self._inbox.open()
            ready = self._begin()
            self._users += 1
            return ready, self._closings

    def _begin(self) -> "Future[None]":
        if self._ready is not None:
            return self._ready
        if self._users:
            self._inbox.open()  # it had failed
        begun = self._feed.begin(self)
        # our own, since who ends the socket meanwhile has to end this, too
        ready = self._ready = Future()
        begun.add_done_callback(lambda begun: _settle(ready, begun.exception()))
        return ready

    def _leave(self, closings: int | None = None) -> None:
        """One user less, unless the socket was closed for him already, since when others may have entered it."""
        with self._turn:
            if not self._users or closings not in (None, self._closings):
                return
            self._users -= 1
            if self._users:
                return
            self._inbox.close()
            ready = None if self._callbacks else self._end()
        self._told_closed(ready)

    def _end(self) -> "Future[None] | None":
        self._inbox.close()
        ready, self._ready = self._ready, None
        if ready is not None:
            self._feed.end(self)
        return ready

    @staticmethod
    def _told_closed(ready: "Future[None] | None") -> None:
        """Tells those who are still about to enter; without the lock, since that calls them back."""
        if ready is not None:
            _settle(ready, ClientClosed("the socket was closed while it was being entered"))

    # -- as the feed's sink

    def _call_and_put(self, item: Item) -> None:
        self._call(item)
        self._inbox.put(item)

    def _call(self, item: Item) -> None:
        try:
            messages = self._inbox.decoded(item)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            logger.error("what came on the %s socket can't be read: %s", self._title, error)
            return
        for message in messages:
            for callback in self._callbacks:
                try:
                    callback(message)
                except BaseException:  # sys.exit() too, which would end the thread that brings messages
                    logger.exception("the callback %r raised", callback)

    def subscribed(self) -> None:
        """It is subscribed to."""

    def lost(self) -> None:
        """What is lost is got back; nobody is told."""

    def failed(self, error: WSClientError) -> None:
        """Nothing more comes, or nothing of one of several streams."""
        with self._turn:
            ready = self._ready
            brought = ready is not None and ready.done() and ready.exception() is None
            gone = self._feed.without(error) if brought else None
            if gone is None and ready is not None:
                self._ready = None
                self._feed.end(self)
        if gone is not None:
            self.put({"e": "error", "m": str(error), "stream": gone})
        elif ready is not None:
            _settle(ready, error)
            told = {"e": "error", "m": str(error)}
            self._inbox.fail(told, error)
            self._call(told)


class PlainSocket:
    """A socket as a thread has it that has entered it."""

    def __init__(self, socket: Socket, inbox: Inbox) -> None:
        self._socket = socket
        self._inbox = inbox

    def recv(self, timeout: float | None = None) -> Message:
        """The next message; waits for it.

        timeout: seconds; without it as long as it takes

        Raises `TimeoutError`, `ClientClosed` when the socket was left, and why it has ended after the message that
        says so; `WouldDeadlock` in a callback, where there is none yet.
        """
        try:
            return self._inbox.take()
        except IndexError:
            pass
        if self._socket.on_event_thread():
            raise WouldDeadlock("waiting for a message that only this thread, the event thread, can read")
        return self._inbox.receive(timeout)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        try:
            return self.recv()
        except ClientClosed:
            raise StopIteration from None

    @property
    def dropped(self) -> int:
        """Messages that nobody received in time, so that they gave way to others; see `overflow`."""
        return self._socket.dropped

    def __len__(self) -> int:
        return len(self._inbox)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return repr(self._socket)


def _in_coroutine() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _own(ready: "Future[None]") -> "Future[None]":
    """The same for one who waits, and who may give up without ending it for others."""
    own: Future[None] = Future()
    ready.add_done_callback(lambda ready: _settle(own, ready.exception()))
    return own


def _settle(future: "Future[None]", error: BaseException | None) -> None:
    """Tells those who wait, unless they were told already or gave up."""
    try:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
    except InvalidStateError:
        pass
