"""What the event thread does: connects, restores, runs a session, gets back what was lost, and ends.

The event thread starts with the first opening. It lives as long as there is a session to run, something to open or
something to get back, and it alone connects, reads, and calls handlers.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Generic, TypeVar

from ..errors import AuthenticationError, TransportError, WSClientError, same_again
from .bounded import Abort
from .calls import Calls
from .codec import Codec
from .connect import Endpoint, Opened
from .deferred import DeferredCalls
from .deflate import Inflater
from .dialect import Dialect
from .handlers import Caller
from .keepsakes import Keepsakes
from .login import Attempt
from .meter import Meter
from .opener import Opener
from .opening import Opening
from .outcomes import closed, gave_up, login_failed, not_sent, outcome_unknown, stopped
from .reconnect import Backoff, Reconnect
from .reply import fail
from .session import Ending, Session
from .stats import Stats, Traffic
from .taps import Taps
from .transport import Transport
from .watches import Watches

logger = logging.getLogger("wsclient")

C = TypeVar("C")
_ENDLESS = 1 << 30  # tries


class State(Enum):
    """What a connection is, as a user may ask."""

    IDLE = "idle"
    CONNECTING = "connecting"
    OPEN = "open"
    STOPPED = "stopped"


class Lifecycle(Generic[C]):
    """The states of a client's connection, and the event thread that moves it through them.

    resubmit: whether calls whose outcome is unknown are settled as a part of restoring
    failover: where else to connect, in this order, while `endpoint` can't be had or doesn't last
    pause: waits for an event for so many seconds; for tests
    """

    __slots__ = (
        "_abort", "_backoff", "_caller", "_calm", "_clock", "_codec", "_connections", "_dialect",
        "_event_ident", "_last", "_lock", "_max_message_size", "_meter", "_opener", "_opening", "_past",
        "_pause", "_ping_interval", "_recovering", "_running", "_session", "_stopped", "_thread", "_waiters",
        "calls", "credentials", "deferred", "keepsakes", "taps", "watches",
    )  # fmt: skip

    def __init__(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        caller: Caller[C],
        *,
        ping_interval: float,
        max_message_size: int,
        codec: Codec,
        reconnect: Reconnect | None,
        resubmit: bool,
        failover: Sequence[Endpoint] = (),
        meter: Meter,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._opener = Opener((endpoint, *failover), self._session_on)
        self._dialect = dialect
        self._caller = caller
        self._ping_interval = ping_interval
        self._max_message_size = max_message_size
        self._codec = codec
        self._clock = clock
        self._pause = pause
        self._meter = meter
        self.calls = Calls(dialect, self.on_event_thread)
        self.watches = Watches(dialect, clock)
        self.taps = Taps()
        self.credentials: Any = None  # opaque; written by any thread, read once a login
        # touched by the event thread alone:
        self.deferred = DeferredCalls(self.calls)
        self._backoff = None if reconnect is None else Backoff(reconnect)
        self.keepsakes = Keepsakes(
            dialect, self.watches, caller.error, resubmit=resubmit and reconnect is not None
        )
        self._recovering = False
        self._last: WSClientError | None = None  # why the last connection or try failed
        # Calls made on the event thread open connections too, one after the other if they are made when one ends:
        self._calm = Backoff(replace(reconnect or Reconnect(), tries=_ENDLESS))
        self._lock = threading.Lock()  # guards what follows
        self._stopped = False
        self._session: Session | None = None  # what callers may use
        self._running: Session | None = None  # what the event thread runs, in use or not yet
        self._opening: Opening | None = None
        self._abort: Abort | None = None
        self._past = Traffic()  # of the connections before
        self._connections = 0
        self._thread: threading.Thread | None = None
        self._event_ident: int | None = None
        self._waiters = 0  # those who wait for local state

    # -- any thread

    @property
    def state(self) -> State:
        with self._lock:
            if self._stopped:
                return State.STOPPED
            if self._session is not None:
                return State.OPEN
            return State.CONNECTING if self._opening is not None or self._recovering else State.IDLE

    def stats(self) -> Stats:
        """The client's numbers at this moment."""
        with self._lock:
            traffic, connections, session = replace(self._past), self._connections, self._running
        if session is not None:
            traffic.add(session.traffic)
        return self._meter.stats(traffic, connections, len(self.calls.waiting), self._caller.load)

    @property
    def awaited(self) -> bool:
        """Whether anybody waits for what the event thread alone can bring; asked on that thread."""
        opening, session = self._opening, self._running
        return (
            bool(self.calls.waiting or self.keepsakes.unsettled or self._waiters)
            or (opening is not None and opening.waited_for)
            or (session is not None and session.login.deadline() is not None)
        )

    def waiting(self, step: int) -> None:
        """See `Connection.waiting`."""
        with self._lock:
            self._waiters += step

    def give_up(self, error: WSClientError) -> None:
        """Ends the connection, if there is one; its end is told with this error."""
        session = self._running
        if session is not None:
            session.give_up(error)

    def post(self, job: Callable[[], object]) -> bool:
        """Has the event thread do something soon, unless the connection ends before; False where there is none."""
        session = self._running
        if session is None:
            return False
        session.post(job)
        return True

    @property
    def stopped(self) -> bool:
        return self._stopped

    @property
    def open_session(self) -> Session | None:
        """The session that calls can use now."""
        return self._session

    def session(self, until: float | None = None) -> Session:
        """The open session; where there is none, waits for the opening under way, or for a new one.

        until: when to stop waiting, by the clock; None for as long as connecting takes
        """
        session = self._session
        if session is not None:
            return session
        with self._lock:
            if self._stopped:
                raise not_sent(stopped())
            if self._session is not None:
                return self._session
            if self._opening is None:
                self._opening = Opening()
            opening = self._opening
            opening.waited_for = True
            nap = opening.nap if opening.wakeful else None
            failure = self._start() if self._thread is None else None
        if failure is not None:
            if self._caller.handles_errors:
                self._caller.error(failure)
            raise not_sent(failure)
        if nap is not None:
            nap.set()
        self._caller.nudge()
        return opening.wait(None if until is None else until - self._clock())

    def _start(self) -> TransportError | None:
        # Started under the lock, so that nobody meets a thread that can't be joined yet. It only takes the lock
        # once it runs, and start() waits for no more than that.
        thread = threading.Thread(target=self._run, name=f"wsclient {self._opener.endpoint.safe_url}", daemon=True)
        self._thread = thread  # before it runs: if this is interrupted, nobody may start another one
        try:
            thread.start()
        except RuntimeError as error:
            self._thread = self._opening = None
            failure = TransportError(f"no thread can be started: {error}")
            failure.__cause__ = error
            return failure
        return None

    def retire(self, session: Session) -> None:
        """This session takes no more calls: the next one needs a new connection."""
        with self._lock:
            if self._session is session:
                self._session = None

    def stop(self) -> None:
        """Ends everything, in any state; see `Face.stop`."""
        with self._lock:
            self._stopped = True
            session, opening, abort, thread = self._running, self._opening, self._abort, self._thread
            nap = None if opening is None else opening.nap
            self._opening = None
        if nap is not None:
            nap.set()
        self._meter.stop()
        self._caller.release()
        if opening is not None:
            opening.end(stopped())
        if abort is not None:
            abort.now()
        if session is not None:
            session.close()
        if self.on_event_thread():
            return
        deadline = time.monotonic() + self._opener.endpoint.timeout
        if thread is not None:
            half = self._opener.endpoint.timeout / 2
            thread.join(half)
            if thread.is_alive() and session is not None:
                session.abandon()
            thread.join(half)
            if thread.is_alive():
                logger.warning("stop(): the event thread is still busy, in a handler or in a system call")
        self._caller.finish(deadline - time.monotonic())

    def on_event_thread(self) -> bool:
        return threading.get_ident() == self._event_ident

    # -- the event thread

    def _run(self) -> None:
        try:
            self._live()
        except BaseException as error:
            self._fall(TransportError(f"the event thread failed: {error!r}"))
            logger.exception("the event thread failed")
        finally:
            self._caller.retire()

    def _fall(self, error: TransportError) -> None:
        """A mistake of ours, or of what we were given, ended the thread: everybody is told, another may start."""
        with self._lock:
            opening, session = self._opening, self._running
            self._opening = self._session = self._running = None
            self._thread = self._event_ident = None
        self._recovering = False
        if session is not None:
            session.discard()
            session.login.lost(error)
            for reply in self.calls.lost(session):
                fail(reply, outcome_unknown(error, reply) if reply.left else not_sent(error))
        if opening is not None:
            opening.end(error)
        self.watches.lost()
        self.watches.gave_up(error)
        self._fail_waiting(error)

    def _live(self) -> None:
        self._event_ident = threading.get_ident()
        while True:
            with self._lock:
                halted = self._stopped
                if not halted and self._opening is None and (self.deferred or self._recovering):
                    self._opening = Opening()
                opening = self._opening
                if opening is None and not (self.deferred or self.keepsakes.unsettled):
                    self._thread = None
                    self._event_ident = None
                    return
            if opening is None:
                self._fail_waiting(stopped())
            elif self._paused(opening) if self._recovering else self._calmed(opening):
                self._try(opening)
            del opening  # it would live as long as the next session

    def _paused(self, opening: Opening) -> bool:
        """Waits before the next try; False if there is none."""
        assert self._backoff is not None
        delay = self._backoff.next()
        if delay is None:
            error = gave_up(self._opener.endpoint.safe_url, self._backoff.tries, self._last or stopped())
            self._end_recovery()
            self.watches.gave_up(error)
            self._fail(opening, error)
            return False
        self._sleep(delay, opening)
        return not self._stopped

    def _calmed(self, opening: Opening) -> bool:
        """Waits before opening for calls of the event thread's own alone, if it did so in vain before."""
        if self._calm.needed and not opening.waited_for:
            delay = self._calm.next()
            if delay:
                opening.wakeful = True
                self._sleep(delay, opening)
        return not self._stopped

    def _sleep(self, delay: float, opening: Opening) -> None:
        """Waits so many seconds, but not when the client is stopped, or a wakeful opening waited for."""
        with self._lock:
            if self._stopped or (opening.wakeful and opening.waited_for):
                return
            nap = opening.nap = threading.Event()
        self._pause(nap, delay)

    def _end_recovery(self) -> None:
        assert self._backoff is not None
        self._backoff.reset()
        self._recovering = False

    def _try(self, opening: Opening) -> None:
        """Connects, restores, and runs the session to its end."""
        session = self._connected()
        error = self._served(session, opening) if isinstance(session, Session) else session
        del session
        if error is None or self._stopped:
            opening.end(stopped())  # no more than a word to the late, where it has its outcome
        elif self._recovering:
            logger.info("%s isn't back yet: %s", self._opener.endpoint.safe_url, error)
            self._last = error
        else:
            self._fail(opening, error)

    def _fail(self, opening: Opening, error: WSClientError) -> None:
        """Ends an opening, and all that waited for it."""
        with self._lock:
            if self._opening is opening:
                self._opening = None
        self._calm.needed = True
        opening.end(error)  # before the error handler, which may wait for a lock that a waiter holds
        self.keepsakes.fail_calls(error)
        if self._caller.handles_errors or not opening.waited_for:
            self._caller.error(error)
        # last, so that a call made by the error handler fails too: tried again at once, that could go on for ever
        self._fail_waiting(error)

    def _fail_waiting(self, error: WSClientError) -> None:
        self.keepsakes.fail_calls(error)
        self.deferred.fail(lambda call: not_sent(error))

    def _connected(self) -> Session | WSClientError:
        outcome = self._opener.open(self._attempt)
        with self._lock:
            self._abort = None
            if not self._stopped:
                self._running = outcome if isinstance(outcome, Session) else None
                return outcome
        if isinstance(outcome, Session):
            outcome.discard()
        return stopped()  # whatever it was that the attempt ended of then

    def _known(self) -> Any:
        return self.credentials

    def _attempt(self) -> Abort | None:
        """What ends an attempt to connect; None if there is to be none."""
        with self._lock:
            self._abort = None if self._stopped else Abort()
            return self._abort

    def _session_on(self, transport: Transport, opened: Opened) -> Session:
        agreed = opened.compression
        return Session(
            transport,
            name=self._opener.endpoint.safe_url,
            dialect=self._dialect,
            calls=self.calls,
            caller=self._caller,
            watches=self.watches,
            taps=self.taps,
            meter=self._meter,
            credentials=self._known,
            exposing=self._opener.warn_of_exposure,
            login_settled=self._login_settled,
            timeout=self._opener.endpoint.timeout,
            ping_interval=self._ping_interval,
            max_message_size=self._max_message_size,
            inflater=None if agreed is None else Inflater(agreed),
            codec=self._codec,
            clock=self._clock,
        )

    def _served(self, session: Session, opening: Opening) -> WSClientError | None:
        """Restores what there is to restore, runs the session to its end, and tells everybody who needs to know.

        Returns why it ended before callers could use it, if it did.
        """
        try:
            if self._keeps_anything():
                plan = self.keepsakes.plan(
                    log_in=self._restores_login(),
                    account=lambda: session.account or self._dialect.account(self.credentials),
                )
                session.restore(plan, lambda: self._ready(session, opening))
            else:
                self._ready(session, opening)
            ending = session.run()
        except Exception as error:
            # a mistake of ours: the calls still get an honest outcome, and the thread lives on
            logger.exception("the event thread failed")
            session.discard()
            ending = Ending(TransportError(f"the event thread failed: {error!r}"))
        with self._lock:
            halted = self._stopped  # who is told of the end may stop us before the error handler is told
            self._running = None
            self._past.add(session.traffic)
            if self._session is session:
                self._session = None
        url = self._opener.endpoint.safe_url
        cause = ending.error or (stopped() if halted else closed(url, ending.code))
        session.ended()
        self._opener.lasted(session.proved)
        self._calm.needed = not session.proved
        if session.proved:
            self._calm.reset()
        if self._backoff is None:
            self.watches.refused([watch.key for watch in self.watches.kept()], cause)
        else:
            self.watches.keep_sent()
        self.watches.lost()
        if self.taps.stream is not None:
            self.taps.stream.lost()
        hurt = session.login.lost(cause)
        lost = self.calls.lost(session)
        kept = self.keepsakes.keep_calls(() if halted else lost)
        if session.was_ready:
            # those that waited for the login lost it; the others go out on the next connection
            self.deferred.fail(lambda call: login_failed(cause) if call.private else None)
            if self._backoff is not None and self._keeps_anything() and not halted:
                if session.proved:
                    self._backoff.reset()
                self._recovering = True
                self._last = cause
        for reply in lost:  # before the error handler, which may wait for a lock that one of their callers holds
            if id(reply) not in kept:
                fail(reply, outcome_unknown(cause, reply) if reply.left else not_sent(cause))
        self._meter.connection_ended()
        if not session.was_ready:
            return cause
        # an agreed close is an error too where it took somebody's call or login with it
        if (ending.error is not None or hurt or lost) and not halted:
            self._caller.error(cause)
        self._caller.closed(ending.code, ending.reason)
        return None

    def _ready(self, session: Session, opening: Opening) -> None:
        """Gives a session to its callers."""
        with self._lock:
            halted = self._stopped
            if not halted:
                session.ready()
                self._session = session
                self._connections += 1
                if self._opening is opening:
                    self._opening = None
        if halted:
            return
        self._recovering = False
        opening.end(session)
        self._caller.opened()
        self.deferred.flush(session)

    def renew(self, key: Hashable) -> None:
        """Subscribes anew to something watched, where there is a connection; for the event thread."""
        session, watch = self._running, self.watches.get(key)
        if session is not None and watch is not None:
            session.renew(watch)

    # -- what is brought back

    def _keeps_anything(self) -> bool:
        return bool(self._restores_login() or self.watches.kept() or self.keepsakes.unsettled)

    def _restores_login(self) -> bool:
        return self.keepsakes.logged_in and self._backoff is not None and self.credentials is not None

    def _login_settled(self, session: Session, attempt: Attempt, failure: AuthenticationError | None) -> None:
        if not session.login.settle(attempt, failure):
            return
        # The waiters are released first: the error handler may wait for a lock that one of them holds, and it may
        # call again with better credentials, which begins another attempt.
        attempt.end(failure)
        if failure is None:
            self.keepsakes.logged_in = True
        else:
            self.deferred.fail(lambda call: same_again(failure) if call.private else None)
            if self._caller.handles_errors or not attempt.waited_for:
                self._caller.error(failure)
        if session.restoring is not None:
            session.restoring.logged_in(failure)
        elif failure is None:
            self.deferred.flush(session)
