"""`record`: a market into one or more stores, until it is enough; then it tells what was kept."""

import argparse
import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Literal

from ..core.urls import safe
from ..errors import SinkError
from ..sinks import MongoSink, SinkQueue, open_sink
from ..sinks.urls import file_of
from .gate import Gate
from .sources import Handlers, Source
from .status import DONE, NOT_KEPT
from .tally import Counted, Tally, messages, table
from .venues import VENUES

ANSWER: Final = 10.0
"""Seconds for the exchange to answer what was asked of it, and for each store to take the last messages."""

EXAMPLES: Final = """\
examples:
  %(prog)s coinflex --sandbox --to sqlite:market.db jsonl:market.jsonl.gz --seconds 10
  %(prog)s coinflex --sandbox --market XBT/USDT ETH/USDT --to sqlite:market.db
  %(prog)s coinbase --market BTC-USD ETH-USD --channel ticker matches --to sqlite:market.db
  %(prog)s binance --market BTCUSDT --channel trade kline_1m --to mongodb://localhost/markets.messages
  %(prog)s coinflex --url wss://host/v1 --channel ticker --to 'jsonl:ticker.jsonl?max_age=3600'

Ctrl-C (or SIGTERM) ends it, too: what has come by then is kept. After a lost connection it goes on as soon as the
exchange is back. Credentials, for channels that want them, are taken from the environment: COINBASE_KEY,
COINBASE_SECRET and COINBASE_PASSPHRASE; a sandbox's are known. Exit status 8 means that a store couldn't keep all
of it.
"""


def add_to(commands: Any) -> None:
    """Adds this command to the others."""
    options = commands.add_parser(
        "record",
        usage="%(prog)s VENUE [--sandbox | --url URL] [options] --to URL [URL ...]",
        help="record a market to SQLite, JSON Lines or MongoDB",
        description="Keep every message of a market as it was received, then tell what was kept.",
        epilog=_defaults() + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("venue", choices=VENUES, metavar="VENUE", help="whose protocol is spoken: %(choices)s")
    where = options.add_mutually_exclusive_group()
    where.add_argument("--sandbox", action="store_true", help="an exchange of its own on this machine: play money")
    where.add_argument("--url", help="where to connect, ws:// or wss:// (default: the exchange itself)")
    add("--market", "--product", nargs="+", metavar="NAME", help="which markets, as the exchange spells them")
    add("--channel", nargs="+", metavar="NAME", help="what of them")
    add("--to", nargs="+", required=True, metavar="URL",
        help="where to: sqlite:FILE, jsonl:FILE (.gz compresses), mongodb://HOST/DB.COLLECTION")  # fmt: skip
    add("--seconds", type=_seconds, metavar="N", help="end after so long (default: at Ctrl-C)")
    add("--messages", type=_number, metavar="N", help="end with the Nth message")
    add("--policy", choices=("block", "drop"), default="block",
        help="how a slow store is met: the exchange waits, or messages go (default: %(default)s)")  # fmt: skip
    add("--traders", type=_seconds, default=300.0, metavar="RATE",
        help="of the sandbox: market events a second, all markets together (default: %(default)g)")  # fmt: skip
    options.set_defaults(run=run, usage=options.error)


def run(options: argparse.Namespace) -> int:
    """Records as told, and prints what was kept; the exit status."""
    venue = VENUES[options.venue]
    markets = list(dict.fromkeys(options.market or [venue.market]))
    channels = list(dict.fromkeys(options.channel or venue.channels))
    strange = [name for name in channels if venue.known and name not in venue.known]
    if strange:
        options.usage(f"{options.venue} has the channels {', '.join(venue.known)}, not {strange[0]}")
    if not options.sandbox and not options.url and venue.url is None:
        options.usage(
            f"{options.venue} is closed: record a --sandbox, or give the --url of whoever speaks like it"
        )
    if len(set(options.to)) < len(options.to):
        options.usage("each --to URL is a store of its own, and one is given twice")
    told = Told()
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(Store(url, options.policy)) for url in options.to]
        url: str = options.url or venue.url or ""
        credentials = tuple(os.environ.get(key, "") for key in venue.keys)
        if options.sandbox:
            exchange = stack.enter_context(_sandbox(options.traders))
            url, credentials = venue.sandbox(exchange), venue.demo(exchange)
        source = venue.connect(url, markets, channels, credentials, told.handlers())
        stack.callback(source.stop)
        gate = Gate([store.queue.intake(options.venue, source.classify) for store in stores], options.messages,
                    enough=lambda: told.ends.put(None))  # fmt: skip
        source.tap(gate.take)
        _watch(source)
        told.watching.set()
        # from here on Ctrl-C is a way to end, and comes between two steps, not in the middle of one
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: told.ends.put(None))
        print(f"Recording {', '.join(markets)} from {safe(url)}", file=sys.stderr, flush=True)
        with contextlib.suppress(queue.Empty):
            told.ends.get(timeout=options.seconds)
        told.watching.clear()
    for store in stores:
        print(*store.report(), sep="\n")
    if not any(store.failure for store in stores):
        heard = {product for store in stores for product, _ in store.tally.kept.counts}
        for name in source.silent(heard):
            print(f"nothing came of {name}, which may be quiet or misspelt")
    if told.losses:
        print(f"the connection was lost {_times(told.losses)}: what was said meanwhile is missing")
    if told.gaps:
        print(f"the exchange's numbers were out of order {_times(told.gaps)}: something is missing or repeated")
    return NOT_KEPT if any(store.failure for store in stores) else DONE


