"""unicorn-binance-websocket-api: a stream whose messages come as dicts to a function, its quickest way."""

import threading
from typing import Any

from unicorn_binance_websocket_api import BinanceWebSocketApiManager

from .. import measure, streams
from ..measure import Figures


def multiplex(url: str, count: int) -> Figures:
    received = 0
    timed: measure.Timed | None = None
    figures: list[Figures] = []
    ended = threading.Event()

    def process(message: Any, stream_buffer_name: object = None) -> None:
        nonlocal received, timed
        if not (isinstance(message, dict) and "stream" in message):
            return
        if timed is None:
            timed = measure.Timed(count)
            return
        received += 1
        if received == count:
            figures.append(timed.ended())
            ended.set()

    manager = BinanceWebSocketApiManager(
        exchange="binance.com",
        process_stream_data=process,
        output_default="dict",
        high_performance=True,
        disable_colorama=True,
        warn_on_update=False,
        websocket_base_uri=f"{url}/",
    )
    channels = sorted({name.partition("@")[2] for name in streams.NAMES})
    manager.create_stream(channels, list(streams.SYMBOLS))
    ended.wait()
    return figures[0]
