"""What a venue tells the core: how to ask, and how to read what comes back. Pure: no I/O and no threads."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import AuthenticationError, CommandError, ProtocolError, WSClientError
from .penalties import Penalties

Message = dict[str, Any]
"""One decoded JSON object."""

Outcome = Message | WSClientError
"""How a call ended: its reply, or its error."""


def title(request: Mapping[str, Any]) -> Any:
    """What a request is called in an error: its method, or its type where the venue says so."""
    return request.get("method", request.get("type"))


def tag_of(message: Message, name: str) -> int | None:
    """The tag by which an answer names its call, which we have set; None in a message without one.

    name: of the field

    Raises `ProtocolError` for a tag that we can't have set.
    """
    tag = message.get(name)
    if tag is None or type(tag) is int:
        return tag
    raise ProtocolError(f"an answer whose {name} is no integer: {tag!r:.50}")


class Answer(NamedTuple):
    """A reply to the call with this tag; `ok` is False where the exchange said no."""

    tag: int
    ok: bool


class Unnamed(NamedTuple):
    """What answers a call without saying which: the oldest, or each whose request `Dialect.answers` finds in it.

    ok: False for a refusal, which is of the oldest call alone
    stray: it answers none, though it may look so, and is told as what `Dialect.alarm` makes of it
    """

    ok: bool
    stray: bool = False


class Greeting(NamedTuple):
    """What the server says first, and what a login needs of it."""

    challenge: bytes


class Demand(NamedTuple):
    """What the server wants to be answered with by a call; the connection makes it by itself, and at once."""

    request: Message


class Examined(NamedTuple):
    """What is to be known of a request before it is sent.

    private: it needs a login first
    tag: what the caller chose; None for the next free one
    watching: `Dialect.watching` has to say something of it
    late: it is completed as it is sent, by `Dialect.completed`
    keyed: it needs credentials, though no login
    """

    private: bool
    tag: int | None
    watching: bool = False
    late: bool = False
    keyed: bool = False


class Watching(NamedTuple):
    """The watches that a request begins and ends, if the answer is no refusal.

    leaves: whether it ends this watch too, where it names a whole group of them
    """

    begins: Sequence[Hashable] = ()
    ends: Sequence[Hashable] = ()
    leaves: Callable[[Hashable], bool] | None = None


class Subscription(NamedTuple):
    """One request, and the watches that it begins."""

    request: Message
    keys: Sequence[Hashable]


class Dialect(ABC):
    """A venue's language.

    reply_mark: a text without this in it is never a reply, and so needn't be parsed
    greeting_mark: likewise for a greeting; None where the venue has none
    notice_mark: likewise for a notice of something watched
    alarm_mark: a text with this in it is read also while no call waits; for venues whose answers name no call,
        or who make a `Demand`
    frame_costs: what a Ping or Pong of ours takes of which rate limits; None where they aren't counted
    penalties: what the exchange has said of when to ask again; None where it doesn't
    """

    reply_mark: str
    greeting_mark: str | None = None
    notice_mark: str = ""
    alarm_mark: str | None = None
    frame_costs: Mapping[str, int] | None = None
    penalties: Penalties | None = None

    @abstractmethod
    def examine(self, request: Message) -> Examined:
        """What is to be known of a request before it is sent.

        Raises `InvalidRequest` for a request that may not be sent as it is.
        """

    def completed(self, request: Message, credentials: Any) -> Message:
        """A `late` request as it goes out: with what has to rise in the order of the wire, or has to be fresh.

        Called with a lock of the connection's held: it may neither block nor call back.
        """
        return request

    def signed(self, request: Message, credentials: Any) -> Message:
        """A `late` request with what goes on the wire and is kept nowhere. Called like `completed`, after it."""
        return request

    def unanswered(self, request: Message) -> None:
        """The connection ended, and this call, which had left, without an answer."""
        return

    def account(self, credentials: Any) -> Hashable:
        """Whose these credentials are, so that nothing is settled on another account; None if that is unknown."""
        return None

    @abstractmethod
    def tagged(self, request: Message, tag: int) -> Message:
        """The request with this tag."""

    @abstractmethod
    def read(self, message: Message) -> Answer | Unnamed | Greeting | Demand | None:
        """What an incoming message is; None for a notice.

        Raises `ProtocolError` for a message that the venue's protocol doesn't allow.
        """

    def answers(self, message: Message, request: Message) -> bool:
        """Whether a message that names no call answers this `late` request, the oldest that waits."""
        return True

    def alarm(self, message: Message) -> WSClientError | None:
        """The error that an unnamed refusal is while no call waits; None where that is nobody's concern."""
        return None

    def result(self, message: Message) -> Any:
        """What a call is given of an answer that is no refusal."""
        return message

    def costs(self, request: Message) -> Mapping[str, int] | None:
        """What a request takes of which rate limits, by their names; None if it isn't limited."""
        return None

    def news_of(self, message: Message) -> Hashable | None:
        """What a notice is the whole news of, so that a newer one makes it superfluous; None if it isn't so."""
        return None

    # -- watches: what is subscribed to, and given again after a lost connection

    def watching(self, request: Message) -> Watching:
        """The watches that a request begins and ends."""
        return Watching()

    def watched(self, message: Message) -> Sequence[Hashable]:
        """The watches that an incoming message belongs to."""
        return ()

    def subscriptions(self, keys: Sequence[Hashable]) -> list[Subscription]:
        """The requests that begin these watches."""
        return []

    def unsubscriptions(self, keys: Sequence[Hashable]) -> list[Message]:
        """The requests that end them."""
        return []

    def watch_title(self, key: Hashable) -> str:
        """What a watch is called in errors."""
        return str(key)

    def watches_already(self, refused: CommandError) -> bool:
        """Whether a request to watch was refused because this connection does so already."""
        return False

    # -- calls whose outcome is unknown

    def can_settle(self, request: Message) -> bool:
        """Whether `settle` can find out about a call."""
        return False

    def settle(self, requests: Sequence[Message]) -> "Generator[Message, Outcome, list[Outcome]]":
        """Finds out what became of calls that left before the connection was lost.

        Yields requests, and is sent the outcome of each; returns an outcome for each call, in their order.
        """
        raise NotImplementedError
        yield {}

    @abstractmethod
    def refusal(self, message: Message, request: Message) -> WSClientError:
        """The error that a refusing answer stands for; no `CommandError` where it leaves the outcome open."""

    # -- the login, where the venue has private calls; see `examine`

    def login(self, credentials: Any, greeting: Greeting | None) -> Message:
        """The request that logs in."""
        raise NotImplementedError("this venue has no login")

    def login_goes_on(self, result: Any, credentials: Any) -> Message | None:
        """The next request of the login, after the last one's result; None if that was all."""
        return None

    def login_refused(self, error: CommandError) -> AuthenticationError:
        """What a refused login is told as. Its cause is the refusal, with no more of the request than its name."""
        named = {name: error.request[name] for name in ("method", "type") if name in error.request}
        refused = AuthenticationError(f"the login was refused: {error.message} (error {error.code})")
        refused.__cause__ = type(error)(error.code, error.message, named)
        return refused
