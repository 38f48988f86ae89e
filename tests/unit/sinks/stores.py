"""Stores whose every step a test decides, and records to put into stores."""

import json
import threading
from collections.abc import Sequence
from typing import Any

from tests.peers import PATIENCE
from wsclient.sinks.contract import Record, Refusal


class Store:
    """A sink in memory. It can be away (it raises), closed to entry (it blocks), and choosy (it refuses texts)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._changed = threading.Condition(self._lock)
        self.batches: list[list[Record]] = []
        self.tries = 0
        self.closings = 0
        self.away = 0  # tries that will fail
        self.bad: set[str] = set()
        self.closing_error: Exception | None = None
        self.may_enter = threading.Event()
        self.may_enter.set()

    def write_many(self, records: Sequence[Record], /) -> Sequence[Refusal]:
        with self._lock:
            self.tries += 1
            self._changed.notify_all()
        assert self.may_enter.wait(PATIENCE)
        with self._lock:
            if self.away > 0:
                self.away -= 1
                raise OSError("the store is away")
            self.batches.append([record for record in records if record.text not in self.bad])
            self._changed.notify_all()
            return [Refusal(record, "too bad") for record in records if record.text in self.bad]

    def close(self) -> None:
        with self._lock:
            self.closings += 1
        if self.closing_error is not None:
            raise self.closing_error

    @property
    def texts(self) -> list[str]:
        with self._lock:
            return [record.text for batch in self.batches for record in batch]

    def await_tries(self, number: int) -> None:
        with self._lock:
            assert self._changed.wait_for(lambda: self.tries >= number, PATIENCE)

    def await_texts(self, number: int) -> None:
        with self._lock:
            assert self._changed.wait_for(lambda: sum(map(len, self.batches)) >= number, PATIENCE)


def make(number: int = 0, message: Any = None, **fields: Any) -> Record:
    """A record of a message; of {"number": number} where none is given."""
    message = {"number": number} if message is None else message
    known: dict[str, Any] = {
        "venue": "coinbase",
        "product": "BTC-USD",
        "type": "match",
        "time": 1_700_000_000_000_000 + number,
        "text": json.dumps(message),
        "message": message,
    }
    return Record(**{**known, **fields})
