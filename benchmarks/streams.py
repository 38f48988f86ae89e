"""What Binance sends: the events of some streams on one connection, and answers to requests."""

import json
import random
import re
from typing import Final

from . import texts

SYMBOLS: Final = tuple(
    f"{base}{quote}" for base in ("bnb", "neo", "eth", "ltc", "xrp") for quote in ("btc", "usdt")
)
NAMES: Final = tuple(f"{symbol}@{kind}" for symbol in SYMBOLS for kind in ("trade", "aggTrade"))
"""The streams; each has as many events as the others."""

KEY: Final = "k" * 64
SECRET: Final = "s" * 64

START: Final = b'"SUBSCRIBE"'
_ID: Final = re.compile(rb'"id": ?("[^"]*"|\d+)')
_STATUS: Final = b',"status":200,"result":{"serverTime":1700000000000},"rateLimits":[]}'
_SUBSCRIBED: Final = b',"result":null}'


def events(count: int = 2000) -> list[str]:
    """Trades of all streams in turn, all different, as they come on a combined connection; 190 bytes or so."""
    numbers = random.Random(190)
    listed = []
    for index in range(count):
        name = NAMES[index % len(NAMES)]
        time = 1_700_000_000_000 + index
        data = {
            "e": name.partition("@")[2],
            "E": time,
            "s": name.partition("@")[0].upper(),
            ("t" if name.endswith("@trade") else "a"): 100_000_000 + index,
            "p": f"{numbers.random():.8f}",
            "q": f"{numbers.randrange(1, 100):.8f}",
            "T": time,
            "m": bool(index % 3),
            "M": True,
        }
        listed.append(json.dumps({"stream": name, "data": data}, separators=(",", ":")))
    return listed


def answer(request: bytes) -> bytes:
    """The frame that answers a request, of whichever kind."""
    found = _ID.search(request)
    if found is None:
        raise ValueError(f"a request without an id: {request!r}")
    tail = _SUBSCRIBED if START in request else _STATUS
    return texts.frame((b'{"id":' + found[1] + tail).decode())


class Tape:
    """The events, framed beforehand."""

    def __init__(self) -> None:
        self._frames = [texts.frame(text) for text in events()]
        self._block = b"".join(self._frames)

    def block(self, count: int) -> bytes:
        """So many of them, from the first one on; no more than there are."""
        return self._block if count >= len(self._frames) else b"".join(self._frames[:count])

    def __len__(self) -> int:
        return len(self._frames)
