"""Everything that happened in a sandbox, in order, for tests to question.

The server writes, any thread reads. Entries are immutable and numbered: `at` is an entry's place in the order of
all of them. A test waits for what it wants to see (`wait_for`) instead of sleeping until it may have happened.

What a command led to is spread over up to four entries, since a connection can end between any two of them:
`Command` (received), `Executed` (run, with its reply), `Answered` (the reply given to the socket, or not).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from wsclient.sandbox.events import Event

T = TypeVar("T")
E = TypeVar("E", bound="Entry")

DEFAULT_LIMIT: Final = 250_000
LONGEST_LIST: Final = 100
"""How many elements of a list in a reply a bounded ledger keeps."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A TCP connection was made; what comes of it is not known yet."""

    at: int
    time: int
    peer: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection is open: the WebSocket handshake is done."""

    at: int
    time: int
    session: int
    path: str
    peer: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection has ended, with the Close code of the side that began, or 1006 if it just broke off."""

    at: int
    time: int
    session: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A connection was turned away in the opening handshake, with this HTTP status."""

    at: int
    time: int
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A plain HTTP GET was answered, with this status."""

    at: int
    time: int
    target: str
    status: int


@dataclass(frozen=True, slots=True)
class Command:
    """A message arrived. `fields` are its own, without secrets; `method` is None where it made no sense."""

    at: int
    time: int
    session: int
    user: int | None
    method: str | None
    tag: int | str | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Executed:
    """A command has run. `reply` is what is to be answered, `code` its error code (0: it did what was asked).

    A bounded ledger keeps only the first hundred elements of a list in a reply, see `Ledger.shorten`.
    """

    at: int
    time: int
    command: Command
    code: int
    reply: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """The reply to a command was given to the connection's socket, or (`sent` False) could not be any more."""

    at: int
    time: int
    command: Command
    sent: bool


@dataclass(frozen=True, slots=True)
class Happened:
    """The engine said that something happened."""

    at: int
    time: int
    event: Event


@dataclass(frozen=True, slots=True)
class Noticed:
    """A notice was given to sessions. Recorded only if the ledger was asked to keep notices."""

    at: int
    time: int
    text: str
    sessions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Faulted:
    """A scripted fault took effect."""

    at: int
    time: int
    session: int | None
    fault: object


@dataclass(frozen=True, slots=True)
class Struck:
    """A cut took effect after so many bytes from (`received`) and to (`sent`) the client.

    `how` is that of `wirefaults.Cut`. `session` is None where the opening handshake was not through.
    """

    at: int
    time: int
    session: int | None
    peer: str
    how: str
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """The sandbox itself met an exception that it did not expect; it went on. A test may ask for none of these."""

    at: int
    time: int
    session: int | None
    error: BaseException


Entry: TypeAlias = (
    Arrived
    | Opened
    | Closed
    | Refused
    | Fetched
    | Command
    | Executed
    | Answered
    | Happened
    | Noticed
    | Faulted
    | Struck
    | Trouble
)


