"""What a feed keeps of its products: where their sequences stand, and the books that somebody asked for."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Literal

from ..core.connection import Connection
from ..core.followed import Wish
from ..core.worker import Job, Worker
from ..errors import InvalidRequest, WSClientError
from ..fetched import Outcome
from ..live import Message
from .books import FullBook, LevelBook
from .channels import COUNTED, Key, shown
from .products import CHANNEL_OF, Product
from .sequences import Gap, Sequence
from .snapshots import Source, fetched

logger = logging.getLogger("wsclient")

Level = Literal[2, 3]


class LocalState:
    """The products of one feed. It is the core's `Stream`, from when somebody needs it on.

    on_gap: called with (feed, gap), or None
    source: gives snapshots of level 3 books, or None where that isn't known
    """

    def __init__(
        self,
        connection: Connection[Any],
        on_gap: Callable[[Any, Gap], object] | None,
        source: Source | None,
    ) -> None:
        self._connection = connection
        self._on_gap = on_gap
        self._source = source
        self._worker = Worker(f"wsclient snapshots {connection.endpoint.safe_url}")
        self._lock = threading.Lock()  # guards what follows, for writing
        self._products: dict[str, Product] = {}
        if on_gap is not None:
            connection.stream(self)

    # -- any thread

    def order_book(self, product_id: str, level: Level, stale_after: float | None) -> LevelBook | FullBook:
        """A product's book, being followed."""
        if level not in CHANNEL_OF:
            raise InvalidRequest(f"there are books of level 2 and of level 3, not {level!r}")
        if not isinstance(product_id, str) or not product_id:
            raise InvalidRequest(f"a product id is a str such as 'BTC-USD', not {product_id!r:.50}")
        if level == 3 and self._source is None:
            raise InvalidRequest(
                "where this exchange's snapshots are isn't known: give the feed its rest_url, or snapshots"
            )
        self._connection.stream(self)
        beats = None
        with self._lock:
            product = self._product(product_id)
            book = product.book2 if level == 2 else product.book3
            if book is None:
                book = self._new_book(product, level)
            if not book.claim():
                return book
            if not product.heartbeats.wanted:
                product.heartbeats.wanted = True
                beats = Wish(product.heartbeats)
                product.beats.plan(beats)
            wish = Wish(book, stale_after)
            product.followed[level].plan(wish)
        try:
            product.beats.settle(beats)
        finally:
            if book.failure is not None:  # it can't live without them
                product.followed[level].withdraw(wish)
            product.followed[level].settle(wish)
        return book

    def _new_book(self, product: Product, level: Level) -> LevelBook | FullBook:
        book: LevelBook | FullBook
        options: dict[str, Any] = {
            "on_event_thread": self._connection.on_event_thread,
            "waiting": self._connection.waiting,
            "raised": self._connection.listener_raised,
            "close": lambda: self._closed(product, level, book),
        }
        key = Key(CHANNEL_OF[level], product.id)
        if level == 2:
            book = product.book2 = LevelBook(product.id, renew=lambda: self._connection.renew(key), **options)
        else:
            book = product.book3 = FullBook(
                product.id,
                fetch=lambda delay, told: self._fetch(product.id, delay, told),
                report=self._connection.report,
                **options,
            )
        return book

    def _closed(self, product: Product, level: Level, book: LevelBook | FullBook) -> None:
        """Ends a book's subscription, and the heartbeat's if that was the last one's."""
        with self._lock:
            if book not in product.books:
                return  # it was closed before
            if level == 2:
                product.book2 = None
            else:
                product.book3 = None
            product.followed[level].plan(None)
            if not product.books:
                product.heartbeats.wanted = False
                product.beats.plan(None)
        product.followed[level].settle()
        product.beats.settle()

    def end(self, error: WSClientError, timeout: float) -> None:
        """The feed was stopped: who waits is told. timeout: seconds for a snapshot that is being fetched."""
        for product in list(self._products.values()):
            for book in product.books:
                book.failed(error)
        self._worker.stop()
        self._worker.join(timeout)

    def _product(self, product_id: str) -> Product:
        product = self._products.get(product_id)
        if product is None:
            product = self._products[product_id] = Product(product_id, self._connection)
        return product

    # -- the event thread

    def notice(self, message: Message) -> None:
        """A message came: counts it, and gives it to the books that it belongs to."""
        try:
            kind = message["type"]
            counted = kind in COUNTED
            product = self._products.get(message["product_id"])
        except (KeyError, TypeError):  # of no product, or nothing that anybody knows
            if message.get("type") == "subscriptions":
                self._shown(message)
            return
        if product is None:
            return
        if counted:
            number = message.get("sequence")
            if number.__class__ is not int:
                return
            if product.counts:
                sequence = product.sequence
                if number == sequence.next:
                    sequence.next = number + 1
                else:
                    self._out_of_order(product, message, number)
                if "user_id" in message:
                    product.last_own = number
            if product.book3 is not None:
                product.book3.notice(message)
        elif kind == "l2update":
            if product.book2 is not None:
                product.book2.notice(message)
        elif kind == "heartbeat":
            self._beat(product, message)
        elif kind == "snapshot" and product.book2 is not None:
            product.book2.answered(message)

    def lost(self) -> None:
        """The connection ended: nothing is due before it is subscribed to again."""
        for product in list(self._products.values()):
            product.counts = False
            product.sequence.lost()

    def _out_of_order(self, product: Product, message: Message, number: int) -> None:
        gap = product.sequence.take(number)
        if gap is not None and not product.own(gap, message):
            self._tell(gap)

    def _beat(self, product: Product, message: Message) -> None:
        for level, book in ((2, product.book2), (3, product.book3)):
            if book is not None:
                self._connection.heard(Key(CHANNEL_OF[level], product.id))
        if product.book2 is not None:
            product.book2.beat()
        number = message.get("sequence")
        if product.counts and type(number) is int:
            gap = product.sequence.told(number)
            if gap is not None:
                self._tell(gap)
                if product.book3 is not None:
                    product.book3.missing(gap.last)

    def _shown(self, message: Message) -> None:
        """All that is subscribed to now. What the user left, or never asked for, isn't followed."""
        listed = shown(message).get("full", frozenset())
        full = {product_id for product_id in listed if self._connection.keeps(Key("full", product_id))}
        with self._lock:
            for product_id in full:
                self._product(product_id).counts = True
            for product in self._products.values():
                if product.id not in full:
                    product.counts = False
                    if product.book3 is None and not self._connection.keeps(Key("full", product.id)):
                        product.sequence = Sequence(product.id)

    def _tell(self, gap: Gap) -> None:
        if self._on_gap is not None:
            self._connection.tell(self._on_gap, gap)
        elif gap.kind == "gap":
            logger.warning("%s: messages %d to %d are missing", gap.product_id, gap.first, gap.last)

    # -- snapshots of level 3

    def _fetch(self, product_id: str, delay: float, told: Callable[[Outcome], object]) -> Job:
        source = self._source
        assert source is not None

        def fetch() -> None:
            outcome = fetched(source, product_id)
            # without a connection nobody waits for it: the next one asks again
            self._connection.post(lambda: told(outcome))

        return self._worker.do(fetch, delay)
