"""What callers did and were told: one `Call` each, written by its caller and read when all is over."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
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
from wsclient.coinflex.balances import Balances
from wsclient.coinflex.book import OrderBook


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
class Account:
    """One client and whom it acts for.

    own_tags: the campaign gives the tags, unique among all clients; else the client does
    own_tonces: the campaign numbers the orders; else the client does
    resubmits: the client settles orders of unknown outcome by itself
    watched: the watches that it needn't ask for any more
    books, balances: what it keeps up to date; only those that let the client give the tags do
    """

    number: int
    client: WSClient
    user: int
    own_tags: bool
    own_tonces: bool
    resubmits: bool
    tonces: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    watched: set[tuple[int, int]] = field(default_factory=set)
    books: dict[tuple[int, int], OrderBook] = field(default_factory=dict)
    balances: Balances | None = None


@dataclass(slots=True, eq=False)
class Call:
    """One call.

    tag: what its command carries; None where the caller let the client choose and was never told
    raised: what sending it raised, or `client.call` as its outcome
    result: what `client.call` returned
    told: how often its Reply called back
    settled: what the client made of an unknown outcome afterwards, the order or an error
    """

    account: Account
    method: str
    fields: dict[str, Any]
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
    def user(self) -> int:
        """Who made it."""
        return self.account.user

    @property
    def tonce(self) -> int | None:
        """The tonce that an order went out with, as far as its caller can know it."""
        request = self.fields if self.reply is None else self.reply.request
        tonce = request.get("tonce")
        return tonce if isinstance(tonce, int) else None  # one that the client was to give and didn't is none

    def tell(self, _: object) -> None:
        """Count a call back."""
        self.told += 1

    def __str__(self) -> str:
        kind, what = self.outcome()
        return (
            f"client {self.account.number} user {self.user}: {self.method} {self.fields} tag {self.tag} "
            f"-> {kind.value}: {what!r}" + (f", settled: {self.settled!r}" if self.settled is not None else "")
        )


@dataclass(slots=True)
class Journal:
    """All the calls of a round. Any thread writes."""

    calls: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, account: Account, method: str, **fields: Any) -> Call:
        """Make a call without waiting for its outcome."""
        call = self._begin(account, method, fields)
        try:
            call.reply = getattr(account.client, method)(**fields)
        except Exception as error:
            call.raised = error
        else:
            assert call.reply is not None
            call.tag = call.reply.tag
            call.reply.add_done_callback(call.tell)
        return call

    def ask(self, account: Account, method: str, **fields: Any) -> Call:
        """Make a call by `client.call`, which waits for its outcome."""
        call = self._begin(account, method, fields)
        try:
            call.result = account.client.call(method, **fields)
        except Exception as error:
            call.raised = error
        return call

    def settle(self, call: Call) -> None:
        """Let the client find out what became of an order; what it says last counts."""
        assert call.reply is not None
        try:
            call.settled = call.account.client.settle(call.reply)
        except Exception as error:
            call.settled = error

    def _begin(self, account: Account, method: str, fields: dict[str, Any]) -> Call:
        call = Call(account, method, fields, tag=fields.get("tag"))
        with self._lock:
            self.calls.append(call)
        return call

    def outcomes(self) -> "Counter[Kind]":
        """How many calls ended how."""
        return Counter(call.outcome()[0] for call in self.calls)
