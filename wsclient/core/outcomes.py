"""What a call is told when no reply ends it: each time a new object, in the same words."""

from collections.abc import Hashable
from typing import Any, Protocol, TypeVar

from ..errors import AuthenticationError, ClientClosed, NotSent, OutcomeUnknown, TransportError, WSClientError


class Call(Protocol):
    """A call: what was sent, and by whom."""

    request: Any
    account: Hashable


E = TypeVar("E", bound=WSClientError)


def stopped() -> ClientClosed:
    """The cause that our own `stop()` is."""
    return ClientClosed("the client was stopped")


def closed(url: str, code: int | None) -> TransportError:
    """The cause that the peer's orderly close is."""
    return TransportError(f"{url} closed the connection" + (f" with code {code}" if code is not None else ""))


def not_sent(cause: WSClientError) -> NotSent:
    return _chained(NotSent(f"not sent: {cause}"), cause)


def outcome_unknown(cause: WSClientError, reply: Call) -> OutcomeUnknown:
    error = OutcomeUnknown(f"sent, but the connection ended before the reply: {cause}")
    about(error, reply)
    return _chained(error, cause)


def elsewhere() -> OutcomeUnknown:
    """Of a call that was made as somebody else."""
    return OutcomeUnknown("still unknown: another account is logged in now than the one that made it")


def gave_up(url: str, tries: int, last: WSClientError) -> TransportError:
    return _chained(TransportError(f"gave up getting {url} back after {tries} tries: {last}"), last)


def still_unknown(cause: WSClientError) -> OutcomeUnknown:
    """Asking what became of a call failed too."""
    return _chained(OutcomeUnknown(f"still unknown, since asking failed: {cause}"), cause)


def about(error: Exception, call: Call) -> Exception:
    """The same error; an unknown outcome says of which call it is, so that it can be settled."""
    if isinstance(error, OutcomeUnknown) and error.request is None:
        error.request = call.request
        error.account = call.account
    return error


def login_failed(cause: WSClientError) -> AuthenticationError:
    return _chained(AuthenticationError(f"the login failed: {cause}"), cause)


def _chained(error: E, cause: WSClientError) -> E:
    error.__cause__ = cause
    return error
