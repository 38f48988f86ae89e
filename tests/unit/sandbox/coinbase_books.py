"""Books rebuilt from the feed's messages alone, by plain code that shares nothing with sandbox or client."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Row = tuple[str, Decimal, Decimal]
"""Side ("buy" or "sell"), price, size."""


def order_number(order_id: str) -> int:
    """The engine's number of the order that a feed's id stands for."""
    assert order_id[:24] == "00000000-0000-4000-8000-"
    return int(order_id[24:], 16)


@dataclass
class FullBook:
    """A level 3 book kept as the protocol page says: received opens nothing, match reduces the maker, ..."""

    orders: dict[str, Row] = field(default_factory=dict)
    sequence: int = 0

    @classmethod
    def of_page(cls, page: Mapping[str, Any]) -> "FullBook":
        """A book from the answer of `/products/<id>/book?level=3`."""
        book = cls(sequence=page["sequence"])
        for side, rows in (("buy", page["bids"]), ("sell", page["asks"])):
            for price, size, number in rows:
                book.orders[number] = (side, Decimal(price), Decimal(size))
        return book

    def apply(self, message: Mapping[str, Any]) -> None:
        assert message["sequence"] == self.sequence + 1
        self.sequence += 1
        match message["type"]:
            case "received":
                assert message["order_id"] not in self.orders
            case "open":
                assert message["order_id"] not in self.orders
                size = Decimal(message["remaining_size"])
                assert size > 0
                self.orders[message["order_id"]] = (message["side"], Decimal(message["price"]), size)
            case "match":
                side, price, size = self.orders[message["maker_order_id"]]
                left = size - Decimal(message["size"])
                assert (side, price) == (message["side"], Decimal(message["price"]))
                assert left >= 0
                self.orders[message["maker_order_id"]] = (side, price, left)
            case "change":
                side, price, size = self.orders[message["order_id"]]
                assert size == Decimal(message["old_size"])
                assert price == Decimal(message.get("old_price", message.get("price")))
                after = Decimal(message.get("new_price", message.get("price")))
                self.orders[message["order_id"]] = (side, after, Decimal(message["new_size"]))
            case "done":
                self.orders.pop(message["order_id"], None)
            case other:
                raise AssertionError(f"no message of the full channel: {other}")

    def rows(self) -> dict[str, Row]:
        """The open orders. One that was traded whole waits for its done, and is no order any more."""
        return {number: row for number, row in self.orders.items() if row[2]}

    def levels(self) -> dict[tuple[str, Decimal], Decimal]:
        """The same by price level."""
        levels: dict[tuple[str, Decimal], Decimal] = {}
        for side, price, size in self.rows().values():
            levels[side, price] = levels.get((side, price), Decimal(0)) + size
        return levels

    def crossed(self) -> bool:
        bids = [price for side, price, _ in self.rows().values() if side == "buy"]
        asks = [price for side, price, _ in self.rows().values() if side == "sell"]
        return bool(bids and asks and max(bids) >= min(asks))


@dataclass
class LevelBook:
    """A level 2 book: a snapshot, then absolute sizes."""

    levels: dict[tuple[str, Decimal], Decimal] = field(default_factory=dict)

    def apply(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "snapshot":
            self.levels = {
                (side, Decimal(price)): Decimal(size)
                for side, rows in (("buy", message["bids"]), ("sell", message["asks"]))
                for price, size in rows
            }
            return
        assert message["type"] == "l2update"
        assert message["changes"]
        for side, price, size in message["changes"]:
            key = side, Decimal(price)
            if Decimal(size):
                assert self.levels.get(key) != Decimal(size), "a change that changes nothing"
                self.levels[key] = Decimal(size)
            else:
                del self.levels[key]


def read(text: str) -> dict[str, Any]:
    message = json.loads(text)
    assert isinstance(message, dict)
    return message
