"""The local state that a client keeps equal to the exchange's: one order book a market, and the balances."""

import threading
from collections.abc import Hashable, Sequence
from typing import Any

from ..core.connection import Connection
from ..errors import NotSent, WSClientError
from ..live import Live
from .balances import Balances
from .book import OrderBook
from .dialect import BALANCES, OWN_ORDERS, orders_of


class LocalState:
    """What somebody has asked for, each kept once however many share it."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._lock = threading.Lock()  # guards what follows
        self._books: dict[Hashable, OrderBook] = {}
        self._balances: Balances | None = None

    def order_book(self, base: int, counter: int, stale_after: float | None) -> OrderBook:
        """A market's book, being followed."""
        key = orders_of(base, counter)
        with self._lock:
            book = self._books.get(key)
            if book is None:
                book = self._books[key] = OrderBook(
                    base,
                    counter,
                    on_event_thread=self._connection.on_event_thread,
                    raised=self._connection.listener_raised,
                    renew=lambda: self._connection.renew(key),
                    close=lambda: self._closed(key),
                )
        self._follow(book, [key], stale_after)
        return book

    def balances(self) -> Balances:
        """The balances, being followed."""
        with self._lock:
            if self._balances is None:
                self._balances = Balances(
                    on_event_thread=self._connection.on_event_thread,
                    raised=self._connection.listener_raised,
                    close=self._closed_balances,
                    on_failure=self._failed_balances,
                )
            balances = self._balances
        self._follow(balances, [BALANCES, OWN_ORDERS], None)
        return balances

    def end(self, error: WSClientError) -> None:
        """The client was stopped: who waits is told."""
        with self._lock:
            kept: list[Live] = [*self._books.values()]
            if self._balances is not None:
                kept.append(self._balances)
        for live in kept:
            live.failed(error)

    def _follow(self, live: Live, keys: Sequence[Hashable], stale_after: float | None) -> None:
        if not live.claim():
            return
        try:
            for key in keys:  # what is left of a failure
                self._connection.unfollow(key, live)
            for key in keys:
                if live.failure is not None:
                    break  # one of several failed at once: the others would wait for its answer for ever
                self._connection.follow(key, live, stale_after)
        except BaseException as error:
            if live.failure is None:  # interrupted where nobody else tells
                live.failed(NotSent(f"beginning it was interrupted: {error!r}"))
            raise

    def _closed(self, key: Hashable) -> None:
        with self._lock:
            book = self._books.pop(key, None)
        if book is not None:
            self._connection.unfollow(key, book)

    def _failed_balances(self) -> None:
        """One of the two watches can't be had, so that the other one is of no use."""
        with self._lock:
            balances = self._balances
        if balances is not None:
            for key in (BALANCES, OWN_ORDERS):
                self._connection.unfollow(key, balances)

    def _closed_balances(self) -> None:
        with self._lock:
            balances, self._balances = self._balances, None
        if balances is not None:
            for key in (BALANCES, OWN_ORDERS):
                self._connection.unfollow(key, balances)
