"""What goes over the wire: the notices of a feed, and the command that every client calls."""

import json
import random
from collections.abc import Callable
from typing import Any, Final

SIZE: Final = 190  # bytes of a notice, without the frame's header
MARK: Final = '"tag"'  # a text without it is no reply

XBT: Final = 63488
USDT: Final = 65283
METHOD: Final = "EstimateMarketOrder"  # needs no login, and starts nothing that a client would renew
PAIR: Final[dict[str, Any]] = {"base": XBT, "counter": USDT}
CALL: Final[dict[str, Any]] = {"method": METHOD, **PAIR, "quantity": 10000}
START: Final[dict[str, Any]] = {"method": METHOD, **PAIR, "total": 10000}  # the server's sign to begin the feed

Handler = Callable[[str], object]


def notices(count: int = 2048) -> list[str]:
    """Trades of one market as its watchers see them, all different, each of `SIZE` bytes."""
    numbers = random.Random(190)

    def digits(how_many: int) -> int:
        return numbers.randrange(10 ** (how_many - 1), 10**how_many)

    texts = []
    for index in range(count):
        notice = {
            "notice": "OrdersMatched",
            "bid": digits(8),
            "ask": digits(8),
            **PAIR,
            "quantity": digits(5),
            "price": digits(7),
            "total": digits(8),
            "bid_rem": 0,
            "time": 1_700_000_000_000_000 + index * 50,
        }
        text = json.dumps(notice)
        assert len(text) == SIZE, len(text)
        texts.append(text)
    return texts


def frame(text: str, opcode: int = 1) -> bytes:
    """A text as a server sends it: one frame, not masked."""
    payload = text.encode()
    head = bytes((0x80 | opcode,))
    if len(payload) < 126:
        return head + bytes((len(payload),)) + payload
    return head + b"\x7e" + len(payload).to_bytes(2, "big") + payload


def masked(text: str, key: bytes = b"\x11\x22\x33\x44") -> bytes:
    """A text of less than 126 bytes as a client sends it, for those who have no library for it."""
    payload = text.encode()
    assert len(payload) < 126
    return bytes((0x81, 0x80 | len(payload))) + key + unmasked(key, payload)


def unmasked(key: bytes, payload: bytes) -> bytes:
    """The payload of a masked frame, or masked again: one XOR of two large integers."""
    length = len(payload)
    mask = int.from_bytes((key * (length // 4 + 1))[:length], "little")
    return (int.from_bytes(payload, "little") ^ mask).to_bytes(length, "little")
