"""The trades of one symbol: the last ones, candles, and statistics over a sliding window.

Everything comes from candles of one minute, kept a little longer than a day; longer candles are put together when
somebody asks. So a candle of a week knows the last day only, which is what a sandbox lives anyway. Amounts are in
the market's units, times in microseconds since the Unix epoch.

Source: protocol page, section "Market streams".
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import dropwhile, islice
from typing import Final

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

INTERVALS: Final[dict[str, int]] = {
    "1s": SECOND, "1m": MINUTE, "3m": 3 * MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "30m": 30 * MINUTE,
    "1h": HOUR, "2h": 2 * HOUR, "4h": 4 * HOUR, "6h": 6 * HOUR, "8h": 8 * HOUR, "12h": 12 * HOUR, "1d": DAY,
    "3d": 3 * DAY, "1w": 7 * DAY, "1M": 31 * DAY,
}  # fmt: skip
"""How long a candle is; a month is as long as the calendar says."""

MINUTES_KEPT: Final = 25 * 60
TRADES_KEPT: Final = 1000
HISTORY_KEPT: Final = 10_000
"""Trades that can be asked for by their number."""
_FIRST_MONDAY: Final = 4 * DAY


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade: `id` counts the symbol's trades from 1, without a gap."""

    id: int
    price: int
    quantity: int
    total: int
    time: int
    buyer_is_maker: bool


@dataclass(slots=True)
class Candle:
    """What was traded from `start` until before `end`. Without a trade, `first` and `last` are -1."""

    start: int
    end: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    total: int = 0
    count: int = 0
    bought: int = 0
    """What takers bought, in the base asset and (`spent`) in the quote asset."""
    spent: int = 0
    first: int = -1
    last: int = -1

    def add(self, trade: Trade) -> None:
        """Count a trade."""
        self.high, self.low, self.close = max(self.high, trade.price), min(self.low, trade.price), trade.price
        self.volume += trade.quantity
        self.total += trade.total
        self.count += 1
        if not trade.buyer_is_maker:
            self.bought += trade.quantity
            self.spent += trade.total
        if self.first < 0:
            self.first = trade.id
        self.last = trade.id

    def join(self, later: "Candle") -> None:
        """Count what a later, shorter candle counts."""
        self.high, self.low, self.close = max(self.high, later.high), min(self.low, later.low), later.close
        self.volume += later.volume
        self.total += later.total
        self.count += later.count
        self.bought += later.bought
        self.spent += later.spent
        if self.first < 0:
            self.first = later.first
        self.last = later.last


def interval_start(interval: str, time: int, offset: int = 0) -> int:
    """When the candle of this interval began that `time` falls into, in a time zone `offset` east of UTC."""
    local = time + offset
    if interval == "1M":
        month = datetime.fromtimestamp(local // SECOND, UTC).replace(day=1, hour=0, minute=0, second=0)
        return int(month.timestamp()) * SECOND - offset
    length = INTERVALS[interval]
    shift = _FIRST_MONDAY if interval == "1w" else 0
    return local - (local - shift) % length - offset


def interval_end(interval: str, start: int, offset: int = 0) -> int:
    """When the candle that began at `start` ends."""
    if interval != "1M":
        return start + INTERVALS[interval]
    return interval_start("1M", start + 31 * DAY + DAY, offset)  # a day into the next month, or two, or four


class Tape:
    """What one symbol has traded."""

    def __init__(self) -> None:
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT)
        self.history: deque[Trade] = deque(maxlen=HISTORY_KEPT)
        self._minutes: deque[Candle] = deque(maxlen=MINUTES_KEPT)
        self.last_id = 0

    @property
    def last(self) -> Trade | None:
        """The last trade."""
        return self.trades[-1] if self.trades else None

    def add(self, price: int, quantity: int, total: int, time: int, *, buyer_is_maker: bool) -> Trade:
        """Count a trade, and give it its number."""
        self.last_id += 1
        trade = Trade(self.last_id, price, quantity, total, time, buyer_is_maker)
        self.trades.append(trade)
        self.history.append(trade)
        start = time - time % MINUTE
        if not self._minutes or self._minutes[-1].start < start:
            self._minutes.append(Candle(start, start + MINUTE, price, price, price, price))
        self._minutes[-1].add(trade)
        return trade

    def candle(self, interval: str, time: int, offset: int = 0) -> Candle | None:
        """The candle that `time` falls into; flat where nothing was traded, None if nothing was ever before."""
        start = interval_start(interval, time, offset)
        end = interval_end(interval, start, offset)
        parts = self._seconds(start, end) if interval == "1s" else self._between(start, end)
        return self._joined(start, end, parts)

    def candles(self, interval: str, first: int, last: int, offset: int = 0) -> list[Candle]:
        """The candles that begin from `first` to `last`, oldest first, from the first trade that is known."""
        pieces = self._seconds(0, last + DAY) if interval == "1s" else list(self._minutes)
        if not pieces:
            return []
        found = []
        start = interval_start(interval, max(first, pieces[0].start), offset)
        if start < first:
            start = interval_end(interval, start, offset)
        while start <= last:
            end = interval_end(interval, start, offset)
            candle = self._joined(start, end, [piece for piece in pieces if start <= piece.start < end])
            if candle is not None:
                found.append(candle)
            start = end
        return found

    def window(self, start: int, end: int) -> tuple[Candle | None, int]:
        """What was traded within a sliding window (to the minute), and the price just before it (or 0)."""
        parts = [minute for minute in self._minutes if start < minute.end and minute.start < end]
        before = self._price_before(parts[0].start if parts else end)
        if not parts:
            return None, before
        whole = replace(parts[0])
        for part in parts[1:]:
            whole.join(part)
        return whole, before

    def _joined(self, start: int, end: int, parts: list[Candle]) -> Candle | None:
        if not parts:
            price = self._price_before(start)
            return Candle(start, end, price, price, price, price) if price else None
        whole = replace(parts[0], start=start, end=end)
        for part in parts[1:]:
            whole.join(part)
        return whole

    def _price_before(self, time: int) -> int:
        """The price of the last trade before a time, as far as the tape reaches back; 0 if there was none."""
        for trade in reversed(self.trades):
            if trade.time < time:
                return trade.price
        return next((minute.close for minute in reversed(self._minutes) if minute.end <= time), 0)

    def _between(self, start: int, end: int) -> list[Candle]:
        recent: Iterable[Candle] = self._minutes
        if self._minutes and end - start <= HOUR and start >= self._minutes[0].start:
            # the usual question is about the last candles: look at as many minutes as can be in there
            count = len(self._minutes)
            behind = max(0, self._minutes[-1].start - start) // MINUTE + 1
            recent = islice(self._minutes, max(0, count - behind), None)
        return [minute for minute in dropwhile(lambda m: m.start < start, recent) if minute.start < end]

    def _seconds(self, start: int, end: int) -> list[Candle]:
        """Candles of one second, from the trades that are kept one by one."""
        found: list[Candle] = []
        for trade in self.trades:
            if start <= trade.time < end:
                second = trade.time - trade.time % SECOND
                if not found or found[-1].start < second:
                    price = trade.price
                    found.append(Candle(second, second + SECOND, price, price, price, price))
                found[-1].add(trade)
        return found