class Store:
    """One place where messages are kept, and what became of them. Use it in a `with` block.

    url, policy: see `open_sink` and `SinkQueue`; patience: seconds for the last messages in the end
    """

    def __init__(self, url: str, policy: Literal["block", "drop"], patience: float = ANSWER) -> None:
        file = file_of(url)
        self._new = file if file is not None and not file.exists() else None
        sink = open_sink(url)
        self.name = url.partition("?")[0]
        if isinstance(sink, MongoSink):
            name, collection = safe(url), sink.collection  # there may be a password in the url
            self.name = name if name.endswith(f"/{collection}") else f"{name} ({collection})"
        self.tally = Tally()
        self.queue = SinkQueue(Counted(sink, self.tally), policy=policy, on_error=self._tell)
        self.failure: SinkError | None = None
        self._patience = patience

    def report(self) -> list[str]:
        """What was kept, a line each."""
        counts = self.queue.counts
        kept = self.tally.kept
        lost = counts.refused + counts.lost + counts.waiting
        told = [f"{self.name}: kept {messages(kept.total)}, dropped {counts.dropped:,}"]
        if lost:
            told[0] += f", couldn't keep {lost:,}"
        if self.failure is not None:
            told.append(f"    {self.failure}")
        return [*told, *(f"    {line}" for line in table(kept))]

    def _tell(self, error: Exception) -> None:
        _say(f"{self.name}: {error}")

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.queue.close(self._patience)
        except SinkError as error:
            self.failure = error
        if exception[0] is not None and self._new is not None and not self.tally.kept.total:
            self._new.unlink(missing_ok=True)  # nothing was recorded at all: there was no connection, for instance


class Told:
    """What the client's thread has to tell the one that waits for the end."""

    def __init__(self) -> None:
        # a queue that may be filled in the middle of being waited for, as signal handlers must
        self.ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.watching = threading.Event()  # until then errors are those of what was asked, and told as such
        self.losses = 0  # the event thread's, like the next; read after it has ended
        self.gaps = 0

    def handlers(self) -> Handlers:
        """For the client."""
        return Handlers(err=self._failed, open=self._opened, close=self._closed, gap=self._left_out)

    def _failed(self, client: object, error: Exception) -> None:
        if self.watching.is_set():
            _say(error)

    def _opened(self, client: object) -> None:
        if self.watching.is_set():
            _say("connected again")

    def _closed(self, client: object, code: int | None, reason: str | None) -> None:
        if self.watching.is_set():
            self.losses += 1

    def _left_out(self, gap: str) -> None:
        self.gaps += 1
        _say(gap)


def _watch(source: Source) -> None:
    """Begins, and waits for every answer; raises the first error."""
    until = time.monotonic() + ANSWER
    asked: list[Future[Any]] = list(source.watch())
    for answer in asked:
        try:
            answer.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise TimeoutError(f"no answer within {ANSWER:g} s") from None


def _sandbox(traders: float) -> Any:
    from ..sandbox import Sandbox

    return Sandbox(traders=traders, ledger_limit=10_000)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _say(what: object) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _defaults() -> str:
    lines = ["what is recorded unless told otherwise:"]
    lines += [
        f"  {name:9} --market {venue.market} --channel {' '.join(venue.channels)}"
        for name, venue in VENUES.items()
    ]
    return "\n".join(lines) + "\n\n"


def _positive(convert: Callable[[str], Any], text: str, what: str) -> Any:
    try:
        value = convert(text)
    except ValueError:
        value = 0
    if not 0 < value <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"not {what}: {text}")
    return value


def _seconds(text: str) -> float:
    value: float = _positive(float, text, "a positive number")
    return value


def _number(text: str) -> int:
    value: int = _positive(int, text, "a positive whole number")
    return value
