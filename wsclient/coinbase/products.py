"""What belongs to one product: its sequence, its books, and the heartbeats that guard them."""

from collections.abc import Callable
from typing import Any, Final

from ..core.connection import Connection
from ..core.followed import Followed
from ..errors import WSClientError
from ..live import Message
from .books import FullBook, LevelBook
from .channels import Key
from .sequences import Gap, Sequence

CHANNEL_OF: Final[dict[int, str]] = {2: "level2", 3: "full"}
"""What a book of this level is told on."""


class Heartbeats:
    """The listener to one product's heartbeats, for the books that live on them. The feed's state has its notices.

    failed: told why there are none
    """

    def __init__(self, product_id: str, failed: Callable[[WSClientError], object]) -> None:
        self._product_id = product_id
        self._failed = failed
        self.wanted = False  # guarded by the state's lock

    def __repr__(self) -> str:
        return f"<a book of {self._product_id}>"

    def asked(self) -> None:
        pass

    def answered(self, message: Message) -> None:
        pass

    def notice(self, message: Message) -> None:
        pass

    def lost(self) -> None:
        pass

    def failed(self, error: WSClientError) -> None:
        """They can't be had: without them the books can't be trusted."""
        self.wanted = False
        self._failed(error)

    def given_up(self, error: WSClientError) -> None:
        pass


class Product:
    """One product, as the event thread sees it.

    counts: whether the full channel is subscribed to, so that every number is due
    """

    __slots__ = (
        "beats", "book2", "book3", "counts", "followed", "heartbeats", "id", "last_own", "sequence",
    )  # fmt: skip

    def __init__(self, id: str, connection: Connection[Any]) -> None:
        self.id = id
        self.beats = Followed(connection, Key("heartbeat", id), fed=True)
        self.followed = {
            level: Followed(connection, Key(channel, id), fed=True) for level, channel in CHANNEL_OF.items()
        }
        self.counts = False
        self.sequence = Sequence(id)
        self.heartbeats = Heartbeats(id, self._fail_books)
        self.book2: LevelBook | None = None
        self.book3: FullBook | None = None
        self.last_own = 0  # the number of the last message about an order of the user's own

    @property
    def books(self) -> list[LevelBook | FullBook]:
        return [book for book in (self.book2, self.book3) if book is not None]

    def own(self, gap: Gap, message: Message) -> bool:
        """Whether a repetition is the copy that the user gets of what is about an order of his own."""
        return gap.kind == "repeat" and ("user_id" in message or gap.first == self.last_own)

    def _fail_books(self, error: WSClientError) -> None:
        for book in self.books:
            book.failed(error)
