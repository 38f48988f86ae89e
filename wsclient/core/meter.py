"""What is done for each call at its beginning and its end: counting, timing, keeping below the rate limits."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import CommandError
from .dialect import Dialect
from .handlers import Load
from .pacer import Pacer
from .pacing import Limit
from .reply import Reply
from .stats import CallCounter, Stats, Traffic


class Meter:
    """For one client, and any thread.

    limits: the rate limits that calls are kept below, by the names that the dialect's `costs` uses; None for none
    wait: seconds that a call waits for its turn, None for as long as it takes
    """

    __slots__ = ("_clock", "_dialect", "_pacer", "_penalties", "_wait", "counter", "paces")

    def __init__(
        self,
        dialect: Dialect,
        limits: Mapping[str, Limit] | None = None,
        wait: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counter = CallCounter(clock)
        self._dialect = dialect
        self._pacer = None if limits is None else Pacer(limits, clock=clock)
        self._penalties = dialect.penalties
        self.paces = limits is not None or dialect.penalties is not None
        self._wait = wait
        self._clock = clock

    def begin(self, reply: Reply[Any]) -> None:
        """A user's call was made."""
        reply.began = self._clock()
        reply.meter = self

    def pace(self, reply: Reply[Any], until: float | None, *, may_wait: bool) -> None:
        """Waits until the exchange's limits allow the call, but no longer than until then, by the clock.

        Raises `TooFast`, `NotSent` when the client is stopped.
        """
        if self._pacer is None and self._penalties is None:
            return
        costs = self._dialect.costs(reply.request)
        if costs is None:
            return
        if not may_wait:
            until = -math.inf
        elif self._wait is not None:
            limit = self._clock() + self._wait
            until = limit if until is None else min(until, limit)
        if self._penalties is not None:
            self._penalties.sit_out(costs, until)
        if self._pacer is None:
            return
        reply.permit = self._pacer.acquire(costs, until)

    def count(self, reply: Reply[Any]) -> None:
        """Counts a call of our own under the limits: a login, say. It waits for nobody."""
        if self._pacer is not None and (costs := self._dialect.costs(reply.request)) is not None:
            reply.permit = self._pacer.force(costs)
            reply.meter = self

    def note_frame(self) -> None:
        """Counts a Ping or Pong, where the exchange does."""
        if self._pacer is not None and (costs := self._dialect.frame_costs) is not None:
            self._pacer.note(costs)

    def ended(self, reply: Reply[Any], error: BaseException | None) -> None:
        """A call has its outcome, and nobody was told yet."""
        if reply.began is not None:
            if error is None:
                self.counter.replied(reply.began)
            else:
                self.counter.ended(reply.began, error)
        if reply.permit is not None:
            self._release(reply, error)

    def withdrawn(self, reply: Reply[Any]) -> None:
        """A call ended without an outcome, before it was sent."""
        if reply.permit is not None:
            self._release(reply, None)

    def cancelled(self, reply: Reply[Any]) -> None:
        self.counter.cancelled()
        self.withdrawn(reply)

    def timed_out(self) -> None:
        self.counter.timed_out()

    def stats(self, traffic: Traffic, connections: int, pending: int, load: Load) -> Stats:
        """All that is counted, here and by others."""
        calls, latency = self.counter.snapshot()
        return Stats(
            messages_in=traffic.messages_in,
            messages_out=traffic.messages_out,
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
            connections=connections,
            reconnects=max(0, connections - 1),
            calls=calls,
            latency=latency,
            pending=pending,
            queue_depth=load.waiting,
            dropped=load.dropped,
            conflated=load.conflated,
        )

    def connection_ended(self) -> None:
        """And its calls were told."""
        if self._pacer is not None:
            self._pacer.reset()

    def stop(self) -> None:
        if self._pacer is not None:
            self._pacer.stop()
        if self._penalties is not None:
            self._penalties.stop()

    def _release(self, reply: Reply[Any], error: BaseException | None) -> None:
        permit, reply.permit = reply.permit, None
        assert permit is not None
        assert self._pacer is not None
        if not reply.left:
            self._pacer.unused(permit)
        elif error is None or isinstance(error, CommandError):
            self._pacer.answered(permit)
        else:
            self._pacer.lost(permit)
