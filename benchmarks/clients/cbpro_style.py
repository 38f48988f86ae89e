"""A level 3 book as cbpro's users have it: websocket-client's recv, json.loads, sorted dicts of lists."""

import json
from decimal import Decimal
from typing import Any

from sortedcontainers import SortedDict
from websocket import create_connection

from .. import measure, orders
from ..measure import Figures

Row = dict[str, Any]


class Book:
    """By price, lists of the orders there; each message goes through the side that it names."""

    def __init__(self, page: Row) -> None:
        self.bids: Any = SortedDict()
        self.asks: Any = SortedDict()
        for name, side in (("bids", "buy"), ("asks", "sell")):
            for price, size, order in page[name]:
                self.add({"id": order, "side": side, "price": Decimal(price), "size": Decimal(size)})
        self.sequence = page["sequence"]

    def process(self, message: Row) -> None:
        sequence = message["sequence"]
        if sequence <= self.sequence:
            return
        if sequence > self.sequence + 1:
            raise RuntimeError("a gap")
        kind = message["type"]
        if kind == "open":
            self.add(message)
        elif kind == "done" and "price" in message:
            self.remove(message)
        elif kind == "match":
            self.match(message)
        elif kind == "change":
            raise RuntimeError("no order is changed here")
        self.sequence = sequence

    def add(self, order: Row) -> None:
        order = {
            "id": order.get("order_id") or order["id"],
            "side": order["side"],
            "price": Decimal(order["price"]),
            "size": Decimal(order.get("size") or order["remaining_size"]),
        }
        side = self._side(order)
        there = side.get(order["price"])
        if there is None:
            side[order["price"]] = [order]
        else:
            there.append(order)

    def remove(self, order: Row) -> None:
        price = Decimal(order["price"])
        side = self._side(order)
        there = side.get(price)
        if there is not None:
            rest = [one for one in there if one["id"] != order["order_id"]]
            if rest:
                side[price] = rest
            else:
                del side[price]

    def match(self, order: Row) -> None:
        size, price = Decimal(order["size"]), Decimal(order["price"])
        side = self._side(order)
        there = side.get(price)
        if not there:
            return
        first = there[0]
        if first["id"] != order["maker_order_id"]:
            first = next(one for one in there if one["id"] == order["maker_order_id"])
        if first["size"] == size:
            there.remove(first)
        else:
            first["size"] -= size

    def _side(self, order: Row) -> Any:
        return self.bids if order["side"] == "buy" else self.asks


def book(url: str, count: int) -> Figures:
    ws = create_connection(url)
    ws.send(json.dumps({"type": "subscribe", "product_ids": [orders.PRODUCT], "channels": ["full"]}))
    assert json.loads(ws.recv())["type"] == "subscriptions"
    kept = Book(orders.snapshot())
    ws.send(json.dumps({"type": "subscribe", "channels": [orders.START]}))
    while json.loads(ws.recv())["type"] != "status":
        pass
    timed = measure.Timed(count)
    for text in iter(ws.recv, ""):
        kept.process(json.loads(text))
    return timed.ended(kept.sequence - orders.BASE)
