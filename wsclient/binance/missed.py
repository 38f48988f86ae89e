"""Trades that were missed between two connections, fetched over the request API.

Source: the protocol page, "WebSocket API (request and reply)": trades.recent; and the exchange's own pages on
trades.historical and trades.aggregate, which go on from a number.
"""

import json
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ..core.worker import Worker
from ..errors import ProtocolError, TooFast, TransportError, WSClientError
from .client import Client
from .stream import Stream

logger = logging.getLogger("wsclient")

_MOST: Final = 1000
"""Trades that the exchange gives at once."""
_PAGES: Final = 10
"""How often it is asked for more of one gap."""
_BUDGET: Final = 100
"""Requests in a minute. Each weighs 25 at most of the 6000 that an address has; the rest is for the user's own."""
_MINUTE: Final = 60.0
_TRIES: Final = 5
_LAGS: Final = 4
_MOMENT: Final = 0.25
"""Seconds before an answer is asked for again that doesn't reach to what a stream has told; then twice as many."""

Row: TypeAlias = dict[str, Any]


class MissedTrades:
    """Fills the gaps of streams of trades, one after the other.

    client: of the request API; asked for when it is needed
    timeout: seconds for an answer
    """

    def __init__(
        self,
        client: Callable[[], Client],
        worker: Worker,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._worker = worker
        self._timeout = timeout
        self._clock = clock
        self._asked: deque[float] = deque(maxlen=_BUDGET)  # when; the worker's

    def __call__(self, stream: Stream) -> None:
        """Has a stream's gap filled."""
        self._worker.do(lambda: self._fill(stream, 0))

    def _fill(self, stream: Stream, lags: int) -> None:
        last, following = stream.last, stream.next_held
        if last is None:
            stream.filled([], known=False)
            return
        first = last[0] + 1
        found, answered = self._fetch(stream.name, first, None if following is None else following[0])
        following = stream.next_held
        if following is None and not found:
            stream.filled([], known=False)
            return
        newest = max(found, default=last[0])
        end = max(first, newest + 1) if following is None else following[0]
        if answered and newest < end - 1 and lags < _LAGS and following is not None:
            # what has answered is behind what the stream has told
            self._worker.do(lambda: self._fill(stream, lags + 1), _MOMENT * 2**lags)
            return
        numbers = [number for number in sorted(found) if first <= number < end]
        missed = end - first - len(numbers)
        if missed:
            logger.warning("%s: %d trades were missed for good", stream.name, missed)
        elif following is None:
            numbers += _anew(found, stream)
        stream.filled([_text(stream.name, found[number]) for number in numbers], missed)

    # -- asking

    def _fetch(self, name: str, first: int, end: int | None) -> tuple[dict[int, Row], bool]:
        """Trades from a number on, by their numbers, and whether all that was asked was answered.

        end: the number that follows those that are wanted, if that is known
        """
        found: dict[int, Row] = {}
        try:
            if name.endswith("@aggTrade"):
                self._page_through(found, "trades.aggregate", name, first, end)
            else:
                found |= self._page("trades.recent", name)
                if found and first < min(found):
                    self._page_through(found, "trades.historical", name, first, min(found))
        except (WSClientError, TimeoutError) as error:
            logger.warning("%s: the trades that were missed can't be had: %s", name, error)
            return found, False
        return found, True

    def _page_through(self, found: dict[int, Row], method: str, name: str, first: int, end: int | None) -> None:
        for _ in range(_PAGES):
            if end is not None and first >= end:
                return
            page = self._page(method, name, fromId=first)
            found |= page
            if len(page) < _MOST:
                return  # those were the last ones
            first = max(page) + 1

    def _page(self, method: str, name: str, **fields: Any) -> dict[int, Row]:
        now = self._clock()
        if len(self._asked) == _BUDGET and now < self._asked[0] + _MINUTE:
            raise TooFast("too many streams miss trades for all to be fetched")
        self._asked.append(now)
        rows = self._ask(method, {"symbol": _symbol(name), **fields, "limit": _MOST}, _TRIES)
        if not isinstance(rows, list):
            raise ProtocolError(f"the answer to {method} is no list")
        number = "a" if method == "trades.aggregate" else "id"
        return {row[number]: row for row in rows if isinstance(row, dict) and type(row.get(number)) is int}

    def _ask(self, method: str, fields: dict[str, Any], tries: int) -> Any:
        """An answer. Whatever has cut a stream's connection may do so with this one, too."""
        try:
            return self._client().call(method, self._timeout, **fields)
        except TooFast:
            raise
        except (TransportError, TimeoutError):
            if tries == 1:
                raise
        return self._ask(method, fields, tries - 1)


def _anew(found: dict[int, Row], stream: Stream) -> list[int]:
    """The numbers of trades that are later than the last one told, though lower: of an exchange that was reset."""
    last, time_told = stream.last, stream.last_time
    if last is None or time_told is None or max(found) > last[0]:
        return []
    return [number for number in sorted(found) if type(at := _time(found[number])) is int and at > time_told]


def _symbol(name: str) -> str:
    return name.partition("@")[0].upper()


def _time(row: Row) -> Any:
    return row.get("time", row.get("T"))


def _text(name: str, row: Row) -> str:
    """A trade as its stream tells it; its own time stands for when the exchange would have told it."""
    event = {"e": "trade", "E": _time(row), "s": _symbol(name)}
    if "a" in row:
        event |= {"e": "aggTrade", **{field: row.get(field) for field in "apqflTmM"}}
    else:
        event |= {
            "t": row["id"],
            "p": row.get("price"),
            "q": row.get("qty"),
            "T": row.get("time"),
            "m": row.get("isBuyerMaker"),
            "M": row.get("isBestMatch"),
        }
    return json.dumps({"stream": name, "data": event}, separators=(",", ":"))
