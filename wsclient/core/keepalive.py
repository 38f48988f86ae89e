"""When to send a Ping, and when to give a silent connection up. Pure: told the time, it tells what is due."""

from enum import Enum, auto


class Due(Enum):
    NOTHING = auto()
    PING = auto()
    """Nothing was heard for a while: ask."""
    GIVE_UP = auto()
    """It was asked and didn't answer: the connection is dead."""


class Keepalive:
    """Any byte from the peer shows that it lives, a Pong only most plainly.

    idle: seconds of silence before a Ping
    patience: seconds after it before the connection counts as dead
    """

    __slots__ = ("_asked", "_heard", "_idle", "_patience")

    def __init__(self, idle: float, patience: float, now: float) -> None:
        self._idle = idle
        self._patience = patience
        self._heard = now
        self._asked: float | None = None

    def heard(self, now: float) -> None:
        """Bytes came from the peer."""
        self._heard = now
        self._asked = None

    def next(self) -> float:
        """When to ask `due()` again, unless something is heard first."""
        asked = self._asked  # read once: a caller who reads for itself may hear something meanwhile
        if asked is not None:
            return asked + self._patience
        return self._heard + self._idle

    def due(self, now: float) -> Due:
        """What is due now. `PING` is said once: the caller sends it."""
        if now < self.next():
            return Due.NOTHING
        if self._asked is not None and now < self.next() + self._patience:
            return Due.GIVE_UP
        # else it overslept by so much that the machine was suspended, or a handler was busy: it asks again
        self._asked = now
        return Due.PING
