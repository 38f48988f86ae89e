"""Reading on a caller's thread, for as long as it waits for its reply; see `turns` for whose turn it is.

What is plain is done at once: the caller's own reply, and a notice that nobody wants. At the first
thing that somebody needs, a handler or a callback perhaps, the rest is left for the event thread as it came, so
that everything is told in the order of the wire and on the thread where it is promised. Where there is a handler
for every text the event thread has to be woken anyway, and nothing is borrowed.
"""

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from ..errors import OutcomeUnknown, ProtocolError
from . import frames
from .calls import Calls, settle
from .codec import Codec
from .dialect import Answer, Dialect
from .keepalive import Keepalive
from .login import Login
from .reply import Reply, fail
from .transport import Transport


class Owner(Protocol):
    """The session that is read for."""

    login: Login
    account: Hashable
    watchful: bool
    spoke: bool

    @property
    def hears(self) -> bool: ...

    def read_for(self, reply: Reply[Any], timeout: float | None) -> None: ...

    def send(self, reply: Reply[Any], text: bytes | Callable[[], bytes]) -> None: ...


class Borrowing:
    """Reads for callers. What it reads with is touched only by whose turn it is."""

    __slots__ = (
        "_calls", "_clock", "_dialect", "_keepalive", "_loads", "_reader", "_session", "_transport",
        "_turns",
    )  # fmt: skip

    def __init__(
        self,
        transport: Transport,
        reader: frames.FrameReader,
        session: Owner,
        calls: Calls,
        dialect: Dialect,
        codec: Codec,
        keepalive: Keepalive,
        clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._turns = transport.turns
        self._reader = reader
        self._session = session
        self._calls = calls
        self._dialect = dialect
        self._loads = codec.loads
        self._keepalive = keepalive
        self._clock = clock

    def read_for(
        self, reply: Reply[Any], timeout: float | None, text: bytes | Callable[[], bytes] | None = None
    ) -> None:
        """Reads until the reply is there, `timeout` seconds have passed, or the event thread has to go on.

        text: is sent first, where that isn't done: after borrowing, since a quick reply would else wake the event
            thread while this one is still in its system call. What sending raises is raised
        """
        me = object()  # not the reply, for which several threads may wait
        turns = self._turns
        turns.take_back()  # from a call that a signal has interrupted, whose handler makes this one
        try:
            # With several calls under way the event thread reads: borrowing for each costs more than it saves.
            if not self._session.hears and len(self._calls.waiting) == 1 and not self._session.watchful:
                turns.borrow(me)
            if text is not None:
                self._session.send(reply, text)
            if turns.borrower is me:
                self._read(me, reply, timeout)
        finally:
            try:
                turns.give_back(me, self._transport.more)
            finally:
                if turns.borrower is me:  # Ctrl-C came just before
                    turns.give_back(me, True)

    def _read(self, me: object, reply: Reply[Any], timeout: float | None) -> None:
        transport, turns, inbox = self._transport, self._turns, self._turns.inbox
        traffic = transport.traffic
        until = None if timeout is None else self._clock() + timeout
        holding = False  # something that isn't handed on yet
        # The first look is without waiting. Where the server shares our core the reply is there, since sending has
        # let it run; elsewhere there is time.
        fresh = True
        try:
            while not (reply.done() or inbox):
                if not (transport.more or fresh):
                    if not turns.await_data(None if until is None else until - self._clock()):
                        return
                    if turns.borrower is not me:  # a signal's handler has stopped the client meanwhile
                        return
                holding = True
                received = transport.receive()
                fresh = False
                if received:
                    self._keepalive.heard(self._clock())
                    events = self._reader.feed(received)
                    traffic.bytes_in += len(received)
                    traffic.messages_in += len(events)
                    rest = self._do_plain(events, reply)
                    if rest:
                        inbox.append(rest)
                        return  # the event thread may have taken it by now, and goes on from here
                elif received is not None:
                    inbox.append(received)
                    return
                holding = False
        except OSError as error:
            inbox.append(error)
        except BaseException:
            # interrupted, by Ctrl-C for instance; what is lost of the stream then may be anybody's
            if holding:
                transport.shut()
            raise

    def _do_plain(self, events: list[frames.Event], reply: Reply[Any]) -> list[frames.Event]:
        """Does what is plain, and gives what is left for the event thread."""
        if self._session.hears:  # from now on
            return events
        mark, greeting = self._dialect.reply_mark, self._dialect.greeting_mark
        if not self._session.login.greeting_matters:
            greeting = None
        for done, event in enumerate(events):
            if event.__class__ is not str:
                return events[done:]
            if mark in event:
                if not self._settles(event, reply):
                    return events[done:]
            elif greeting is not None and greeting in event:
                return events[done:]
            self._session.spoke = True
        return []

    def _settles(self, text: str, own: Reply[Any]) -> bool:
        """Ends the caller's own call if this plainly answers it; anything else the event thread makes out."""
        try:
            message = self._loads(text)
            answer = self._dialect.read(message) if isinstance(message, dict) else None
        except (ValueError, RecursionError, ProtocolError):
            return False
        if answer.__class__ is not Answer or answer.tag != own.tag or own.on_answer is not None:
            return False
        if self._calls.answered(answer.tag, self._session, unless_audience=True) is not own:
            return False
        try:
            settle(own, answer, message, self._dialect)
        finally:
            if not own.done():  # interrupted: others may wait for it too
                fail(own, OutcomeUnknown("the reply came, but reading it was interrupted"))
        return True
