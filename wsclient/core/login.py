"""One session's login: begun by whoever needs it first, waited for by all the others, done once.

Nothing here blocks but `Attempt.wait()`, which is for threads other than the event thread. The event thread brings
the greeting and the answer, and everybody's deadline is the same: each step, the greeting and the answer, has
`timeout` seconds.
"""

import math
import threading
import time
from collections.abc import Callable
from enum import Enum, auto

from ..errors import NotSent, ProtocolError, TransportError, WSClientError, same_again
from .dialect import Greeting
from .outcomes import login_failed
from .transport import Gone


class LoginState(Enum):
    OUT = auto()
    RUNNING = auto()
    IN = auto()
    LOST = auto()
    """The session has ended: nobody logs in on it any more."""


class Attempt:
    """One try to log in. Its outcome is set once: the first one counts."""

    __slots__ = ("_ended", "error", "waited_for")

    def __init__(self) -> None:
        self._ended = threading.Event()
        self.error: WSClientError | None = None
        self.waited_for = False  # whether some caller will be told the error by an exception

    def end(self, error: WSClientError | None) -> None:
        self.error = error
        self._ended.set()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, login: "Login", timeout: float | None = None) -> None:
        """Waits for the outcome; raises it where it is an error. Never for the event thread.

        timeout: seconds after which `NotSent` is raised, and the login goes on; without it for as long as it takes
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self._ended.wait(max(0.0, min(login.remaining(), until - time.monotonic()))):
            login.expire()
            if not self.ended and time.monotonic() >= until:
                raise NotSent(f"not sent: the login wasn't done within {max(0.0, timeout or 0):.3g} s")
        if self.error is not None:
            raise same_again(self.error)


class Login:
    """Whether a session is logged in, and the attempt that may be under way.

    send: sends the login request made for this greeting (called without the lock)
    give_up: ends the session, since its peer doesn't answer (called without the lock)
    """

    __slots__ = (
        "_attempt", "_clock", "_deadline", "_give_up", "_greeted", "_greeting", "_lock", "_send", "_sent",
        "_state", "_timeout",
    )  # fmt: skip

    def __init__(
        self,
        *,
        greeted: bool,
        timeout: float,
        send: Callable[[Attempt, Greeting | None], None],
        give_up: Callable[[WSClientError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._greeted = greeted  # whether the venue greets, so that a login must wait for that
        self._timeout = timeout
        self._send = send
        self._give_up = give_up
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._state = LoginState.OUT
        self._attempt: Attempt | None = None
        self._greeting: Greeting | None = None
        self._deadline: float | None = None
        self._sent = False

    @property
    def done(self) -> bool:
        return self._state is LoginState.IN

    @property
    def greeting_matters(self) -> bool:
        """Whether a greeting that comes now is one to read: any until the login, then none."""
        return self._greeted and self._state is not LoginState.IN

    def begin(self, *, waits: bool) -> Attempt | None:
        """The attempt to wait for, begun here if need be; None if the session is logged in.

        Raises `Gone` if the session has ended.
        """
        with self._lock:
            if self._state is LoginState.LOST:
                raise Gone
            if self._state is LoginState.IN:
                return None
            if self._attempt is not None:
                self._attempt.waited_for |= waits
                return self._attempt
            attempt = self._attempt = Attempt()
            attempt.waited_for = waits
            self._state = LoginState.RUNNING
            self._deadline = self._clock() + self._timeout
            self._sent = ready = not self._greeted or self._greeting is not None
            greeting = self._greeting
        if ready:
            self._send(attempt, greeting)
        return attempt

    def greet(self, greeting: Greeting) -> None:
        """The server's greeting came. A second one before the login is a `ProtocolError`."""
        with self._lock:
            if self._greeting is not None:
                raise ProtocolError("a second greeting before the login")
            self._greeting = greeting
            attempt = self._attempt
            if attempt is None:
                return
            self._sent = True
            self._deadline = self._clock() + self._timeout
        self._send(attempt, greeting)

    def step(self, attempt: Attempt) -> bool:
        """The login goes on with one more request; False if the attempt has its outcome already."""
        with self._lock:
            if self._attempt is not attempt:
                return False
            self._deadline = self._clock() + self._timeout
            return True

    def settle(self, attempt: Attempt, error: WSClientError | None) -> bool:
        """Decides the attempt's outcome, but doesn't tell its waiters yet; False if it had one already."""
        with self._lock:
            if self._attempt is not attempt:
                return False
            self._attempt = None
            self._deadline = None
            if self._state is LoginState.RUNNING:
                self._state = LoginState.OUT if error is not None else LoginState.IN
        return True

    def lost(self, error: WSClientError) -> bool:
        """The session ended, and with it an attempt under way: whether there was one."""
        with self._lock:
            self._state = LoginState.LOST
            attempt = self._attempt
        return self._end(attempt, login_failed(error))

    def _end(self, attempt: Attempt | None, error: WSClientError) -> bool:
        if attempt is None or not self.settle(attempt, error):
            return False
        attempt.end(error)
        return True

    def deadline(self) -> float | None:
        """When the step under way must have ended."""
        return self._deadline

    def remaining(self) -> float:
        """Seconds until then; a moment where there is none, since the outcome is just being told."""
        deadline = self._deadline
        return self._timeout if deadline is None else max(0.0, deadline - self._clock())

    def expire(self) -> None:
        """Ends the attempt, and gives the session up, if the step under way took too long."""
        with self._lock:
            attempt = self._attempt
            if attempt is None or self._deadline is None or self._clock() < self._deadline:
                return
            what = "an answer to the login" if self._sent else "its greeting"
        error = TransportError(f"the server owes {what} after {self._timeout:g} s")
        # the waiters are told here, not by the event thread: that may be busy in a handler
        self._end(attempt, login_failed(error))
        self._give_up(error)
