"""The life of a connection: nothing, then one socket and one event thread, then nothing again.

A caller who needs the connection finds it open, or waits for the opening that the event thread makes: there is one
at a time, and all who wait are told the same. The event thread starts with the first opening. It lives as long as
there is a session to run or something to open, and it alone connects, reads, and calls handlers.
"""

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import (
    AuthenticationError,
    ClientClosed,
    NotSent,
    OutcomeUnknown,
    TransportError,
    WouldDeadlock,
    WSClientError,
    same_again,
)
from .bounded import Abort
from .calls import Calls
from .codec import Codec
from .connect import Endpoint, Opened, open_socket
from .deflate import Deflater, Inflater
from .dialect import Dialect, Message
from .handlers import Caller, Handlers
from .login import Attempt
from .opening import Opening
from .outcomes import closed, login_failed, not_sent, outcome_unknown, stopped
from .reply import Reply, fail
from .session import Ending, Session
from .transport import Gone, Transport

logger = logging.getLogger("wsclient")

C = TypeVar("C")
_TRIES = 3  # connections that a call may see ending before it could leave


class State(Enum):
    """What a connection is, as a user may ask."""

    IDLE = "idle"
    CONNECTING = "connecting"
    OPEN = "open"
    STOPPED = "stopped"


class Queued(NamedTuple):
    """A call made on the event thread, which can't wait for the connection or the login."""

    reply: Reply[Any]
    text: bytes
    private: bool


