"""SQLite: the embedded default. One file, nothing to install, and SQL to ask it.

    CREATE TABLE messages (id, time, exchange_time, venue, product, type, text)

with an index by venue, product, type and time and one by time. `id` rises in the order of arrival, times are
microseconds since the Unix epoch.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import InvalidRequest, SinkError
from .contract import Record

_VERSION: Final = 1  # of the tables, kept as user_version
_SCHEMA: Final = """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        exchange_time INTEGER,
        venue TEXT NOT NULL,
        product TEXT,
        type TEXT,
        text TEXT NOT NULL
    );
    CREATE INDEX messages_by_market ON messages (venue, product, type, time);
    CREATE INDEX messages_by_time ON messages (time);
"""
_INSERT: Final = "INSERT INTO messages (time, exchange_time, venue, product, type, text) VALUES "
_COLUMNS: Final = 6
_SIZES: Final = (4096, 512, 64, 8, 1)  # rows of one statement, so that few statements need to be prepared


class SQLiteSink:
    """Keeps records in a table of an SQLite database in WAL mode, one transaction a batch.

    The database is made, or opened, at once; `SinkError` where that can't be done. Others may read it meanwhile.

    path: the database's file
    synchronous: "normal" loses nothing when the program crashes, but perhaps the last batches when the machine
        does; "full" doesn't either; "off" is for what can be recorded again
    busy_timeout: seconds to wait for another program's lock in one try
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Literal["off", "normal", "full"] = "normal",
        busy_timeout: float = 5.0,
    ) -> None:
        if synchronous not in ("off", "normal", "full"):
            raise InvalidRequest(f'synchronous is "off", "normal" or "full", not {synchronous!r}')
        self.path = Path(path)
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._closed = False
        self._database: sqlite3.Connection | None = None
        self._sizes: tuple[int, ...] = ()
        try:
            self._open()
        except sqlite3.Error as error:
            raise SinkError(f"{self.path} can't be opened as an SQLite database: {error}") from error

    def write_many(self, records: Sequence[Record], /) -> None:
        """Inserts the records in one transaction: all of them, or on an error none."""
        if self._closed:
            raise SinkError(f"{self.path} is closed")
        database = self._open()
        try:
            database.execute("BEGIN IMMEDIATE")
            try:
                self._insert(database, records)
            except UnicodeEncodeError:
                database.execute("ROLLBACK")
                database.execute("BEGIN IMMEDIATE")
                self._insert(database, [_encodable(record) for record in records])
            database.execute("COMMIT")
        except BaseException:
            # closing rolls back, and whatever state the connection is in, the next try begins with a new one
            self._database = None
            database.close()
            raise

    def close(self) -> None:
        """Closes the database, which puts the write-ahead log into it. Twice is as good as once."""
        self._closed = True
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _insert(self, database: sqlite3.Connection, records: Sequence[Record]) -> None:
        # many rows a statement: sqlite3 gives up the interpreter's lock at each one, and while another thread
        # computes, getting it back takes 5 ms; row by row, 5000 rows would take half a minute
        start = 0
        for size in self._sizes:
            while len(records) - start >= size:
                values: list[Any] = []
                for record in records[start : start + size]:
                    venue, product, kind, time, text, exchange_time = record[:6]
                    values += (time, exchange_time, venue, product, kind, text)
                database.execute(_statement(size), values)
                start += size

    def _open(self) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        # whichever thread calls, it is one at a time
        database = sqlite3.connect(
            self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(database, self.path)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {self._synchronous}")
            limit = database.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        except BaseException:
            database.close()
            raise
        self._sizes = tuple(size for size in _SIZES if size * _COLUMNS <= limit)
        self._database = database
        return database


def read(
    path: str | os.PathLike[str],
    venue: str | None = None,
    product: str | None = None,
    type: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Iterator[Record]:
    """The records of an `SQLiteSink`, sorted by the time of receipt; messages of the same time as they came.

    venue, product, type: only such records; None for any
    since, until: received at or after, and before; microseconds since the Unix epoch
    The database is only read, and may be written meanwhile: what was there at the first record is what comes.
    Raises `SinkError` where there is no such database.
    """
    conditions = [
        (condition, value)
        for condition, value in (
            ("venue = ?", venue),
            ("product = ?", product),
            ("type = ?", type),
            ("time >= ?", since),
            ("time < ?", until),
        )
        if value is not None
    ]
    where = "WHERE " + " AND ".join(condition for condition, _ in conditions) if conditions else ""
    query = f"SELECT venue, product, type, time, text, exchange_time FROM messages {where} ORDER BY time, id"
    try:
        database = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    except sqlite3.Error as error:
        raise SinkError(f"{path} can't be read: {error}") from error
    try:
        for row in database.execute(query, [value for _, value in conditions]):
            yield Record(*row)
    except sqlite3.Error as error:
        raise SinkError(f"{path} can't be read: {error}") from error
    finally:
        database.close()


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Makes the tables of a new database, and looks whether those of an old one are ours."""
    database.execute("BEGIN IMMEDIATE")  # so that two programs which begin at the same time don't both make them
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not database.execute("SELECT 1 FROM sqlite_master").fetchone():
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    elif version != _VERSION:
        raise SinkError(f"{path} is a database of something else, or of another version of wsclient")
    database.execute("COMMIT")


def _statement(rows: int) -> str:
    row = f"({', '.join('?' * _COLUMNS)})"
    return _INSERT + ", ".join([row] * rows)


def _encodable(record: Record) -> Record:
    """The record with what UTF-8 can't hold (half of a surrogate pair) as an escape."""
    return record._replace(
        **{
            name: getattr(record, name).encode("utf-8", "backslashreplace").decode()
            for name in ("venue", "product", "type", "text")
            if getattr(record, name) is not None
        }
    )
