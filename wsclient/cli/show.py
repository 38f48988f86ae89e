"""`show`: what a recording holds, record by record or counted."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidRequest, SinkError
from ..sinks import Record, read_jsonl, read_sqlite
from ..sinks.urls import file_of
from .status import DONE
from .tally import Tally, clock, messages, printable, table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SQLITE: Final = b"SQLite format 3\0"  # how every SQLite file begins

EXAMPLES: Final = """\
examples:
  %(prog)s market.db --counts
  %(prog)s market.db --product XBT/USDT --type OrdersMatched --limit 20
  %(prog)s market.jsonl.gz --since 2026-11-21T16:00 --until 2026-11-21T17:00 --text | jq .
"""


def add_to(commands: Any) -> None:
    """Adds this command to the others."""
    options = commands.add_parser(
        "show",
        help="print what was recorded",
        description="Print a recording: time of receipt (UTC), venue, product, type and the message.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("file", type=_file, metavar="FILE",
        help="an SQLite database, or JSON Lines, whose rotated files are read too; as a path, or as `record` was "
        "told, sqlite:FILE or jsonl:FILE. MongoDB isn't read: ask it itself")  # fmt: skip
    add("--venue", help="only this exchange's messages")
    add("--product", "--market", metavar="NAME", help="only this market's")
    add("--type", metavar="NAME", help="only of this type")
    add(
        "--since",
        type=_time,
        metavar="TIME",
        help="received then or later: ISO 8601, UTC unless it says otherwise",
    )
    add("--until", type=_time, metavar="TIME", help="received before")
    add("--limit", type=int, metavar="N", help="at most so many")
    how = options.add_mutually_exclusive_group()
    how.add_argument("--text", action="store_true", help="print the messages alone, as they were received")
    how.add_argument("--counts", action="store_true", help="count them by product and type instead")
    options.set_defaults(run=run, usage=options.error)


def run(options: argparse.Namespace) -> int:
    """Prints what is asked for; the exit status."""
    if options.limit is not None and options.limit < 0:
        options.usage("--limit is a number of records")
    found = islice(_records(options), options.limit)
    if options.counts:
        tally = Tally()
        tally.add(found)
        kept = tally.kept
        print(f"{options.file}: {messages(kept.total)}")
        for line in table(kept):
            print(f"    {line}")
        return DONE
    for record in found:
        print(record.text if options.text else _line(record))
    return DONE


def _records(options: argparse.Namespace) -> Iterator[Record]:
    path = options.file
    read = read_sqlite if _is_sqlite(path) else read_jsonl
    try:
        yield from read(path, options.venue, options.product, options.type, options.since, options.until)
    except (ValueError, EOFError) as error:
        raise SinkError(f"{path} is no recording: {error}") from error


def _is_sqlite(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except FileNotFoundError:
        return False  # there may be rotated files all the same


def _line(record: Record) -> str:
    names = (printable(name or "-") for name in (record.venue, record.product, record.type))
    return "  ".join((clock(record.time), *names, printable(record.text)))


def _file(text: str) -> Path:
    """A recording's file, by its path or as `record` has it."""
    if text.startswith(("mongodb://", "mongodb+srv://")):
        raise argparse.ArgumentTypeError("show reads files; ask MongoDB itself, with mongosh for instance")
    try:
        return file_of(text) or Path(text)
    except InvalidRequest as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _time(text: str) -> int:
    """A time as people write it, in microseconds since the Unix epoch."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a time such as 2026-11-21T16:00: {text}") from None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
