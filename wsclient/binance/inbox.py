"""What came on a socket and wasn't received yet: put in by threads that read, taken out by coroutines and threads.

Decoding is left to whoever takes a message out: what is dropped isn't decoded.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, get_args

from ..errors import ClientClosed, InvalidRequest, ProtocolError, WSClientError, same_again

Overflow: TypeAlias = Literal["drop_oldest", "drop_newest", "block"]
OVERFLOWS: Final[tuple[str, ...]] = get_args(Overflow)

Item: TypeAlias = str | dict[str, Any]


class Inbox:
    """Any number of threads put in and take out.

    size: messages that may wait
    overflow: what happens with more of them. "drop_oldest", "drop_newest": the one that waits longest is dropped,
        or the one that just came. "block": whoever brings it waits for room, so that nothing is dropped
    wrapped: whether messages are given with the name of their stream: {"stream", "data"}
    loads: decodes a text
    """

    def __init__(
        self,
        size: int,
        overflow: Overflow,
        wrapped: bool,
        loads: Callable[[str], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InvalidRequest(f"max_queue_size is a positive number of messages, not {size!r}")
        if overflow not in OVERFLOWS:
            raise InvalidRequest(f"overflow is one of {', '.join(OVERFLOWS)}, not {overflow!r}")
        self._size = size
        self._overflow = overflow
        self._wrapped = wrapped
        self._loads = loads
        self._clock = clock
        self.dropped = 0
        self._items: deque[Item] = deque()  # its own operations need no lock
        self._parts: deque[dict[str, Any]] = deque()  # of a message that has several
        self._lock = threading.Lock()  # guards what follows, for writing
        self._arrived = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._blocked = 0  # threads that wait for room
        self._sleeping = 0  # threads that wait for a message
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()  # coroutines
        self._awaited = False  # either of them, for a quick look
        self._open = False
        self._failure: WSClientError | None = None

    def __len__(self) -> int:
        return len(self._items) + len(self._parts)

    # -- whoever brings messages

    def put(self, item: Item) -> None:
        """Adds a message; not while this is closed."""
        items = self._items
        if len(items) >= self._size and not self._makes_room():
            return
        if not self._open:
            return
        items.append(item)
        if self._awaited:
            self._wake()

    def _makes_room(self) -> bool:
        if self._overflow == "drop_oldest":
            with self._lock:
                self.dropped += 1
            try:
                self._items.popleft()
            except IndexError:
                pass  # it was taken just now
            return True
        if self._overflow == "drop_newest":
            with self._lock:
                self.dropped += 1
            return False
        with self._room:
            self._blocked += 1
            try:
                self._room.wait_for(lambda: len(self._items) < self._size or not self._open)
            finally:
                self._blocked -= 1
            return self._open

    def _wake(self, count: int = 1) -> None:
        """Lets those look who wait: so many threads, and every coroutine, since its loop may not run any more."""
        with self._lock:
            if self._sleeping:
                self._arrived.notify(count)
            self._wake_coroutines()
            self._awaited = bool(self._sleeping)

    def _wake_coroutines(self) -> None:
        waiters = list(self._waiters)
        self._waiters.clear()
        for loop, waiter in waiters:
            try:
                loop.call_soon_threadsafe(_wake_coroutine, waiter)
            except RuntimeError:
                pass  # its loop was closed meanwhile

    # -- its beginning and its end

    def open(self) -> None:
        """Messages are taken from now on; what was left is forgotten."""
        with self._lock:
            self._items.clear()
            self._parts.clear()
            self._failure = None
            self._open = True

    def fail(self, item: Item, error: WSClientError) -> None:
        """This is the last message; who wants one more is told the error."""
        with self._lock:
            if not self._open or self._failure is not None:
                return
            self._items.append(item)
            self._failure = error
            self._end()

    def close(self) -> None:
        """Nothing is taken or given any more."""
        with self._lock:
            self._open = False
            self._items.clear()
            self._parts.clear()
            self._end()

    def _end(self) -> None:
        self._arrived.notify_all()
        self._room.notify_all()
        self._wake_coroutines()

    # -- whoever receives

    def take(self) -> dict[str, Any]:
        """The next message. Raises `IndexError` where there is none, `ProtocolError` for what can't be read."""
        while True:
            if self._parts:
                return self._parts.popleft()
            item = self._items.popleft()
            if self._blocked and len(self._items) <= self._size // 2:
                with self._lock:
                    self._room.notify_all()
            if item.__class__ is not str:
                return item  # type: ignore[return-value]
            try:
                message = self._loads(item)
                if self._wrapped:
                    return message  # type: ignore[no-any-return]
                data = message["data"]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ProtocolError(f"what came on a stream can't be read: {error}") from error
            if data.__class__ is not list:
                return data  # type: ignore[no-any-return]
            self._parts.extend(data)
            if self._awaited and len(data) > 1:
                self._wake(len(data) - 1)

    def decoded(self, item: Item) -> list[dict[str, Any]]:
        """The messages that an item is. Raises `ValueError`, `TypeError`, `KeyError` for what can't be read."""
        if not isinstance(item, str):
            return [item]
        message = self._loads(item)
        data = message["data"]
        return [message] if self._wrapped else data if isinstance(data, list) else [data]

    def _check(self) -> None:
        if self._failure is not None and not len(self):
            raise same_again(self._failure) from self._failure
        if not self._open:
            raise ClientClosed("this socket isn't open: enter it first")

    def receive(self, timeout: float | None) -> dict[str, Any]:
        """The next message; waits for it. Raises `TimeoutError`, `ClientClosed`, and what this has failed of."""
        until = None if timeout is None else self._clock() + timeout
        while True:
            try:
                return self.take()
            except IndexError:
                pass
            left = None if until is None else until - self._clock()
            with self._arrived:
                self._sleeping += 1
                self._awaited = True
                try:
                    # where no time is left, another one was quicker each time
                    came = (left is None or left > 0) and self._arrived.wait_for(
                        lambda: len(self) or not self._open or self._failure is not None, left
                    )
                finally:
                    self._sleeping -= 1
                    self._awaited = bool(self._sleeping or self._waiters)
                self._check()
            if not came:
                raise TimeoutError(f"no message within {timeout:g} s")

    async def arrival(self) -> None:
        """Waits until there may be a message. Raises like `receive`."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        with self._lock:
            self._check()
            self._waiters.append((loop, waiter))
            self._awaited = True
            if len(self):  # it came just before somebody could have been told that we wait
                self._wake_coroutines()
        try:
            await waiter
        except asyncio.CancelledError:
            with self._lock:
                if (loop, waiter) in self._waiters:
                    self._waiters.remove((loop, waiter))
            raise


def _wake_coroutine(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
