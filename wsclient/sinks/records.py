"""From a text as received to the record that is kept of it. Pure."""

import json
import secrets
from collections.abc import Callable
from typing import Any, Final

from .contract import Classifier, Record

_PER_SECOND: Final = 1 << 24


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


decode: Final[Callable[[str], Any]] = json.JSONDecoder(parse_constant=_no_constant).decode
"""Strict JSON: no NaN and no Infinity, which Python's own reader would take."""


def strict_json(text: str) -> Any:
    """The text decoded, or None where it is no JSON."""
    try:
        return decode(text)
    except (ValueError, RecursionError):
        return None


class Ids:
    """Makes ids as MongoDB defines its ObjectIds: 4 bytes of seconds, 5 random ones, 3 that count.

    Those of one maker rise, whatever the clock does: within a second the count rises, and the seconds never fall.
    """

    def __init__(self, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._run = random_bytes(5).hex()
        self._second = 0
        self._count = 0

    def next(self, time: int) -> str:
        """An id for something that happened at `time` (microseconds since the Unix epoch)."""
        second = time // 1_000_000
        if second > self._second:
            self._second = second
            self._count = 0
        elif self._count == _PER_SECOND:
            self._second += 1
            self._count = 0
        count = self._count
        self._count = count + 1
        return f"{self._second & 0xFFFFFFFF:08x}{self._run}{count:06x}"


def record(venue: str, classify: Classifier, time: int, text: str, ident: str) -> tuple[Record, Exception | None]:
    """The record of a text, and what the classifier raised if it did; then product and type are None."""
    message = strict_json(text)
    try:
        product, kind, exchange_time = classify(message)
    except Exception as error:
        return Record(venue, None, None, time, text, None, ident, message), error
    return Record(venue, product, kind, time, text, exchange_time, ident, message), None
