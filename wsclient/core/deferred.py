"""The calls made on the event thread, which can't wait there for the connection or for the login."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import WSClientError
from .calls import Calls
from .reply import Reply, fail
from .session import Session
from .transport import Gone


class Deferred(NamedTuple):
    """A call, and what it is sent as: a text, or what makes it as it goes out."""

    reply: Reply[Any]
    text: bytes | Callable[[], bytes]
    private: bool


class DeferredCalls:
    """Queues them until they can be sent, in order. For the event thread alone."""

    __slots__ = ("_calls", "_held", "_new")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._held: list[Deferred] = []  # which this session's state doesn't allow yet
        self._new: list[Deferred] = []  # which come after those

    def __bool__(self) -> bool:
        return bool(self._held or self._new)

    def add(self, call: Deferred) -> None:
        self._new.append(call)

    def flush(self, session: Session) -> None:
        """Sends what this session's state allows, which has changed."""
        held, self._held = self._held, []
        self._new[:0] = held
        self.flush_new(session)

    def flush_new(self, session: Session) -> None:
        """Likewise, where it hasn't: what was held is still to be."""
        while self._new:
            call = self._new.pop(0)
            if not self._pass_on(session, call):
                self._held.append(call)

    def _pass_on(self, session: Session, call: Deferred) -> bool:
        """Sends a call; False where it has to wait for the login or for the next connection."""
        reply, text, private = call
        try:
            if private and not session.login.done and session.login.begin(waits=False) is not None:
                return False
            if not reply.leaving():
                self._calls.drop(reply)  # it was cancelled
                return True
            session.send(reply, text, wait=False)
        except Gone:
            return not self._calls.carry(reply, None)
        except WSClientError as error:  # it can't be written
            if self._calls.drop(reply):
                fail(reply, error)
        except OSError:
            pass  # the session's end tells the call
        return True

    def fail(self, outcome: Callable[[Deferred], WSClientError | None]) -> None:
        """Ends the calls for which there is an outcome; the others stay."""
        calls = [*self._held, *self._new]
        self._held.clear()
        self._new.clear()
        for call in calls:
            error = outcome(call)
            if error is None:
                self._new.append(call)
            elif self._calls.drop(call.reply):
                fail(call.reply, error)
