"""One connection's life, from the opening handshake to its end, as the event thread lives it."""

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from ..errors import (
    AuthenticationError,
    ProtocolError,
    TransportError,
    WSClientError,
)
from . import forks, frames
from .borrowing import Borrowing
from .calls import Calls
from .codec import Codec
from .deflate import Inflater
from .dialect import Demand, Dialect, Message, Outcome
from .handlers import Caller
from .keepalive import Due, Keepalive
from .login import Attempt, Login
from .meter import Meter
from .own_calls import OwnCalls
from .reconnect import PROVEN
from .renewals import Renewals
from .reply import Reply
from .restoring import Plan, Restoring
from .taps import Taps
from .texts import Texts
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

    __slots__ = (
        "_always_hears", "_borrowing", "_caller", "_calls", "_clock", "_closing", "_dialect", "_ending", "_forks",
        "_given_up", "_jobs", "_keepalive", "_meter", "_name", "_own", "_reader", "_ready_at", "_renewals",
        "_taps", "_texts", "_timeout", "_transport", "_watches", "account", "login", "restoring", "spoke",
        "traffic", "watchful",
    )  # fmt: skip

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
        self._always_hears = caller.on_message is not None or dialect.alarm_mark is not None
        self._meter = meter
        self._clock = clock
        self._forks = forks.count()
        self._timeout = timeout
        self._reader = frames.FrameReader(max_message_size, inflater)
        self._keepalive = Keepalive(ping_interval, timeout, clock())
        self._jobs: list[Callable[[], object]] = []  # appended by any thread
        self.restoring: Restoring | None = None  # while it brings back what the last one had
        self._ready_at: float | None = None  # when it was given to callers
        self.account: Hashable = None  # who is logged in
        self.spoke = False  # whether a text came since
        self._closing: float | None = None  # since when we wait for the peer's Close
        self._ending: Ending | None = None
        self.watchful = False  # closing or ending: texts need a closer look
        self._given_up: WSClientError | None = None
        self._texts = Texts(
            self, name=name, dialect=dialect, calls=calls, caller=caller, watches=watches, taps=taps, codec=codec
        )
        self._renewals = Renewals(
            self, name=name, dialect=dialect, caller=caller, watches=watches, timeout=timeout, clock=clock
        )
        self._borrowing = Borrowing(transport, self._reader, self, calls, dialect, codec, self._keepalive, clock)
        self._own = OwnCalls(
            self,
            dialect=dialect,
            calls=calls,
            meter=meter,
            credentials=credentials,
            exposing=exposing,
            login_settled=login_settled,
            report=caller.error,
            codec=codec,
        )
        self.login = Login(
            greeted=dialect.greeting_mark is not None,
            timeout=timeout,
            send=self._own.log_in,
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
        forks.refuse_if_forked(self._forks)
        self._borrowing.read_for(reply, timeout, text)

    @property
    def hears(self) -> bool:
        """Whether somebody wants every text or notice, or only the event thread can tell whom one answers."""
        return self._always_hears or self._watches.attentive or self._taps.used

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

    def ask(self, request: Message, then: Callable[[Outcome | None], None]) -> Reply[Any]:
        """Makes a call of our own; see `OwnCalls`."""
        return self._own.ask(request, then)

    def meet(self, demand: Demand) -> None:
        """Does what the server demands; see `OwnCalls`."""
        self._own.meet(demand)

    def renew(self, watch: Watch) -> None:
        """Subscribes anew; see `Renewals`."""
        self._renewals.renew(watch)

    def expect(self, reply: Reply[Any]) -> None:
        """Gives the session up if this isn't answered in time; see `Renewals`."""
        self._renewals.expect(reply)

    @property
    def closing(self) -> bool:
        """Whether we have begun to close."""
        return self._closing is not None

    @property
    def over(self) -> bool:
        """Whether nothing more is read."""
        return self._ending is not None

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
            self._jobs.pop(0)()
        if self._ending is None:
            self._check_deadlines(self._clock(), idle=not readable)

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
        """When something is due if nothing comes: the earliest of what `_check_deadlines` looks at now."""
        login = self.login.deadline()
        if self._closing is not None:
            end = self._closing + self._timeout / 2
            return end if login is None else min(end, login)
        next_one = self._keepalive.next()
        if login is not None and login < next_one:
            next_one = login
        if self.restoring is not None:
            if (step := self.restoring.deadline()) is not None:
                next_one = min(next_one, step)
        elif self._renewals.timed and (renewal := self._renewals.next()) is not None:
            next_one = min(next_one, renewal)
        return next_one

    def _check_deadlines(self, now: float, idle: bool) -> None:
        """idle: nothing came, so that what hasn't been answered isn't just waiting to be read."""
        if self.login.deadline() is not None:
            self.login.expire()
        if self._closing is not None:
            if now >= self._closing + self._timeout / 2:
                self._ending = Ending(None)
            return
        if self.restoring is not None:
            self.restoring.expire(now)
        elif self._renewals.timed:
            self._renewals.check(now, idle)
        due = self._keepalive.due(now)
        if due is Due.PING:
            self._transmit(frames.PING, b"")
        elif due is Due.GIVE_UP:
            self._ending = Ending(TransportError(f"{self._name} is silent: no Pong in {self._timeout:g} s"))

    def _deliver(self, events: list[frames.Event]) -> None:
        if not self.spoke and self._ready_at is not None:
            greeting = self._dialect.greeting_mark  # which shows no more than that somebody took the call
            self.spoke = any(
                isinstance(event, str) and (greeting is None or greeting not in event) for event in events
            )
        self._texts.deliver(events)

    def on_event(self, event: frames.Event) -> None:
        """Takes any event; for the event thread."""
        if self._ending is not None:
            return
        if isinstance(event, str):
            self._texts.take(event)
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
            self.fail(error, event.code)

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

    def fail(self, error: ProtocolError, code: int = frames.PROTOCOL_ERROR) -> None:
        """Fails the connection (RFC 6455, section 7.1.7); for the event thread."""
        if self._ending is not None:
            return
        self._ending = Ending(error)
        self.watchful = True
        if self._closing is None:
            self._send_close(code)
            self._linger()

    def _linger(self) -> None:
        """Gives the peer a moment to end the TCP connection: ended with bytes unread, ours would take back what
        we sent last. Nothing of what it may still say is taken, so what follows it is lost already."""
        self._watches.lost()
        if self._taps.stream is not None:
            self._taps.stream.lost()
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
