"""One connection's life, from the opening handshake to its end, as the event thread lives it."""

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ..errors import (
    AuthenticationError,
    CommandError,
    ProtocolError,
    StaleFeed,
    TransportError,
    WSClientError,
)
from . import frames
from .borrowing import Borrowing
from .calls import Calls, completer, settle
from .codec import Codec
from .deflate import Inflater
from .dialect import Answer, Dialect, Greeting, Message, Outcome, Unnamed
from .handlers import Caller
from .keepalive import Due, Keepalive
from .login import Attempt, Login
from .meter import Meter
from .outcomes import login_failed
from .reconnect import PROVEN
from .reply import Reply
from .restoring import Plan, Restoring
from .taps import Stream, Taps
from .transport import Gone, Transport
from .watches import Watch, Watches

logger = logging.getLogger("wsclient")

_LINGER = 1.0  # seconds that the peer has to end the TCP connection after the Close frames (RFC 6455, 7.1.1)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended. error: what went wrong, None for a close that was agreed on."""

    error: WSClientError | None
    code: int | None = None
    reason: str | None = None


class Session:
    """One open connection. Any thread sends on it, the event thread runs it.

    watches: what is subscribed to; told of what comes, and asked what has gone quiet
    meter: told of our own calls, which the rate limits count too
    credentials: asks for what logins and signatures need, at their moment
    exposing: told when a login is about to be sent
    login_settled: told the outcome of a login attempt, on the event thread; it ends the attempt
    """

    def __init__(
        self,
        transport: Transport,
        *,
        name: str,
        dialect: Dialect,
        calls: Calls,
        caller: Caller[Any],
        watches: Watches,
        taps: Taps,
        meter: Meter,
        credentials: Callable[[], Any],
        exposing: Callable[[], None],
        login_settled: "Callable[[Session, Attempt, AuthenticationError | None], None]",
        timeout: float,
        ping_interval: float,
        max_message_size: int,
        inflater: Inflater | None,
        codec: Codec,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self.traffic = transport.traffic
        self._name = name
        self._dialect = dialect
        self._calls = calls
        self._caller = caller
        self._watches = watches
        self._taps = taps
        self._meter = meter
        self._credentials = credentials
        self._exposing = exposing
        self._login_settled = login_settled
        self._clock = clock
        self._loads, self._dumps = codec.loads, codec.encoded
        self._timeout = timeout
        self._reader = frames.FrameReader(max_message_size, inflater)
        self._keepalive = Keepalive(ping_interval, timeout, clock())
        self._jobs: deque[Callable[[], object]] = deque()  # appended by any thread
        self._renewals: dict[Future[Any], float] = {}  # of stale watches, until when they have to be answered
        self.restoring: Restoring | None = None  # while it brings back what the last one had
        self._ready_at: float | None = None  # when it was given to callers
        self.spoke = False  # whether a text came since
        self._closing: float | None = None  # since when we wait for the peer's Close
        self._ending: Ending | None = None
        self.watchful = False  # closing or ending: texts need a closer look
        self._given_up: WSClientError | None = None
        self._borrowing = Borrowing(transport, self._reader, self, calls, dialect, codec, self._keepalive, clock)
        self.login = Login(
            greeted=dialect.greeting_mark is not None,
            timeout=timeout,
            send=self._send_login,
            give_up=self.give_up,
            clock=clock,
        )

    # -- any thread

    def send(self, reply: Reply[Any], text: bytes | Callable[[], bytes], *, wait: bool = True) -> None:
        """Sends a call. Raises like `Transport.send`: `Gone` if it hasn't left, `OSError` if it may have.

        text: what is sent, or what makes it as it goes out
        """
        self._calls.carry(reply, self)
        if reply.on_sending is not None:
            reply.on_sending()
        self._transport.send(frames.TEXT, text, reply, wait=wait, busy=len(self._calls.waiting) > 1)

    def close(self) -> None:
        """Begins the closing handshake; `run()` ends when the peer answers, or when `give_up()` is called."""
        if self._closing is None:
            self._closing = self._clock()
            self.watchful = True
            self._transport.turns.take_back()
            self._send_close(frames.NORMAL)
            self._transport.turns.ring()

    def discard(self) -> None:
        """Frees a session that isn't run, or not to its end."""
        self._transport.close()

    def abandon(self) -> None:
        """Ends the session now, without waiting for the peer any longer."""
        self._transport.shut()

    def give_up(self, error: WSClientError) -> None:
        """Ends the session now; `run()` tells the error as its end."""
        self._given_up = self._given_up or error
        self._transport.shut()

    def read_for(
        self, reply: Reply[Any], timeout: float | None, text: bytes | Callable[[], bytes] | None = None
    ) -> None:
        """Lets a caller who waits read on its own thread; see `borrowing`. text: what to send first."""
        self._borrowing.read_for(reply, timeout, None if text is None else lambda: self.send(reply, text))

    @property
    def hears(self) -> bool:
        """Whether somebody wants every text or notice, or only the event thread can tell whom one answers."""
        return (
            self._caller.on_message is not None
            or self._watches.attentive
            or bool(self._taps.all)
            or self._taps.stream is not None
            or self._dialect.alarm_mark is not None
        )

    def post(self, job: Callable[[], object]) -> None:
        """Has the event thread do something soon, unless the session ends before."""
        self._jobs.append(job)
        self._transport.turns.ring()

    # -- the event thread

    def restore(self, plan: Plan, done: Callable[[], None]) -> None:
        """Begins to bring back what the last connection had; `done` is called when all of it is there."""
        self.restoring = Restoring(
            plan,
            ask=self.ask,
            log_in=lambda: self.login.begin(waits=False) is not None,
            give_up=self.give_up,
            done=done,
            timeout=self._timeout,
            clock=self._clock,
        )
        self.restoring.begin()

    def ready(self) -> None:
        """All is restored, or there was nothing to restore: callers have it from now on."""
        self.restoring = None
        self._ready_at = self._clock()

    def ended(self) -> None:
        """After `run()`: nothing is restored here any more."""
        if self.restoring is not None:
            self.restoring.close()

    @property
    def was_ready(self) -> bool:
        return self._ready_at is not None

    @property
    def proved(self) -> bool:
        """Whether it has shown that it is healthy since it was ready: by what it said, or by lasting."""
        ready = self._ready_at
        return ready is not None and (self.spoke or self._clock() >= ready + PROVEN)

    def run(self) -> Ending:
        """Reads until the connection ends. The transport is closed then, but no call has been told."""
        try:
            while self._ending is None:
                self._turn()
        except OSError as error:
            # after the Close frames, or after a violation, how TCP ends says nothing new
            self._ending = self._ending or self._broken(error)
        finally:
            self._transport.close()
        ending = self._ending
        if self._given_up is not None and ending.code is None:
            ending = Ending(self._given_up)
        return ending

    def _turn(self) -> None:
        """Waits for bytes or for a deadline, and does what is due."""
        readable = self._transport.wait(max(0.0, self._next() - self._clock()))
        inbox = self._transport.turns.inbox
        while inbox and self._ending is None:  # what a borrower left came before what the socket has now
            self._take(inbox.pop(0))
        if readable and self._ending is None:
            self._take(self._transport.receive())
        while self._jobs and self._ending is None:
            self._jobs.popleft()()
        if self._ending is None:
            self._check_deadlines(self._clock())

    def _take(self, received: bytes | list[frames.Event] | OSError | None) -> None:
        """What the socket gave, here or to a caller who had borrowed the reading."""
        if isinstance(received, list):
            self._deliver(received)
        elif received:
            if isinstance(received, OSError):
                raise received
            self._keepalive.heard(self._clock())
            events = self._reader.feed(received)
            self.traffic.bytes_in += len(received)
            self.traffic.messages_in += len(events)
            self._deliver(events)
        elif received is not None:
            self._ending = self._broken(None)

    def _next(self) -> float:
        """When something is due if nothing comes."""
        next_one = self._keepalive.next()
        login = self.login.deadline()
        if login is not None and login < next_one:
            next_one = login
        if self._closing is not None:
            next_one = min(next_one, self._closing + self._timeout / 2)
        if self.restoring is not None and (step := self.restoring.deadline()) is not None:
            next_one = min(next_one, step)
        if self._watches.timed or self._renewals:
            stale = self._watches.stale_at()
            next_one = min((next_one, *self._renewals.values(), *(() if stale is None else (stale,))))
        return next_one

    def _check_deadlines(self, now: float) -> None:
        if self.login.deadline() is not None:
            self.login.expire()
        if self._closing is not None:
            if now >= self._closing + self._timeout / 2:
                self._ending = Ending(None)
            return
        if self.restoring is not None:
            self.restoring.expire(now)
        elif self._watches.timed or self._renewals:
            self._check_watches(now)
        due = self._keepalive.due(now)
        if due is Due.PING:
            self._transmit(frames.PING, b"")
        elif due is Due.GIVE_UP:
            self._ending = Ending(TransportError(f"{self._name} is silent: no Pong in {self._timeout:g} s"))

    def _check_watches(self, now: float) -> None:
        for reply, until in self._renewals.items():
            if now >= until:
                self.give_up(StaleFeed(f"{self._name} didn't answer when asked again: {reply!r}"))
                return
        for watch in self._watches.stale(now):
            if watch.mute and watch.fed:
                self.give_up(StaleFeed(f"{self._name} says nothing of {watch.key}, though asked again"))
                return
            watch.mute = True
            silence = f"nothing came of {watch.key} for {watch.stale_after:g} s: asking again"
            self._caller.error(StaleFeed(silence))
            self.renew(watch)

    def renew(self, watch: Watch) -> None:
        """Subscribes anew; whether that is answered shows whether anybody is there.

        The new subscription is asked for when the old one has ended. What is told in between is of neither, and
        must not be taken for news that come after the snapshot.
        """
        watch.renewing = True
        if watch.listener is not None:
            watch.listener.lost()
        endings = self._dialect.unsubscriptions([watch.key])
        if not endings:
            self._subscribe(watch)
            return
        for request in endings[:-1]:
            self._ask_in_time(request, lambda outcome: None)
        self._ask_in_time(endings[-1], lambda outcome: self._subscribe(watch))

    def _subscribe(self, watch: Watch) -> None:
        if self._ending is not None or self._watches.get(watch.key) is not watch:
            return  # the next connection brings it back, or it was ended meanwhile
        if watch.listener is not None:
            watch.listener.asked()
        for request, _ in self._dialect.subscriptions([watch.key]):
            self._ask_in_time(request, lambda outcome: self._renewed(watch, outcome))

    def _ask_in_time(self, request: Message, then: Callable[[Outcome | None], None]) -> None:
        reply = self.ask(request, then)
        if not reply.done():
            self._renewals[reply] = self._clock() + self._timeout
            reply.add_done_callback(self._answered_renewal)

    def _answered_renewal(self, reply: Future[Any]) -> None:
        del self._renewals[reply]

    def _renewed(self, watch: Watch, outcome: Outcome | None) -> None:
        if isinstance(outcome, dict) and self._watches.get(watch.key) is watch:
            self._watches.began([watch], outcome)
        elif isinstance(outcome, CommandError):
            self._watches.refused([watch.key], outcome)
            self._caller.error(outcome)

    def _deliver(self, events: list[frames.Event]) -> None:
        """Each event in its turn. Texts are many: what most of them don't need isn't looked at here."""
        if not self.spoke and self._ready_at is not None:
            self.spoke = any(event.__class__ is str for event in events)
        # asked for once: a call that is made from now on can't be answered by what has come already
        reply = self._dialect.reply_mark if self._calls.waiting else None
        greeting = self._dialect.greeting_mark if self.login.greeting_matters else None
        marks = [mark for mark in (reply, greeting, self._dialect.alarm_mark) if mark is not None]
        if self._watches.attentive or self._taps.all or len(marks) > 2:
            for event in events:
                self._on_event(event)
            return
        if self._taps.stream is not None:
            self._deliver_decoded(events, marks, self._taps.stream)
            return
        mark, other = (*marks, None, None)[:2]
        handler, client = self._caller.on_message, self._caller.client
        for event in events:
            if event.__class__ is not str or self.watchful:
                self._on_event(event)
            elif mark is not None and (mark in event or (other is not None and other in event)):
                self._on_text(event)
            elif handler is not None:
                try:
                    handler(client, event)
                except BaseException as error:
                    self._caller.raised(handler, error)

    def _deliver_decoded(self, events: list[frames.Event], marks: list[str], stream: Stream) -> None:
        """Likewise where the venue has each notice decoded: it comes to its stream, then to the handler."""
        mark, other = (*marks, None, None)[:2]
        loads, notice = self._loads, stream.notice
        handler, client = self._caller.on_message, self._caller.client
        message: Any
        for event in events:
            if event.__class__ is not str or self.watchful:
                self._on_event(event)
                continue
            if mark is not None and (mark in event or (other is not None and other in event)):
                self._on_text(event)
                continue
            try:
                message = loads(event)
            except (ValueError, RecursionError):
                message = None
            if message.__class__ is not dict:
                self._on_text(event)  # which tells what is wrong with it
                continue
            try:
                notice(message)
            except ProtocolError as error:
                self._fail(ProtocolError(f"{self._name}: {error}", frames.PROTOCOL_ERROR))
            if handler is not None:
                try:
                    handler(client, event)
                except BaseException as error:
                    self._caller.raised(handler, error)

    def _on_event(self, event: frames.Event) -> None:
        if self._ending is not None:
            return
        if isinstance(event, str):
            self._on_text(event)
        elif isinstance(event, frames.Ping):
            self._transmit(frames.PONG, event.payload)
            self._caller.ping(event.payload)
        elif isinstance(event, frames.Pong):
            self._caller.pong(event.payload)
        elif isinstance(event, frames.Binary):
            self._caller.error(ProtocolError(f"{self._name} sent a binary message, which was dropped"))
        elif isinstance(event, frames.Close):
            self._on_close(event)
        else:
            error = ProtocolError(f"{self._name} broke the WebSocket protocol: {event.reason}", event.code)
            self._fail(error, event.code)

    def _on_text(self, text: str) -> None:
        """Resolves the call that this answers, or takes the greeting; then hands it to the handler."""
        wanted = self._closing is None  # asked first: a caller may stop us the moment that his call is resolved
        for tap in self._taps.all if wanted else ():
            try:
                tap(text)
            except BaseException as error:
                self._caller.raised(tap, error)
        greeting = self._dialect.greeting_mark
        alarm = self._dialect.alarm_mark
        if (
            (self._calls.waiting and self._dialect.reply_mark in text)
            or (greeting is not None and self.login.greeting_matters and greeting in text)
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
            self._fail(ProtocolError(f"{self._name} sent what isn't JSON: {error}", frames.PROTOCOL_ERROR))
            return
        if not isinstance(message, dict):
            self._fail(ProtocolError(f"{self._name} sent JSON that isn't an object", frames.PROTOCOL_ERROR))
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
            elif isinstance(read, Greeting) and self.login.greeting_matters:
                self.login.greet(read)
        except ProtocolError as error:
            self._fail(ProtocolError(f"{self._name}: {error}", frames.PROTOCOL_ERROR))

    def _on_answer(self, answer: Answer, message: Message) -> None:
        reply = self._calls.answered(answer.tag, self)
        if reply is None:
            if self._closing is None:
                self._caller.error(ProtocolError(f"{self._name} answered the tag {answer.tag}: nobody asked"))
        else:
            settle(reply, answer, message, self._dialect)

    def _on_unnamed(self, answer: Unnamed, message: Message) -> None:
        for reply in () if answer.stray else self._calls.in_wire_order(self):
            if answer.ok and not self._dialect.answers(message, reply.request):
                return  # those that were asked later wait for later answers
            if self._calls.drop(reply):
                settle(reply, Answer(reply.tag, answer.ok), message, self._dialect)
                if not answer.ok:
                    return
        alarm = None if answer.ok else self._dialect.alarm(message)
        if alarm is not None:
            self._caller.error(alarm)

    def _on_close(self, event: frames.Close) -> None:
        if self._closing is None:
            self._send_close(event.code)
        error = None
        if self._closing is None and event.code not in (frames.NORMAL, frames.GOING_AWAY):
            because = f" ({event.reason})" if event.reason else ""
            error = TransportError(f"{self._name} closed the connection with code {event.code}{because}")
        # a Close frame without a code has the code 1005 for whoever asks (RFC 6455, section 7.1.5)
        self._ending = Ending(error, 1005 if event.code is None else event.code, event.reason)
        self.watchful = True
        self._linger()

    def _fail(self, error: ProtocolError, code: int = frames.PROTOCOL_ERROR) -> None:
        """Fails the connection (RFC 6455, section 7.1.7)."""
        if self._ending is not None:
            return
        self._ending = Ending(error)
        self.watchful = True
        if self._closing is None:
            self._send_close(code)
            self._linger()

    def _linger(self) -> None:
        """Gives the peer a moment to end the TCP connection: ended with bytes unread, ours would take back what
        we sent last."""
        self._transport.turns.recall()
        deadline = self._clock() + min(_LINGER, self._timeout)
        inbox = self._transport.turns.inbox
        while (remaining := deadline - self._clock()) > 0:
            if self._transport.wait(remaining) and self._transport.receive() == b"":
                return
            while inbox:  # a borrower may have met the end before he gave back
                if not isinstance(inbox.pop(0), list):
                    return

    def _broken(self, error: OSError | None) -> Ending:
        if self._closing is not None:
            return Ending(None)
        cause = self._transport.error or error
        if cause is None:
            return Ending(TransportError(f"{self._name} ended the connection without a Close frame"))
        told = getattr(cause, "strerror", None) or cause
        lost = TransportError(f"the connection to {self._name} was lost: {told}")
        lost.__cause__ = cause
        return Ending(lost)

    def _send_close(self, code: int | None) -> None:
        self._transmit(frames.CLOSE, frames.close_payload(code))

    def _transmit(self, opcode: int, payload: bytes) -> None:
        """Sends a control frame without waiting; if it can't be sent, the reader will know why."""
        if opcode != frames.CLOSE:
            self._meter.note_frame()
        try:
            self._transport.send(opcode, payload, wait=False)
        except (Gone, OSError):
            pass

    # -- calls of our own

    def ask(self, request: Message, then: Callable[[Outcome | None], None]) -> Reply[Any]:
        """Makes a call of our own, on the event thread; `then` is told its outcome."""
        reply = self._calls.add(request, None)
        reply.leaving()
        self._meter.count(reply)
        # before anybody else is told, so that nothing that follows is met unprepared
        reply.on_answer = then
        reply.add_done_callback(lambda _: then(error) if (error := _error_of(reply)) is not None else None)
        text: bytes | Callable[[], bytes]
        if self._dialect.examine(request).late:
            text = completer(reply, self._dialect, self._credentials, self._dumps)
        else:
            text = self._dumps(reply.request)
        try:
            self.send(reply, text, wait=False)
        except (Gone, OSError):
            pass  # the session has ended; its end ends this call
        return reply

    # -- the login, on whichever thread it takes its next step

    def _send_login(self, attempt: Attempt, greeting: Greeting | None) -> None:
        self._exposing()
        self._send_login_step(attempt, self._dialect.login(self._credentials(), greeting))

    def _send_login_step(self, attempt: Attempt, request: Message) -> None:
        reply = self._calls.add(request, None)
        reply.leaving()
        self._meter.count(reply)
        reply.add_done_callback(lambda _: self._login_answered(attempt, reply))
        try:
            self.send(reply, self._dumps(reply.request), wait=False)
        except (Gone, OSError):
            pass  # the session has ended; its end ends this call and the attempt

    def _login_answered(self, attempt: Attempt, reply: Reply[Any]) -> None:
        error = reply.exception()
        failure: AuthenticationError | None = None
        if isinstance(error, CommandError):
            failure = self._dialect.login_refused(error)
        elif isinstance(error, WSClientError):
            failure = login_failed(error)
        elif (following := self._dialect.login_goes_on(reply.result(), self._credentials())) is not None:
            if self.login.step(attempt):
                self._send_login_step(attempt, following)
            return
        self._login_settled(self, attempt, failure)


def _error_of(reply: Reply[Any]) -> WSClientError | None:
    error = reply.exception()
    return error if isinstance(error, WSClientError) else None
