"""Prices and sizes that an exchange tells as decimal text, as `Decimal`. Never floats. Pure."""

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from .errors import ProtocolError


def number(text: Any) -> Decimal:
    """A price or size. Raises `ProtocolError` for what isn't a finite decimal number as text."""
    if text.__class__ is not str:
        raise ProtocolError(f"a number that is no text: {text!r:.50}")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ProtocolError(f"no number: {text!r:.50}") from None
    if not value.is_finite():
        raise ProtocolError(f"no finite number: {text!r:.50}")
    return value


price: Final = lru_cache(maxsize=16384)(number)
"""The same for prices, which are few and come again and again. What can't be hashed is a `TypeError`."""


def size(text: Any) -> Decimal:
    """The same for what is never below zero."""
    value = number(text)
    if value < 0:
        raise ProtocolError(f"a size below zero: {value}")
    return value


def pairs(rows: Any) -> list[tuple[Decimal, Decimal]]:
    """The price and the size of each row; what follows them in a row isn't looked at.

    rows: [["43000.10", "0.5", …], …]

    Raises `ProtocolError` for what isn't that.
    """
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ProtocolError(f"price levels that aren't a list of lists: {rows!r:.50}")
    try:
        return [(price(row[0]), size(row[1])) for row in rows]
    except (IndexError, TypeError):
        raise ProtocolError("price levels that can't be read") from None
