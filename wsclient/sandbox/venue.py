"""What the server asks of a venue's dialect: texts in, texts out, and no I/O.

A venue keeps what it must know of a connection itself, under the number that the server gave that connection (its
session). The server moves the texts, applies faults, and keeps the ledger.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

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
    tag: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    shown: Mapping[str, Any] = field(default_factory=dict)
    refusal: Refusal | None = None


class Venue(Protocol):
    """One venue's dialect, as its server speaks it."""

    path: str
    """Where it is found on the sandbox's port."""

    def open(self, session: int) -> Mapping[str, Any] | None:
        """A connection was made; what is to be said to it first."""

    def close(self, session: int) -> None:
        """A connection has ended."""

    def user(self, session: int) -> int | None:
        """Who is logged in on a connection."""

    def read(self, text: str) -> Request:
        """Make sense of a message, whatever it is; never raises."""

    def execute(self, session: int, request: Request) -> dict[str, Any]:
        """Run a request and give its reply. An error that is the client's becomes a reply too."""

    def failed(self, request: Request) -> dict[str, Any]:
        """The reply to a request on which the sandbox itself failed."""

    def notices(self, events: Iterable[Event]) -> Iterator[tuple[str, Collection[int]]]:
        """What events are to be told to whom: each distinct text once, with the sessions that get it."""
