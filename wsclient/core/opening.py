"""One try to connect, and everybody who waits for it."""

import threading

from ..errors import NotSent, WSClientError
from .outcomes import not_sent
from .session import Session


class Opening:
    """One try to connect. Its outcome is set once, then everybody who waits is told."""

    __slots__ = ("_error", "_gate", "_open", "_session", "nap", "waited_for", "wakeful")

    def __init__(self) -> None:
        self._gate = threading.Lock()  # held until there is an outcome
        self._gate.acquire()
        self._open = [self._gate.release]  # taken by the one who ends it
        self._session: Session | None = None
        self._error: WSClientError | None = None
        self.waited_for = False  # whether some caller will be told the error by an exception
        self.nap: threading.Event | None = None  # ends the pause before it
        self.wakeful = False  # whether who waits ends that, too

    def end(self, outcome: Session | WSClientError) -> None:
        try:
            release = self._open.pop()
        except IndexError:
            return
        if isinstance(outcome, Session):
            self._session = outcome
        else:
            self._error = outcome
        release()

    def wait(self, timeout: float | None = None) -> Session:
        """The open session, or `NotSent` with the connecting error as its cause. Never for the event thread.

        timeout: seconds; without it the event thread's own deadlines end every opening, and stop() does
        """
        limit = -1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
        if not self._gate.acquire(timeout=limit):
            raise NotSent(f"not sent: there was no connection within {max(0.0, timeout or 0):.3g} s")
        self._gate.release()  # for the next one who waits
        if self._session is None:
            assert self._error is not None
            raise not_sent(self._error)
        return self._session
