"""The exchange's clock, as far as it is known: signed requests carry its time, not ours."""

import threading
import time
from collections.abc import Callable


class ServerClock:
    """Counts on from what `time` answered, by a clock that nobody sets.

    An answer is older than the moment at which it is read, so the time given here is behind the exchange's, by
    less than the answer took. That is the safe side: a timestamp may be old by `recvWindow`, 5 s unless told
    otherwise, but not a second ahead. Before the first answer it is our own machine's time.

    clock: seconds, for counting on; wall: seconds since the Unix epoch
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()  # guards the writing of what follows
        self._ahead: float | None = None  # of the exchange's time over our clock, in milliseconds
        self.doubted = False  # a timestamp was refused

    @property
    def known(self) -> bool:
        """Whether the exchange has told its time."""
        return self._ahead is not None

    def told(self, server_time: int) -> None:
        """The exchange's time just came: milliseconds since the Unix epoch."""
        with self._lock:
            self._ahead = server_time - self._clock() * 1000
            self.doubted = False

    def now(self) -> int:
        """Milliseconds since the Unix epoch, by the exchange's clock."""
        ahead = self._ahead
        return int(self._wall() * 1000 if ahead is None else self._clock() * 1000 + ahead)

    @property
    def offset(self) -> float:
        """Seconds by which the exchange's clock is ahead of this machine's."""
        return self.now() / 1000 - self._wall()
