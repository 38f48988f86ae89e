"""A bounded queue in front of a sink, and the one thread that writes.

The lock guards the queue and the counts; classifying, writing, waiting for the store and telling about it happen
outside of it, on the writer thread.
"""

import atexit
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

from ..errors import InvalidRequest, SinkError, WouldDeadlock
from .backoff import full_jitter
from .classify import unknown
from .contract import Classifier, Record, Sink
from .records import Ids, record

logger = logging.getLogger("wsclient")

_GRACE: Final = 1.0  # seconds for the writer thread to end after it was told to give up
_BATCH_CHARS: Final = 4 * 1024 * 1024  # a batch ends here too, so that snapshots of books don't fill the memory

_Item = tuple[str, int, str, Classifier]  # text, time of receipt, venue, classifier


class Counts(NamedTuple):
    """Messages, since the queue was made. accepted = written + refused + lost + waiting.

    accepted: taken into the queue
    written: kept by the sink
    refused: the store will never take them (too large for it, for instance); each was reported
    lost: accepted, but the store was away until `close()` gave up
    waiting: in the queue, or being written now
    dropped: not accepted: the queue was full (policy "drop"), or closed
    """

    accepted: int
    written: int
    refused: int
    lost: int
    waiting: int
    dropped: int


class _State(Enum):
    OPEN = auto()
    CLOSING = auto()
    """Nothing is accepted any more; what was accepted is written."""
    GIVING_UP = auto()
    """The time for that is over."""


