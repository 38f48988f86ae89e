"""Handlers on a thread of their own, behind a queue: slow ones keep nobody from reading, and may wait for Replies.

The event thread puts in and the handlers' thread takes out. Replies don't come through here: the event thread
settles each before its text is queued. See `backlog` for what gives way when the queue is full. Where nothing
does, the event thread waits for room, and reads nothing meanwhile. But as long as anybody waits for what it alone
can bring (a reply, the login), it reads on, and more than the queue's size may wait; else a handler that waits for
a reply would wait for ever. Only where that is used up too, and the handlers take nothing for a whole `patience`,
is the connection given up: then the call that they perhaps wait for has an outcome, and nothing was dropped.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from ..errors import InvalidRequest, TransportError, WSClientError
from .backlog import POLICIES, Backlog, Event, Item, Policy
from .handlers import Load

logger = logging.getLogger("wsclient")

_ALLOWANCE: Final = 10_000  # messages besides the queue's size, or ten times the size, while somebody waits


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """What the user asks for. size: messages; policy: see `Backlog`."""

    size: int
    policy: Policy = "block"

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise InvalidRequest(f"handler_queue is a positive number of messages, not {self.size!r}")
        if self.policy not in POLICIES:
            raise InvalidRequest(f"queue_policy is one of {', '.join(POLICIES)}, not {self.policy!r}")


class HandlerQueue:
    """The queue and its thread, which begins with the first thing put in, and ends after the event thread has.

    run: does one thing; it doesn't raise
    name: the thread's
    awaited: whether anybody waits for what the event thread alone can bring; asked with the lock held
    give_up: ends the connection
    patience: seconds
    """

    def __init__(
        self,
        options: QueueOptions,
        run: Callable[[Item], None],
        *,
        name: str,
        awaited: Callable[[], bool],
        give_up: Callable[[WSClientError], None],
        patience: float,
        allowance: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._run = run
        self._name = name
        self._awaited = awaited
        self._give_up = give_up
        self._patience = patience
        self._allowance = max(_ALLOWANCE, 10 * options.size) if allowance is None else allowance
        self._lock = threading.Lock()  # guards what follows
        self._work = threading.Condition(self._lock)  # something was put in, or nothing will be
        self._room = threading.Condition(self._lock)  # something was taken out, or a call was made
        self._backlog = Backlog(options.size, options.policy)
        self._thread: threading.Thread | None = None
        self._ident: int | None = None  # the thread's
        self._sleeping = False
        self._taken = 0
        self._retired = False  # nothing comes until the next connection
        self._given_up = False  # the connection is
        self._stopping = False
        self._closed = False  # stopped, and texts are handed over no more

    # -- the event thread

    def put_text(self, text: str, key: Hashable | None = None) -> None:
        failure = None
        with self._lock:
            if not self._backlog.room(event=False):
                failure = self._await_room(event=False)
            self._backlog.put_text(text, key)
            if self._closed:
                self._backlog.discard_texts()
            failure = self._wake() or failure
        if failure is not None:
            self._give_up(failure)

    def put_event(self, call: Callable[..., object], *arguments: Any) -> None:
        failure = None
        with self._lock:
            if not self._backlog.room(event=True):
                failure = self._await_room(event=True)
            self._backlog.put_event(Event(call, arguments))
            failure = self._wake() or failure
        if failure is not None:
            self._give_up(failure)

    def renew(self) -> None:
        """Another connection is open."""
        with self._lock:
            self._given_up = False

    def retire(self) -> None:
        """The event thread ends: so does the handlers', when it has nothing left to do."""
        with self._lock:
            self._retired = True
            self._work.notify()

    def _await_room(self, *, event: bool) -> TransportError | None:
        """Waits until one more may come; if it never will, gives the reason to give the connection up.

        With the lock held, but for the waiting.
        """
        until, taken = math.inf, -1
        while not (self._stopping or self._given_up or self._backlog.room(event=event)):
            if not self._awaited():
                until, taken = math.inf, -1
                self._room.wait()
                continue
            if self._backlog.room(event=event, allowance=self._allowance):
                break
            now = self._clock()
            if taken != self._taken:
                until, taken = now + self._patience, self._taken
            elif now >= until:
                self._given_up = True
                return TransportError(
                    f"the handlers took nothing from their full queue for {self._patience:g} s, while somebody "
                    "waits for a reply that is behind it: the connection was given up"
                )
            self._room.wait(until - now)
        return None

    def _wake(self) -> TransportError | None:
        """With the lock held: sees to it that the thread runs."""
        self._retired = False
        if self._thread is not None:
            if self._sleeping:
                self._work.notify()
            return None
        # started under the lock, so that there is one; it takes the lock first of all
        self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            self._given_up = True
            failure = TransportError(f"no thread can be started for the handlers: {error}")
            failure.__cause__ = error
            return failure
        return None

    # -- the handlers' thread

    def on_thread(self) -> bool:
        return threading.get_ident() == self._ident

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._ident = threading.get_ident()
                item = self._backlog.take()
                while item is None:
                    if self._retired:
                        self._thread = self._ident = None
                        return
                    self._sleeping = True
                    self._work.wait()
                    self._sleeping = False
                    item = self._backlog.take()
                self._taken += 1
                self._room.notify()
            self._run(item)
            del item  # while sleeping it would be kept

    # -- any thread

    def nudge(self) -> None:
        """Somebody begins to wait for what the event thread alone can bring, which may be waiting for room."""
        with self._lock:
            self._room.notify()

    def release(self) -> None:
        """The client stops: the event thread waits for room no more. On the handlers' own thread, whatever text is
        behind the one that is being handled is dropped."""
        with self._lock:
            self._stopping = True
            self._room.notify()
            if self.on_thread():
                self._closed = True
                self._backlog.discard_texts()

    def finish(self, timeout: float) -> None:
        """Waits for the handlers to do what is queued, so many seconds at most; then drops the texts left."""
        thread = self._thread
        if thread is None or self.on_thread():
            return
        thread.join(max(0.0, timeout))
        if not thread.is_alive():
            return
        with self._lock:
            self._closed = True
            discarded = self._backlog.discard_texts()
            busy = not self._sleeping
        if busy or discarded:
            logger.warning("stop(): a handler is still busy; %d messages that waited were dropped", discarded)

    @property
    def load(self) -> Load:
        return Load(len(self._backlog), self._backlog.dropped, self._backlog.conflated)
