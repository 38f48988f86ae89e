"""Finding out what became of a call whose outcome is unknown, by asking the exchange."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from ..errors import (
    AuthenticationError,
    CommandError,
    InvalidRequest,
    OutcomeUnknown,
    TransportError,
    WouldDeadlock,
)
from .dialect import Dialect, Message, Outcome
from .outcomes import about, elsewhere, still_unknown
from .reply import Reply


class Submit(Protocol):
    """Makes a call; see `Connection.submit`."""

    def __call__(self, request: Message, *, only_for: Hashable = None) -> Reply[Any]: ...


class Settling:
    """Takes the steps that a dialect knows. For any thread but the event thread, since it waits for answers."""

    __slots__ = ("_dialect", "_on_event_thread", "_submit")

    def __init__(self, dialect: Dialect, submit: Submit, on_event_thread: Callable[[], bool]) -> None:
        self._dialect = dialect
        self._submit = submit
        self._on_event_thread = on_event_thread

    def settle(self, reply: Reply[Any] | OutcomeUnknown, timeout: float | None) -> Any:
        """The call's result, if it has one or one can be found out; see `Dialect.settle`."""
        if not isinstance(reply, Reply | OutcomeUnknown):
            raise InvalidRequest(f"settle() takes a call's Reply or its OutcomeUnknown, not {reply!r:.50}")
        if self._on_event_thread():
            raise WouldDeadlock("settle() waits for replies that only this thread, the event thread, can read")
        try:
            if isinstance(reply, OutcomeUnknown):
                raise reply
            return reply.result(timeout)
        except OutcomeUnknown as unknown:
            call = reply
            if call.request is None or not self._dialect.can_settle(dict(call.request)):
                raise
            outcome = self._settled(dict(call.request), call.account, timeout)
            if isinstance(outcome, dict):
                return outcome
            raise about(outcome, call) from unknown

    def _settled(self, request: Message, account: Hashable, timeout: float | None) -> Outcome:
        steps = self._dialect.settle([request])
        step = next(steps)
        while True:
            answer: Outcome
            try:
                answered = self._submit(step, only_for=account)
                answer = answered.result(timeout)
                if account is not None and answered.carrier is not None:
                    asked = answered.account or answered.carrier.account or account
                    if asked != account:
                        return elsewhere()
            except CommandError as error:
                answer = error
            except (TransportError, AuthenticationError) as error:
                # not as it is: a NotSent of the question would be taken for the order's
                return still_unknown(error)
            try:
                step = steps.send(answer)
            except StopIteration as end:
                outcome: Outcome = end.value[0]
                return outcome
