"""What callers do: they send, over a connection that is made when one is needed, and are told what became of it.

A caller who needs the connection finds it open, or waits for the opening that the event thread makes: there is one
at a time, and all who wait are told the same. What the event thread does is in `lifecycle`.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from ..errors import (
    AuthenticationError,
    ClientClosed,
    CommandError,
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    WouldDeadlock,
    WSClientError,
)
from . import forks
from .calls import completer
from .codec import Codec
from .connect import Endpoint, check_seconds
from .deferred import Deferred
from .dialect import Dialect, Message, title
from .following import Following
from .handler_queue import QueueOptions
from .handlers import Caller, Handlers
from .lifecycle import Lifecycle, State
from .meter import Meter
from .pacing import Limit
from .queued_caller import QueuedCaller
from .reconnect import Reconnect
from .reply import Reply, fail
from .session import Session
from .settling import Settling
from .stats import Stats
from .taps import Stream, Tap
from .transport import Gone
from .watches import Listener, Watch

C = TypeVar("C")
_JSON = Codec()
_TRIES = 3  # connections that a call may see ending before it could leave

__all__ = ["Connection", "State"]


class Connection(Generic[C]):
    """Sends calls, over a connection that it makes when one is needed.

    client: what handlers are called with
    ping_interval: seconds of silence before a Ping
    max_message_size: bytes; a larger message fails the connection
    reconnect: how it gets back what a lost connection held; None for not at all
    resubmit: whether it then settles calls whose outcome is unknown
    failover: where else to connect, in this order, while `endpoint` can't be had
    handler_queue: for handlers on a thread of their own
    limits: the rate limits to keep below, by the names that the dialect's `costs` uses
    limits_wait: seconds that a call waits for its turn under them; None for as long as it takes
    """

    __slots__ = (
        "_caller",
        "_calls",
        "_clock",
        "_codec",
        "_dialect",
        "_following",
        "_forks",
        "_life",
        "_meter",
        "_queued",
        "_watches",
        "endpoint",
        "on_event_thread",
    )  # fmt: skip

    def __init__(
        self,
        client: C,
        endpoint: Endpoint,
        dialect: Dialect,
        handlers: Handlers[C],
        *,
        ping_interval: float = 45.0,
        max_message_size: int = 16 * 1024 * 1024,
        codec: Codec = _JSON,
        reconnect: Reconnect | None = None,
        resubmit: bool = False,
        failover: Sequence[Endpoint] = (),
        handler_queue: QueueOptions | None = None,
        limits: Mapping[str, Limit] | None = None,
        limits_wait: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        check_seconds("ping_interval", ping_interval)
        if isinstance(max_message_size, bool) or not isinstance(max_message_size, int) or max_message_size < 1:
            raise InvalidRequest(f"max_message_size is a positive number of bytes, not {max_message_size!r}")
        if reconnect is not None and not isinstance(reconnect, Reconnect):
            raise InvalidRequest(f"reconnect is a Reconnect or None, not {reconnect!r}")
        self.endpoint = endpoint
        self._dialect = dialect
        self._codec = codec
        self._forks = forks.count()
        self._clock = clock
        self._meter = Meter(dialect, limits, limits_wait, clock)
        self._caller: Caller[C]
        self._queued = handler_queue is not None
        if handler_queue is None:
            self._caller = Caller(client, handlers)
        else:
            self._caller = QueuedCaller(
                client,
                handlers,
                handler_queue,
                key=self._news_of,
                on_event_thread=lambda: self._life.on_event_thread(),
                name=f"wsclient handlers {endpoint.safe_url}",
                awaited=lambda: self._life.awaited,
                give_up=lambda error: self._life.give_up(error),
                patience=endpoint.timeout,
            )
        self._life = Lifecycle(
            endpoint,
            dialect,
            self._caller,
            ping_interval=ping_interval,
            max_message_size=max_message_size,
            codec=codec,
            reconnect=reconnect,
            resubmit=resubmit,
            failover=failover,
            meter=self._meter,
            clock=clock,
            pause=pause,
        )
        self._calls = self._life.calls
        self._watches = self._life.watches
        self._following = Following(dialect, self._life, self.submit)
        self.on_event_thread = self._life.on_event_thread

    # -- what others do

    def stop(self) -> None:
        """See `Face.stop`. In a forked process it does nothing: the connection is the parent's."""
        if self._forks == forks.count():
            self._life.stop()

    def stats(self) -> Stats:
        """See `Lifecycle.stats`."""
        return self._life.stats()

    def tap(self, listener: Tap) -> Callable[[], None]:
        """See `Taps.add`."""
        return self._life.taps.add(listener)

    def post(self, job: Callable[[], object]) -> bool:
        """See `Lifecycle.post`."""
        return self._life.post(job)

    def waiting(self, step: int) -> None:
        """One more, or one fewer, waits for what the event thread brings, besides those who wait for a Reply."""
        self._life.waiting(step)
        if self._queued:
            self._caller.nudge()

    def give_up(self, error: WSClientError) -> None:
        """See `Lifecycle.give_up`."""
        self._life.give_up(error)

    def heard(self, key: Hashable) -> None:
        """See `Watches.heard`."""
        self._watches.heard(key)

    def report(self, error: Exception) -> None:
        """See `Caller.error`."""
        self._caller.error(error)

    def tell(self, handler: Callable[..., object] | None, *args: Any) -> None:
        """See `Caller.tell`."""
        self._caller.tell(handler, *args)

    def listener_raised(self, listener: Callable[..., object], error: BaseException) -> None:
        """See `Caller.raised`."""
        self._caller.raised(listener, error)

    @property
    def state(self) -> State:
        return self._life.state

    @property
    def credentials(self) -> Any:
        """Opaque to the core; what is set counts from the next login."""
        return self._life.credentials

    @credentials.setter
    def credentials(self, credentials: Any) -> None:
        self._life.credentials = credentials

    def submit(
        self,
        request: Message,
        waits_until: float | None = 0,
        *,
        stale_after: float | None = None,
        watch: Watch | None = None,
        only_for: Hashable = None,
    ) -> Reply[Any]:
        """Sends a request, connecting and logging in first where need be; returns without waiting for the reply.

        waits_until: until when the caller is going to wait for the reply at once, None for as long as it takes, 0
            for not at all; where it waits, it may read right here
        stale_after: of the watch that the request begins
        watch: what the request begins, if that has a listener
        only_for: the account that a `late` request may be sent for; None for any

        Raises `InvalidRequest` and `ClientClosed` always; anything else only if there is no error handler.
        """
        self._refuse_if_over()
        if not isinstance(request, dict):
            raise InvalidRequest(f"a message is a dict, not {type(request).__name__}")
        private, tag, watching, late, keyed = self._dialect.examine(request)
        on_answer = self._following.on_answer(request, stale_after) if watching and watch is None else None
        reply = self._calls.add(request, tag)
        try:
            if on_answer is not None:
                reply.on_answer = on_answer
            if watch is not None and watch.listener is not None:
                reply.on_sending = lambda: self._watches.sending(watch)
                reply.on_answer = lambda message: self._following.began(watch, message)
            reply.only_for = only_for
            text: bytes | Callable[[], bytes]
            if late:
                text = completer(reply, self._dialect, lambda: self._life.credentials, self._codec.encoded)
            else:
                text = self._codec.encoded(reply.request)
        except BaseException:
            self._calls.drop(reply)
            raise
        self._meter.begin(reply)
        if self._queued:
            self._caller.nudge()
        if (private or keyed) and self._life.credentials is None:
            error = AuthenticationError(f"{title(request)} is private, and no credentials are set")
            return self._refused(reply, error, reported=False)
        on_event_thread = self.on_event_thread()
        if self._meter.paces:
            try:
                self._meter.pace(reply, waits_until or None, may_wait=not on_event_thread)
            except NotSent as error:
                return self._refused(reply, error, reported=False)
            except BaseException:
                self._calls.drop(reply)
                raise
        if on_event_thread:
            self._life.deferred.add(Deferred(reply, text, private))
            session = self._life.open_session
            if session is not None:  # else one is opened for what is deferred
                self._life.deferred.flush_new(session)
            return reply
        reply.made_by_waiting_caller()
        try:
            sent = self._send(reply, text, private, waits_until)
        except InvalidRequest:
            self._withdraw(reply)
            raise
        except WSClientError as error:
            return self._refused(reply, error, reported=True)
        except BaseException:
            if not reply.left:  # interrupted before it left: nobody will answer it
                self._withdraw(reply)
            raise
        if not sent:
            unsent = NotSent("not sent: the connection ended each time before the call could leave")
            return self._refused(reply, unsent, reported=False)
        return reply

    def call(self, request: Message, timeout: float | None, *, stale_after: float | None = None) -> Any:
        """Sends a request and waits for its outcome, `timeout` seconds or as long as it takes.

        The Reply is the `reply` of the `TimeoutError` that it may raise: the call is under way then.

        Raises `WouldDeadlock` on the event thread, before anything is sent.
        """
        if self.on_event_thread():
            raise WouldDeadlock(
                f"call() of {title(request)} waits for a reply that only this thread, the event thread, can read: "
                "submit it and use add_done_callback(), or call from another thread"
            )
        until = None if timeout is None else self._clock() + timeout
        reply = self.submit(request, until, stale_after=stale_after)
        try:
            return reply.result(None if until is None else max(0.0, until - self._clock()))
        except TimeoutError:
            if reply.done():
                raise  # it was the reply's own
            error = TimeoutError(
                f"no reply to {title(request)} within {timeout:g} s, so far: `.reply` may yet have it"
            )
            error.reply = reply  # type: ignore[attr-defined]
            raise error from None

    def connect(self) -> None:
        """Connects now, unless that is done; waits, and raises what went wrong."""
        self._refuse_if_over()
        if self.on_event_thread():
            raise WouldDeadlock("the event thread can't wait for the connection that it would have to make")
        self._life.session()

    def stream(self, stream: Stream) -> None:
        """Has each message decoded and given to this on the event thread, from now on."""
        self._life.taps.give_to(stream)

    def keeps(self, key: Hashable) -> bool:
        """Whether there is this watch, which is restored after a lost connection."""
        return key in self._watches

    def _refuse_if_over(self) -> None:
        if self._life.stopped:
            raise ClientClosed("the client was stopped: make a new one")
        forks.refuse_if_forked(self._forks)

    def log_in(self) -> None:
        """Connects and logs in now, unless that is done; waits, and raises what went wrong."""
        self._refuse_if_over()
        if self._life.credentials is None:
            raise AuthenticationError("no credentials are set")
        if self.on_event_thread():
            raise WouldDeadlock("the event thread can't wait for a login: make a private call, it is queued")
        for _ in range(_TRIES):
            session = self._life.session()
            try:
                self._log_in(session)
                return
            except Gone:
                self._life.retire(session)
        raise AuthenticationError("the connection ended each time before the login")

    def settle(self, reply: Reply[Any] | OutcomeUnknown, timeout: float | None) -> Any:
        """Finds out what became of a call whose outcome is unknown; see `Settling`."""
        return Settling(self._dialect, self.submit, self.on_event_thread).settle(reply, timeout)

    # -- watches with a listener

    def follow(
        self, key: Hashable, listener: Listener, stale_after: float | None = None, *, fed: bool = False
    ) -> None:
        """Begins a watch that a listener follows from its first notice on; restored until `unfollow`.

        What goes wrong is told to the listener; it is also raised like what goes wrong in a call.

        fed: the listener has its notices from the venue's own `stream`; see `Watch`
        """
        self._following.follow(key, listener, stale_after, fed)

    def unfollow(self, key: Hashable, listener: Listener) -> None:
        """Ends a listener's watch; it isn't told of anything after that."""
        self._following.unfollow(key, listener)

    def renew(self, key: Hashable) -> None:
        """Begins a followed watch anew, for a new snapshot; on the event thread."""
        self._life.renew(key)

    # -- sending

    def _send(
        self,
        reply: Reply[Any],
        text: bytes | Callable[[], bytes],
        private: bool,
        waits_until: float | None,
    ) -> bool:
        """Connects, logs in and sends; False if no connection lived long enough for the call to leave."""
        for _ in range(_TRIES):
            session = self._life.session(waits_until or None)
            try:
                if private and not session.login.done:
                    self._log_in(session, waits_until or None)
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
                    # the connection ends of it, and tells the call, unless its reply is there already
                    if waits_until == 0:
                        self._raise_soon(reply)
                    return True
            # Nothing of it left, so that it may go out on another connection, unless its end has told the call.
            self._life.retire(session)
            if not self._calls.carry(reply, None):
                break
        return False

    def _raise_soon(self, reply: Reply[Any]) -> None:
        """Raises what a call ends with while it is sent, where nobody else would hear of it."""
        if self._caller.handles_errors or self._life.keepsakes.resubmits(reply):
            return
        try:
            error = reply.exception(self.endpoint.timeout)
        except TimeoutError:
            return  # a handler is busy: the Reply tells it when the event thread comes to it
        if isinstance(error, WSClientError):
            raise error

    def _log_in(self, session: Session, until: float | None = None) -> None:
        attempt = session.login.begin(waits=True)
        if attempt is not None:
            self._caller.nudge()
            attempt.wait(session.login, None if until is None else until - self._clock())

    def _withdraw(self, reply: Reply[Any]) -> None:
        """Takes back a call that wasn't sent, and of which nobody has the Reply."""
        if self._calls.drop(reply):
            self._meter.withdrawn(reply)

    def _news_of(self, text: str) -> Hashable | None:
        """What a text is the whole news of, for conflating."""
        if self._dialect.notice_mark not in text:
            return None
        try:
            message = self._codec.loads(text)
            news = self._dialect.news_of(message) if isinstance(message, dict) else None
            hash(news)
        except (ValueError, TypeError, RecursionError):  # whoever handles it will see what it is
            return None
        return news

    def _refused(self, reply: Reply[Any], error: WSClientError, *, reported: bool) -> Reply[Any]:
        """Ends a call that failed in its caller's hands: raises, or lets the error handler and the Reply tell.

        reported: whether the error handler was told already, by the event thread
        """
        if not self._calls.drop(reply):
            # its outcome is another one's to tell, who is doing so: the reply after all, or the connection's end
            told = None if self._caller.handles_errors else reply.exception()
            if isinstance(told, ConnectionError) and not isinstance(told, CommandError):
                raise told
            return reply
        if not self._caller.handles_errors:
            self._meter.ended(reply, error)
            raise error
        if not reported:
            self._caller.error(error)
        fail(reply, error)
        return reply
