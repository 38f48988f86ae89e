"""Listeners for every text, besides the handler: a sink that keeps them, for instance; and the venue's own."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

Tap = Callable[[str], object]


class Stream(Protocol):
    """A venue's own reader of all that comes. The event thread calls it."""

    def notice(self, message: dict[str, Any]) -> None:
        """A decoded message, before anybody else has it. May raise `ProtocolError`, which fails the connection."""

    def lost(self) -> None:
        """The connection ended, or ends. It may be told twice."""


class Taps:
    """Any thread adds and removes them; the event thread calls them, before the handler."""

    __slots__ = ("_lock", "all", "stream", "used")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the writing of what follows
        self.all: tuple[Tap, ...] = ()
        self.stream: Stream | None = None
        """The venue's own reader, where somebody needs it."""
        self.used = False
        """Whether anybody listens here."""

    def give_to(self, stream: Stream) -> None:
        """Gives all that comes to the venue's own reader, from now on."""
        with self._lock:
            self.stream = stream
            self.used = True

    def add(self, tap: Tap) -> Callable[[], None]:
        """Adds one; returns what removes it, as often as it is called."""
        entry = [tap]  # the same function may be added twice

        def remove() -> None:
            with self._lock:
                if entry:
                    rest = list(self.all)
                    rest.remove(entry.pop())
                    self.all = tuple(rest)
                    self.used = bool(rest) or self.stream is not None

        with self._lock:
            self.all = (*self.all, tap)
            self.used = True
        return remove
