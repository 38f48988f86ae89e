"""Rate limits for many threads: who asks waits for its turn, or is refused at once. See `pacing`."""

import math
import threading
import time
from collections.abc import Callable, Mapping

from ..errors import InvalidRequest, TooFast
from .outcomes import not_sent, stopped
from .pacing import Limit, Line, Permit


class Pacer:
    """Gives out places to any number of threads, first come first served.

    limits: by name; what a request costs is said by these names
    slack: seconds that something may be on its way, where no reply tells
    unanswered: seconds after which a request counts as arrived although no reply came
    """

    def __init__(
        self,
        limits: Mapping[str, Limit],
        *,
        slack: float = 1.0,
        unanswered: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slack = slack
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._line = Line(limits, unanswered)
        self._bells: dict[Permit, threading.Event] = {}  # of those who wait
        self._minder: Permit | None = None  # who was first in the line when it last looked at the clock
        self._stopped = False

    def acquire(self, costs: Mapping[str, int], until: float | None = None) -> Permit:
        """Takes the places of one request, waiting for them where need be, and gives the permit to send it.

        costs: the weight in each window, by its name
        until: the latest time, by the clock, that is waited for; None for as long as it takes, and one that has
            passed for not at all. What can't be granted by then is refused at once
        Raises `TooFast`, `NotSent` if the pacer is stopped, `InvalidRequest` for what no window can ever hold.
        """
        permit = Permit(costs)
        with self._lock:
            now = self._clock()
            if self._stopped:
                raise not_sent(stopped())
            if self._line.take(permit, now):
                return permit
            self._refuse_if_impossible(permit)
            bell = self._bells[permit] = threading.Event()
            self._line.waiting[permit] = None
        try:
            self._wait(permit, bell, until)
        except BaseException:
            with self._lock:
                self._line.waiting.pop(permit, None)
                self._bells.pop(permit, None)
                self._release(permit)
            raise
        return permit

    def force(self, costs: Mapping[str, int]) -> Permit:
        """Takes the places whether they are free or not, for what can't wait."""
        permit = Permit(costs)
        with self._lock:
            self._line.grant(permit, self._clock())
        return permit

    def answered(self, permit: Permit) -> None:
        """A reply to the request came, and so it has arrived."""
        with self._lock:
            now = self._clock()
            for name in permit.costs:
                self._line.windows[name].arrived(permit, now)
            self._advance(now)

    def lost(self, permit: Permit) -> None:
        """The request's connection ended before a reply: it may have arrived, or may do so any moment."""
        with self._lock:
            now = self._clock()
            for name in permit.costs:
                window = self._line.windows[name]
                if window.limit.per_connection:
                    window.back(permit)
                else:
                    window.arrived(permit, now + self._slack)
            self._advance(now)

    def unused(self, permit: Permit) -> None:
        """The request didn't leave."""
        with self._lock:
            self._release(permit)

    def note(self, costs: Mapping[str, int]) -> None:
        """Counts what is sent without asking and gets no reply, as a Pong; the limits must leave room for it."""
        with self._lock:
            by = self._clock() + self._slack
            for name, weight in costs.items():
                self._line.windows[name].note(weight, by)

    def reset(self) -> None:
        """A connection has ended and its calls have been told: what was counted for it alone is forgotten."""
        with self._lock:
            for window in self._line.windows.values():
                if window.limit.per_connection:
                    window.reset()
            self._advance(self._clock())

    def stop(self) -> None:
        """Ends all waiting, now and later."""
        with self._lock:
            self._stopped = True
            for permit in self._line.waiting:
                self._bells[permit].set()

    def _wait(self, permit: Permit, bell: threading.Event, until: float | None) -> None:
        """Sleeps until the permit is granted. Who is first in the line minds the clock for all."""
        while True:
            with self._lock:
                now = self._clock()
                self._advance(now)
                if permit.granted:
                    return
                if self._stopped:
                    raise not_sent(stopped())
                self._refuse_if_hopeless(permit, now, until)
                wake = math.inf if until is None else until
                if self._first() is permit:
                    self._minder = permit
                    wake = min(wake, self._line.look)
                bell.clear()
            bell.wait(None if wake == math.inf else min(max(0.0, wake - now), threading.TIMEOUT_MAX))

    def _refuse_if_impossible(self, permit: Permit) -> None:
        for name, weight in permit.costs.items():
            count = self._line.windows[name].limit.count
            if weight > count:
                raise InvalidRequest(
                    f"a request of weight {weight} can never be sent: the limit of {name} is {count}"
                )

    def _refuse_if_hopeless(self, permit: Permit, now: float, until: float | None) -> None:
        if until is None:
            return
        earliest = self._line.earliest(permit, now)
        if until > now and until >= earliest:
            return
        limits = [self._line.windows[name].limit for name in permit.costs]
        told = " and ".join(
            f"{name} are limited to {limit.count} in {limit.seconds:g} s"
            for name, limit in zip(permit.costs, limits, strict=True)
        )
        after = max(0.0, earliest - now)
        raise TooFast(f"not sent: {told}; there may be room in {after:.3g} s", after)

    def _first(self) -> Permit | None:
        return next(iter(self._line.waiting), None)

    def _advance(self, now: float) -> None:
        """Grants what can be granted, and wakes whom it concerns."""
        if not self._line.waiting:
            return
        look = self._line.look
        for permit in self._line.advance(now):
            self._bells.pop(permit).set()
        first = self._first()
        if first is not None and (first is not self._minder or self._line.look < look):
            self._bells[first].set()  # to mind the clock, or to look at it sooner

    def _release(self, permit: Permit) -> None:
        for name in permit.costs:
            self._line.windows[name].back(permit)
        self._advance(self._clock())
