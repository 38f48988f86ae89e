"""What the server asks of a venue's dialect: texts in, texts out, and no I/O.

A venue keeps what it must know of a connection itself, under the number that the server gave that connection (its
session). The server moves the texts, applies faults, and keeps the ledger.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from wsclient.sandbox.events import Event

encode: Final[Callable[[object], str]] = json.JSONEncoder(separators=(",", ":")).encode
"""How every message is written: JSON without blanks."""


class Refusal(Exception):
    """A command is answered with an error, `code` and `message`, and has changed nothing."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """A message from a client, read but not yet run.

    `shown` is what the ledger may keep of its fields. A message that could not be read at all has a `refusal`.
    """

    method: str | None
    tag: int | str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    shown: Mapping[str, Any] = field(default_factory=dict)
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """A text is to be sent to some sessions."""

    text: str
    sessions: Collection[int]


@dataclass(frozen=True, slots=True)
class Ping:
    """A Ping frame is to be sent to a session."""

    session: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """A session's connection is to be ended, behind what was said before."""

    session: int
    code: int
    reason: str


Action: TypeAlias = Say | Ping | HangUp
FrameKind: TypeAlias = Literal["text", "binary", "ping", "pong"]


@dataclass(frozen=True, slots=True)
class Denial:
    """A connection is refused in its handshake with an HTTP status."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to a plain HTTP GET: its status, and a body of JSON."""

    status: int
    body: str


class Venue(Protocol):
    """One venue's dialect, as its server speaks it.

    A dialect names this class as its base, and so has what it leaves out.
    """

    path: str
    """Where it is found on the sandbox's port."""
    beat_seconds: float | None = None
    """How often `beat` is to be called; None: never."""
    slow_notice: str | None = None
    """What is said to a client that reads too slowly before its connection is ended."""

    @property
    def methods(self) -> Collection[str]:
        """The names of all requests that it knows; faults are added for these."""
        return ()

    def serves(self, path: str) -> bool:
        """Whether this venue is found at a path (without its query)."""
        return path == self.path

    def page(self, target: str) -> Page | None:
        """What a GET of a target that is no WebSocket's is answered with; None: there is nothing of this venue."""
        return None

    def admit(self, target: str, address: str) -> Denial | None:
        """Decide about a connection from `address` (a host) to a request target; None lets it in."""
        return None

    def open(self, session: int, target: str) -> Mapping[str, Any] | None:
        """A connection was made to a request target (path and query); what is to be said to it first."""

    def close(self, session: int) -> None:
        """A connection has ended."""

    def user(self, session: int) -> int | None:
        """Who is logged in on a connection."""

    def sender(self, session: int, request: Request) -> int | None:
        """Who seems to have sent a request: for the ledger and for faults, nothing was verified yet."""
        return self.user(session)

    def heard(self, session: int, kind: FrameKind, payload: bytes) -> None:
        """A message or control frame has arrived; called before a message is read."""
        return

    def read(self, text: str) -> Request:
        """Make sense of a message, whatever it is; never raises."""

    def execute(self, session: int, request: Request) -> dict[str, Any]:
        """Run a request and give its reply. An error that is the client's becomes a reply too."""

    def code(self, reply: Mapping[str, Any]) -> int:
        """The error code of a reply, 0 if it did what was asked."""
        return int(reply.get("error_code", 0))

    def failed(self, request: Request) -> dict[str, Any]:
        """The reply to a request on which the sandbox itself failed."""

    def notices(self, events: Iterable[Event]) -> Iterator[tuple[str, Collection[int]]]:
        """What events are to be told to whom: each distinct text once, with the sessions that get it."""

    def beat(self) -> None:
        """Some time has passed: find out what is due by the clock."""
        return

    def actions(self) -> Iterable[Action]:
        """What else is to be done, in this order; asked after everything that happens, and each told once."""
        return ()
