"""The one error tree.

    WSClientError
    ├── TransportError(ConnectionError)     could not connect, or lost the connection
    │   ├── NotSent                         the call certainly did not leave: safe to repeat
    │   │   └── TooFast                     the exchange's rate limit would have refused it
    │   ├── OutcomeUnknown                  the call left, the connection ended before its reply
    │   └── StaleFeed                       nothing came of a watched feed for longer than it may be quiet
    ├── ProtocolError(ConnectionError)      the peer broke RFC 6455 or its own protocol
    ├── AuthenticationError(ConnectionError)  a login failed, or there are no credentials for one
    │   └── WrongCredentials(NotAuthorized)   a request that was signed, and refused for its key or signature
    ├── CommandError                        the exchange said no; one subclass for each error code
    │   └── NotFound, Conflict, TonceOutOfSequence, InsufficientFunds, TooManyOrders,
    │       RateLimited, NotAuthorized, BadRequest, WouldMatch
    ├── ClientClosed                        a call on a client that was stopped
    ├── WouldDeadlock                       waiting, on the event thread, for the event thread
    ├── InvalidRequest(ValueError)          the caller's own mistake; nothing was sent
    ├── MessagesDropped                     handlers were too slow for a queue that drops
    └── SinkError                           messages that were to be kept could not be

Everything that is the network's or the peer's fault is a `ConnectionError`, so that code written for CoinFLEX's
original client, which raised just that, keeps working. No error carries a secret: URLs are named without their
user, password and query.
"""

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar


class WSClientError(Exception):
    """The root of everything that wsclient raises on purpose."""


class TransportError(WSClientError, ConnectionError):
    """The connection could not be made, or was lost. The cause (`__cause__`) is the system's own error."""


class NotSent(TransportError):
    """The call certainly did not leave this machine: it is safe to make it again."""


class TooFast(NotSent):
    """`rate_limit=` kept the call back: sent now, the exchange would have refused it.

    retry_after: seconds until there may be room, if nobody else takes it
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.retry_after))


class OutcomeUnknown(TransportError):
    """The call left, or a part of it did, and the connection ended before its reply.

    Whether the exchange executed it can't be told from here: ask before repeating an order, see `settle`.
    request: the message as it left, where that is known
    account: who sent it, likewise: a user's number or a public key
    """

    request: Mapping[str, Any] | None = None
    account: Hashable = None


class StaleFeed(TransportError):
    """Nothing came of a watch for longer than its `stale_after`. It is renewed, or the connection is replaced."""


class ProtocolError(WSClientError, ConnectionError):
    """The peer broke the WebSocket protocol, or its own.

    `close_code` is the code of the Close frame with which the connection was failed (RFC 6455, section 7.4.1),
    or None where the connection goes on.
    """

    def __init__(self, message: str, close_code: int | None = None) -> None:
        super().__init__(message)
        self.close_code = close_code

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.close_code))


class AuthenticationError(WSClientError, ConnectionError):
    """The login that a private call needed failed, or there were no credentials for it."""


class CommandError(WSClientError):
    """The exchange answered with an error. It belongs to the one call that it answers.

    code: the exchange's error code, an integer wherever the exchange keeps to its protocol
    message: its text
    request: the message that was refused
    """

    def __init__(self, code: Any, message: str, request: Mapping[str, Any]) -> None:
        super().__init__(code, message, request)
        self.code = code
        self.message = message
        self.request = request

    def __str__(self) -> str:
        method = self.request.get("method", self.request.get("type", "the message"))
        code = "" if self.code is None else f" (error {self.code})"
        return f"{method} was refused: {self.message}{code}"


class NotFound(CommandError):
    """Code 1: no such user, asset pair or order, or not watching."""


class Conflict(CommandError):
    """Code 2: already watching."""


class TonceOutOfSequence(CommandError):
    """Code 3: the tonce breaks the exchange's rule for tonces."""


class InsufficientFunds(CommandError):
    """Code 4: the available balance doesn't cover the order."""


class TooManyOrders(CommandError):
    """Code 5: the limit of open orders is reached."""


class RateLimited(CommandError):
    """Code 6: too many requests in too short a time."""


class NotAuthorized(CommandError):
    """Code 7: not authenticated, or wrong credentials."""


class WrongCredentials(AuthenticationError, NotAuthorized):
    """A venue where requests are signed one by one, instead of a login, refused the key, signature or passphrase.

    It is what a refused login is elsewhere, an `AuthenticationError`, and has what a refusal has.
    """

    def __init__(self, code: Any, message: str, request: Mapping[str, Any]) -> None:
        super().__init__(code, message, request)
        # a ConnectionError takes three arguments for an error number, its text and a file
        self.args = (code, message, request)
        self.errno = self.strerror = self.filename = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), self.args)


class BadRequest(CommandError):
    """Code 8: the exchange can't make sense of the request."""


class WouldMatch(CommandError):
    """Code 9: a post-only order would have matched at once."""


class ClientClosed(WSClientError):
    """A call on a client after its `stop()`: make a new client."""


class WouldDeadlock(WSClientError):
    """The event thread was about to wait for something that only the event thread can bring."""


class InvalidRequest(WSClientError, ValueError):
    """The caller's own mistake, found before anything was sent."""


class MessagesDropped(WSClientError):
    """The handlers were slower than the exchange, and their queue is one that drops.

    count: messages dropped since the last report; they stood in the feed just before what is handed over next
    """

    def __init__(self, message: str, count: int = 0) -> None:
        super().__init__(message)
        self.count = count

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.count))


class SinkError(WSClientError):
    """Messages that were to be kept (`wsclient.sinks`) could not be, or are not yet. It says how many."""


E = TypeVar("E", bound=BaseException)


def same_again(error: E) -> E:
    """An equal error object for another waiter: a raised exception collects the traceback of who raised it."""
    again = type(error)(*_arguments(error))
    again.__cause__ = error.__cause__
    if isinstance(error, OutcomeUnknown):
        again.request, again.account = error.request, error.account  # type: ignore[attr-defined]
    return again


def _arguments(error: BaseException) -> tuple[Any, ...]:
    if isinstance(error, ProtocolError | TooFast | MessagesDropped):
        return error.__reduce__()[1]  # type: ignore[no-any-return]
    return error.args
