"""Any number of functions that are told the same, on the event thread."""

import threading
from collections.abc import Callable


class Listeners:
    """Any thread adds and removes them, while one tells them.

    raised: told what a listener raised, which changes nothing for the others
    """

    __slots__ = ("_lock", "_raised", "all")

    def __init__(self, raised: Callable[[Callable[..., object], BaseException], object]) -> None:
        self._raised = raised
        self._lock = threading.Lock()  # guards the writing of what follows
        self.all: tuple[Callable[..., object], ...] = ()

    def add(self, listener: Callable[..., object]) -> Callable[[], None]:
        """Adds one; returns what removes it, as often as it is called."""
        entry = [listener]  # the same function may be added twice

        def remove() -> None:
            with self._lock:
                if entry:
                    rest = list(self.all)
                    rest.remove(entry.pop())
                    self.all = tuple(rest)

        with self._lock:
            self.all = (*self.all, listener)
        return remove

    def tell(self, told: object) -> None:
        """Calls each with this."""
        for listener in self.all:
            try:
                listener(told)
            except BaseException as error:
                self._raised(listener, error)
