"""Keeping still until an exchange wants to be asked again: where its refusals say when that is."""

import math
import threading
import time
from collections.abc import Callable, Iterable

from ..errors import TooFast
from .outcomes import not_sent, stopped


class Penalties:
    """For any number of threads: whoever is refused tells, whoever asks next waits or is refused at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._changed = threading.Condition(self._lock)
        self._until: dict[str, float] = {}  # by the limit's name
        self._stopped = False

    def tell(self, limit: str, seconds: float) -> None:
        """What counts under this limit is refused for so long."""
        with self._lock:
            self._until[limit] = max(self._until.get(limit, -math.inf), self._clock() + seconds)

    def left(self, limits: Iterable[str]) -> float:
        """Seconds for which something under these limits is refused; 0 where it isn't."""
        if not self._until:
            return 0.0
        with self._lock:
            return self._left(limits)

    def sit_out(self, limits: Iterable[str], until: float | None) -> None:
        """Waits while something under these limits is refused.

        until: the latest time, by the clock, that is waited for; None for as long as it takes
        Raises `TooFast` at once if that isn't long enough, and `NotSent` when the client is stopped.
        """
        if not self._until:
            return
        with self._changed:
            while (left := self._left(limits)) > 0:
                if self._stopped:
                    raise not_sent(stopped())
                if until is not None and self._clock() + left > until:
                    raise TooFast(f"not sent: the exchange wants to be asked again in {left:.3g} s", left)
                self._changed.wait(min(left, threading.TIMEOUT_MAX))

    def stop(self) -> None:
        """Ends all waiting."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _left(self, limits: Iterable[str]) -> float:
        return max(
            0.0, max((self._until.get(limit, -math.inf) for limit in limits), default=-math.inf) - self._clock()
        )