class Ledger:
    """An append-only record that keeps the last `limit` entries of each kind, and long lists in part.

    `dropped` counts what has been forgotten; a test that must know the whole truth asks for `limit=None`.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int],
        limit: int | None = DEFAULT_LIMIT,
        keep_notices: bool = False,
    ) -> None:
        self.keep_notices = keep_notices
        self.dropped = 0
        self._clock = clock
        self._limit = limit
        self._changed = threading.Condition(threading.RLock())
        self._kinds: dict[type, deque[Any]] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many entries were ever written."""
        with self._changed:
            return self._count

    def add(self, kind: Callable[..., E], *values: Any) -> E:
        """Write an entry: its class and its fields but for `at` and `time`, which are given here."""
        with self._changed:
            self._count += 1
            entry = kind(self._count, self._clock(), *values)
            entries = self._kinds.get(type(entry))
            if entries is None:
                entries = self._kinds[type(entry)] = deque(maxlen=self._limit)
            if len(entries) == self._limit:
                self.dropped += 1
            entries.append(entry)
            self._changed.notify_all()
            return entry

    def shorten(self, reply: Mapping[str, Any]) -> Mapping[str, Any]:
        """A reply as it is kept: where entries are bounded, long lists in it (snapshots) are, too."""
        return reply if self._limit is None else _shortened(reply)

    # ------------------------------------------------------------ questions

    def of(self, kind: type[E]) -> list[E]:
        """All entries of one class, oldest first."""
        with self._changed:
            return list(self._kinds.get(kind, ()))

    def entries(self) -> list[Entry]:
        """All entries, in the order in which things happened."""
        with self._changed:
            return sorted((entry for kind in self._kinds.values() for entry in kind), key=lambda entry: entry.at)

    @property
    def attempts(self) -> list[Arrived]:
        """The TCP connections that were made, whatever came of them."""
        return self.of(Arrived)

    def most_attempts(self, seconds: float) -> int:
        """How many TCP connections were made within `seconds`, when they were most."""
        times = [arrived.time for arrived in self.attempts]
        first = most = 0
        for count, time_ in enumerate(times, 1):
            while times[first] < time_ - seconds * 1_000_000:
                first += 1
            most = max(most, count - first)
        return most

    @property
    def connections(self) -> list[Opened]:
        """The connections that were opened, ended ones included."""
        return self.of(Opened)

    @property
    def closures(self) -> list[Closed]:
        """The connections that have ended, and how."""
        return self.of(Closed)

    @property
    def refusals(self) -> list[Refused]:
        """The connections that were turned away in the handshake."""
        return self.of(Refused)

    @property
    def fetches(self) -> list[Fetched]:
        """The plain HTTP requests that were answered."""
        return self.of(Fetched)

    @property
    def cuts(self) -> list[Struck]:
        """The cuts that took effect, where faults of the wire are scripted."""
        return self.of(Struck)

    @property
    def troubles(self) -> list[Trouble]:
        """Exceptions that nobody expected."""
        return self.of(Trouble)

    def open_sessions(self) -> set[int]:
        """The connections that are open now (as far as the ledger reaches back)."""
        with self._changed:
            ended = {closed.session for closed in self.closures}
            return {opened.session for opened in self.connections} - ended

    def closure(self, session: int) -> Closed | None:
        """How a connection ended; None while it hasn't."""
        return next((closed for closed in self.closures if closed.session == session), None)

    def commands(
        self, method: str | None = None, *, session: int | None = None, user: int | None = None
    ) -> list[Command]:
        """The commands received: all, or those of a method, a connection or a user."""
        return [
            command
            for command in self.of(Command)
            if (method is None or command.method == method)
            and (session is None or command.session == session)
            and (user is None or command.user == user)
        ]

    def executed(self, method: str | None = None) -> list[Executed]:
        """The commands that were run, each with its reply: all, or those of a method."""
        return [entry for entry in self.of(Executed) if method is None or entry.command.method == method]

    def answered(self, method: str | None = None) -> list[Answered]:
        """The replies handed to a socket, or not: all, or those of a method."""
        return [entry for entry in self.of(Answered) if method is None or entry.command.method == method]

    @property
    def authentications(self) -> list[Executed]:
        """The logins that were tried, each with its result; those with `code` 0 succeeded."""
        return self.executed("Authenticate")

    def outcome(self, command: Command) -> Executed | None:
        """What became of a command; None if it never ran (or has not yet)."""
        return next((entry for entry in self.of(Executed) if entry.command is command), None)

    def was_answered(self, command: Command) -> bool:
        """Whether the reply to a command was given to the socket."""
        return any(entry.sent and entry.command is command for entry in self.of(Answered))

    def events(self, *kinds: type[Event]) -> list[Event]:
        """What the engine said: all, or the events of some classes."""
        return [entry.event for entry in self.of(Happened) if not kinds or isinstance(entry.event, kinds)]

    def wait_for(self, predicate: Callable[["Ledger"], T], timeout: float = 5.0) -> T:
        """Wait until `predicate(ledger)` is true, asking it again whenever something happened; return its value.

        Raises TimeoutError after `timeout` seconds. Not to be called on the sandbox's own thread.
        """
        deadline = time.monotonic() + timeout
        while True:
            seen = len(self)
            if value := predicate(self):  # without the lock: it may ask the sandbox's thread, which writes here
                return value
            with self._changed:
                news = self._changed.wait_for(partial(self._has_grown, seen), deadline - time.monotonic())
            if not news:
                last = describe(self.entries()[-5:])
                raise TimeoutError(f"it did not happen within {timeout} s; the last entries:\n{last}")

    def _has_grown(self, seen: int) -> bool:
        return self._count > seen


def describe(entries: Iterable[Entry]) -> str:
    """Entries as lines to read, for the message of a failed test."""
    return "\n".join(f"{entry.at:6} {entry}" for entry in entries)


def _shortened(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """A reply without the ends of its long lists, those of objects in it included; itself if it has none."""
    changes: dict[str, Any] = {}
    for name, value in reply.items():
        if isinstance(value, list) and len(value) > LONGEST_LIST:
            changes[name] = value[:LONGEST_LIST]
        elif isinstance(value, dict) and (short := _shortened(value)) is not value:
            changes[name] = short
    return {**reply, **changes} if changes else reply
