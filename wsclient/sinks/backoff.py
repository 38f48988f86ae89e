"""How long to wait before the next try. Pure."""

from collections.abc import Callable, Iterator


def full_jitter(base: float, cap: float, random: Callable[[], float]) -> Iterator[float]:
    """Seconds to wait before each next try: at random up to `base`, 2 `base`, 4 `base` … and never over `cap`.

    random: a number from 0 up to 1, as `random.random` gives it. All of the range is used, so that many writers
    who lost the same store don't come back at the same moments.
    """
    limit = min(base, cap)
    while True:
        yield random() * limit
        limit = min(limit * 2, cap)
