"""wsclient, through its public face alone."""

import json
import tempfile
import threading
import time
from collections.abc import Callable

from wsclient import WSClient
from wsclient.coinbase import Feed
from wsclient.sinks import attach

from .. import measure, orders
from ..measure import Figures
from ..texts import CALL, METHOD, PAIR, START

_FIELDS = {name: value for name, value in CALL.items() if name != "method"}
_START = {name: value for name, value in START.items() if name != "method"}


def _client(url: str, handler: Callable[[WSClient, str], object] | None = None) -> WSClient:
    """A client that is connected."""
    client = WSClient(url, msg_handler=handler)
    client.call(METHOD, **_FIELDS)
    return client


def feed(url: str, count: int, parse: bool) -> Figures:
    loads = json.loads
    received = 0
    ended = threading.Event()

    def parsed(_: WSClient, text: str) -> None:
        nonlocal received
        received += 1
        loads(text)

    def raw(_: WSClient, text: str) -> None:
        nonlocal received
        received += 1

    client = WSClient(url, parsed if parse else raw, close_handler=lambda *_: ended.set())
    client.call(METHOD, **_FIELDS)
    timed = measure.Timed(count)
    client.call(METHOD, **_START)
    ended.wait()
    figures = timed.ended(received)
    client.stop()
    return figures


def record(url: str, count: int) -> Figures:
    """A burst into SQLite: until all is taken, and until all is in the database."""
    ended = threading.Event()
    client = WSClient(url, close_handler=lambda *_: ended.set())
    with tempfile.TemporaryDirectory() as folder, attach(client, f"sqlite:{folder}/kept.db") as recording:
        client.call(METHOD, **_FIELDS)
        recording.flush()
        before = recording.counts.written
        timed = measure.Timed(count)
        began = time.perf_counter()
        client.call(METHOD, **_START)
        ended.wait()
        taken = time.perf_counter() - began
        recording.flush()
        counts = recording.counts
        figures = timed.ended(counts.written - before)
        client.stop()
    return {
        "ms": taken * 1e8 / count,
        "written_ms": 1e8 / figures["rate"],
        "dropped": float(counts.dropped),
        "client_busy": figures["client_busy"],
    }


def calls(url: str, count: int, warm_up: int, handler: bool) -> Figures:
    with _client(url, _ignore if handler else None) as client:
        return measure.latencies(lambda: client.call(METHOD, **_FIELDS), count, warm_up)


def feed_calls(url: str, count: int, warm_up: int) -> Figures:
    received = 0

    def counted(_: WSClient, text: str) -> None:
        nonlocal received
        received += 1

    with _client(url, counted) as client:
        client.call(METHOD, **_START)
        return measure.latencies(lambda: client.call(METHOD, **_FIELDS), count, warm_up)


def threads(url: str, threads: int, each: int, warm_up: int) -> Figures:
    with _client(url) as client:
        return measure.threads(lambda: client.call(METHOD, **_FIELDS), threads, each, warm_up)


def window(url: str, size: int, count: int, warm_up: int) -> Figures:
    with _client(url) as client:
        return measure.window(lambda: client.EstimateMarketOrder(**PAIR, quantity=10000), size, count, warm_up)


def book(url: str, count: int) -> Figures:
    """A level 3 book of Coinbase's, as the feed keeps it."""
    ended, began = threading.Event(), threading.Event()
    page = orders.snapshot()
    feed = Feed(url, close_handler=lambda *_: ended.set(), snapshots=lambda _: page, reconnect=None)
    kept = feed.order_book(orders.PRODUCT, 3, stale_after=None).wait()
    timed = None

    def begin(text: str) -> None:
        nonlocal timed
        if '"status"}' in text and not began.is_set():
            timed = measure.Timed(count)
            began.set()

    remove = feed.tap(begin)
    feed.subscribe([orders.START])
    began.wait()
    remove()
    ended.wait()
    assert timed is not None
    figures = timed.ended(kept.sequence - orders.BASE)
    feed.stop()
    return figures


def memory(url: str, connections: int) -> Figures:
    return measure.memory(lambda: _client(url), connections)


def _ignore(client: WSClient, text: str) -> None:
    pass
