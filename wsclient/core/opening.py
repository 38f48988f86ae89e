"""One try to connect, and everybody who waits for it."""

import threading

from ..errors import NotSent, WSClientError
from .outcomes import not_sent
from .session import Session


class Opening:
    """One try to connect. Its outcome is set once, then everybody who waits is told."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._session: Session | None = None
        self._error: WSClientError | None = None
        self.waited_for = False  # whether some caller will be told the error by an exception

    def end(self, outcome: Session | WSClientError) -> None:
        if not self._ended.is_set():
            if isinstance(outcome, Session):
                self._session = outcome
            else:
                self._error = outcome
            self._ended.set()

    def wait(self, timeout: float | None = None) -> Session:
        """The open session, or `NotSent` with the connecting error as its cause. Never for the event thread.

        timeout: seconds; without it the event thread's own deadlines end every opening, and stop() does
        """
        if not self._ended.wait(timeout):
            raise NotSent(f"not sent: there was no connection within {max(0.0, timeout or 0):.3g} s")
        if self._session is None:
            assert self._error is not None
            raise not_sent(self._error)
        return self._session
