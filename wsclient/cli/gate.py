"""Where a recording ends: so many messages, the same ones in each store."""

import threading
from collections.abc import Callable, Sequence


class Gate:
    """Lets messages through to all takers, until there were enough; any thread may bring them.

    takers: called with each text
    most: how many; None for no end
    enough: called once, after the last one was let through
    """

    def __init__(
        self, takers: Sequence[Callable[[str], object]], most: int | None, enough: Callable[[], object]
    ) -> None:
        self._takers = tuple(takers)
        self._enough = enough
        self._lock = threading.Lock()  # guards what follows
        self._left = most

    def take(self, text: str) -> None:
        """One message."""
        last = False
        with self._lock:
            if self._left is not None:
                if self._left == 0:
                    return
                self._left -= 1
                last = self._left == 0
        for take in self._takers:
            take(text)
        if last:
            self._enough()
