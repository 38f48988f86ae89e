"""A market's order book, kept by the rule of the protocol page from its diffs and a snapshot.

Source: the protocol page, "Market streams", the paragraph "Book".
"""

import json
import logging
from typing import Any

from ..books import Levels
from ..decimals import pairs
from ..errors import ProtocolError
from ..fetched import Fetch, FetchedBook
from ..live import Message, integer

logger = logging.getLogger("wsclient")


class OrderBook(FetchedBook):
    """The order book of one market, as `BinanceSocketManager.order_book` gives it, in Decimals.

        book = manager.order_book("BTCUSDT").wait(5)
        book.best_bid, book.depth(10).asks

    The exchange's snapshot has 5000 levels of each side at most; what lies beyond them is known only where it has
    changed since. While a connection or an event was lost the book is `stale`, and gets whole again by itself.

    fetch, options: see `FetchedBook`
    """

    def __init__(self, symbol: str, fetch: Fetch, **options: Any) -> None:
        super().__init__(Levels(), fetch=fetch, report=self._log, **options)
        self.symbol = symbol
        self._update_id = 0  # guarded by the lock

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
        except (ValueError, KeyError, ProtocolError, RecursionError) as error:
            logger.error("the book of %s starts again: %s", self.symbol, error)
            self.lost()
            self.begin()

    def subscribed(self) -> None:
        """Events are held from now on, until the snapshot is there."""
        self.lost()
        self.begin()

    def _log(self, error: Exception) -> None:
        logger.warning("no snapshot of the book of %s: %s", self.symbol, error)

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
