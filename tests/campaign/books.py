"""Local books and balances under the storm: samples taken on the way, and the states that they may have had."""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tests.campaign.audit import Violation
from wsclient.coinflex.book import OrderBook
from wsclient.live import Live
from wsclient.sandbox.events import Event, OrderClosed, OrderModified, OrderOpened, OrdersMatched

SAMPLE_EVERY: Final = 20
"""Of how many changes one is looked at."""

Pair = tuple[int, int]


def digest(orders: Iterable[tuple[int, int, int]]) -> int:
    """One number for a set of orders (id, signed quantity, price), which can be changed order by order."""
    result = 0
    for id, quantity, price in orders:
        if quantity:
            result ^= hash((id, quantity, price))
    return result


class Samples:
    """What books showed when they said that they were whole. Event threads write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._seen: dict[Pair, set[int]] = defaultdict(set)
        self.count = 0
        self.losses = 0
        self._numbers = itertools.count()

    def look(self, book: OrderBook) -> None:
        """Called after a change."""
        if book.stale:
            with self._lock:
                self.losses += 1
        elif next(self._numbers) % SAMPLE_EVERY == 0:
            shown = book.snapshot()
            if shown.stale:
                return
            seen = digest((order.id, order.quantity, order.price) for order in shown.orders)
            with self._lock:
                self._seen[book.base, book.counter].add(seen)
                self.count += 1

    def check(self, events: Iterable[Event]) -> Iterator[Violation]:
        """The samples that show a state that the exchange's book never had."""
        states = _states(events)
        for pair, seen in self._seen.items():
            if strange := seen - states[pair]:
                yield Violation(
                    "a book that said it was whole showed what never was", f"{pair}, {len(strange)} of {len(seen)}"
                )


def _states(events: Iterable[Event]) -> dict[Pair, set[int]]:
    """All the states that each market's book went through, event by event."""
    orders: dict[Pair, dict[int, tuple[int, int]]] = defaultdict(dict)
    current: dict[Pair, int] = defaultdict(int)
    states: dict[Pair, set[int]] = defaultdict(lambda: {0})

    def put(pair: Pair, id: int, quantity: int, price: int) -> None:
        old = orders[pair].pop(id, None)
        if old is not None:
            current[pair] ^= digest([(id, *old)])
        if quantity:
            orders[pair][id] = (quantity, price)
            current[pair] ^= digest([(id, quantity, price)])

    for event in events:
        if isinstance(event, OrderOpened | OrderModified):
            put((event.base, event.counter), event.id, event.quantity, event.price)
        elif isinstance(event, OrderClosed):
            put((event.base, event.counter), event.id, 0, 0)
        elif isinstance(event, OrdersMatched):
            pair = event.base, event.counter
            for fill, sign in ((event.bid, 1), (event.ask, -1)):
                if fill.order is not None and fill.remaining is not None:
                    put(pair, fill.order, sign * fill.remaining, orders[pair][fill.order][1])
        else:
            continue
        states[event.base, event.counter].add(current[event.base, event.counter])
    return states


def wait_until(live: Live, met: Any, timeout: float) -> bool:
    """Wait for a condition on something that is kept up to date, asking after each of its changes."""
    changed = threading.Event()
    end = live.on_change(lambda _: changed.set())
    deadline = time.monotonic() + timeout
    try:
        while not met():
            if not changed.wait(max(0.0, deadline - time.monotonic())):
                return bool(met())
            changed.clear()
        return True
    finally:
        end()
