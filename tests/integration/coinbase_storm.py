"""Books through a storm: messages are lost, repeated and late, connections are cut; and all is counted.

    storm = Storm(exchange, seed=1)
    storm.run(100_000)

After each burst of trading the books have to come to rest where the exchange stands. In between, a book that says
it is whole has to contain all that was received.
"""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from http.client import HTTPException
from random import Random
from typing import Any, Final
from urllib.request import urlopen

from tests.integration.coinbase_market import feed
from wsclient import Reconnect
from wsclient.books import Book
from wsclient.coinbase import Feed, FullBook, Gap, LevelBook
from wsclient.coinbase.channels import COUNTED
from wsclient.sandbox import Sandbox
from wsclient.sandbox.noticefaults import Break, Late, Repeat, Skip
from wsclient.sandbox.traders import Traders
from wsclient.sandbox.wirefaults import Storm as Weather

PRODUCTS: Final = ("BTC-USD", "ETH-USD")
PATIENCE: Final = 30.0  # seconds for everything to heal


class Tally:
    """What came in over the wire, and what the feed made of it. For the event thread, but for reading at rest."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.received: dict[str, list[int]] = defaultdict(list)
        self.highest: Counter[str] = Counter()
        self.gaps: list[Gap] = []
        self.errors: list[Exception] = []
        self.wrong: list[str] = []
        self.connections = 0
        self.events = 0

    def tap(self, text: str) -> None:
        message = json.loads(text)
        if message.get("type") in COUNTED:
            product, number = message["product_id"], message["sequence"]
            self.events += 1
            self.received[product].append(number)
            self.highest[product] = max(self.highest[product], number)

    def on_gap(self, _: Feed, gap: Gap) -> None:
        self.gaps.append(gap)

    def on_error(self, _: Feed, error: Exception) -> None:
        self.errors.append(error)

    def on_open(self, _: Feed) -> None:
        self.connections += 1

    def on_change(self, book: Book[Decimal]) -> None:
        if isinstance(book, FullBook) and not book.stale and book.sequence < self.highest[book.product_id]:
            seen = self.highest[book.product_id]
            self.wrong.append(f"{book.product_id} is whole at {book.sequence}, though {seen} was received")
        with self.changed:
            self.changed.notify_all()

    def unreported(self, product: str, last: int) -> set[int]:
        """What is missing up to a number and wasn't said to be; or was said to be and isn't."""
        numbers = self.received[product]
        missing = set(range(numbers[0], last + 1)) - set(numbers)
        return missing ^ (self._told(product, "gap") - self._told(product, "late"))

    def repeats(self, product: str) -> tuple[int, int]:
        """How often something came again, and how often that was said."""
        told = sum(1 for gap in self.gaps if gap.product_id == product and gap.kind == "repeat")
        return len(self.received[product]) - len(set(self.received[product])), told

    def _told(self, product: str, kind: str) -> set[int]:
        gaps = [gap for gap in self.gaps if (gap.product_id, gap.kind) == (product, kind)]
        return {number for gap in gaps for number in range(gap.first, gap.last + 1)}


class Storm:
    """One feed with books of two products, and all that befalls it."""

    def __init__(self, exchange: Sandbox, seed: int) -> None:
        self._exchange = exchange
        self._random = Random(seed)
        self._traders = exchange.run(lambda engine: Traders(engine.markets.values(), seed=seed, first=7001))
        exchange.run(self._traders.open)
        self.tally = Tally()
        self.cuts = 0
        self.rests = 0

    def run(self, events: int) -> None:
        """Goes on until so many messages of the full channels were received."""
        tally = self.tally
        options: dict[str, Any] = {
            "err_handler": tally.on_error,
            "open_handler": tally.on_open,
            "on_gap": tally.on_gap,
            "reconnect": Reconnect(tries=50, base=0.005, cap=0.05),
            "socket_timeout": 5,
        }
        with feed(self._exchange, **options) as ours:
            ours.tap(tally.tap)
            full = [ours.order_book(product, 3) for product in PRODUCTS]
            levels = [ours.order_book(product, 2) for product in PRODUCTS]
            for book in (*full, *levels):
                book.on_change(tally.on_change)
                book.wait(PATIENCE)
            while not all(tally.received[product] for product in PRODUCTS):
                self._burst(10)
                self._rest(full, levels)
            self._brew()
            while tally.events < events:
                self._burst(self._random.randint(1, 400))
                if self._random.random() < 0.15:
                    self.cuts += self._exchange.cut_all()
                self._rest(full, levels)
            self._exchange.faults.clear()
            self._burst(10)
            self._rest(full, levels)
            for product in PRODUCTS:
                page = self._page(product)
                self._until(lambda p=product, s=page["sequence"]: not tally.unreported(p, s))  # type: ignore[misc]

    def _brew(self) -> None:
        faults = self._exchange.faults
        for kind in sorted(COUNTED):
            faults.add(
                Skip(kind=kind, chance=0.001, times=None),
                Repeat(kind=kind, chance=0.001, times=None),
                Repeat(kind=kind, after=3, linger=0.05, chance=0.0005, times=None),
                Late(kind=kind, by=2, linger=0.05, chance=0.0005, times=None),
                Break(kind=kind, chance=0.0003, times=None),
                Break(kind=kind, when="after", code=1011, chance=0.0003, times=None),
            )
        faults.add(
            Skip(kind="snapshot", chance=0.1, times=None),
            Late(kind="snapshot", by=2, linger=0.05, chance=0.2, times=None),
            Skip(kind="heartbeat", chance=0.02, times=None),
            Weather(seed=self._random.random().__hash__(), reach=2_000_000, early=0.1, mute=0.0, slow=0.05),
        )

    def _burst(self, steps: int) -> None:
        for _ in range(steps):
            self._exchange.run(self._traders.step)

    def _rest(self, full: list[FullBook], levels: list[LevelBook]) -> None:
        """Nobody trades: all books have to come to what the exchange has, and each says by itself when it has."""
        for deep, flat in zip(full, levels, strict=True):
            page = self._page(deep.product_id)
            orders = [
                (row[2], sign * Decimal(row[1]), Decimal(row[0]))
                for name, sign in (("bids", 1), ("asks", -1))
                for row in page[name]
            ]
            sums: dict[tuple[str, Decimal], Decimal] = defaultdict(Decimal)
            for _id, quantity, price in orders:
                sums["bids" if quantity > 0 else "asks", price] += abs(quantity)
            self._until(lambda book=deep, s=page["sequence"]: not book.stale and book.sequence == s)  # type: ignore[misc]
            snapshot = deep.snapshot()
            assert [order[:3] for order in snapshot.orders] == orders
            assert _levels(snapshot) == sums
            self._until(lambda book=flat, sums=sums: not book.stale and _levels(book.depth()) == sums)  # type: ignore[misc]
            assert not snapshot.crossed
        assert not self.tally.wrong
        self.rests += 1

    def _page(self, product: str) -> Any:
        """What the exchange has; the weather is not for this connection, so it is made again."""
        while True:
            try:
                with urlopen(f"{self._exchange.coinbase_rest_url}/products/{product}/book?level=3") as response:
                    return json.loads(response.read())
            except (OSError, ValueError, HTTPException):
                pass

    def _until(self, condition: Callable[[], object]) -> None:
        """Waits for what the event thread does; it tells of changes of books alone, so it is asked again."""
        end = time.monotonic() + PATIENCE
        with self.tally.changed:
            while not condition():
                assert time.monotonic() < end, self.tally.errors[-5:]
                self.tally.changed.wait(0.05)


def _levels(depth: Any) -> dict[tuple[str, Decimal], Decimal]:
    return {(side, price): size for side in ("bids", "asks") for price, size in getattr(depth, side)}