class SinkQueue:
    """Takes messages from any number of threads and feeds, and writes them to a sink in batches.

    What was accepted is written, in order, however long the store is away: a batch that fails is tried again. Only
    `close()` ends that, after its timeout, and says how many messages are lost. If nobody calls it, it is called
    when the interpreter exits.

    sink: it is the queue's from now on, which closes it
    size: messages that may wait
    max_chars: characters that may wait, in all messages together
    policy: what happens to a message when the queue is full: "block" lets the thread that brings it wait, which is
        a client's event thread and so holds up the feed; "drop" lets it go and counts it
    batch: messages that are written at once at most
    age: seconds that a message may wait for others to be written with
    backoff: seconds, (base, cap), to wait after a failed try: at random up to base, then up to twice as much …
    on_error: called on the writer thread with each error: what the sink raised, or a `SinkError` for messages that
        were refused or dropped. Without it errors are logged on the logger "wsclient"
    exit_timeout: seconds for the last messages when the interpreter exits
    now: the time, microseconds since the Unix epoch; random: a number from 0 up to 1
    """

    def __init__(
        self,
        sink: Sink,
        *,
        size: int = 100_000,
        max_chars: int = 128 * 1024 * 1024,
        policy: Literal["block", "drop"] = "block",
        batch: int = 4096,
        age: float = 0.5,
        backoff: tuple[float, float] = (0.1, 10.0),
        on_error: Callable[[Exception], object] | None = None,
        exit_timeout: float = 10.0,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
        random: Callable[[], float] = random.random,
    ) -> None:
        for name, value in (("size", size), ("max_chars", max_chars), ("batch", batch)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidRequest(f"{name} is a positive number, not {value!r}")
        if policy not in ("block", "drop"):
            raise InvalidRequest(f'policy is "block" or "drop", not {policy!r}')
        if age < 0 or backoff[0] < 0 or backoff[1] < backoff[0]:
            raise InvalidRequest(
                "age and backoff are seconds, none below 0, and the backoff's cap is not below its base"
            )
        if on_error is not None and not callable(on_error):
            raise InvalidRequest(f"on_error must be callable, not {on_error!r}")
        self._sink = sink
        self._size = size
        self._max_chars = max_chars
        self._block = policy == "block"
        self._batch = min(batch, size)
        self._batch_chars = min(_BATCH_CHARS, max_chars)
        self._age = age
        self._backoff = backoff
        self._on_error = on_error
        self._exit_timeout = exit_timeout
        self._now = now
        self._random = random
        self._ids = Ids()  # the writer thread's
        self._told_drops = 0  # the writer thread's
        self._close_error: Exception | None = None  # the writer thread's; read after it has ended

        self._lock = threading.Lock()  # guards what follows
        self._work = threading.Condition(self._lock)  # the writer has something to do
        self._room = threading.Condition(self._lock)  # a blocked message may be accepted now
        self._progress = threading.Condition(self._lock)  # something was written, or never will be
        self._items: deque[_Item] = deque()
        self._state = _State.OPEN
        self._held = 0  # messages in `_items` and in the writer's hand
        self._chars = 0  # theirs
        self._blocked = 0  # threads that wait for room
        self._accepted = 0
        self._written = 0
        self._refused = 0
        self._lost = 0
        self._dropped = 0
        self._wanted = 0  # `flush` waits for so many messages to be settled

        self._thread = threading.Thread(target=self._run, name="wsclient sink", daemon=True)
        self._thread.start()
        # a daemon still runs while these are called; otherwise it would die with the last batches in its hands
        atexit.register(self._at_exit)

    def intake(self, venue: str, classify: Classifier = unknown) -> Callable[[str], bool]:
        """A function that takes a message's text as received, and returns whether it was accepted.

        venue: the name under which the messages are kept; classify: tells product, type and time of a message
        It takes about a microsecond, unless the queue is full and the policy is to block.
        """
        now, accept = self._now, self._accept

        def take(text: str) -> bool:
            return accept((text, now(), venue, classify))

        return take

    @property
    def counts(self) -> Counts:
        """What became of the messages so far; all figures are of one moment."""
        with self._lock:
            return Counts(self._accepted, self._written, self._refused, self._lost, self._held, self._dropped)

    def flush(self, timeout: float | None = None) -> None:
        """Waits until everything that was accepted before this call is written.

        timeout: seconds; None waits for as long as the store is away
        Raises `SinkError` when the time is over or some of it is lost, `WouldDeadlock` on the writer thread.
        """
        if threading.current_thread() is self._thread:
            raise WouldDeadlock(
                "flush() waits for the writer thread, on which it was called: call it on another thread"
            )
        with self._lock:
            target = self._accepted
            self._wanted = max(self._wanted, target)
            self._work.notify()
            settled = self._progress.wait_for(lambda: self._settled() >= target, timeout)
            lost, left = self._lost, target - self._settled()
        if not settled:
            raise SinkError(f"{left} messages are not written yet after {timeout} s")
        if lost:
            raise SinkError(f"{lost} messages are lost")

    def close(self, timeout: float | None = 10.0) -> None:
        """Accepts nothing more, writes what was accepted, and closes the sink. Call it as often as you like.

        timeout: seconds to go on trying while the store is away; None for ever. A try that is under way then is
            waited for a second longer, and otherwise left to end by itself.
        Raises `SinkError` if accepted messages were refused by the store or are not known to be written, or if the
        sink couldn't be closed. On the writer thread (in `on_error`) it doesn't wait and raises nothing.
        """
        with self._lock:
            if self._state is _State.OPEN:
                self._state = _State.CLOSING
            self._work.notify()
            self._room.notify_all()
        if threading.current_thread() is self._thread:
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            with self._lock:
                self._state = _State.GIVING_UP
                self._work.notify()
            self._thread.join(_GRACE)
        atexit.unregister(self._at_exit)
        counts = self.counts
        if counts.lost or counts.waiting:
            raise SinkError(f"{counts.lost + counts.waiting} accepted messages couldn't be written")
        if counts.refused:
            raise SinkError(f"{counts.refused} accepted messages were refused by the store")
        if self._close_error is not None:
            raise SinkError("the messages are written, but the sink couldn't be closed") from self._close_error
        if self._thread.is_alive():
            raise SinkError("the messages are written, but the sink is not closed yet")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Any thread

    def _accept(self, item: _Item) -> bool:
        chars = len(item[0])
        with self._lock:
            if (
                self._state is not _State.OPEN
                or self._held >= self._size
                or (self._chars + chars > self._max_chars and self._held)
            ) and not self._make_room(chars):
                self._dropped += 1
                return False
            self._items.append(item)
            self._accepted += 1
            self._held += 1
            self._chars += chars
            waiting = len(self._items)
            if waiting == 1 or waiting == self._batch or self._chars >= self._batch_chars:
                self._work.notify()
        return True

    def _make_room(self, chars: int) -> bool:
        """With the lock: waits for room if it may. A message larger than all room is taken when it is alone."""
        if not self._block or threading.current_thread() is self._thread:
            return False
        self._blocked += 1
        self._work.notify()  # what waits to grow old is written at once
        try:
            self._room.wait_for(
                lambda: (
                    self._state is not _State.OPEN
                    or self._held == 0
                    or (self._held < self._size and self._chars + chars <= self._max_chars)
                )
            )
        finally:
            self._blocked -= 1
        return self._state is _State.OPEN

    def _settled(self) -> int:
        return self._written + self._refused + self._lost

    def _at_exit(self) -> None:
        try:
            self.close(self._exit_timeout)
        except SinkError as error:
            logger.error("at exit: %s", error)

    # The writer thread

    def _run(self) -> None:
        taken = time.monotonic()
        try:
            while True:
                batch, taken = self._take(taken)
                if not batch:
                    break
                self._keep(batch)
                self._tell_drops()
        finally:
            with self._lock:
                # after an error that is no Exception, it may still be open
                self._state = _State.GIVING_UP
                self._lost += self._held
                self._held = self._chars = 0
                self._items.clear()
                self._room.notify_all()
                self._progress.notify_all()
            self._close_sink()
            self._tell_drops()

    def _take(self, before: float) -> tuple[list[_Item], float]:
        """The next batch, once it is due, and from when on what comes after it counts as waiting.

        before: what the last call returned. An empty batch means the end.
        """
        with self._lock:
            since = before if self._items else None
            while self._state is _State.OPEN:
                now = time.monotonic()
                if self._items:
                    since = now if since is None else since
                    if self._due() or now >= since + self._age:
                        break
                self._work.wait(None if since is None else since + self._age - now)
            batch: list[_Item] = []
            if self._state is not _State.GIVING_UP:
                chars = 0
                while self._items and len(batch) < self._batch and chars < self._batch_chars:
                    batch.append(self._items.popleft())
                    chars += len(batch[-1][0])
            # what is left has waited long enough; what comes now, no longer than from now on
            return batch, float("-inf") if self._items else time.monotonic()

    def _due(self) -> bool:
        return (
            len(self._items) >= self._batch
            or self._chars >= self._batch_chars
            or self._blocked > 0
            or self._wanted > self._settled()
        )

    def _keep(self, batch: list[_Item]) -> None:
        """Writes a batch, however often it has to be tried; until `close()` gives up."""
        records = self._records(batch)
        closing = False
        delays = full_jitter(*self._backoff, self._random)
        while True:
            try:
                refused = self._sink.write_many(records) or ()
                break
            except Exception as error:
                delay = next(delays)
                self._tell(error, f"{len(records)} messages couldn't be written, next try in {delay:.2f} s")
                self._tell_drops()
            if not closing and self._pause(delay, _State.CLOSING):
                # there is little time left: try at once, and wait no longer than at first
                closing, delays = True, full_jitter(*self._backoff, self._random)
            elif closing:
                self._pause(delay, _State.GIVING_UP)
            if self._state is _State.GIVING_UP:
                return
        with self._lock:
            self._written += len(batch) - len(refused)
            self._refused += len(refused)
            self._held -= len(batch)
            self._chars -= sum(len(item[0]) for item in batch)
            if self._blocked:
                self._room.notify_all()
            self._progress.notify_all()
        if refused:
            message = f"{len(refused)} messages can't be kept; the first: {refused[0].reason}"
            self._tell(SinkError(message), "the store refuses messages")

    def _pause(self, delay: float, until: _State) -> bool:
        """Waits for `delay` seconds, or until the queue is in this state or a later one; whether it is."""
        with self._lock:
            return self._work.wait_for(lambda: self._state.value >= until.value, delay)

    def _records(self, batch: list[_Item]) -> Sequence[Record]:
        records = []
        wrong: Exception | None = None
        for text, received, venue, classify in batch:
            kept, error = record(venue, classify, received, text, self._ids.next(received))
            records.append(kept)
            wrong = wrong or error
        if wrong is not None:
            self._tell(wrong, "the classifier raised; the message is kept without product and type")
        return records

    def _close_sink(self) -> None:
        try:
            self._sink.close()
        except Exception as error:
            self._close_error = error
            self._tell(error, "the sink couldn't be closed")

    def _tell_drops(self) -> None:
        dropped = self.counts.dropped
        new = dropped - self._told_drops
        self._told_drops = dropped
        if new:
            self._tell(SinkError(f"{new} messages were dropped, {dropped} in all"), "the queue was full or closed")

    def _tell(self, error: Exception, what: str) -> None:
        if self._on_error is None:
            logger.warning("sink: %s: %s: %s", what, type(error).__name__, error)
            return
        try:
            self._on_error(error)
        except Exception:
            logger.exception("on_error raised; it was called with %r", error)
