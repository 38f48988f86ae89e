"""Keeping below an exchange's rate limits, which count requests when they arrive. Pure: told the time.

To count what was sent in a window of the same width isn't enough: two requests that left a window apart arrive
closer where the first was held up on the way. But a reply proves that its request has arrived. So a request takes
a place before it is sent, and holds it until the window's width after its reply came. Then the exchange never
counts more than its limit, whatever each request meets on its way: had it counted one too many, all the others of
that window would still have held their places when the last one took its own. This costs a round trip a window.

What gets no reply, a Pong for instance, has to be given a time by which it counts as arrived.
"""

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol, TypeVar

from ..errors import InvalidRequest

_DRIFT: Final = 1.001
"""The exchange's clock may run slower than ours: NTP turns clocks by 500 millionths at most."""
_RESOLUTION: Final = 0.001
"""Seconds by which a clock may round."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` requests, or as much weight, arriving within any `seconds`.

    per_connection: whether the exchange counts each connection for itself, not the account or the address
    """

    count: int
    seconds: float
    per_connection: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise InvalidRequest(f"a limit's count is a positive int, not {self.count!r}")
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float) or not self.seconds > 0:
            raise InvalidRequest(f"a limit's seconds are a positive number, not {self.seconds!r}")


class Limits(Protocol):
    """A venue's limits: a dataclass whose fields are a `Limit` each, but for `wait`.

    wait: seconds that a call waits for its turn; None for as long as it takes
    """

    @property
    def wait(self) -> float | None: ...

    @property
    def limits(self) -> dict[str, Limit]:
        """By the names that the dialect's `costs` uses."""


L = TypeVar("L", bound=Limits)


def check_limits(limits: Any) -> None:
    """Checks the fields of a venue's limits. Raises `InvalidRequest`."""
    for field in fields(limits):
        value = getattr(limits, field.name)
        if field.name != "wait" and not isinstance(value, Limit):
            raise InvalidRequest(f"{field.name} must be a Limit, not {value!r}")
    wait = limits.wait
    if wait is not None and (isinstance(wait, bool) or not isinstance(wait, int | float) or not wait >= 0):
        raise InvalidRequest(f"wait is a number of seconds or None, not {wait!r}")


def wanted_limits(kind: type[L], wanted: bool | L) -> L | None:
    """What `rate_limit=` stands for; None for no limit. Raises `InvalidRequest`."""
    if isinstance(wanted, kind):
        return wanted
    if isinstance(wanted, bool):
        return kind() if wanted else None
    raise InvalidRequest(f"rate_limit is True, False or a RateLimit, not {wanted!r}")


class Permit:
    """The places of one request, a weight in each of its windows."""

    __slots__ = ("costs", "granted")

    def __init__(self, costs: Mapping[str, int]) -> None:
        self.costs = costs
        self.granted = False


class Window:
    """The places of one limit. Pure: told the time.

    unanswered: seconds after which a request counts as arrived although no reply came
    """

    def __init__(self, limit: Limit, unanswered: float) -> None:
        self.limit = limit
        self._hold = limit.seconds * _DRIFT + _RESOLUTION
        self._longest = unanswered + self._hold
        self._used = 0
        self._out: dict[Permit, tuple[float, int]] = {}  # no reply yet: (the latest end, weight), oldest first
        self._ends: list[tuple[float, int]] = []  # the others, a heap

    def room(self, weight: int, now: float) -> bool:
        """Whether so much more may be sent."""
        if self._used + weight > self.limit.count:
            self._forget(now)
        return self._used + weight <= self.limit.count

    def take(self, permit: Permit, weight: int, now: float) -> None:
        self._out[permit] = (now + self._longest, weight)
        self._used += weight

    def note(self, weight: int, by: float) -> None:
        """Counts what couldn't wait and gets no reply, but will have arrived at the time `by`."""
        heapq.heappush(self._ends, (by + self._hold, weight))
        self._used += weight

    def arrived(self, permit: Permit, by: float) -> None:
        """The request has arrived, at the time `by` or before."""
        out = self._out.pop(permit, None)
        if out is not None:
            heapq.heappush(self._ends, (by + self._hold, out[1]))

    def back(self, permit: Permit) -> None:
        """The request won't arrive, or it doesn't matter any more."""
        out = self._out.pop(permit, None)
        if out is not None:
            self._used -= out[1]

    def reset(self) -> None:
        """The connection that this counts for has ended. What is still out may leave on the next one."""
        self._used -= sum(weight for _, weight in self._ends)
        self._ends = []

    def earliest(self, weight: int, now: float) -> float:
        """No sooner than this there is room, whatever replies come."""
        self._forget(now)
        lacking = self._used + weight - self.limit.count
        soonest = now + self._hold  # for those whose replies come at once
        ends = self._ends + [(min(end, soonest), weight) for end, weight in self._out.values()]
        at = now
        for end, freed in sorted(ends):
            if lacking <= 0:
                break
            lacking -= freed
            at = end
        return at

    def next_end(self) -> float:
        """When the next place becomes free if no reply comes before."""
        ends = [end for end, _ in self._ends[:1]]
        for end, _ in self._out.values():
            ends.append(end)  # the oldest one's, and so the first
            break
        return min(ends, default=math.inf)

    def _forget(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            self._used -= heapq.heappop(self._ends)[1]
        while self._out:
            permit, (end, weight) = next(iter(self._out.items()))
            if end > now:
                break
            del self._out[permit]
            self._used -= weight


class Line:
    """Who waits for places, in the order in which they came. Pure: told the time.

    Whoever lacks places in one window doesn't hold up those who need others; among those who need the same windows
    nobody overtakes.
    """

    def __init__(self, limits: Mapping[str, Limit], unanswered: float) -> None:
        self.windows = {name: Window(limit, unanswered) for name, limit in limits.items()}
        self.waiting: dict[Permit, None] = {}
        self.look = math.inf  # when `advance()` can do more, if nothing else happens before

    def take(self, permit: Permit, now: float) -> bool:
        """Grants the places at once, if they are there and nobody waits."""
        if self.waiting or self._lacking(permit, now):
            return False
        self.grant(permit, now)
        return True

    def advance(self, now: float) -> list[Permit]:
        """Grants what can be granted now, first come first served."""
        granted = []
        full: set[str] = set()
        self.look = math.inf
        for permit in self.waiting:
            lacking = self._lacking(permit, now)
            for name in lacking:
                if name not in full:
                    full.add(name)
                    self.look = min(self.look, self.windows[name].next_end())
            if full.isdisjoint(permit.costs):
                self.grant(permit, now)
                granted.append(permit)
            elif len(full) == len(self.windows):
                break
        for permit in granted:
            del self.waiting[permit]
        return granted

    def earliest(self, permit: Permit, now: float) -> float:
        """No sooner than this it can be granted."""
        return max(self.windows[name].earliest(weight, now) for name, weight in permit.costs.items())

    def _lacking(self, permit: Permit, now: float) -> list[str]:
        return [name for name, weight in permit.costs.items() if not self.windows[name].room(weight, now)]

    def grant(self, permit: Permit, now: float) -> None:
        """Takes the places, free or not."""
        permit.granted = True
        for name, weight in permit.costs.items():
            self.windows[name].take(permit, weight, now)
