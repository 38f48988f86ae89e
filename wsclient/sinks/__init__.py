"""Where messages can be kept: JSON Lines, SQLite, MongoDB, or a store of your own.

    from wsclient.sinks import attach

    with attach(client, "sqlite:market.db"):     # every text message from now on
        ...

`attach` puts a queue with one writer thread between the client and the sink, so that the event thread never waits
for a disk. The names below are loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .buffer import Counts
    from .contract import Classifier, Record, Refusal, Shape, Sink
    from .jsonl import JSONLinesSink
    from .jsonl import read as read_jsonl
    from .mongo import MongoSink
    from .queue import SinkQueue
    from .recording import Recording, attach
    from .sqlite import SQLiteSink
    from .sqlite import read as read_sqlite
    from .urls import open_sink

__all__ = [
    "Classifier",
    "Counts",
    "JSONLinesSink",
    "MongoSink",
    "Record",
    "Recording",
    "Refusal",
    "SQLiteSink",
    "Shape",
    "Sink",
    "SinkQueue",
    "attach",
    "open_sink",
    "read_jsonl",
    "read_sqlite",
]

_HOMES = {
    "Classifier": ("contract", "Classifier"),
    "Counts": ("buffer", "Counts"),
    "JSONLinesSink": ("jsonl", "JSONLinesSink"),
    "MongoSink": ("mongo", "MongoSink"),
    "Record": ("contract", "Record"),
    "Recording": ("recording", "Recording"),
    "Refusal": ("contract", "Refusal"),
    "SQLiteSink": ("sqlite", "SQLiteSink"),
    "Shape": ("contract", "Shape"),
    "Sink": ("contract", "Sink"),
    "SinkQueue": ("queue", "SinkQueue"),
    "attach": ("recording", "attach"),
    "open_sink": ("urls", "open_sink"),
    "read_jsonl": ("jsonl", "read"),
    "read_sqlite": ("sqlite", "read"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, inner = _HOMES[name]
    value = getattr(import_module(f".{module}", __name__), inner)
    globals()[name] = value  # so that it is asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
