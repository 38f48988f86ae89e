"""What `Sandbox` is told, looked at before anything is made of it."""

import math
from collections.abc import Collection


def check_number(name: str, value: object, *, least: float = 0.0, exclusive: bool = False) -> None:
    """Raises `TypeError` for what is no number, `ValueError` for one that is too small, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number, not {value!r}")
    if not math.isfinite(value) or value < least or (exclusive and value == least):
        raise ValueError(f"{name} is {'more than' if exclusive else 'at least'} {least:g}, not {value!r}")


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raises `ValueError` for what is none of these words."""
    if value not in choices:
        raise ValueError(f"{name} is {' or '.join(map(repr, choices))}, not {value!r}")
