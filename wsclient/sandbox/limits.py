"""The exchange's rate limits, each in a true rolling window.

A window forgets a request exactly when it has grown too old, so no burst across the boundary of a fixed interval
passes twice the limit. Refused requests don't count: a client that slows down is served again.

Source: protocol page, section "Limits".
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests within any `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How much is allowed: login attempts a user, orders a user, information requests a connection."""

    authentications: Rate = Rate(1000, 3600)
    orders: Rate = Rate(200, 1)
    information: Rate = Rate(10, 10)


class RollingWindow:
    """Counts requests by key within one rate. Times are microseconds and may come from any clock."""

    def __init__(self, rate: Rate) -> None:
        self._count = rate.count
        self._width = round(rate.seconds * 1_000_000)
        self._times: dict[Hashable, deque[int]] = {}

    def admit(self, key: Hashable, now: int) -> bool:
        """Whether one more request of `key` fits at time `now`; if so, it is counted."""
        times = self._times.setdefault(key, deque())
        while times and times[0] <= now - self._width:
            times.popleft()
        if len(times) >= self._count:
            return False
        times.append(now)
        return True

    def forget(self, key: Hashable) -> None:
        """Drop what is known of a key that won't come again."""
        self._times.pop(key, None)
