"""The local state that a client keeps equal to the exchange's: one order book a market, and the balances."""

import threading
from collections.abc import Hashable, Sequence
from typing import Any, Final

from ..core.connection import Connection
from ..core.followed import Followed, Wish
from ..errors import NotSent, WSClientError
from ..live import Live
from .balances import Balances
from .book import OrderBook
from .dialect import BALANCES, OWN_ORDERS, orders_of

_ACCOUNT: Final = (BALANCES, OWN_ORDERS)
_Step = tuple[Followed, Wish | None]
"""Who is to follow, and where that is to be made so."""


class LocalState:
    """What somebody has asked for, each kept once however many share it."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._lock = threading.Lock()  # guards what follows
        self._books: dict[Hashable, OrderBook] = {}
        self._balances: Balances | None = None
        self._followed: dict[Hashable, Followed] = {}

    def order_book(self, base: int, counter: int, stale_after: float | None) -> OrderBook:
        """A market's book, being followed."""
        key = orders_of(base, counter)
        with self._lock:
            book = self._books.get(key)
            if book is None:
                book = self._books[key] = self._new_book(key, base, counter)
            wishes = self._plan(book, [key], stale_after)
        self._settle(book, wishes)
        return book

    def balances(self) -> Balances:
        """The balances, being followed."""
        with self._lock:
            balances = self._balances
            if balances is None:
                balances = self._balances = self._new_balances()
            wishes = self._plan(balances, _ACCOUNT, None)
        self._settle(balances, wishes)
        return balances

    def end(self, error: WSClientError) -> None:
        """The client was stopped: who waits is told."""
        with self._lock:
            kept: list[Live] = [*self._books.values()]
            if self._balances is not None:
                kept.append(self._balances)
        for live in kept:
            live.failed(error)

    def _new_book(self, key: Hashable, base: int, counter: int) -> OrderBook:
        book: OrderBook = OrderBook(
            base,
            counter,
            on_event_thread=self._connection.on_event_thread,
            raised=self._connection.listener_raised,
            waiting=self._connection.waiting,
            renew=lambda: self._connection.renew(key),
            close=lambda: self._closed(key, book),
        )
        return book

    def _new_balances(self) -> Balances:
        balances: Balances = Balances(
            on_event_thread=self._connection.on_event_thread,
            raised=self._connection.listener_raised,
            waiting=self._connection.waiting,
            close=lambda: self._closed_balances(balances),
            on_failure=lambda: self._failed_balances(balances),
        )
        return balances

    def _closed(self, key: Hashable, book: OrderBook) -> None:
        with self._lock:
            if self._books.get(key) is not book:
                return  # it was closed before
            del self._books[key]
            left = self._leave([key])
        self._settle(book, left)

    def _closed_balances(self, balances: Balances) -> None:
        with self._lock:
            if self._balances is not balances:
                return
            self._balances = None
            left = self._leave(_ACCOUNT)
        self._settle(balances, left)

    def _failed_balances(self, balances: Balances) -> None:
        """One of the two watches can't be had, so that the other one is of no use."""
        with self._lock:
            if self._balances is not balances or balances.failure is None:
                return  # it is begun anew already
            left = self._leave(_ACCOUNT)
        self._settle(balances, left)

    # -- with the lock held: who follows is decided in the order in which books are asked for and closed

    def _plan(self, live: Live, keys: Sequence[Hashable], stale_after: float | None) -> list[_Step]:
        """What is to be done for somebody who asked for it; nothing if it is followed, or is about to be."""
        if not live.claim():
            return []
        steps = [
            (self._followed.setdefault(key, Followed(self._connection, key)), Wish(live, stale_after))
            for key in keys
        ]
        for followed, wish in steps:
            followed.plan(wish)
        return [*steps]

    def _leave(self, keys: Sequence[Hashable]) -> list[_Step]:
        """What is to be done when nobody is to follow any more."""
        steps = [self._followed[key] for key in keys if key in self._followed]
        for followed in steps:
            followed.plan(None)
        return [(followed, None) for followed in steps]

    # -- without it

    def _settle(self, live: Live, steps: Sequence[_Step]) -> None:
        try:
            for followed, wish in steps:
                followed.settle(wish)
        except BaseException as error:
            if live.failure is None:  # interrupted where nobody else tells
                live.failed(NotSent(f"beginning it was interrupted: {error!r}"))
            raise
