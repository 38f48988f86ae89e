"""One market stream, joined from the connections that carry it one after another: nothing twice, nothing left out.

A connection that is about to end is replaced while it still runs. Until the switch its events count and those of
the next one are held; it comes when the old connection tells an event that the next one has told already, or when
it has ended. From then on those of the next one count, but for what the old one told. So it doesn't matter which
of the two is ahead. After a connection that was lost without warning, the stream goes on with what comes; where
the ids of trades then show that some were missed, they are fetched and told first, since those ids leave nothing
out.

An exchange that was reset, as a testnet is each month, numbers its events from the beginning. A trade with a lower
id but a later time shows it; other numbered events have no such time, and after a loss none of them is left out.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from ..errors import WSClientError
from .streams import Position, begins_again, is_trades, position_of, time_of

logger = logging.getLogger("wsclient")

T = TypeVar("T")

MAX_HELD: Final = 100_000
"""Texts that are held of one stream; more than that push out the oldest."""


class Sink(Protocol):
    """Who is told a stream's events, by one thread at a time."""

    def put(self, item: str | dict[str, Any]) -> None:
        """An event came: the text of {"stream", "data"}; from elsewhere than a stream, the event itself."""

    def subscribed(self) -> None:
        """It is subscribed to, for the first time or after it was lost. Events may have come before this."""

    def lost(self) -> None:
        """Its connection was lost: events may be missing from now on, until it is subscribed to again."""

    def failed(self, error: WSClientError) -> None:
        """It can't be had, or not again. Nothing more comes."""


