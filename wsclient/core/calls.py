"""The calls that wait for a reply, by tag."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

from ..errors import InvalidRequest
from .dialect import Answer, Dialect, Message
from .outcomes import about, elsewhere
from .reply import Carrier, Reply, fail, succeed

_places = itertools.count()


class Calls:
    """The calls that wait for a reply, by tag. A tag is taken from when the call is made until its outcome."""

    __slots__ = ("_dialect", "_lock", "_next", "_on_event_thread", "waiting")

    def __init__(self, dialect: Dialect, on_event_thread: Callable[[], bool]) -> None:
        self._dialect = dialect
        self._on_event_thread = on_event_thread
        self._lock = threading.Lock()  # guards what follows, and each Reply's carrier
        self.waiting: dict[int, Reply[Any]] = {}  # by tag; for others to ask whether it is empty, and no more
        self._next = 1

    def add(self, request: Message, tag: int | None) -> Reply[Any]:
        """A new call. `tag` is the caller's choice; None takes the next free one of 1, 2, 3 …"""
        with self._lock:
            if tag is None:
                while self._next in self.waiting:
                    self._next += 1
                tag = self._next
                self._next += 1
            elif tag in self.waiting:
                raise InvalidRequest(f"the tag {tag} is in use by a call that still waits for its reply")
            reply: Reply[Any] = Reply(self._dialect.tagged(request, tag), tag, self._on_event_thread)
            self.waiting[tag] = reply
            return reply

    def drop(self, reply: Reply[Any]) -> bool:
        """Takes the call out; False if it was out already, and so its outcome is another one's to tell."""
        with self._lock:
            if self.waiting.get(reply.tag) is not reply:
                return False
            del self.waiting[reply.tag]
            return True

    def carry(self, reply: Reply[Any], session: Carrier | None) -> bool:
        """Notes on which session the call is sent, before it is; False if the call has ended meanwhile."""
        with self._lock:
            reply.carrier = session
            return self.waiting.get(reply.tag) is reply

    def answered(self, tag: int, session: Carrier, *, unless_audience: bool = False) -> Reply[Any] | None:
        """Takes out the call that a reply on this session answers; None if nothing was asked with this tag.

        unless_audience: leave it, and give None, where somebody asked to be called back
        """
        with self._lock:
            reply = self.waiting.get(tag)
            if reply is None or reply.carrier is not session or (unless_audience and reply.has_audience):
                return None
            del self.waiting[tag]
            return reply

    def in_wire_order(self, session: Carrier) -> list[Reply[Any]]:
        """The late calls that wait for an answer on this session, in the order in which they were written."""
        with self._lock:
            replies = [r for r in self.waiting.values() if r.carrier is session and r.place is not None and r.left]
        return sorted(replies, key=lambda reply: reply.place or 0)

    def lost(self, session: Carrier) -> list[Reply[Any]]:
        """Takes out the calls that were given to this session."""
        with self._lock:
            replies = [reply for reply in self.waiting.values() if reply.carrier is session]
            for reply in replies:
                del self.waiting[reply.tag]
            return replies


def completer(
    reply: Reply[Any],
    dialect: Dialect,
    credentials: Callable[[], Any],
    encoded: Callable[[Message], bytes],
) -> Callable[[], bytes]:
    """What completes and writes a `late` request, anew each time that it goes out."""
    request = reply.request

    def text() -> bytes:
        reply.place = next(_places)  # under the transport's lock, so in the order of the wire
        known = credentials()
        # who has logged in, or else who signs
        reply.account = (reply.carrier and reply.carrier.account) or dialect.account(known)
        if reply.only_for is not None and reply.account != reply.only_for:
            raise elsewhere()
        reply.request = dialect.completed(request, known)
        return encoded(dialect.signed(reply.request, known))

    return text


def settle(reply: Reply[Any], answer: Answer, message: Message, dialect: Dialect) -> None:
    """Ends a call that was taken out with what its answer says."""
    if answer.ok:
        try:
            if reply.on_answer is not None:
                reply.on_answer(message)
        finally:
            succeed(reply, dialect.result(message))
    else:
        fail(reply, about(dialect.refusal(message, reply.request), reply))
