"""Sums and extremes over a sliding span of time, in bounded memory.

Trades are gathered in buckets: a bucket takes what comes within `grain` of its first trade, and is forgotten when
its last trade is older than the span. So every trade counts for the whole span and for at most one grain longer,
and what is kept depends on the span, not on how busy the market is.

Source: protocol page, `TickerChanged` (24 hours) and `GetTradeVolume` (30 days). Times are in microseconds.
"""

from collections import deque
from typing import Final

from wsclient.sandbox.answers import Ticker

MINUTE: Final = 60 * 1_000_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


class _Bucket:
    __slots__ = ("amount", "first", "high", "last", "low")

    def __init__(self, time: int, amount: int, price: int) -> None:
        self.first = self.last = time
        self.amount = amount
        self.low = self.high = price


class SlidingWindow:
    """The sum of amounts, and the lowest and highest price, over a span of time."""

    def __init__(self, span: int, grain: int) -> None:
        self._span = span
        self._grain = grain
        self._buckets: deque[_Bucket] = deque()
        self.amount = 0
        self.low: int | None = None
        self.high: int | None = None

    def add(self, time: int, amount: int, price: int = 0) -> None:
        """Count a trade. Times never go back."""
        self.expire(time)
        self.amount += amount
        self.low = price if self.low is None else min(self.low, price)
        self.high = price if self.high is None else max(self.high, price)
        if self._buckets and time - self._buckets[-1].first < self._grain:
            bucket = self._buckets[-1]
            bucket.last = time
            bucket.amount += amount
            bucket.low = min(bucket.low, price)
            bucket.high = max(bucket.high, price)
        else:
            self._buckets.append(_Bucket(time, amount, price))

    def expire(self, now: int) -> bool:
        """Forget what has left the span, and tell whether anything has."""
        buckets = self._buckets
        if not buckets or buckets[0].last > now - self._span:
            return False
        while buckets and buckets[0].last <= now - self._span:
            self.amount -= buckets.popleft().amount
        self.low = min((bucket.low for bucket in buckets), default=None)
        self.high = max((bucket.high for bucket in buckets), default=None)
        return True


def trade_volume() -> SlidingWindow:
    """What one user has traded of one asset within 30 days (to the hour)."""
    return SlidingWindow(30 * DAY, HOUR)


class TickerWatch:
    """One market's ticker: what it is, and what of it has not been published yet."""

    def __init__(self) -> None:
        self._window = SlidingWindow(DAY, MINUTE)
        self._last: int | None = None
        self.published = Ticker()

    def trade(self, time: int, quantity: int, price: int) -> None:
        """Count a trade."""
        self._last = price
        self._window.add(time, quantity, price)

    def expire(self, now: int) -> bool:
        """Forget the trades that are older than 24 hours (to the minute), and tell whether there were any."""
        return self._window.expire(now)

    def publish(self, bid: int | None, ask: int | None) -> dict[str, int | None]:
        """Take the best prices in, and give what has changed since the last call."""
        window, old = self._window, self.published
        new = Ticker(self._last, bid, ask, window.low, window.high, window.amount)
        if new == old:
            return {}
        self.published = new
        pairs = ((name, getattr(new, name)) for name in Ticker.__slots__)
        return {name: value for name, value in pairs if value != getattr(old, name)}