class Stream:
    """A stream that is wanted by some sinks.

    fill: fetches what was missed of a stream of trades, and calls `filled`; None where that can't be done
    """

    def __init__(self, name: str, fill: "Callable[[Stream], object] | None" = None) -> None:
        self.name = name
        self.sinks: tuple[Sink, ...] = ()  # replaced as a whole, by the manager
        self.ready: Future[None] = Future()  # whether it was subscribed to at first
        self.missed = 0  # trades that couldn't be fetched
        self.over = False  # it has failed
        self._away = True  # it isn't subscribed to; the lane's
        self._position = position_of(name)
        self._time = time_of(name)
        self._begins_again = begins_again(name)
        self._fill = fill if is_trades(name) else None
        self._last: str | None = None
        self._lock = threading.Lock()  # guards what follows
        self._source: object = None  # the connection whose events count
        self._next: object = None  # the one that is going to replace it
        self._coming: list[str] = []  # the events of that
        self._held: list[str] = []  # those that count, while others have to be told before them
        self._holding = False
        self._joining = False  # the next event has to be compared with the last one
        self._plain = False  # none of all that: for a quick look without the lock

    def take(self, source: object, text: str) -> None:
        """An event came on a connection."""
        if self._plain and source is self._source:
            self._last = text
            for sink in self.sinks:
                sink.put(text)
        else:
            self._take_with_care(source, text)

    # -- what became of it: called by the lane

    def subscribed(self) -> None:
        """The exchange has answered, for the first time or again, or on a second connection."""
        if not self.ready.done():
            self.ready.set_result(None)
        away, self._away = self._away, False
        for sink in self.sinks if away else ():
            sink.subscribed()

    def refuse(self, error: WSClientError) -> None:
        """It can't be had, or not again."""
        self.over = True
        if not self.ready.done():
            self.ready.set_exception(error)
        for sink in self.sinks:
            sink.failed(error)

    # -- connections that come and go: likewise

    def begin(self, source: object) -> None:
        """It is about to be subscribed to on this connection, and there is no other."""
        with self._lock:
            self._source, self._next = source, None
            self._coming = []
            self._joining = self._last is not None
            self._look()

    def overlap(self, source: object) -> None:
        """It is about to be subscribed to on a second connection, which replaces the first."""
        with self._lock:
            self._next = source
            self._coming = []
            self._look()

    def separate(self, second: object, first: object) -> None:
        """The second connection has ended; if its events have counted already, those of the first do again."""
        with self._lock:
            if self._source is second:
                self._source = first
                self._joining = self._last is not None
            self._next = None
            self._coming = []
            self._look()

    def switch(self, source: object) -> None:
        """From now on the second connection counts: the first tells no more, or was overtaken."""
        with self._lock:
            if self._next is not source:
                return
            self._source, self._next = source, None
            self._held += self._coming
            self._coming = []
            self._joining = True
            if self._holding:
                return  # whoever has it hold goes on to this
            self._holding = True
            self._look()
        self._drain()

    def lose(self) -> None:
        """The connection has ended, and there is no second one."""
        with self._lock:
            self._source = None
            if self._begins_again:
                self._last = None  # whatever comes next counts: books take what they know already for that
            self._look()
        self._away = True
        for sink in self.sinks:
            sink.lost()

    # -- what was missed

    @property
    def last(self) -> Position | None:
        """Where the last event that was told stands."""
        return None if self._last is None else self._place(self._last)

    @property
    def last_time(self) -> int | None:
        """When the last trade that was told was made; None for other streams."""
        return self.time(self._last)

    @property
    def next_held(self) -> Position | None:
        """Where the first one that is held stands."""
        with self._lock:
            first = self._held[0] if self._held else None
        return None if first is None else self._place(first)

    def time(self, text: str | None) -> int | None:
        """When a trade was made, in the exchange's unit; None for other streams."""
        return None if self._time is None or text is None else _told(self._time, text)

    def catch_up(self) -> None:
        """It was subscribed to again some time ago: if nothing came since, it is asked whether something had."""
        with self._lock:
            if self._fill is None or self._last is None or self._source is None or self._next is not None:
                return
            if self._holding or not self._joining:
                return
            self._joining = False
            self._holding = True
        self._fill(self)

    def filled(self, texts: list[str], missed: int = 0, *, known: bool = True) -> None:
        """These were missed, in their order; then follows what was held.

        known: whether that is all that is to be known of what was missed before this; else the next event tells
        """
        self.missed += missed
        for text in self._new_of(texts):
            self._tell(text)
        with self._lock:
            self._joining = True  # what comes next may be older than what was fetched
        self._drain(excused=known)

    def _take_with_care(self, source: object, text: str) -> None:
        with self._lock:
            if source is self._next:
                _keep(self._coming, text)
                return
            if source is not self._source:
                return  # of a connection that has been replaced
            if self._holding:
                _keep(self._held, text)
                return
            # while this compares, nobody else is to do anything about what may be missing
            joining, self._joining = self._joining, False
            other = self._next
        if joining and not self._joins(text):
            return
        self._tell(text)
        if other is not None and self._overtaken(text):
            self.switch(other)

    def _joins(self, text: str) -> bool:
        """Whether this is the next event to tell; else it was told already, or others are to be fetched first."""
        last, place = self.last, self._place(text)
        repeated = False
        if last is not None and place is None:  # it can't be read: the next one is compared
            with self._lock:
                self._joining = True
            for sink in self.sinks:
                sink.put(text)
            return False
        if last is None or place is None:
            repeated = text == self._last
        elif place <= last and not self._began_again(self._last, text):
            with self._lock:
                self._joining = True
            return False
        elif self._fill is not None and self._skips(text):
            with self._lock:
                self._held.append(text)
                self._holding = True
                self._look()
            self._fill(self)
            return False
        with self._lock:
            self._look()
        return not repeated

    def _skips(self, text: str) -> bool:
        """Whether trades are missing between the last one and this."""
        last, place = self.last, self._place(text)
        return last is not None and place is not None and place[0] > last[0] + 1

    def _overtaken(self, text: str) -> bool:
        """Whether the second connection told this event, or a later one, first of all."""
        with self._lock:
            first = self._coming[0] if self._coming else None
        if first is None:
            return False
        here, there = self._place(text), self._place(first)
        if here is None or there is None:
            return text == first
        return here >= there

    def _drain(self, excused: bool = False) -> None:
        """Tells what is held but for what was told, until nothing is; what comes meanwhile is held behind it.

        excused: what is missing before the first of it can't be had
        """
        while True:
            with self._lock:
                held, self._held = self._held, []
                if not held:
                    self._holding = False
                    self._look()
                    return
                self._joining = False
            fresh = list(self._new_of(held))
            whole = self._before_a_gap(fresh, excused)
            for text in fresh[:whole]:
                self._tell(text)
            with self._lock:
                self._held[:0] = fresh[whole:]
                if not fresh:
                    self._joining = True
            if whole < len(fresh) and self._fill is not None:
                self._fill(self)
                return
            excused = excused and not fresh

    def _before_a_gap(self, texts: list[str], excused: bool) -> int:
        """How many of these follow one another without a trade missing."""
        if self._fill is None:
            return len(texts)
        last = self.last
        for number, text in enumerate(texts):
            place = self._place(text)
            if last is not None and place is not None and place[0] > last[0] + 1 and (number or not excused):
                return number
            last = place or last
        return len(texts)

    def _new_of(self, texts: list[str]) -> Iterator[str]:
        """Those that come after what was told last, or after one another."""
        last, told = self.last, self._last
        if last is None and told in texts:
            texts = texts[texts.index(told) + 1 :]
        for text in texts:
            place = self._place(text)
            if last is None or place is None or place > last or self._began_again(told, text):
                if place is not None:
                    last, told = place, text
                yield text

    def _began_again(self, before: str | None, text: str) -> bool:
        """Whether an event with a lower number than another one is later all the same."""
        earlier, later = self.time(before), self.time(text)
        if earlier is None or later is None or later <= earlier:
            return False
        logger.warning("%s: the exchange has begun to number its trades anew", self.name)
        return True

    def _tell(self, text: str) -> None:
        self._last = text
        for sink in self.sinks:
            sink.put(text)

    def _look(self) -> None:
        self._plain = not (self._joining or self._holding or self._next is not None)

    def _place(self, text: str) -> Position | None:
        return None if self._position is None else _told(self._position, text)


def _told(what: Callable[[Any], T | None], text: str) -> T | None:
    """What an event says of itself; None where it can't be understood."""
    try:
        return what(json.loads(text)["data"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _keep(texts: list[str], text: str) -> None:
    texts.append(text)
    if len(texts) > MAX_HELD:
        del texts[0]
