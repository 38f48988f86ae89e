"""To whom each text is brought: the call that it answers, the login, a watch, a tap, the handler."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from ..errors import ProtocolError
from . import frames
from .calls import Calls, settle
from .codec import Codec
from .dialect import Answer, Demand, Dialect, Greeting, Message, Unnamed
from .handlers import Caller
from .login import Login
from .reply import Reply
from .taps import Stream, Taps
from .watches import Watches


class Owner(Protocol):
    """The session whose texts these are."""

    login: Login
    account: Hashable
    watchful: bool
    """Whether it closes or ends, so that each text needs a closer look."""

    @property
    def closing(self) -> bool:
        """Whether we have begun to close: answers still count, and the handler has no more."""

    def on_event(self, event: frames.Event) -> None:
        """Takes what isn't plainly a text to be delivered."""

    def fail(self, error: ProtocolError) -> None:
        """Fails the connection."""

    def meet(self, demand: Demand) -> None:
        """Makes the call that the server wants. Raises `ProtocolError` if it wants too many."""

    def read_for(self, reply: Reply[Any], timeout: float | None) -> None: ...


class Texts:
    """Looks into each text no further than somebody needs it. The event thread's.

    name: of the peer, for errors
    """

    __slots__ = ("_caller", "_calls", "_dialect", "_loads", "_name", "_session", "_taps", "_watches")

    def __init__(
        self,
        session: Owner,
        *,
        name: str,
        dialect: Dialect,
        calls: Calls,
        caller: Caller[Any],
        watches: Watches,
        taps: Taps,
        codec: Codec,
    ) -> None:
        self._session = session
        self._name = name
        self._dialect = dialect
        self._calls = calls
        self._caller = caller
        self._watches = watches
        self._taps = taps
        self._loads: Callable[[str], Any] = codec.loads

    def deliver(self, events: list[frames.Event]) -> None:
        """Each event in its turn. Texts are many: what most of them don't need isn't looked at here."""
        session = self._session
        # asked for once: a call that is made from now on can't be answered by what has come already
        reply = self._dialect.reply_mark if self._calls.waiting else None
        greeting = self._dialect.greeting_mark if session.login.greeting_matters else None
        marks = [mark for mark in (reply, greeting, self._dialect.alarm_mark) if mark is not None]
        if self._watches.attentive or self._taps.all or len(marks) > 2:
            for event in events:
                session.on_event(event)
            return
        if self._taps.stream is not None:
            self._deliver_decoded(events, marks, self._taps.stream)
            return
        mark, other = (*marks, None, None)[:2]
        handler, client = self._caller.on_message, self._caller.client
        for event in events:
            if event.__class__ is not str or session.watchful:
                session.on_event(event)
            elif mark is not None and (mark in event or (other is not None and other in event)):
                self.take(event)
            elif handler is not None:
                try:
                    handler(client, event)
                except BaseException as error:
                    self._caller.raised(handler, error)

    def _deliver_decoded(self, events: list[frames.Event], marks: list[str], stream: Stream) -> None:
        """Likewise where the venue has each notice decoded: it comes to its stream, then to the handler."""
        mark, other = (*marks, None, None)[:2]
        session, loads, notice = self._session, self._loads, stream.notice
        handler, client = self._caller.on_message, self._caller.client
        message: Any
        for event in events:
            if event.__class__ is not str or session.watchful:
                session.on_event(event)
                continue
            if mark is not None and (mark in event or (other is not None and other in event)):
                self.take(event)
                continue
            try:
                message = loads(event)
            except (ValueError, RecursionError):
                message = None
            if message.__class__ is not dict:
                self.take(event)  # which tells what is wrong with it
                continue
            try:
                notice(message)
            except ProtocolError as error:
                self._session.fail(ProtocolError(f"{self._name}: {error}", frames.PROTOCOL_ERROR))
            if handler is not None:
                try:
                    handler(client, event)
                except BaseException as error:
                    self._caller.raised(handler, error)

    def take(self, text: str) -> None:
        """Resolves the call that this answers, or takes the greeting; then hands it to the handler."""
        # asked first: a caller may stop us the moment that his call is resolved
        wanted = not self._session.closing
        for tap in self._taps.all if wanted else ():
            try:
                tap(text)
            except BaseException as error:
                self._caller.raised(tap, error)
        greeting = self._dialect.greeting_mark
        alarm = self._dialect.alarm_mark
        if (
            (self._calls.waiting and self._dialect.reply_mark in text)
            or (greeting is not None and self._session.login.greeting_matters and greeting in text)
            or (alarm is not None and alarm in text)
        ):
            self._read(text)
        elif self._taps.stream is not None or (self._watches.attentive and self._dialect.notice_mark in text):
            self._read(text, notice=True)
        if wanted:
            self._caller.message(text)

    def _read(self, text: str, notice: bool = False) -> None:
        """Decodes what may be an answer or a greeting; notice: or the notice of a watch, and neither of them."""
        try:
            message = self._loads(text)
        except (ValueError, RecursionError) as error:
            told = f"{self._name} sent what isn't JSON: {error}"
            self._session.fail(ProtocolError(told, frames.PROTOCOL_ERROR))
            return
        if not isinstance(message, dict):
            told = f"{self._name} sent JSON that isn't an object"
            self._session.fail(ProtocolError(told, frames.PROTOCOL_ERROR))
            return
        try:
            read = None if notice else self._dialect.read(message)
            if read is None:
                if self._taps.stream is not None:
                    self._taps.stream.notice(message)
                if self._watches.attentive:
                    self._watches.notice(message)
            elif isinstance(read, Answer):
                self._on_answer(read, message)
            elif isinstance(read, Unnamed):
                self._on_unnamed(read, message)
                if self._taps.stream is not None:
                    self._taps.stream.notice(message)
            elif isinstance(read, Demand):
                self._session.meet(read)
                if self._taps.stream is not None:
                    self._taps.stream.notice(message)
            elif isinstance(read, Greeting) and self._session.login.greeting_matters:
                self._session.login.greet(read)
        except ProtocolError as error:
            self._session.fail(ProtocolError(f"{self._name}: {error}", frames.PROTOCOL_ERROR))

    def _on_answer(self, answer: Answer, message: Message) -> None:
        reply = self._calls.answered(answer.tag, self._session)
        if reply is None:
            if not self._session.closing:
                self._caller.error(ProtocolError(f"{self._name} answered the tag {answer.tag}: nobody asked"))
        else:
            settle(reply, answer, message, self._dialect)

    def _on_unnamed(self, answer: Unnamed, message: Message) -> None:
        for reply in () if answer.stray else self._calls.in_wire_order(self._session):
            if answer.ok and not self._dialect.answers(message, reply.request):
                return  # those that were asked later wait for later answers
            if self._calls.drop(reply):
                settle(reply, Answer(reply.tag, answer.ok), message, self._dialect)
                if not answer.ok:
                    return
        alarm = None if answer.ok else self._dialect.alarm(message)
        if alarm is not None:
            self._caller.error(alarm)
