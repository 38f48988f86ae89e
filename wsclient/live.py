"""State that follows what an exchange says: written by one thread, read by any, and honest about its gaps."""

import logging
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, Self

from .core.listeners import Listeners
from .errors import ClientClosed, ProtocolError, WouldDeadlock, WSClientError, same_again

logger = logging.getLogger("wsclient")

Message = dict[str, Any]

MAX_HELD = 100_000
"""Notices that are kept while the answer with the snapshot is awaited."""

MAX_HELD_BYTES = 128 << 20
"""And the bytes that they may take: a notice of any market is small, but a peer decides what it sends."""


class Phase(Enum):
    """How much is known."""

    LOST = "lost"
    ASKED = "asked"
    WHOLE = "whole"


LOST, ASKED, WHOLE = Phase  # asked for at each message, and looked up in the class they take 100 ns


def _log_raised(listener: Callable[..., object], error: BaseException) -> None:
    logger.error("the listener %r raised", listener, exc_info=error)


class Live(ABC):
    """What a snapshot and the notices after it add up to.

    A watch tells it what happens: `asked` when the snapshot is asked for, from when on notices are held;
    `answered` with the snapshot, to which what was held is applied; `notice` for each notice; `lost` when the
    connection ended. It is `stale` except between an answer and the next loss, and has what was known last then.

    on_event_thread: whether the caller's is the thread that brings the notices, which can't wait for them
    renew: asks for a new snapshot, where no notice can make whole what is there
    raised: told what a listener raised; without it that is logged
    close: ends the watch
    waiting: told 1 when somebody begins to wait for a snapshot, and -1 when that is over
    max_held, max_held_bytes: notices held at most, and what they may take; with more it is lost
    """

    def __init__(
        self,
        *,
        on_event_thread: Callable[[], bool] = lambda: False,
        renew: Callable[[], object] = lambda: None,
        raised: Callable[[Callable[..., object], BaseException], object] = _log_raised,
        close: Callable[[], object] = lambda: None,
        waiting: Callable[[int], object] = lambda step: None,
        max_held: int = MAX_HELD,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._on_event_thread = on_event_thread
        self._renew = renew
        self._close = close
        self._waiting = waiting
        self._max_held = max_held
        self._max_held_bytes = max_held_bytes
        self._lock = threading.Lock()  # guards what follows, and what subclasses keep
        self._settled = threading.Condition(self._lock)
        self._phase = LOST
        self._version = 0
        self._held: list[Message] = []
        self._held_bytes = 0  # what they take, about
        self._claimed = False
        self._failure: WSClientError | None = None
        self._ended = False  # the failure is for good: only `claim` begins anew
        self._listeners = Listeners(raised)

    # -- for readers, on any thread

    @property
    def stale(self) -> bool:
        """Whether this may differ from what the exchange has: before the first snapshot, and after a loss."""
        return self._phase is not WHOLE

    @property
    def version(self) -> int:
        """A number that rises with every change, that of `stale` included."""
        return self._version

    @property
    def failure(self) -> WSClientError | None:
        """Why nothing is on its way to make this whole: what it was refused with, or why no connection was had.

        Asking the client for it again tries again.
        """
        return self._failure

    def wait(self, timeout: float | None = None) -> Self:
        """Waits until this isn't stale, and returns it.

        timeout: seconds; without it as long as it takes

        Raises `TimeoutError`; the `failure`, an equal one for each who waits; and `WouldDeadlock` on the event
        thread, which would have to bring what it waits for.
        """
        if self.stale and self._on_event_thread():
            raise WouldDeadlock(
                "waiting for a snapshot that only this thread, the event thread, can read: use on_change()"
            )
        self._waiting(1)
        try:
            with self._settled:
                self._settled.wait_for(lambda: not self.stale or self._failure is not None, timeout)
                if not self.stale:
                    return self
                failure = self._failure
        finally:
            self._waiting(-1)
        if failure is None:
            raise TimeoutError(f"no snapshot within {timeout:g} s")
        raise same_again(failure) from failure

    def on_change(self, listener: Callable[[Self], object]) -> Callable[[], None]:
        """Calls a listener with this after every change, that of `stale` included; on the event thread.

        What it raises is reported like what a handler raises, and changes nothing. Returns a function that ends
        the calls.
        """
        return self._listeners.add(listener)

    def close(self) -> None:
        """Ends it: nothing is told to it any more, and it stays stale."""
        try:
            self._close()  # first, so that nobody finds it any more who would begin what is closed
        finally:
            self.failed(ClientClosed("this was closed: ask the client for a new one"))

    # -- for the watch that is followed, in the order of the wire

    def claim(self) -> bool:
        """Whether the caller is the one to begin the watch: it is the first, or the last one failed."""
        with self._lock:
            if self._claimed and self._failure is None:
                return False
            self._claimed = True
            self._failure = None
            self._ended = False
            return True

    def asked(self) -> None:
        """The snapshot is about to be asked for: notices are held from now on."""
        with self._lock:
            if self._phase is ASKED or self._ended:
                return  # for one more answer, or once more for the same; or one of several has failed
            visible = self._phase is WHOLE
            self._phase = ASKED
            self._held = []
            self._failure = None
            self._version += visible
        if visible:
            self._tell()

    def answered(self, message: Message) -> None:
        """The snapshot came. Raises `ProtocolError` for one that can't be understood, which leaves this stale."""
        failure = None
        with self._lock:
            if self._phase is not ASKED:
                return  # it answers what was lost meanwhile
            try:
                if not self._adopt(message):
                    return
                self._phase = WHOLE
                held, self._held = self._held, []
                for notice in held:
                    self._apply(notice)
                self._settled.notify_all()
            except ProtocolError as error:
                failure = error
                self._lose(error)
            self._version += 1
            lost = self.stale
        self._changed(lost, failure)

    def notice(self, message: Message) -> None:
        """A notice came. Raises `ProtocolError` for one that can't be understood, after which this is lost."""
        failure = None
        with self._lock:
            if self._phase is LOST:
                return
            try:
                if self._phase is ASKED:
                    self._hold(message)
                    return
                if not self._apply(message):
                    return
            except ProtocolError as error:
                failure = error
                self._lose(error)
            self._version += 1
            lost = self.stale
        self._changed(lost, failure)

    def lost(self) -> None:
        """The connection ended, or the watch: this is stale until it is asked for and answered again."""
        self._end(None)

    def failed(self, error: WSClientError) -> None:
        """It couldn't be asked for, or was refused: `wait()` raises this until the user asks for it again."""
        with self._lock:
            self._ended = True
        self._end(error)

    def given_up(self, error: WSClientError) -> None:
        """No connection can be had for now: `wait()` raises this until there is one."""
        self._end(error)

    def _end(self, error: WSClientError | None) -> None:
        with self._lock:
            visible = self._phase is WHOLE
            self._lose(error)
            self._version += visible
        if visible:
            self._tell()

    # -- for subclasses, which are called with the lock held

    @abstractmethod
    def _adopt(self, message: Message) -> bool:
        """Take over an answer; whether all answers are there. Raises `ProtocolError`."""

    @abstractmethod
    def _apply(self, notice: Message) -> bool:
        """Apply a notice; whether it changed anything. Raises `ProtocolError`; may call `_lose`."""

    # -- with the lock held

    def _hold(self, message: Message) -> None:
        if not self._has_room(message):
            raise ProtocolError(
                f"more than {self._max_held} notices, or {self._max_held_bytes} bytes of them, came before the "
                "snapshot that they go with"
            )
        self._held.append(message)

    def _has_room(self, message: Message) -> bool:
        """Counts one more that is to be held; whether it may be."""
        self._held_bytes = (self._held_bytes if self._held else 0) + size(message)
        return len(self._held) < self._max_held and self._held_bytes <= self._max_held_bytes

    def _lose(self, error: WSClientError | None = None) -> None:
        self._phase = LOST
        self._held = []
        self._failure = error or self._failure
        self._settled.notify_all()

    # -- without it

    def _changed(self, lost: bool, failure: ProtocolError | None) -> None:
        self._tell()
        if failure is not None:
            raise failure
        if lost:
            self._renew()

    def _tell(self) -> None:
        self._listeners.tell(self)


def size(message: Message) -> int:
    """The bytes that a decoded message takes, and what it is made of."""
    total = 0
    parts: list[Any] = [message]
    while parts:
        part = parts.pop()
        total += sys.getsizeof(part)
        if part.__class__ is dict:
            parts += part
            parts += part.values()
        elif part.__class__ is list:
            parts += part
    return total


def integer(message: Message, name: str) -> int:
    """A field that has to be an integer. Raises `ProtocolError`."""
    value = message.get(name)
    if type(value) is not int:
        raise ProtocolError(f"{message.get('notice', 'a reply')} has no integer {name}: {value!r:.50}")
    return value
