"""What goes over the wire for the row about Coinbase's books: the full channel of one product, and its snapshot.

The messages are a cycle that leaves the book as it found it, so that it can be sent any number of times: only the
sequence numbers differ.
"""

import json
import random
from typing import Any, Final

from . import texts

PRODUCT: Final = "BTC-USD"
BASE: Final = 5_000_000_000  # the sequence number of the snapshot; all have as many digits
DEPTH: Final = 1000  # orders on each side of the snapshot
CYCLE: Final = 4000  # messages, about
START: Final = "status"  # the channel that a client subscribes to as the sign to begin
SEQUENCE: Final = "0000000000"  # where a number is to be put

_LIVE = 100  # orders of a cycle that rest at the same time


def snapshot() -> dict[str, Any]:
    """A product's level 3 book, as the REST API gives it."""
    draw = random.Random(3)
    sides: dict[str, list[list[str]]] = {"bids": [], "asks": []}
    for number in range(DEPTH):
        for side, sign in (("bids", -1), ("asks", 1)):
            cents = 4_300_000 + sign * (1 + number * 3 + draw.randrange(3))
            sides[side].append([_price(cents), _size(draw), _id(draw)])
    return {**sides, "sequence": BASE}


def messages() -> list[str]:
    """One cycle: orders are received, rest, trade in part, are changed, and are done."""
    draw = random.Random(4)
    told: list[dict[str, Any]] = []
    live: list[dict[str, Any]] = []
    while len(told) < CYCLE or live:
        if len(told) < CYCLE and (len(live) < _LIVE or draw.random() < 0.5):
            live.append(_opened(draw, told))
        else:
            _ended(draw, told, live.pop(draw.randrange(len(live))))
    return [json.dumps(message, separators=(",", ":")) for message in told]


def _opened(draw: random.Random, told: list[dict[str, Any]]) -> dict[str, Any]:
    buys = draw.random() < 0.5
    # near the best price more often than far from it
    cents = 4_300_000 + (-1 if buys else 1) * (1 + int(draw.expovariate(1 / 300)))
    order = {"order_id": _id(draw), "side": "buy" if buys else "sell", "price": _price(cents)}
    size = _size(draw)
    told.append({"type": "received", **_head(order), "order_type": "limit", "size": size, "client_oid": _id(draw)})
    told.append({"type": "open", **_head(order), "remaining_size": size})
    return {**order, "size": size}


def _ended(draw: random.Random, told: list[dict[str, Any]], order: dict[str, Any]) -> None:
    head = _head(order)
    size = order.pop("size")
    if draw.random() < 0.1:
        traded = f"{float(size) / 2:.8f}"
        del head["order_id"]
        ids = {
            "trade_id": draw.randrange(10**8, 10**9),
            "maker_order_id": order["order_id"],
            "taker_order_id": _id(draw),
        }
        told.append({"type": "match", **ids, **head, "size": traded})
        head = _head(order)
    told.append({"type": "done", **head, "reason": "canceled", "remaining_size": size})


def _head(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "product_id": PRODUCT,
        "time": "2023-01-01T12:00:00.000000Z",
        "sequence": int("1" + SEQUENCE[1:]),
        **order,
    }


def _price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _size(draw: random.Random) -> str:
    return f"0.{2 * draw.randrange(10**6, 10**7):08d}"


def _id(draw: random.Random) -> str:
    digits = f"{draw.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def answer(payload: bytes) -> bytes:
    """The frame that answers a subscribe message; each client asks for few things, so only the last is shown."""
    asked = json.loads(payload)
    channels = [
        channel if isinstance(channel, dict) else {"name": channel, "product_ids": asked.get("product_ids", [])}
        for channel in asked["channels"]
    ]
    return texts.frame(json.dumps({"type": "subscriptions", "channels": channels}))


class Tape:
    """The frames of a cycle, to be numbered."""

    def __init__(self) -> None:
        mark = b'"sequence":1' + SEQUENCE[1:].encode()
        frames = [texts.frame(text).replace(b"%", b"%%") for text in messages()]
        assert all(frame.count(mark) == 1 for frame in frames)
        self.sizes = [len(frame) for frame in frames]
        self._templates = [frame.replace(mark, b'"sequence":%d') for frame in frames]

    def block(self, start: int, count: int) -> bytes:
        """`count` messages from the `start`-th on."""
        templates = self._templates
        return b"".join(templates[at % len(templates)] % (BASE + 1 + at) for at in range(start, start + count))
