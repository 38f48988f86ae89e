"""What a venue tells the core: how to ask, and how to read what comes back. Pure: no I/O, no state, no threads."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from ..errors import AuthenticationError, CommandError

Message = dict[str, Any]
"""One decoded JSON object."""


class Answer(NamedTuple):
    """A reply to the call with this tag; `ok` is False where the exchange said no."""

    tag: int
    ok: bool


class Greeting(NamedTuple):
    """What the server says first, and what a login needs of it."""

    challenge: bytes


class Dialect(ABC):
    """A venue's language.

    reply_mark: a text without this in it is never a reply, and so needn't be parsed
    greeting_mark: likewise for a greeting; None where the venue has none
    """

    reply_mark: str
    greeting_mark: str | None = None

    @abstractmethod
    def examine(self, request: Message) -> tuple[bool, int | None]:
        """Whether a request needs a login first, and the tag that the caller chose, if one was.

        Raises `InvalidRequest` for a request that may not be sent as it is.
        """

    @abstractmethod
    def tagged(self, request: Message, tag: int) -> Message:
        """The request with this tag."""

    @abstractmethod
    def read(self, message: Message) -> Answer | Greeting | None:
        """What an incoming message is; None for a notice.

        Raises `ProtocolError` for a message that the venue's protocol doesn't allow.
        """

    @abstractmethod
    def refusal(self, message: Message, request: Message) -> CommandError:
        """The error that an answer with `ok=False` stands for."""

    @abstractmethod
    def login(self, credentials: Any, greeting: Greeting | None) -> Message:
        """The request that logs in."""

    @abstractmethod
    def login_refused(self, error: CommandError) -> AuthenticationError:
        """What a refused login is told as: without the secrets of its request."""
