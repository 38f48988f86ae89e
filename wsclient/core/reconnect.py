"""When to try again after a lost connection, and when to give up. Pure: it is told what happened, and decides."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import InvalidRequest

PROVEN = 10.0
"""Seconds after which a restored connection counts as healthy, also if nothing came."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How a client gets back what a lost connection held: logins and watches.

    The wait before the nth try in a row is random between 0 and `base * 2 ** (n - 1)`, never over `cap`: random
    all the way down, so that clients which were cut off together don't come back together.

    tries: in a row, before it gives up; counted until a connection has proved healthy, by a message beyond
        restoring it or by lasting 10 s
    base, cap: seconds
    random: gives a number from 0 to 1; for tests
    """

    tries: int = 5
    base: float = 0.5
    cap: float = 30.0
    random: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.tries, bool) or not isinstance(self.tries, int) or self.tries < 1:
            raise InvalidRequest(f"tries is a positive int, not {self.tries!r}; reconnect=None turns it off")
        for name in ("base", "cap"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise InvalidRequest(f"{name} is a number of seconds, not {value!r}")
        if not callable(self.random):
            raise InvalidRequest("random must be callable")


def jittered(tries: int, base: float, cap: float, random: Callable[[], float]) -> float:
    """Seconds to wait after so many tries in a row, as `Reconnect` has them; 0 after none."""
    return random() * min(cap, base * 2.0 ** min(tries - 1, 64)) if tries else 0.0


class Backoff:
    """The tries of one client. For the event thread alone."""

    __slots__ = ("_policy", "needed", "tries")

    def __init__(self, policy: Reconnect) -> None:
        self._policy = policy
        self.tries = 0
        self.needed = False
        """Whether the last connection couldn't be had, or ended before it proved healthy; for who uses this."""

    def next(self) -> float | None:
        """Seconds to wait before one more try, which counts from now; None when there were enough."""
        policy = self._policy
        if self.tries >= policy.tries:
            return None
        self.tries += 1
        return jittered(self.tries, policy.base, policy.cap, policy.random)

    def reset(self) -> None:
        """The connection has proved healthy, or a caller starts afresh."""
        self.tries = 0
