"""What a client has done so far, in numbers.

Counting is to cost next to nothing. Traffic is counted without a lock, by whoever may write it alone: what comes
in by the thread whose turn it is to read, once for all that it read; what goes out by the sender who holds the
transport's lock anyway. Calls end on any thread: the times of replies are appended to a list and
counted many at once, under a lock; other ends are rare and counted under it one by one.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

from ..errors import AuthenticationError, CommandError, OutcomeUnknown

_FINE: Final = 16  # buckets an octave
_FRESH: Final = 256  # times that are counted at once
_HIGHEST: Final = (1 << 32) - 1  # microseconds, 71 minutes; what took longer counts as that


@dataclass(frozen=True, slots=True)
class CallStats:
    """How many calls ended in which way. Logins and what else the client does by itself aren't counted.

    replied: with a reply
    refused: the exchange said no (`CommandError`)
    not_sent: `NotSent`, `TooFast` among them
    unknown: `OutcomeUnknown`
    unauthenticated: `AuthenticationError`
    cancelled: withdrawn before they were sent
    timed_out: how often a wait for a reply ended with a `TimeoutError`; the call itself goes on
    """

    replied: int = 0
    refused: int = 0
    not_sent: int = 0
    unknown: int = 0
    unauthenticated: int = 0
    cancelled: int = 0
    timed_out: int = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a call to its reply, over all that were answered, so far; percentiles within 3.2 %.

    The time includes what the call itself had to wait for: connecting, the login, its turn under a rate limit.
    """

    count: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Stats:
    """A client's numbers at one moment, all since it was made unless they are of now.

    messages_in, messages_out: texts and control frames, of all connections
    bytes_in, bytes_out: as frames, without the handshake; before TLS
    connections: that were open, with all restored
    reconnects: those after the first
    calls: by their outcome
    latency: None as long as no call was answered
    pending: calls that wait for their reply now
    queue_depth: what waits for the handlers now, behind `handler_queue=`
    dropped: messages that the queue dropped
    conflated: messages that the queue left out for newer ones
    """

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    connections: int
    reconnects: int
    calls: CallStats
    latency: Latency | None
    pending: int
    queue_depth: int
    dropped: int
    conflated: int


@dataclass(slots=True)
class Traffic:
    """One connection's messages and bytes.

    What came in is written by whose turn it is to read, what went out by whoever holds the transport's lock.
    Others read, and may see the last batch half counted.
    """

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, other: "Traffic") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class Histogram:
    """Durations, in buckets that are narrow for short ones: each is a sixteenth of what it begins with at most.

    Takes the same time for each, and 464 numbers at most, however many there are. Not for several threads at once.
    """

    __slots__ = ("_buckets", "_count", "_max")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self._count = 0
        self._max = 0.0

    def record(self, seconds: float) -> None:
        self.record_all([seconds])

    def record_all(self, seconds: list[float]) -> None:
        """Many at once, which costs a third for each: most of them differ little."""
        for value, count in Counter([int(took * 1e6) for took in seconds]).items():
            micros = min(max(0, value), _HIGHEST)
            shift = micros.bit_length() - 5  # five bits are kept: one of sixteen buckets in each octave
            bucket = micros if shift <= 0 else shift * _FINE + (micros >> shift)
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self._count += len(seconds)
        self._max = max(self._max, *seconds)

    def copy(self) -> "Histogram":
        other = Histogram()
        other._buckets, other._count, other._max = dict(self._buckets), self._count, self._max
        return other

    def latency(self) -> Latency | None:
        """The percentiles; None if nothing was recorded."""
        if not self._count:
            return None
        return Latency(self._count, self._at(50), self._at(90), self._at(99), self._max)

    def _at(self, percent: int) -> float:
        """What so many percent didn't exceed: the middle of the bucket that the one at this rank is in."""
        rank = -(-self._count * percent // 100)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                break
        shift = max(0, bucket // _FINE - 1)
        lowest = (bucket - shift * _FINE) << shift
        return min((lowest + (1 << shift) / 2) / 1e6, self._max)


class CallCounter:
    """Counts calls by how they ended, and takes the time of those that were answered. For any thread."""

    __slots__ = (
        "_cancelled", "_fresh", "_lock", "_not_sent", "_refused", "_replied", "_timed_out", "_times",
        "_unauthenticated", "_unknown", "clock",
    )  # fmt: skip

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._replied = 0
        self._refused = 0
        self._not_sent = 0
        self._unknown = 0
        self._unauthenticated = 0
        self._cancelled = 0
        self._timed_out = 0
        self._times = Histogram()
        self._fresh: list[float] = []  # times of replies that aren't in there yet; appended to without the lock

    def replied(self, began: float) -> None:
        """A call that began at this time, by the clock, ended with a reply."""
        # an append can't be divided, and costs a tenth of what a lock and the histogram do
        fresh = self._fresh
        fresh.append(self.clock() - began)
        if len(fresh) >= _FRESH:
            with self._lock:
                self._fold()

    def ended(self, began: float, error: BaseException) -> None:
        """A call that began at this time ended with an error."""
        took = self.clock() - began
        with self._lock:
            if isinstance(error, CommandError):
                self._refused += 1
                self._times.record(took)
            elif isinstance(error, OutcomeUnknown):
                self._unknown += 1
            elif isinstance(error, AuthenticationError):
                self._unauthenticated += 1
            else:
                self._not_sent += 1

    def _fold(self) -> None:
        """Takes the fresh times over: those that are there, while others go on appending."""
        count = len(self._fresh)
        if count:
            self._times.record_all(self._fresh[:count])
        del self._fresh[:count]
        self._replied += count

    def cancelled(self) -> None:
        with self._lock:
            self._cancelled += 1

    def timed_out(self) -> None:
        with self._lock:
            self._timed_out += 1

    def snapshot(self) -> tuple[CallStats, Latency | None]:
        with self._lock:
            self._fold()
            calls = CallStats(
                self._replied,
                self._refused,
                self._not_sent,
                self._unknown,
                self._unauthenticated,
                self._cancelled,
                self._timed_out,
            )
            times = self._times.copy()
        return calls, times.latency()
