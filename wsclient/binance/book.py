"""A market's order book, kept by the rule of the protocol page from its diffs and a snapshot.

Source: the protocol page, "Market streams", the paragraph "Book".
"""

import json
import logging
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from ..books import Book, Levels
from ..decimals import pairs
from ..errors import CommandError, ProtocolError, WSClientError
from ..live import Message, integer

logger = logging.getLogger("wsclient")

_BASE: Final = 0.2  # seconds: before a snapshot is asked for once more
_CAP: Final = 10.0


class OrderBook(Book[Decimal]):
    """The order book of one market, as `BinanceSocketManager.order_book` gives it, in Decimals.

        book = manager.order_book("BTCUSDT").wait(5)
        book.best_bid, book.depth(10).asks

    The exchange's snapshot has 5000 levels of each side at most; what lies beyond them is known only where it has
    changed since. While a connection or an event was lost the book is `stale`, and gets whole again by itself.

    fetch: asks for a snapshot, and calls back with it or with what went wrong, on whatever thread; a delay first
    options: see `Live`
    """

    def __init__(
        self,
        symbol: str,
        fetch: Callable[[float, Callable[[Message | Exception], object]], object],
        **options: Any,
    ) -> None:
        levels: Levels[Decimal] = Levels()
        super().__init__(levels, renew=self._start_again, **options)
        self.symbol = symbol
        self._fetch_snapshot = fetch
        self._update_id = 0  # guarded by the lock, as what follows
        self._ticket = 0  # of the snapshot that is awaited
        self._tries = 0

    @property
    def update_id(self) -> int:
        """The number of the last event that is in the book; the exchange's snapshots have it as `lastUpdateId`."""
        return self._update_id

    def __repr__(self) -> str:
        return f"<OrderBook {self.symbol}, {'stale' if self.stale else 'whole'}>"

    # -- as the sink of its stream

    def put(self, item: str | dict[str, Any]) -> None:
        """An event came. What can't be understood makes the book start again."""
        try:
            data = json.loads(item)["data"] if isinstance(item, str) else item
            if not isinstance(data, dict):
                raise ProtocolError(f"an event of {self.symbol}'s book is no object")
            self.notice(data)
        except (ValueError, KeyError, ProtocolError) as error:
            logger.error("the book of %s starts again: %s", self.symbol, error)
            self.lost()
            self._start_again()

    def subscribed(self) -> None:
        """Events are held from now on, until the snapshot is there."""
        self.lost()
        self._start_again()

    def _start_again(self) -> None:
        self.asked()
        with self._lock:
            self._ticket += 1
            ticket = self._ticket
            delay = random.random() * min(_CAP, _BASE * 2.0 ** min(self._tries, 10)) if self._tries else 0.0
            self._tries += 1
        self._fetch_snapshot(delay, lambda outcome: self._fetched(ticket, outcome))

    def _fetched(self, ticket: int, outcome: Message | Exception) -> None:
        with self._lock:
            if ticket != self._ticket:
                return  # it was asked for before something that has happened since
        if isinstance(outcome, CommandError):
            self.failed(outcome)
            return
        if not isinstance(outcome, Exception):
            try:
                self.answered(outcome)
            except ProtocolError as error:
                outcome = error
        if not self.stale:
            with self._lock:
                self._tries = 0
        elif ticket == self._ticket or isinstance(outcome, ProtocolError):
            if isinstance(outcome, Exception):
                logger.warning("no snapshot of the book of %s: %s", self.symbol, outcome)
            self._start_again()

    def failed(self, error: WSClientError) -> None:
        """It can't be had, or not again."""
        with self._lock:
            self._ticket += 1  # what is on its way comes too late
        super().failed(error)

    # -- the rules, with the lock held

    def _adopt(self, message: Message) -> bool:
        update_id = message.get("lastUpdateId")
        if type(update_id) is not int:
            raise ProtocolError(f"a snapshot without a lastUpdateId: {update_id!r:.50}")
        if self._held and update_id + 1 < integer(self._held[0], "U"):
            return False  # it is older than what is held: once more
        bids, asks = pairs(message.get("bids")), pairs(message.get("asks"))
        self._levels.replace(bids, asks)
        self._update_id = update_id
        return True

    def _apply(self, notice: Message) -> bool:
        first, last = integer(notice, "U"), integer(notice, "u")
        if last <= self._update_id:
            return False
        if first > self._update_id + 1:
            self._lose()
            return True
        bids, asks = pairs(notice.get("b")), pairs(notice.get("a"))
        for side, levels in ((self._levels.bids, bids), (self._levels.asks, asks)):
            for price, quantity in levels:
                side.set(price, quantity)
        self._update_id = last
        return True
