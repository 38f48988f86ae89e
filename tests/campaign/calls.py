"""What callers did and were told: one `Call` each, written by its caller and read when all is over."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from wsclient import (
    AuthenticationError,
    ClientClosed,
    CommandError,
    NotSent,
    OutcomeUnknown,
    Reply,
    WSClient,
)


class Kind(Enum):
    """The outcomes that a call may honestly have; STRANGE is none of them."""

    DONE = "done"
    REFUSED = "refused"
    NOT_SENT = "not sent"
    UNKNOWN = "unknown"
    LOGIN_FAILED = "login failed"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    PENDING = "pending"
    STRANGE = "strange"


_KINDS: tuple[tuple[type[BaseException], Kind], ...] = (
    (CommandError, Kind.REFUSED),
    (NotSent, Kind.NOT_SENT),
    (OutcomeUnknown, Kind.UNKNOWN),
    (AuthenticationError, Kind.LOGIN_FAILED),
    (ClientClosed, Kind.CLOSED),
    (CancelledError, Kind.CANCELLED),
)


@dataclass(slots=True, eq=False)
class Call:
    """One call.

    tag: what its command carries; None where the caller let the client choose and was never told
    raised: what sending it raised, or `client.call` as its outcome
    result: what `client.call` returned
    told: how often its Reply called back
    settled: what the client made of an unknown outcome afterwards, a reply or an error
    """

    client: int
    user: int | None
    method: str
    fields: dict[str, Any]
    began: int
    tag: int | None = None
    reply: Reply[Any] | None = None
    raised: BaseException | None = None
    result: dict[str, Any] | None = None
    told: int = 0
    settled: Any = None

    def outcome(self) -> tuple[Kind, Any]:
        """How it ended: the reply, or the error."""
        if self.result is not None:
            return Kind.DONE, self.result
        error = self.raised
        if error is None:
            if self.reply is None or not self.reply.done():
                return Kind.PENDING, None
            try:
                error = self.reply.exception(0)
            except CancelledError as cancelled:
                error = cancelled
            if error is None:
                return Kind.DONE, self.reply.result(0)
        return next((kind for type_, kind in _KINDS if isinstance(error, type_)), Kind.STRANGE), error

    @property
    def tonce(self) -> int | None:
        """The tonce that an order went out with, as far as its caller can know it."""
        request = self.fields if self.reply is None else self.reply.request
        return request.get("tonce")

    def tell(self, _: object) -> None:
        """Count a call back."""
        self.told += 1

    def __str__(self) -> str:
        kind, what = self.outcome()
        return (
            f"client {self.client} user {self.user}: {self.method} {self.fields} tag {self.tag} "
            f"-> {kind.value}: {what!r}" + (f", settled: {self.settled!r}" if self.settled is not None else "")
        )


@dataclass(slots=True)
class Journal:
    """All the calls of a round. Any thread writes."""

    clock: Callable[[], int]
    calls: list[Call] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, client: WSClient, number: int, user: int | None, method: str, **fields: Any) -> Call:
        """Make a call without waiting for its outcome."""
        call = self._begin(number, user, method, fields)
        try:
            call.reply = getattr(client, method)(**fields)
        except Exception as error:
            call.raised = error
        else:
            assert call.reply is not None
            call.tag = call.reply.tag
            call.reply.add_done_callback(call.tell)
        return call

    def ask(self, client: WSClient, number: int, user: int | None, method: str, **fields: Any) -> Call:
        """Make a call by `client.call`, which waits for its outcome."""
        call = self._begin(number, user, method, fields)
        try:
            call.result = client.call(method, **fields)
        except Exception as error:
            call.raised = error
        return call

    def _begin(self, number: int, user: int | None, method: str, fields: dict[str, Any]) -> Call:
        call = Call(number, user, method, fields, self.clock(), tag=fields.get("tag"))
        with self._lock:
            self.calls.append(call)
        return call

    def outcomes(self) -> "Counter[Kind]":
        """How many calls ended how."""
        return Counter(call.outcome()[0] for call in self.calls)
