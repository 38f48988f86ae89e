"""The calls that a session makes for itself: logging in, restoring and renewing, and what the server demands."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from ..errors import AuthenticationError, CommandError, OutcomeUnknown, ProtocolError, WSClientError
from .calls import Calls, completer
from .codec import Codec
from .dialect import Demand, Dialect, Greeting, Message, Outcome
from .login import Attempt, Login
from .meter import Meter
from .outcomes import login_failed
from .reply import Reply
from .transport import Gone

_DEMANDS = 100  # calls that a server may demand before it answers one


class Owner(Protocol):
    """The session that makes them."""

    login: Login
    account: Hashable

    def send(self, reply: Reply[Any], text: bytes | Callable[[], bytes], *, wait: bool = True) -> None: ...


S = TypeVar("S", bound=Owner)


class OwnCalls(Generic[S]):
    """Makes calls for a session.

    meter: told of them, since the rate limits count them too
    credentials: asks for what logins and signatures need, at their moment
    exposing: told when a login is about to be sent
    login_settled: told the outcome of a login attempt, on the event thread; it ends the attempt
    report: told of a demanded call that was refused
    """

    __slots__ = (
        "_calls", "_credentials", "_demanded", "_dialect", "_dumps", "_exposing", "_login_settled",
        "_meter", "_report", "_session",
    )  # fmt: skip

    def __init__(
        self,
        session: S,
        *,
        dialect: Dialect,
        calls: Calls,
        meter: Meter,
        credentials: Callable[[], Any],
        exposing: Callable[[], None],
        login_settled: Callable[[S, Attempt, AuthenticationError | None], None],
        report: Callable[[Exception], object],
        codec: Codec,
    ) -> None:
        self._session = session
        self._dialect = dialect
        self._calls = calls
        self._meter = meter
        self._credentials = credentials
        self._exposing = exposing
        self._login_settled = login_settled
        self._report = report
        self._dumps = codec.encoded
        self._demanded = 0  # calls that wait for their answers; the event thread's

    def ask(self, request: Message, then: Callable[[Outcome | None], None]) -> Reply[Any]:
        """Makes a call, on the event thread; `then` is told its outcome."""
        reply = self._new(request)
        # before anybody else is told, so that nothing that follows is met unprepared
        reply.on_answer = then
        reply.add_done_callback(lambda _: then(error) if (error := _error_of(reply)) is not None else None)
        if self._dialect.examine(request).late:
            self._send(reply, completer(reply, self._dialect, self._credentials, self._dumps))
        else:
            self._send(reply, self._dumps(reply.request))
        return reply

    def meet(self, demand: Demand) -> None:
        """Makes a call that the server wants, on the event thread.

        Raises `ProtocolError` if it goes on demanding without answering: what waits would grow without bound.
        """
        if self._demanded >= _DEMANDS:
            raise ProtocolError(f"the server demands more, and owes {_DEMANDS} answers")
        self._demanded += 1
        self.ask(demand.request, self._met)

    def _met(self, outcome: Outcome | None) -> None:
        self._demanded -= 1
        if isinstance(outcome, CommandError):
            self._report(outcome)

    # -- the login, on whichever thread it takes its next step

    def log_in(self, attempt: Attempt, greeting: Greeting | None) -> None:
        """Sends the first step of a login."""
        self._exposing()
        known = self._credentials()
        self._log_in(attempt, self._dialect.login(known, greeting), known)

    def _log_in(self, attempt: Attempt, request: Message, known: Any) -> None:
        reply = self._new(request)
        reply.add_done_callback(lambda _: self._answered(attempt, reply, known))
        self._send(reply, self._dumps(reply.request))

    def _answered(self, attempt: Attempt, reply: Reply[Any], known: Any) -> None:
        error = reply.exception()
        failure: AuthenticationError | None = None
        if isinstance(error, CommandError):
            failure = self._dialect.login_refused(error)
        elif isinstance(error, WSClientError):
            if isinstance(error, OutcomeUnknown):
                error.request = None  # it has the login's secrets
            failure = login_failed(error)
        elif (following := self._dialect.login_goes_on(reply.result(), known)) is not None:
            if self._session.login.step(attempt):
                self._log_in(attempt, following, known)
            return
        else:
            self._session.account = self._dialect.account(known)
        self._login_settled(self._session, attempt, failure)

    def _new(self, request: Message) -> Reply[Any]:
        reply = self._calls.add(request, None)
        reply.leaving()
        self._meter.count(reply)
        return reply

    def _send(self, reply: Reply[Any], text: bytes | Callable[[], bytes]) -> None:
        try:
            self._session.send(reply, text, wait=False)
        except (Gone, OSError):
            pass  # the session has ended; its end ends this call, and the attempt that it is a step of


def _error_of(reply: Reply[Any]) -> WSClientError | None:
    error = reply.exception()
    return error if isinstance(error, WSClientError) else None
