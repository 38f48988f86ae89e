"""The part of Coinbase's REST API that a feed's consumer needs: products, and books that fit the feed's sequence.

A page is written between two commands, when everything that has happened has been told, so a book with sequence n
is exactly what the feed's messages up to n make of it.

Source: protocol page, "snapshot over REST"; Coinbase's own documents for levels and fields.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from wsclient.sandbox.coinbase_feed import Stall
from wsclient.sandbox.coinbase_messages import order_id, ticker
from wsclient.sandbox.coinbase_products import Product, timestamp
from wsclient.sandbox.coinbase_tape import Tape
from wsclient.sandbox.engine import Engine, Order
from wsclient.sandbox.venue import Page, encode


def _page(content: object, status: int = 200) -> Page:
    return Page(status, encode(content))


def _error(status: int, message: str) -> Page:
    return _page({"message": message}, status)


class RestPages:
    """Answers to GET requests, by their targets."""

    def __init__(self, engine: Engine, stalls: Mapping[str, Stall], clock: Callable[[], int]) -> None:
        self._engine = engine
        self._stalls = stalls
        self._clock = clock

    def page(self, target: str) -> Page | None:
        """The answer to a GET of `target` (path and query); None for what is nothing of Coinbase's."""
        path, _, query = target.partition("?")
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["time"]:
                now = self._clock()
                return _page({"iso": timestamp(now), "epoch": now / 1_000_000})
            case ["products"]:
                return _page([stall.product.describe() for stall in self._stalls.values()])
            case ["products", name, *rest]:
                if name not in self._stalls:
                    return _error(404, "NotFound")
                product, tape = self._stalls[name].product, self._stalls[name].tape
                match rest:
                    case []:
                        return _page(product.describe())
                    case ["book"]:
                        return self._book(product, tape, parse_qs(query).get("level", ["1"])[-1])
                    case ["ticker"]:
                        return self._ticker(product, tape)
                return _error(404, "NotFound")
        return None

    def _book(self, product: Product, tape: Tape, level: str) -> Page:
        if level not in ("1", "2", "3"):
            return _error(400, "Invalid level")
        orders = self._engine.book(*product.pair, limit=None)
        sides = {}
        for name, side in (
            ("bids", [o for o in orders if o.quantity > 0]),
            ("asks", [o for o in orders if o.quantity < 0]),
        ):
            if level == "3":
                sides[name] = [_row(product, order.price, order.quantity, order_id(order.id)) for order in side]
            else:
                levels = _levels(side)
                sides[name] = [
                    _row(product, price, size, count)
                    for price, size, count in (levels[:1] if level == "1" else levels)
                ]
        now = timestamp(self._clock())
        return _page({**sides, "sequence": tape.sequence, "auction_mode": False, "auction": None, "time": now})

    def _ticker(self, product: Product, tape: Tape) -> Page:
        now = self._clock()
        told = ticker(product, tape, self._engine.ticker(*product.pair), now)
        if told is None:
            return _error(404, "NotFound")
        return _page(
            {
                "trade_id": told["trade_id"],
                "price": told["price"],
                "size": told["last_size"],
                "time": told["time"],
                "bid": told["best_bid"],
                "ask": told["best_ask"],
                "volume": told["volume_24h"],
            }
        )


def _levels(orders: list[Order]) -> list[tuple[int, int, int]]:
    """Price levels of one side in the order of its orders: price, what is offered there, by how many orders."""
    levels: list[tuple[int, int, int]] = []
    for order in orders:
        size, count = abs(order.quantity), 1
        if levels and levels[-1][0] == order.price:
            _, before, others = levels.pop()
            size, count = size + before, count + others
        levels.append((order.price, size, count))
    return levels


def _row(product: Product, price: int, size: int, last: Any) -> list[Any]:
    return [product.price(price), product.size(abs(size)), last]
