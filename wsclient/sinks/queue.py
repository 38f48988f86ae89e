"""A bounded queue in front of a sink, and the one thread that writes.

The `Buffer` between them has the lock; classifying, writing, waiting for the store and telling about it happen
outside of it, on the writer thread.
"""

import atexit
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self

from ..errors import InvalidRequest, SinkError, WouldDeadlock
from .backoff import full_jitter
from .buffer import Buffer, Counts, Item, State
from .classify import unknown
from .contract import Classifier, Record, Sink
from .records import Ids, record

logger = logging.getLogger("wsclient")

_LONGEST: Final = 86400.0  # seconds; no message has a reason to wait longer
_GRACE: Final = 1.0  # seconds for the writer thread to end after it was told to give up


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
        if not (callable(getattr(sink, "write_many", None)) and callable(getattr(sink, "close", None))):
            raise InvalidRequest(
                f"a sink has write_many() and close(), see `wsclient.sinks`, not a {type(sink).__name__}"
            )
        for name, value in (("size", size), ("max_chars", max_chars), ("batch", batch)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidRequest(f"{name} is a positive number, not {value!r}")
        if policy not in ("block", "drop"):
            raise InvalidRequest(f'policy is "block" or "drop", not {policy!r}')
        base, cap = backoff
        if not (0 <= age <= _LONGEST and 0 <= base <= cap <= _LONGEST):
            raise InvalidRequest("age and backoff are seconds, at most a day, and the cap is not below the base")
        if on_error is not None and not callable(on_error):
            raise InvalidRequest(f"on_error must be callable, not {on_error!r}")
        self._sink = sink
        self._buffer = Buffer(size, max_chars, batch, age, block=policy == "block")
        self._backoff = backoff
        self._on_error = on_error
        self._exit_timeout = exit_timeout
        self._now = now
        self._random = random
        self._ids = Ids()  # the writer thread's
        self._told_drops = 0  # the writer thread's
        self._close_error: Exception | None = None  # the writer thread's; read after it has ended

        self._thread = threading.Thread(target=self._run, name="wsclient sink", daemon=True)
        self._thread.start()
        # a daemon still runs while these are called; otherwise it would die with the last batches in its hands
        atexit.register(self._at_exit)

    def intake(self, venue: str, classify: Classifier = unknown) -> Callable[[str], bool]:
        """A function that takes a message's text as received, and returns whether it was accepted.

        venue: the name under which the messages are kept; classify: tells product, type and time of a message
        It takes about a microsecond, unless the queue is full and the policy is to block.
        """
        now, accept = self._now, self._buffer.accept

        def take(text: str) -> bool:
            return accept((text, now(), venue, classify))

        return take

    @property
    def counts(self) -> Counts:
        """What became of the messages so far; all figures are of one moment."""
        return self._buffer.counts

    def flush(self, timeout: float | None = None) -> None:
        """Waits until everything that was accepted before this call is written.

        timeout: seconds; None waits for as long as the store is away
        Raises `SinkError` when the time is over or some of it is lost, `WouldDeadlock` on the writer thread.
        """
        if threading.current_thread() is self._thread:
            raise WouldDeadlock(
                "flush() waits for the writer thread, on which it was called: call it on another thread"
            )
        left, lost = self._buffer.await_settled(timeout)
        if left:
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
        self._buffer.close(State.CLOSING)
        if threading.current_thread() is self._thread:
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._buffer.close(State.GIVING_UP)
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

    def _at_exit(self) -> None:
        try:
            self.close(self._exit_timeout)
        except SinkError as error:
            logger.error("at exit: %s", error)

    # The writer thread

    def _run(self) -> None:
        self._buffer.writer = threading.get_ident()
        taken = time.monotonic()
        try:
            while True:
                batch, taken = self._buffer.take(taken)
                if not batch:
                    break
                self._keep(batch)
                self._tell_drops()
        finally:
            self._buffer.abandon()  # nothing is left, unless the time was over
            self._close_sink()
            self._tell_drops()

    def _keep(self, batch: list[Item]) -> None:
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
            if not closing and self._buffer.pause(delay, State.CLOSING):
                # there is little time left: try at once, and wait no longer than at first
                closing, delays = True, full_jitter(*self._backoff, self._random)
            elif closing:
                self._buffer.pause(delay, State.GIVING_UP)
            if self._buffer.state is State.GIVING_UP:
                return
        self._buffer.settle(batch, len(refused))
        if refused:
            message = f"{len(refused)} messages can't be kept; the first: {refused[0].reason}"
            self._tell(SinkError(message), "the store refuses messages")

    def _records(self, batch: list[Item]) -> Sequence[Record]:
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
        dropped = self._buffer.counts.dropped
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
