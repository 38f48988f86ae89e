"""JSON Lines: a file, or a row of files, of one message a line. With `.gz` at the end of its name, compressed.

The file at `path` is the one being written. When it is full or old it is renamed, `market.jsonl` to
`market.000001.jsonl`, and a new one is begun. Each batch is one write, and in a compressed file one gzip member
(RFC 1952, section 2.2), so that a write which was cut off by a crash can be found and cut away, and no whole line
before it is lost.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from ..errors import InvalidRequest, SinkError
from . import lines
from .contract import Record

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_BLOCK: Final = 1 << 20
_LEVEL: Final = 6  # of zlib: a higher one costs far more time than it saves space


class JSONLinesSink:
    """Keeps records in a file of one JSON object a line, see `wsclient.sinks.lines`.

    The file is opened, and mended if a crash cut it off, at once; `SinkError` where that can't be done, or another
    process (or another sink) writes to it.

    path: `.gz` at its end means gzip. An existing file is continued
    max_bytes: rotate before the file gets larger than this; None for no limit. A larger batch has its own file
    max_age: rotate where a message was received so many seconds after the first one of the file; None for no limit
    fsync: "batch" has every batch on the disk before it counts as written; "close" has every file there when it is
        rotated or closed (a crash of the program loses nothing, one of the machine may); "never" leaves it to the
        system
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        max_age: float | None = None,
        fsync: Literal["batch", "close", "never"] = "close",
    ) -> None:
        if (max_bytes is not None and max_bytes < 1) or (max_age is not None and max_age <= 0):
            raise InvalidRequest("max_bytes and max_age are positive, or None")
        if fsync not in ("batch", "close", "never"):
            raise InvalidRequest(f'fsync is "batch", "close" or "never", not {fsync!r}')
        self.path = Path(path)
        self._max_bytes = max_bytes
        self._max_age = None if max_age is None else int(max_age * 1_000_000)
        self._fsync = fsync
        self._closed = False
        self._file: BinaryIO | None = None
        self._size = 0  # bytes of whole batches; what is behind them in the file is the rest of a failed write
        self._first: int | None = None  # when the file's first message was received
        try:
            self._open()
        except OSError as error:
            raise SinkError(f"{self.path} can't be opened: {error.strerror or error}") from error

    def write_many(self, records: Sequence[Record], /) -> None:
        """Appends the records; on any error the file is as before, once the disk allows it."""
        if self._closed:
            raise SinkError(f"{self.path} is closed")
        if not records:
            return
        data = lines.encode(records)
        if self.path.suffix == ".gz":
            data = gzip.compress(data, _LEVEL, mtime=records[0].time // 1_000_000)
        if self._file is None:
            self._open(self._size)
        if self._full(len(data), records[0].time):
            self._rotate()
        file = cast(BinaryIO, self._file)
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if self._fsync == "batch":
                os.fsync(file.fileno())
        except OSError:
            self._file = None
            with file:  # closed, too; and if even this fails, opening it again mends it
                file.truncate(self._size)
            raise
        self._size += len(data)
        if self._first is None:
            self._first = records[0].time

    def close(self) -> None:
        """Closes the file. Twice is as good as once."""
        self._closed = True
        self._let_go()

    def _full(self, more: int, time: int) -> bool:
        if self._size == 0:
            return False
        if self._max_bytes is not None and self._size + more > self._max_bytes:
            return True
        return self._max_age is not None and self._first is not None and time - self._first >= self._max_age

    def _rotate(self) -> None:
        self._let_go()
        number = max((number for number, _ in _rotated(self.path)), default=0) + 1
        self.path.rename(_numbered(self.path, number))
        self._open()

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with file:
                if self._fsync != "never":
                    os.fsync(file.fileno())

    def _open(self, known: int | None = None) -> None:
        """known: where whole batches end, so that no whole line of a failed write stays behind it."""
        file = cast(BinaryIO, open(self.path, "a+b", buffering=0))  # noqa: SIM115 - it stays open
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise SinkError(f"{self.path} is being written by somebody else") from None
            whole = _whole_gzip(file) if self.path.suffix == ".gz" else _whole_lines(file)
            if known is not None:
                whole = min(whole, known)
            if whole < file.seek(0, os.SEEK_END):
                file.truncate(whole)
            self._first = self._first_time() if whole else None
        except BaseException:
            file.close()
            raise
        self._file, self._size = file, whole
        if self._fsync != "never":
            _sync_folder(self.path.parent)

    def _first_time(self) -> int | None:
        try:
            return next((record.time for record in _read_file(self.path, finished=False)), None)
        except ValueError:
            raise SinkError(f"{self.path} is a file of something else") from None


def read(
    path: str | os.PathLike[str],
    venue: str | None = None,
    product: str | None = None,
    type: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Iterator[Record]:
    """The records of a `JSONLinesSink`, the rotated files' too, in the order in which they came.

    venue, product, type: only such records; None for any
    since, until: received at or after, and before; microseconds since the Unix epoch
    The last line of the file at `path` is left out if it is cut off: it may be in the middle of being written.
    Raises `ValueError` for a line that is none of ours, `OSError` (`EOFError`) for a file that can't be read.
    """
    path = Path(path)
    files = [*(rotated for _, rotated in sorted(_rotated(path))), *([path] if path.exists() else [])]
    if not files:
        raise FileNotFoundError(f"no such file: {path}")
    for file in files:
        for record in _read_file(file, file != path):
            if (
                (venue is None or record.venue == venue)
                and (product is None or record.product == product)
                and (type is None or record.type == type)
                and (since is None or record.time >= since)
                and (until is None or record.time < until)
            ):
                yield record


def _read_file(path: Path, finished: bool) -> Iterator[Record]:
    """The records of one file. finished: whether its end must be whole."""
    # the name that counts is the file's own, a rotated one's too
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        while True:
            try:
                line = file.readline()
            except (EOFError, gzip.BadGzipFile, zlib.error):
                if finished:
                    raise
                return
            if not line or (not line.endswith(b"\n") and not finished):
                return
            yield lines.decode(line)


def _numbered(path: Path, number: int) -> Path:
    name, suffix = _split(path)
    return path.with_name(f"{name}.{number:06d}{suffix}")


def _rotated(path: Path) -> Iterator[tuple[int, Path]]:
    """The rotated files of a path, each with its number."""
    name, suffix = _split(path)
    pattern = re.compile(rf"{re.escape(name)}\.(\d{{6,}}){re.escape(suffix)}")
    for entry in path.parent.iterdir():
        match = pattern.fullmatch(entry.name)
        if match:
            yield int(match[1]), entry


def _split(path: Path) -> tuple[str, str]:
    """`market.jsonl.gz` as `market` and `.jsonl.gz`."""
    rest = path.name.removesuffix(".gz")
    zipped = path.name[len(rest) :]
    suffix = Path(rest).suffix
    return rest.removesuffix(suffix), suffix + zipped


def _whole_lines(file: BinaryIO) -> int:
    """Where the last whole line of a file ends."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _whole_gzip(file: BinaryIO) -> int:
    """Where the last whole member of a gzip file ends: all of it is read, and its checksums are checked."""
    file.seek(0)
    member = zlib.decompressobj(wbits=31)
    whole = position = 0
    while data := file.read(_BLOCK):
        while data:
            try:
                member.decompress(data)
            except zlib.error:
                return whole
            if not member.eof:
                position += len(data)
                break
            position += len(data) - len(member.unused_data)
            whole, data = position, member.unused_data
            member = zlib.decompressobj(wbits=31)
    return whole


def _sync_folder(folder: Path) -> None:
    """Has the names of the files in a folder on the disk, where the system knows how."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
