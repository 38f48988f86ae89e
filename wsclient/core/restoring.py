"""Bringing back, on a new connection, what the last one had: a plan, taken step by step on the event thread."""

import time
from collections.abc import Callable, Generator
from typing import Any

from ..errors import TransportError, WSClientError
from .dialect import Message, Outcome, title

LOG_IN = object()
"""The step that logs in. Its outcome is None, or the error that it was refused with."""

Plan = Generator[Any, Outcome | None, None]
"""Yields requests, or `LOG_IN`, and is sent the outcome of each: the answer or the error."""


class Restoring:
    """Takes the steps of a plan one after the other.

    ask: sends a request, and calls back with its outcome
    log_in: begins to log in, and `logged_in()` is to be called with the outcome; False if that is done already
    give_up: ends the connection, since its peer doesn't answer
    done: called when all is restored
    timeout: seconds for each answer; the login has its own deadlines
    """

    __slots__ = (
        "_ask", "_began", "_clock", "_closed", "_deadline", "_done", "_give_up", "_log_in", "_plan",
        "_step", "_timeout",
    )  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        *,
        ask: Callable[[Message, Callable[[Outcome | None], None]], object],
        log_in: Callable[[], bool],
        give_up: Callable[[WSClientError], None],
        done: Callable[[], None],
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._ask = ask
        self._log_in = log_in
        self._give_up = give_up
        self._done = done
        self._timeout = timeout
        self._clock = clock
        self._step: Any = None
        self._deadline: float | None = None
        self._began = False
        self._closed = False

    def begin(self) -> None:
        self.answered(None)

    def answered(self, outcome: Outcome | None) -> None:
        """The step that was under way has its outcome: goes on to the next one."""
        while not self._closed:
            self._deadline = None
            try:
                self._step = self._plan.send(outcome if self._began else None)
            except StopIteration:
                self._step = None
                self._closed = True
                self._done()
                return
            self._began = True
            if self._step is LOG_IN:
                if self._log_in():
                    return
                outcome = None  # it is done
                continue
            self._deadline = self._clock() + self._timeout
            self._ask(self._step, self.answered)
            return

    def logged_in(self, failure: WSClientError | None) -> None:
        """A login has its outcome."""
        if self._step is LOG_IN:
            self.answered(failure)

    def deadline(self) -> float | None:
        """When the answer to the step under way must have come."""
        return self._deadline

    def expire(self, now: float) -> None:
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            method = title(self._step)
            self._give_up(TransportError(f"the server owes an answer to {method} after {self._timeout:g} s"))

    def close(self) -> None:
        """The connection ended."""
        self._closed = True
        self._deadline = None
        self._plan.close()
