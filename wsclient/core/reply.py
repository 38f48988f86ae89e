"""Reply: the outcome of one call, now or later."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..errors import WouldDeadlock
from .bell import Bell, mine
from .dialect import Message, title
from .pacing import Permit

logger = logging.getLogger("wsclient")

T = TypeVar("T")

_RUNNING = "RUNNING"
_FINISHED = "FINISHED"
_CANCELLED = ("CANCELLED", "CANCELLED_AND_NOTIFIED")
_SETTLED = object()
_making_one = threading.Lock()


class Observer(Protocol):
    """Who has an interest in how calls end."""

    def ended(self, reply: "Reply[Any]", error: BaseException | None) -> None:
        """The call has its outcome, and nobody was told yet."""

    def cancelled(self, reply: "Reply[Any]") -> None:
        """The call was withdrawn before it was sent."""

    def timed_out(self) -> None:
        """A wait for the outcome took too long."""


class Carrier(Protocol):
    """The session on which a call was sent."""

    account: Hashable
    """Who is logged in there."""

    def read_for(self, reply: "Reply[Any]", timeout: float | None) -> None:
        """Lets the caller read its own reply from the socket, if it alone waits for one; returns when it is
        there, after `timeout` seconds, or when the event thread has to go on."""


class Reply(Future[T], Generic[T]):
    """The outcome of one call: a `concurrent.futures.Future` that can also be awaited.

    Its result is the decoded reply. Instead it may raise `CommandError` (the exchange said no), `NotSent`,
    `OutcomeUnknown`, `AuthenticationError`, and `TimeoutError` from `result(timeout)`, after which it is still
    pending. On the event thread, where waiting would wait for itself, `result()` and `exception()` raise
    `WouldDeadlock` unless the outcome is there: add a callback instead.

    A call that has left can't be recalled: `cancel()` succeeds only for one that still waits to be sent.

    request: the message as it is sent, its tag included
    tag: what the exchange's reply carries

    Most Replies are waited for by one thread or by none. So a waiter here waits on one raw lock, and the Future's
    Condition, which costs more than all the rest, is made when somebody asks for it: `as_completed` and `wait`,
    `add_done_callback`, `cancel`. Who asks and who settles meet in one step that can't be divided,
    `dict.setdefault`: either the condition was there, and is notified, or the state was final before it was made.
    """

    # What most Replies never set stands here once for all of them: there are many, and each is to be cheap.
    _result: Any = None
    _exception: BaseException | None = None
    left = False
    """Whether bytes of it may have left; the transport says so."""
    carrier: Carrier | None = None
    """The session that it was given to; guarded by the table of calls."""
    on_sending: Callable[[], None] | None = None
    """Told before each time that it goes out."""
    on_answer: Callable[[Message], None] | None = None
    """Told of a good answer first, on the event thread."""
    account: Hashable = None
    """Who made it, if it was completed as it went out."""
    only_for: Hashable = None
    """The account that it may be sent for; None for any."""
    place: int | None = None
    """Its place in the order of the wire, if it was completed as it went out."""
    meter: Observer | None = None
    began: float | None = None
    """When the user's call was made, for the meter."""
    permit: Permit | None = None
    """Its places under the rate limits, for the meter."""
    bell: Bell | None = None
    """What the first one who waits for it sleeps on; the others wait at the gate."""

    def __init__(self, request: Message, tag: int, on_event_thread: Callable[[], bool]) -> None:
        # what Future.__init__ sets, but for what `_condition` makes
        self._state = "PENDING"
        self.request = request
        self.tag = tag
        self._gate = threading.Lock()  # held until there is an outcome
        self._gate.acquire()
        self._on_event_thread = on_event_thread

    if not TYPE_CHECKING:  # for a type checker it is what Future declares

        @property
        def _condition(self) -> threading.Condition:
            condition = self.__dict__.get("lazy_condition")
            if condition is None:
                self.__dict__.setdefault("_waiters", [])  # used with the condition held only
                self.__dict__.setdefault("_done_callbacks", [])
                condition = self.__dict__.setdefault("lazy_condition", threading.Condition())
            # once settled, whoever asks finds the state final under any condition; but it must stay the same one,
            # since `wait` and `as_completed` acquire and release it in two steps
            if condition is _SETTLED:
                with _making_one:
                    condition = self.__dict__["lazy_condition"]
                    if condition is _SETTLED:
                        self.__dict__.setdefault("_waiters", [])
                        self.__dict__.setdefault("_done_callbacks", [])
                        condition = self.__dict__["lazy_condition"] = threading.Condition()
            return condition

    def result(self, timeout: float | None = None) -> T:
        """The reply; waits for it up to `timeout` seconds, or as long as it takes."""
        self._wait(timeout)
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                del self  # the traceback would keep the Reply, and the Reply the traceback
        return self._result  # type: ignore[no-any-return]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error that ended the call, or None; waits like `result()`."""
        self._wait(timeout)
        return self._exception

    def done(self) -> bool:
        return self._state == _FINISHED or self._state in _CANCELLED

    def running(self) -> bool:
        return self._state == _RUNNING

    def cancel(self) -> bool:
        """Withdraws a call that still waits to be sent; False for one that may have left."""
        if self._state in (_RUNNING, _FINISHED) or not super().cancel():
            return False
        try:
            self._gate.release()
        except RuntimeError:
            return True  # it was cancelled before
        if self.bell is not None:
            self.bell.ring()
        if self.meter is not None:
            self.meter.cancelled(self)
        return True

    def set_result(self, result: T) -> None:
        self._refuse_if_done()
        self.end(result, None)

    def set_exception(self, exception: BaseException | None) -> None:
        self._refuse_if_done()
        self.end(None, exception)

    def _refuse_if_done(self) -> None:
        if self.done():
            raise InvalidStateError(f"{self!r} has its outcome already")

    def leaving(self) -> bool:
        """Marks the call as about to be sent, from when it can't be cancelled; False if it was cancelled."""
        return self._state == _RUNNING or self.set_running_or_notify_cancel()

    def made_by_waiting_caller(self) -> None:
        """Marks a new call as about to be sent at once, before anybody else can know it."""
        self._state = _RUNNING

    @property
    def has_audience(self) -> bool:
        """Whether anybody may have asked to be called back."""
        return "lazy_condition" in self.__dict__

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # only those who await pay for it

        return asyncio.wrap_future(self).__await__()

    def __repr__(self) -> str:
        state = "pending" if not self.done() else "cancelled" if self.cancelled() else "done"
        return f"<Reply to {title(self.request)} with tag {self.tag}: {state}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Reply belongs to a live connection and can't be pickled: pickle its result()")

    def _wait(self, timeout: float | None) -> None:
        if self._state == _FINISHED:
            return
        if not self.done() and self._on_event_thread():
            raise WouldDeadlock(
                f"the reply to {title(self.request)} is read by the event thread, which is this one: "
                "waiting for it here would never end; use reply.add_done_callback(), or call from another thread"
            )
        left = timeout
        if self.carrier is not None:
            began = time.monotonic()
            self.carrier.read_for(self, timeout)
            if self._state == _FINISHED:
                return
            left = None if timeout is None else timeout - (time.monotonic() - began)
        bell = mine()
        if bell is not None and self.__dict__.setdefault("bell", bell) is bell:
            there = self._slept(bell, left)
        else:
            there = self._passed(left)
        if not there:
            if self.meter is not None:
                self.meter.timed_out()
            raise TimeoutError(f"no reply to {title(self.request)} within {timeout:g} s, so far")
        if self._state in _CANCELLED:
            raise CancelledError

    def _slept(self, bell: Bell, timeout: float | None) -> bool:
        """Sleeps until the bell is rung and there is an outcome; False if there is none in time.

        Who settles sets the state and then looks for a bell; here it is the other way round, so that one of the
        two sees what the other has done.
        """
        until = None if timeout is None else time.monotonic() + timeout
        bell.in_use = True
        try:
            while not self.done():
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                bell.sleep(left)
        finally:
            bell.in_use = False
        return True

    def _passed(self, timeout: float | None) -> bool:
        """Waits at the gate, likewise."""
        if not self._gate.acquire(
            timeout=-1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
        ):
            return False
        try:
            self._gate.release()  # for the next one who waits
        except RuntimeError:
            pass  # cancelled twice at the same moment, the gate is open already
        return True

    def end(self, result: Any, exception: BaseException | None) -> None:
        """Sets the outcome, and tells whoever waits for it."""
        if self.meter is not None:
            self.meter.ended(self, exception)
        self._result = result
        self._exception = exception
        condition = self.__dict__.get("lazy_condition")
        if condition is None:
            self._state = _FINISHED
            condition = self.__dict__.setdefault("lazy_condition", _SETTLED)
            if condition is _SETTLED:
                self._open()
                return
        with condition:
            self._state = _FINISHED
            for waiter in self._waiters:
                waiter.add_result(self) if exception is None else waiter.add_exception(self)
            condition.notify_all()
        self._open()
        try:
            self._invoke_callbacks()  # type: ignore[attr-defined]
        except BaseException:
            # a Future lets what is no Exception through; the event thread has others to serve
            logger.exception("a callback of %r raised", self)

    def _open(self) -> None:
        """Lets those go on who wait."""
        self._gate.release()
        if self.bell is not None:
            self.bell.ring()


def succeed(reply: Reply[Any], result: Any) -> None:
    """Ends the call with its reply. For whoever took the call out of the table, and so alone may end it."""
    if reply.leaving():
        reply.end(result, None)


def fail(reply: Reply[Any], error: Exception) -> None:
    """Ends the call with an error that is its alone. For whoever took the call out of the table."""
    if reply.leaving():  # else it was cancelled while it waited to be sent
        reply.end(None, error)
