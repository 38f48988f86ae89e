"""Market streams: their names, and who listens to which.

A name that has no meaning, or speaks of a symbol that isn't traded, can be subscribed to and stays silent, as on
the real exchange. Source: protocol page, section "Market streams".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from wsclient.sandbox.binance_tape import INTERVALS
from wsclient.sandbox.venue import Say, encode

StreamKind: TypeAlias = Literal[
    "trade", "aggTrade", "bookTicker", "avgPrice", "kline", "ticker", "miniTicker", "window", "depth", "partial"
]

LONGEST_NAME: Final = 100
"""A longer name (characters) is no stream's, listenKeys included."""
EIGHT_HOURS: Final = 8 * 3600 * 1_000_000
SECOND: Final = 1_000_000
FAST: Final = SECOND // 10
WINDOWS: Final[dict[str, int]] = {"1h": 3600 * SECOND, "4h": 4 * 3600 * SECOND, "1d": 24 * 3600 * SECOND}

_SYMBOL: Final = re.compile(
    r"(?P<symbol>[^@!]+)@(?:"
    r"(?P<plain>trade|aggTrade|bookTicker|avgPrice|ticker|miniTicker)"
    rf"|kline_(?P<interval>{'|'.join(INTERVALS)})(?P<east>@\+08:00)?"
    rf"|ticker_(?P<window>{'|'.join(WINDOWS)})"
    r"|depth(?P<levels>5|10|20)?(?P<speed>@100ms|@1000ms)?"
    r")",
    re.ASCII,
)
_ALL: Final = re.compile(
    rf"!(?:(?P<plain>ticker|miniTicker)|ticker_(?P<window>{'|'.join(WINDOWS)}))@arr(?:@(?P<seconds>[1-9])000ms)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Stream:
    """What a name stands for. `period` (microseconds) is 0 where a stream tells at once what happens."""

    kind: StreamKind
    symbol: str | None
    """In capitals; None: all symbols."""
    period: int = 0
    interval: str = ""
    offset: int = 0
    """By how many microseconds the days of a candle begin before those of UTC."""
    levels: int = 0
    window: str = ""


def parse_stream(name: str) -> Stream | None:
    """The stream of a name, None if it is none."""
    match = _SYMBOL.fullmatch(name)
    if match is None:
        return _parse_all(name)
    symbol = match["symbol"]
    if symbol != symbol.lower():
        return None
    symbol = symbol.upper()
    if interval := match["interval"]:
        period = SECOND if interval == "1s" else 2 * SECOND
        return Stream("kline", symbol, period, interval=interval, offset=EIGHT_HOURS if match["east"] else 0)
    if window := match["window"]:
        return Stream("window", symbol, SECOND, window=window)
    match match["plain"]:
        case "trade":
            return Stream("trade", symbol)
        case "aggTrade":
            return Stream("aggTrade", symbol)
        case "bookTicker":
            return Stream("bookTicker", symbol)
        case "avgPrice":
            return Stream("avgPrice", symbol, SECOND)
        case "ticker":
            return Stream("ticker", symbol, SECOND)
        case "miniTicker":
            return Stream("miniTicker", symbol, SECOND)
    period = FAST if match["speed"] == "@100ms" else SECOND
    if levels := match["levels"]:
        return Stream("partial", symbol, period, levels=int(levels))
    return Stream("depth", symbol, period)


def _parse_all(name: str) -> Stream | None:
    match = _ALL.fullmatch(name)
    if match is None:
        return None
    period = int(match["seconds"] or 1) * SECOND
    if window := match["window"]:
        return Stream("window", None, period, window=window)
    return Stream("ticker" if match["plain"] == "ticker" else "miniTicker", None, period)


@dataclass(slots=True)
class Listener:
    """A connection to market streams. Its names are in the order in which they were subscribed to."""

    session: int
    combined: bool
    names: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Ears:
    raw: set[int] = field(default_factory=set)
    combined: set[int] = field(default_factory=set)

    def of(self, listener: Listener) -> set[int]:
        return self.combined if listener.combined else self.raw


class Hub:
    """Who listens to which stream."""

    def __init__(self) -> None:
        self._ears: dict[str, _Ears] = {}
        self._listeners: dict[int, Listener] = {}

    def open(self, session: int, *, combined: bool) -> Listener:
        """A connection was made."""
        listener = self._listeners[session] = Listener(session, combined)
        return listener

    def close(self, session: int) -> list[str]:
        """A connection has ended; the names that nobody listens to any more."""
        listener = self._listeners.pop(session, None)
        return [] if listener is None else [name for name in listener.names if self._leave(listener, name)]

    def get(self, session: int) -> Listener | None:
        """A connection, if it is one to market streams."""
        return self._listeners.get(session)

    def __iter__(self) -> Iterator[Listener]:
        """All connections to market streams."""
        return iter(list(self._listeners.values()))

    def join(self, listener: Listener, name: str) -> None:
        """Subscribe; twice is once."""
        listener.names[name] = None
        self._ears.setdefault(name, _Ears()).of(listener).add(listener.session)

    def leave(self, listener: Listener, name: str) -> bool:
        """Unsubscribe; whether that was the last listener. What was never subscribed to is left in peace."""
        if name not in listener.names:
            return False
        del listener.names[name]
        return self._leave(listener, name)

    def combine(self, listener: Listener, combined: bool) -> None:
        """Wrap what this connection is told, or don't."""
        for name in listener.names:
            self._ears[name].of(listener).discard(listener.session)
        listener.combined = combined
        for name in listener.names:
            self._ears[name].of(listener).add(listener.session)

    def hears(self, name: str) -> bool:
        """Whether anybody listens to a stream."""
        return name in self._ears

    def tell(self, name: str, payload: object) -> Iterator[Say]:
        """A message of a stream, raw and wrapped, each written once."""
        ears = self._ears.get(name)
        if ears is None:
            return
        text = encode(payload)
        if ears.raw:
            yield Say(text, tuple(ears.raw))
        if ears.combined:
            yield Say(wrapped(name, text), tuple(ears.combined))

    def _leave(self, listener: Listener, name: str) -> bool:
        ears = self._ears[name]
        ears.of(listener).discard(listener.session)
        if ears.raw or ears.combined:
            return False
        del self._ears[name]
        return True


def wrapped(name: str, text: str) -> str:
    """A message as a connection to combined streams gets it."""
    return f'{{"stream":{encode(name)},"data":{text}}}'
