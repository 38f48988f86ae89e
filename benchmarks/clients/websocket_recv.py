"""websocket-client without its app: `recv` in a loop, with its UTF-8 check or without; one thread for all."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from websocket import WebSocket, create_connection

from .. import measure
from ..measure import Figures
from ..texts import CALL, START


def _texts(ws: WebSocket) -> Iterator[str | bytes]:
    """Until the Close frame, for which `recv` gives an empty text."""
    return iter(ws.recv, "")


def feed(url: str, count: int, parse: bool, check: bool = True) -> Figures:
    ws = create_connection(url, skip_utf8_validation=not check)
    timed = measure.Timed(count)
    ws.send(json.dumps({**START, "tag": 1}))
    return timed.ended(measure.consume(_texts(ws), parse))


def calls(url: str, count: int, warm_up: int, handler: bool, check: bool = True) -> Figures:
    """The caller itself receives until its reply comes; a handler is called here too."""
    ws = create_connection(url, skip_utf8_validation=not check)
    tags = itertools.count(1)

    def call() -> Any:
        tag = next(tags)
        ws.send(json.dumps({**CALL, "tag": tag}))
        while True:
            text = ws.recv()
            message = json.loads(text)
            if handler:
                _ignore(text)
            if message.get("tag") == tag:
                return message

    return measure.latencies(call, count, warm_up)


def _ignore(text: str | bytes) -> None:
    pass
