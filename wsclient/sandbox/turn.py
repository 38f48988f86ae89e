"""One command's way through the sandbox: run, answered, told to the others.

Ordinarily the three follow each other at once. A fault takes a turn into its own hands instead, and may leave out
steps, repeat them, or come back to them later.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from wsclient.sandbox.ledger import Answered, Command, Executed, Ledger
from wsclient.sandbox.line import Line
from wsclient.sandbox.venue import Request, Venue, encode


class Host(Protocol):
    """What a turn needs of the server."""

    def publish(self) -> int:
        """Tell everybody concerned what the engine has done since the last time."""

    def trouble(self, session: int | None, error: BaseException) -> None:
        """Take note of an exception that nobody expected."""


class Turn:
    """A command that has arrived on `line` and waits to be run and answered."""

    def __init__(
        self, host: Host, ledger: Ledger, venue: Venue, line: Line, request: Request, command: Command
    ) -> None:
        self.line = line
        self.request = request
        self._host = host
        self._ledger = ledger
        self._venue = venue
        self._command = command
        self._reply: dict[str, Any] | None = None

    def run(self) -> None:
        """What happens where no fault interferes."""
        self.execute()
        self.answer()
        self.publish()

    def execute(self) -> None:
        """Run the command, once."""
        if self._reply is not None:
            return
        try:
            self._reply = self._venue.execute(self.line.id, self.request)
        except Exception as error:
            self._host.trouble(self.line.id, error)
            self._reply = self._venue.failed(self.request)
        self._ledger.add(Executed, self._command, self._venue.code(self._reply), self._ledger.shorten(self._reply))

    @property
    def reply(self) -> str:
        """The text of the reply; the command has run after this."""
        self.execute()
        assert self._reply is not None
        return encode(self._reply)

    def answer(self) -> bool:
        """Hand the reply to the socket; whether that was still possible."""
        sent = self.line.send(self.reply)
        self._ledger.add(Answered, self._command, sent)
        return sent

    def answer_otherwise(self, reply: Mapping[str, Any]) -> None:
        """Hand something to the socket that isn't what came of the command, if it was run at all."""
        self._ledger.add(Answered, self._command, self.line.send(encode(reply)))

    def publish(self) -> None:
        """Tell others (and its own connection) what the command has caused."""
        self._host.publish()
