"""Reply, and the calls that wait for one."""

import asyncio
import logging
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from ..errors import InvalidRequest, WouldDeadlock
from .dialect import Message

logger = logging.getLogger("wsclient")

T = TypeVar("T")


class Reply(Future[T], Generic[T]):
    """The outcome of one call, now or later: a `concurrent.futures.Future` that can also be awaited.

    Its result is the decoded reply. Instead it may raise `CommandError` (the exchange said no), `NotSent`,
    `OutcomeUnknown`, `AuthenticationError`, and `TimeoutError` from `result(timeout)`, after which it is still
    pending. On the event thread, where waiting would wait for itself, `result()` and `exception()` raise
    `WouldDeadlock` unless the outcome is there: add a callback instead.

    A call that has left can't be recalled: `cancel()` succeeds only for one that still waits to be sent.

    request: the message as it is sent, its tag included
    tag: what the exchange's reply carries
    """

    def __init__(self, request: Message, tag: int, on_event_thread: Callable[[], bool]) -> None:
        super().__init__()
        self.request = request
        self.tag = tag
        self.left = False  # whether bytes of it may have left; the transport says so
        self._carrier: object | None = None  # the session that it was given to; guarded by the table of calls
        self._on_event_thread = on_event_thread

    def result(self, timeout: float | None = None) -> T:
        """The reply; waits for it up to `timeout` seconds, or as long as it takes."""
        self._may_wait()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error that ended the call, or None; waits like `result()`."""
        self._may_wait()
        return super().exception(timeout)

    def leaving(self) -> bool:
        """Marks the call as about to be sent, from when it can't be cancelled; False if it was cancelled."""
        return self.running() or self.set_running_or_notify_cancel()

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()

    def __repr__(self) -> str:
        state = "pending" if not self.done() else "cancelled" if self.cancelled() else "done"
        return f"<Reply to {self.request.get('method')} with tag {self.tag}: {state}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Reply belongs to a live connection and can't be pickled: pickle its result()")

    def _may_wait(self) -> None:
        if not self.done() and self._on_event_thread():
            raise WouldDeadlock(
                f"the reply to {self.request.get('method')} is read by the event thread, which is this one: "
                "waiting for it here would never end; use reply.add_done_callback(), or call from another thread"
            )


class Calls:
    """The calls that wait for a reply, by tag. A tag is taken from when the call is made until its outcome."""

    def __init__(self, on_event_thread: Callable[[], bool]) -> None:
        self._on_event_thread = on_event_thread
        self._lock = threading.Lock()  # guards what follows, and each Reply's _carrier
        self._by_tag: dict[int, Reply[Any]] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._by_tag)

    def add(self, tag: int | None, build: Callable[[int], Message]) -> Reply[Any]:
        """A new call. `tag` is the caller's choice; None takes the next free one of 1, 2, 3 …"""
        with self._lock:
            if tag is None:
                while self._next in self._by_tag:
                    self._next += 1
                tag = self._next
                self._next += 1
            elif tag in self._by_tag:
                raise InvalidRequest(f"the tag {tag} is in use by a call that still waits for its reply")
            reply = Reply[Any](build(tag), tag, self._on_event_thread)
            self._by_tag[tag] = reply
            return reply

    def drop(self, reply: Reply[Any]) -> bool:
        """Takes the call out; False if it was out already, and so its outcome is another one's to tell."""
        with self._lock:
            if self._by_tag.get(reply.tag) is not reply:
                return False
            del self._by_tag[reply.tag]
            return True

    def carry(self, reply: Reply[Any], session: object | None) -> bool:
        """Notes on which session the call is sent, before it is; False if the call has ended meanwhile."""
        with self._lock:
            reply._carrier = session
            return self._by_tag.get(reply.tag) is reply

    def answered(self, tag: int, session: object) -> Reply[Any] | None:
        """Takes out the call that a reply on this session answers; None if nothing was asked with this tag."""
        with self._lock:
            reply = self._by_tag.get(tag)
            if reply is None or reply._carrier is not session:
                return None
            del self._by_tag[tag]
            return reply

    def lost(self, session: object) -> list[Reply[Any]]:
        """Takes out the calls that were given to this session."""
        with self._lock:
            replies = [reply for reply in self._by_tag.values() if reply._carrier is session]
            for reply in replies:
                del self._by_tag[reply.tag]
            return replies


def succeed(reply: Reply[Any], result: Any) -> None:
    """Ends the call with its reply. For whoever took the call out of the table, and so alone may end it."""
    _settle(reply, reply.set_result, result)


def fail(reply: Reply[Any], error: Exception) -> None:
    """Ends the call with an error that is its alone. For whoever took the call out of the table."""
    _settle(reply, reply.set_exception, error)


def _settle(reply: Reply[Any], settle: Callable[[Any], None], outcome: Any) -> None:
    if not reply.leaving():
        return  # it was cancelled while it waited to be sent
    try:
        settle(outcome)
    except BaseException:
        # a Future lets what is no Exception through from its callbacks; the event thread has others to serve
        logger.exception("a callback of %r raised", reply)
