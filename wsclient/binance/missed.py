"""Trades that were missed between two connections, fetched over the request API.

Source: the protocol page, "WebSocket API (request and reply)": trades.recent.
"""

import json
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from ..core.worker import Worker
from ..errors import TooFast, TransportError, WSClientError
from .client import Client
from .stream import Stream

logger = logging.getLogger("wsclient")

_MOST: Final = 1000
"""Trades that the exchange gives at once: its last ones."""
_BUDGET: Final = 100
"""Requests in a minute. Each weighs 25 of the 6000 that an address has; the others are for the user's own."""
_MINUTE: Final = 60.0
_TRIES: Final = 5


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
        self._worker.do(lambda: self._fill(stream))

    def _fill(self, stream: Stream) -> None:
        last = stream.last
        fetched = self._fetch(stream.name)
        following = stream.next_held
        if last is None or (following is None and not fetched):
            stream.filled([], known=False)
            return
        first = last[0] + 1
        end = following[0] if following is not None else max(first, *(trade["id"] + 1 for trade in fetched))
        trades = {trade["id"]: trade for trade in fetched if first <= trade["id"] < end}
        texts = [_text(stream.name, trades[number]) for number in sorted(trades)]
        missed = end - first - len(texts)
        if missed:
            logger.warning("%s: %d trades were missed for good", stream.name, missed)
        stream.filled(texts, missed)

    def _fetch(self, name: str) -> list[dict[str, Any]]:
        now = self._clock()
        if len(self._asked) == _BUDGET and now < self._asked[0] + _MINUTE:
            logger.warning("%s: too many streams miss trades for all to be fetched", name)
            return []
        self._asked.append(now)
        try:
            trades = self._ask(name.partition("@")[0].upper(), _TRIES)
        except (WSClientError, TimeoutError) as error:
            logger.warning("%s: the trades that were missed can't be had: %s", name, error)
            return []
        return [trade for trade in trades if isinstance(trade, dict) and type(trade.get("id")) is int]

    def _ask(self, symbol: str, tries: int) -> Any:
        """The last trades. Whatever has cut a stream's connection may do so with this one, too."""
        try:
            return self._client().call("trades.recent", self._timeout, symbol=symbol, limit=_MOST)
        except TooFast:
            raise
        except (TransportError, TimeoutError):
            if tries == 1:
                raise
        return self._ask(symbol, tries - 1)


def _text(name: str, trade: dict[str, Any]) -> str:
    """A trade as its stream tells it; its own time stands for when the exchange would have told it."""
    event = {
        "e": "trade",
        "E": trade.get("time"),
        "s": name.partition("@")[0].upper(),
        "t": trade["id"],
        "p": trade.get("price"),
        "q": trade.get("qty"),
        "T": trade.get("time"),
        "m": trade.get("isBuyerMaker"),
        "M": trade.get("isBestMatch"),
    }
    return json.dumps({"stream": name, "data": event}, separators=(",", ":"))
