"""One market stream, joined from the connections that carry it one after another: nothing twice, nothing left out.

A connection that is about to end is replaced while it still runs. Until the switch its events count and those of
the next one are held; it comes when the old connection tells an event that the next one has told already, or when
it has ended. From then on those of the next one count, but for what the old one told. So it doesn't matter which
of the two is ahead. After a connection that was lost without warning, the stream goes on with what comes; the
trades that were missed can be fetched, since their ids are numbers without gaps.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Protocol

from ..errors import WSClientError
from .streams import Position, is_trades, position_of

MAX_HELD: Final = 100_000
"""Texts that are held of one stream; more than that push out the oldest."""


class Sink(Protocol):
    """Who is told a stream's events, by one thread at a time."""

    def put(self, text: str) -> None:
        """An event came: {"stream", "data"}."""

    def subscribed(self) -> None:
        """The stream is subscribed to, for the first time or again. Events may have come before this."""

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
        self._position = position_of(name)
        self._fill = fill if is_trades(name) else None
        self._last: str | None = None
        self._lock = threading.Lock()  # guards what follows
        self._source: object = None  # whose events count
        self._next: object = None  # whose events are held
        self._held: list[str] = []
        self._filling = False  # what counts is held, too
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

    # -- connections that come and go: called by the lane

    def begin(self, source: object) -> None:
        """It is about to be subscribed to on this connection, and there is no other."""
        with self._lock:
            self._source, self._next = source, None
            self._joining = self._last is not None
            self._look()

    def overlap(self, source: object) -> None:
        """It is about to be subscribed to on a second connection, which replaces the first."""
        with self._lock:
            self._next = source
            self._look()

    def separate(self) -> None:
        """The second connection has failed."""
        with self._lock:
            self._next = None
            if not self._filling:
                self._held = []
            self._look()

    def switch(self, source: object) -> None:
        """The first connection has ended, or told what the second did: from now on the second one counts."""
        with self._lock:
            if self._next is not source:
                return
            self._source, self._next = source, None
            self._joining = True
            if self._filling:
                return  # who fills goes on to what is held
            self._filling = True
            self._look()
        self._drain()

    def lose(self) -> None:
        """The connection has ended, and there is no second one."""
        with self._lock:
            self._source = None
            self._look()

    # -- what was missed

    @property
    def last(self) -> Position | None:
        """Where the last event that was told stands."""
        return None if self._last is None else self._place(self._last)

    @property
    def next_held(self) -> Position | None:
        """Where the first one that is held stands."""
        with self._lock:
            first = self._held[0] if self._held else None
        return None if first is None else self._place(first)

    def fill(self) -> bool:
        """Holds events, and asks for those that were missed before; False where that can't be, or is done."""
        with self._lock:
            if self._fill is None or self._filling or self._last is None:
                return False
            self._filling = True
            self._look()
        self._fill(self)
        return True

    def filled(self, texts: list[str], missed: int = 0) -> None:
        """These were missed, in their order; then follows what was held."""
        self.missed += missed
        last = self.last
        for text in texts:
            place = self._place(text)
            if last is None or place is None or place > last:
                self._tell(text)
                last = place
        with self._lock:
            self._joining = True
        self._drain()

    def _take_with_care(self, source: object, text: str) -> None:
        with self._lock:
            if source is self._next or (source is self._source and self._filling):
                self._held.append(text)
                if len(self._held) > MAX_HELD:
                    del self._held[0]
                return
            if source is not self._source:
                return  # of a connection that has been replaced
            joining, other = self._joining, self._next
        if joining and not self._joins(text):
            return
        self._tell(text)
        if other is not None and self._overtaken(text):
            self.switch(other)

    def _joins(self, text: str) -> bool:
        """Whether this is the next event to tell; else it was told already, or others are to be fetched first."""
        last, place = self.last, self._place(text)
        if last is None or place is None:
            repeated = text == self._last
        elif place <= last:
            return False
        else:
            repeated = False
            if self._fill is not None and place[0] > last[0] + 1:
                with self._lock:
                    self._held.append(text)
                    self._filling = True
                    self._look()
                self._fill(self)
                return False
        with self._lock:
            self._joining = False
            self._look()
        return not repeated

    def _overtaken(self, text: str) -> bool:
        """Whether the second connection told this event, or a later one, first of all."""
        with self._lock:
            first = self._held[0] if self._held else None
        if first is None:
            return False
        here, there = self._place(text), self._place(first)
        if here is None or there is None:
            return text == first
        return here >= there

    def _drain(self) -> None:
        """Tells what is held but for what was told, until nothing is; what comes meanwhile is held behind it."""
        while True:
            with self._lock:
                held = self._held
                if not held or self._next is not None:
                    # what is held for the switch waits for that
                    self._filling = False
                    self._look()
                    return
                self._held = []
            for text in self._new_of(held):
                self._tell(text)

    def _new_of(self, held: list[str]) -> list[str]:
        last = self._last
        if last is None:
            return held
        place = self.last
        if place is None:
            return held[held.index(last) + 1 :] if last in held else held
        return [text for text in held if (there := self._place(text)) is None or there > place]

    def _tell(self, text: str) -> None:
        self._last = text
        for sink in self.sinks:
            sink.put(text)

    def _look(self) -> None:
        self._plain = not (self._joining or self._filling or self._next is not None)

    def _place(self, text: str) -> Position | None:
        if self._position is None:
            return None
        try:
            data: Any = json.loads(text)["data"]
            return self._position(data)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
