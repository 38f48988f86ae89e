"""Counting what was kept: by market and type, with the first and the last time of receipt."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from ..sinks import Record, Refusal, Sink

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Kind = tuple[str | None, str | None]
"""Product and type of a message, None where it has none."""


class Kept(NamedTuple):
    """What was kept up to one moment.

    counts: messages by product and type
    first, last: the least and the greatest time of receipt, microseconds since the Unix epoch; None of nothing
    """

    counts: dict[Kind, int]
    first: int | None
    last: int | None

    @property
    def total(self) -> int:
        """All messages."""
        return sum(self.counts.values())


class Tally:
    """Counts records; one thread adds them, any thread asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._counts: Counter[Kind] = Counter()
        self._first: int | None = None
        self._last: int | None = None

    def add(self, records: Iterable[Record]) -> None:
        """Counts these, too."""
        times = []
        kinds = []
        for record in records:
            times.append(record.time)
            kinds.append((record.product, record.type))
        if not times:
            return
        first, last = min(times), max(times)
        with self._lock:
            self._counts.update(kinds)
            self._first = first if self._first is None else min(first, self._first)
            self._last = last if self._last is None else max(last, self._last)

    @property
    def kept(self) -> Kept:
        """What was counted so far."""
        with self._lock:
            return Kept(dict(self._counts), self._first, self._last)


class Counted:
    """A sink that counts what another sink has kept: what was written, and not what was meant to be."""

    def __init__(self, sink: Sink, tally: Tally) -> None:
        self._sink = sink
        self._tally = tally

    def write_many(self, records: Sequence[Record], /) -> Sequence[Refusal] | None:
        """As the other sink does; what it raises or refuses isn't counted."""
        refused = self._sink.write_many(records)
        if refused:
            ids = {refusal.record.id for refusal in refused}
            self._tally.add(record for record in records if record.id not in ids)
        else:
            self._tally.add(records)
        return refused

    def close(self) -> None:
        """Closes the other sink."""
        self._sink.close()


def table(kept: Kept) -> Iterator[str]:
    """Lines that tell what was kept: from when to when, and how many of each kind."""
    if kept.first is None or kept.last is None:
        return
    yield f"received from {clock(kept.first)} to {clock(kept.last)}"
    rows = [(printable(product or "-"), printable(kind or "-")) for product, kind in kept.counts]
    wide, wider = (max(len(row[column]) for row in rows) for column in (0, 1))
    figures = [f"{count:,}" for count in kept.counts.values()]
    right = max(map(len, figures))
    for (product, kind), figure in sorted(zip(rows, figures, strict=True)):
        yield f"{product:{wide}}  {kind:{wider}}  {figure:>{right}}"


def messages(count: int) -> str:
    """So many messages."""
    return "1 message" if count == 1 else f"{count:,} messages"


def clock(time: int) -> str:
    """A time of microseconds since the Unix epoch as people read it, in UTC."""
    try:
        moment = _EPOCH + timedelta(microseconds=time)
    except OverflowError:
        return str(time)  # of a file that somebody else has written
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f") + "Z"


def printable(text: str) -> str:
    """A text on one line, with what would command a terminal as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