class Connection(Generic[C]):
    """Sends calls, over a connection that it makes when one is needed.

    client: what handlers are called with
    ping_interval: seconds of silence before a Ping
    max_message_size: bytes; a larger message fails the connection
    """

    def __init__(
        self,
        client: C,
        endpoint: Endpoint,
        dialect: Dialect,
        handlers: Handlers[C],
        *,
        ping_interval: float,
        max_message_size: int,
        codec: Codec,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self._dialect = dialect
        self._caller = Caller(client, handlers)
        self._ping_interval = ping_interval
        self._max_message_size = max_message_size
        self._codec = codec
        self._clock = clock
        self._calls = Calls(dialect, self.on_event_thread)
        self.credentials: Any = None  # opaque; written by any thread, read once a login
        self._warned = False
        self._exposed = False
        self._queue: list[Queued] = []  # touched by the event thread alone
        self._lock = threading.Lock()  # guards what follows
        self._stopped = False
        self._session: Session | None = None
        self._opening: Opening | None = None
        self._abort: Abort | None = None
        self._thread: threading.Thread | None = None
        self._event_ident: int | None = None

    @property
    def state(self) -> State:
        with self._lock:
            if self._stopped:
                return State.STOPPED
            if self._session is not None:
                return State.OPEN
            return State.CONNECTING if self._opening is not None else State.IDLE

    # -- calls: any thread

    def submit(self, request: Message, waits_until: float | None = 0) -> Reply[Any]:
        """Sends a request, connecting and logging in first where need be; returns without waiting for the reply.

        waits_until: until when the caller is going to wait for the reply at once, None for as long as it takes, 0
            for not at all; where it waits, it may read right here

        Raises `InvalidRequest` and `ClientClosed` always; anything else only if there is no error handler.
        """
        self._refuse_if_stopped()
        private, tag = self._dialect.examine(request)
        reply = self._calls.add(request, tag)
        try:
            text = self._codec.encoded(reply.request)
        except BaseException:
            self._calls.drop(reply)
            raise
        if private and self.credentials is None:
            error = AuthenticationError(f"{request.get('method')} is private, and no credentials are set")
            return self._refused(reply, error, reported=False)
        if self.on_event_thread():
            self._queue.append(Queued(reply, text, private))
            self._flush()
            return reply
        reply.made_by_waiting_caller()
        try:
            sent = self._send(reply, text, private, waits_until)
        except WSClientError as error:
            return self._refused(reply, error, reported=True)
        except BaseException:
            if not reply.left:  # interrupted before it left: nobody will answer it
                self._calls.drop(reply)
            raise
        if not sent:
            unsent = NotSent("not sent: the connection ended each time before the call could leave")
            return self._refused(reply, unsent, reported=False)
        return reply

    def call(self, request: Message, timeout: float | None) -> Any:
        """Sends a request and waits for its outcome, `timeout` seconds or as long as it takes."""
        until = None if timeout is None else self._clock() + timeout
        reply = self.submit(request, until)
        try:
            return reply.result(None if until is None else max(0.0, until - self._clock()))
        except TimeoutError:
            if reply.done():
                raise  # it was the reply's own
            raise TimeoutError(f"no reply to {request.get('method')} within {timeout:g} s, so far") from None

    def log_in(self) -> None:
        """Connects and logs in now, unless that is done; waits, and raises what went wrong."""
        self._refuse_if_stopped()
        if self.credentials is None:
            raise AuthenticationError("no credentials are set")
        if self.on_event_thread():
            raise WouldDeadlock("the event thread can't wait for a login: make a private call, it is queued")
        for _ in range(_TRIES):
            session = self._open_session()
            try:
                self._log_in(session)
                return
            except Gone:
                self._retire(session)
        raise AuthenticationError("the connection ended each time before the login")

    def _send(self, reply: Reply[Any], text: bytes, private: bool, waits_until: float | None) -> bool:
        """Connects, logs in and sends; False if no connection lived long enough for the call to leave."""
        for _ in range(_TRIES):
            session = self._open_session()
            try:
                if private and not session.login.done:
                    self._log_in(session)
                if waits_until == 0:
                    session.send(reply, text)
                else:
                    left = None if waits_until is None else waits_until - self._clock()
                    session.read_for(reply, left, text)
                return True
            except Gone:
                pass
            except OSError as error:
                if isinstance(error, WSClientError):
                    raise
                if reply.left:
                    raise OutcomeUnknown(f"the connection broke while sending: {error}") from error
            # Nothing of it left, so that it may go out on another connection, unless its end has told the call.
            self._retire(session)
            if not self._calls.carry(reply, None):
                break
        return False

    def _log_in(self, session: Session) -> None:
        attempt = session.login.begin(waits=True)
        if attempt is not None:
            attempt.wait(session.login)

    def _refused(self, reply: Reply[Any], error: WSClientError, *, reported: bool) -> Reply[Any]:
        """Ends a call that failed in its caller's hands: raises, or lets the error handler and the Reply tell.

        reported: whether the error handler was told already, by the event thread
        """
        if not self._calls.drop(reply):
            # its outcome is another one's to tell, who is doing so: the reply after all, or the connection's end
            told = None if self._caller.handles_errors else reply.exception()
            if isinstance(told, ConnectionError):
                raise told
            return reply
        if not self._caller.handles_errors:
            raise error
        if not reported:
            self._caller.error(error)
        fail(reply, error)
        return reply

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise ClientClosed("the client was stopped: make a new one")

    def _open_session(self) -> Session:
        """The open session; where there is none, waits for the opening under way, or for a new one."""
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
            failure = self._start() if self._thread is None else None
        if failure is not None:
            if self._caller.handles_errors:
                self._caller.error(failure)
            raise not_sent(failure)
        return opening.wait()

    def _start(self) -> TransportError | None:
        # Started under the lock, so that nobody meets a thread that can't be joined yet. It only takes the lock
        # once it runs, and start() waits for no more than that.
        thread = threading.Thread(target=self._run, name=f"wsclient {self.endpoint.safe_url}", daemon=True)
        self._thread = thread  # before it runs: if this is interrupted, nobody may start another one
        try:
            thread.start()
        except RuntimeError as error:
            self._thread = self._opening = None
            failure = TransportError(f"no thread can be started: {error}")
            failure.__cause__ = error
            return failure
        return None

    def _retire(self, session: Session) -> None:
        """This session takes no more calls: the next one needs a new connection."""
        with self._lock:
            if self._session is session:
                self._session = None

    # -- stopping: any thread

    def stop(self) -> None:
        """Ends everything, in any state; see `WSClient.stop`."""
        with self._lock:
            self._stopped = True
            session, opening, abort, thread = self._session, self._opening, self._abort, self._thread
            self._opening = None
        if opening is not None:
            opening.end(stopped())
        if abort is not None:
            abort.now()
        if session is not None:
            session.close()
        if thread is None or self.on_event_thread():
            return
        half = self.endpoint.timeout / 2
        thread.join(half)
        if thread.is_alive() and session is not None:
            session.abandon()
        thread.join(half)
        if thread.is_alive():
            logger.warning("stop(): the event thread is still busy, in a handler or in a system call")

    # -- the event thread

    def on_event_thread(self) -> bool:
        return threading.get_ident() == self._event_ident

    def _run(self) -> None:
        self._event_ident = threading.get_ident()
        while True:
            with self._lock:
                halted = self._stopped
                if self._queue and not halted and self._opening is None:
                    self._opening = Opening()
                opening = self._opening
                if opening is None and not self._queue:
                    self._thread = None
                    self._event_ident = None
                    return
            if opening is None:
                self._fail_queue(lambda call: not_sent(stopped()))
                continue
            session = self._open(opening)
            del opening  # it would live as long as the session
            if session is not None:
                self._serve(session)

    def _open(self, opening: Opening) -> Session | None:
        """Connects; ends the opening with its outcome."""
        abort = Abort()
        with self._lock:
            self._abort = abort
            if self._stopped:
                abort.now()
        session = None
        error: WSClientError = stopped()
        try:
            self._warn()
            session = self._session_on(open_socket(self.endpoint, abort))
        except WSClientError as failure:
            error = failure
        except Exception as failure:
            logger.exception("connecting failed in an unforeseen way")
            error = TransportError(f"can't connect to {self.endpoint.safe_url}: {failure}")
            error.__cause__ = failure
        with self._lock:
            self._abort = None
            halted = self._stopped
            if self._opening is opening:
                self._opening = None
            if halted:
                error = stopped()  # whatever it was that the attempt ended of then
            else:
                self._session = session
        if session is not None and not halted:
            opening.end(session)
            return session
        if session is not None:
            session.discard()
        opening.end(error)  # before the error handler, which may wait for a lock that a waiter holds
        if session is None and not halted and (self._caller.handles_errors or not opening.waited_for):
            self._caller.error(error)
        # last, so that a call made by the error handler fails too: tried again at once, that could go on for ever
        self._fail_queue(lambda call: not_sent(error))
        return None

    def _session_on(self, opened: Opened) -> Session:
        agreed = opened.compression
        deflater = None if agreed is None else Deflater(agreed)
        try:
            transport = Transport(opened.socket, self.endpoint.timeout, deflater)
        except BaseException:
            opened.socket.close()
            raise
        return Session(
            transport,
            name=self.endpoint.safe_url,
            dialect=self._dialect,
            calls=self._calls,
            caller=self._caller,
            credentials=self._take_credentials,
            login_settled=self._login_settled,
            timeout=self.endpoint.timeout,
            ping_interval=self._ping_interval,
            max_message_size=self._max_message_size,
            inflater=None if agreed is None else Inflater(agreed),
            codec=self._codec,
            clock=self._clock,
        )

    def _serve(self, session: Session) -> None:
        """Runs a session to its end, and tells everybody who needs to know."""
        try:
            self._caller.opened()
            self._flush()
            ending = session.run()
        except Exception as error:
            # a mistake of ours: the calls still get an honest outcome, and the thread lives on
            logger.exception("the event thread failed")
            session.discard()
            ending = Ending(TransportError(f"the event thread failed: {error!r}"))
        self._retire(session)
        cause = ending.error or (stopped() if self._stopped else closed(self.endpoint.safe_url, ending.code))
        hurt = session.login.lost(cause)
        # those that waited for the login lost it; the others go out on the next connection
        self._fail_queue(lambda call: login_failed(cause) if call.private else None)
        lost = self._calls.lost(session)
        for reply in lost:  # before the error handler, which may wait for a lock that one of their callers holds
            fail(reply, outcome_unknown(cause) if reply.left else not_sent(cause))
        # an agreed close is an error too where it took somebody's call or login with it
        if (ending.error is not None or hurt or lost) and not self._stopped:
            self._caller.error(cause)
        self._caller.closed(ending.code, ending.reason)

    def _login_settled(self, session: Session, attempt: Attempt, failure: AuthenticationError | None) -> None:
        if not session.login.settle(attempt, failure):
            return
        # The waiters are released first: the error handler may wait for a lock that one of them holds, and it may
        # call again with better credentials, which begins another attempt.
        attempt.end(failure)
        if failure is None:
            self._flush()
            return
        self._fail_queue(lambda call: same_again(failure) if call.private else None)
        if self._caller.handles_errors or not attempt.waited_for:
            self._caller.error(failure)

    def _flush(self) -> None:
        """Sends what was called on this thread, as far as the connection and the login are there."""
        session = self._session
        if session is None:
            return  # `_run` opens one for what is queued
        held = []
        while self._queue:
            call = self._queue.pop(0)
            if not self._pass_on(session, call):
                held.append(call)
        self._queue[:0] = held

    def _pass_on(self, session: Session, call: Queued) -> bool:
        """Sends a queued call; False where it has to wait for the login or for the next connection."""
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
        except OSError:
            pass  # the session's end tells the call
        return True

    def _fail_queue(self, outcome: Callable[[Queued], WSClientError | None]) -> None:
        """Ends the queued calls for which there is an outcome; the others stay."""
        queue, self._queue = self._queue, []
        for call in queue:
            error = outcome(call)
            if error is None:
                self._queue.append(call)
            elif self._calls.drop(call.reply):
                fail(call.reply, error)

    def _warn(self) -> None:
        if self._warned:
            return
        self._warned = True
        if self.endpoint.insecure_ssl and self.endpoint.secure:
            logger.warning("insecure_ssl: any certificate is accepted from %s", self.endpoint.safe_url)

    def _take_credentials(self) -> Any:
        """The credentials for a login that is about to be sent."""
        if not (self.endpoint.secure or self.endpoint.loopback or self._exposed):
            self._exposed = True
            logger.warning(
                "credentials go over plain ws:// to %s: anyone on the way reads them", self.endpoint.safe_url
            )
        return self.credentials
