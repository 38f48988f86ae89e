"""JSON Lines files: rotation, what a crash leaves, and reading."""

import gzip
import os
import subprocess
import zlib
from pathlib import Path

import pytest

from tests.unit.sinks.stores import make
from wsclient.errors import InvalidRequest, SinkError
from wsclient.sinks.contract import Record
from wsclient.sinks.jsonl import JSONLinesSink, read

NAMES = ["market.jsonl", "market.jsonl.gz"]


def numbers(path: Path) -> list[int]:
    return [record.message["number"] for record in read(path)]


def batches(sink: JSONLinesSink, *sizes: int) -> int:
    """Writes batches of these sizes, numbered from 0; returns how many there were in all."""
    number = 0
    for size in sizes:
        sink.write_many([make(number + i) for i in range(size)])
        number += size
    return number


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_there_at_once_and_read_back(tmp_path: Path, name: str) -> None:
    sink = JSONLinesSink(tmp_path / name)
    records = [make(i, exchange_time=i) for i in range(3)]
    sink.write_many(records[:2])
    sink.write_many([])
    sink.write_many(records[2:])
    assert list(read(tmp_path / name)) == records
    sink.close()
    sink.close()
    assert list(read(tmp_path / name)) == records


def test_other_programs_read_the_compressed_file(tmp_path: Path) -> None:
    sink = JSONLinesSink(tmp_path / "a.jsonl.gz")
    batches(sink, 5, 5)
    sink.close()
    done = subprocess.run(["gzip", "-dc", tmp_path / "a.jsonl.gz"], capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 10


@pytest.mark.parametrize("name", NAMES)
def test_an_existing_file_is_continued(tmp_path: Path, name: str) -> None:
    for number in range(3):
        sink = JSONLinesSink(tmp_path / name)
        sink.write_many([make(number)])
        sink.close()
    assert numbers(tmp_path / name) == [0, 1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_wherever_a_crash_cut_the_file_off_all_whole_batches_before_it_stay(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sink = JSONLinesSink(path)
    sink.write_many([make(0), make(1)])
    first = path.stat().st_size
    sink.write_many([make(2)])
    sink.close()
    whole = path.read_bytes()
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        assert numbers(path)[:2] == [0, 1]  # reading needs no mending
        sink = JSONLinesSink(path)
        assert path.stat().st_size == first
        sink.write_many([make(3)])
        sink.close()
        assert numbers(path) == [0, 1, 3]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rest", [b"\0" * 5000, b'{"time":1,"venue"'], ids=["zeros", "half a line"])
def test_rubbish_behind_the_last_batch_is_cut_off(tmp_path: Path, name: str, rest: bytes) -> None:
    path = tmp_path / name
    sink = JSONLinesSink(path)
    batches(sink, 2)
    sink.close()
    with open(path, "ab") as file:
        file.write(rest)
    JSONLinesSink(path).close()
    assert numbers(path) == [0, 1]


def test_a_file_that_is_nothing_but_half_a_line_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"time":1' + b"x" * 3_000_000)  # longer than a block, too
    sink = JSONLinesSink(path)
    sink.write_many([make(7)])
    sink.close()
    assert numbers(path) == [7]


@pytest.mark.parametrize("name", NAMES)
def test_a_full_file_is_put_aside_and_none_is_larger_than_it_may_be(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sink = JSONLinesSink(path, max_bytes=500)
    count = batches(sink, *[2] * 20)
    sink.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 3
    assert all(file.stat().st_size <= 500 for file in files)
    assert path in files
    assert tmp_path / name.replace(".jsonl", ".000001.jsonl") in files
    assert numbers(path) == list(range(count))


def test_a_batch_larger_than_a_file_may_be_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    sink = JSONLinesSink(path, max_bytes=10)
    batches(sink, 3, 3)
    sink.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.000001.jsonl", "a.jsonl"]


def test_an_old_file_is_put_aside_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for seconds in (0, 59, 60, 61, 119, 120):
        sink = JSONLinesSink(path, max_age=60)
        sink.write_many([make(seconds, time=seconds * 1_000_000)])
        sink.close()
    counts = [len(list(file.read_text().splitlines())) for file in sorted(tmp_path.iterdir())]
    assert counts == [2, 3, 1]  # the last one is a.jsonl
    assert numbers(path) == [0, 59, 60, 61, 119, 120]


def test_rotated_files_are_numbered_on_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    (tmp_path / "a.000041.jsonl").write_bytes(b"")
    sink = JSONLinesSink(path, max_bytes=1)
    batches(sink, 1, 1, 1)
    sink.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "a.000041.jsonl",
        "a.000042.jsonl",
        "a.000043.jsonl",
        "a.jsonl",
    ]


def test_files_of_like_names_are_left_alone(tmp_path: Path) -> None:
    for name in ("b.000001.jsonl", "a.000001.jsonl.gz", "a.1.jsonl", "a.000001.json"):
        (tmp_path / name).write_text("not ours")
    sink = JSONLinesSink(tmp_path / "a.jsonl")
    batches(sink, 2)
    sink.close()
    assert numbers(tmp_path / "a.jsonl") == [0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_is_full_for_a_while_leaves_no_trace(tmp_path: Path, name: str) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / name
    sink = JSONLinesSink(path)
    sink.write_many([make(0)])
    before = path.read_bytes()
    more = [make(number) for number in range(1, 2000)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # no file may grow beyond this, so that a part of the batch is written and the rest fails
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1000, hard))
    try:
        with pytest.raises(OSError):
            sink.write_many(more)
        assert path.read_bytes() == before
        with pytest.raises(OSError):
            sink.write_many(more)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sink.write_many(more)
    sink.close()
    assert numbers(path) == list(range(2000))


def test_a_rotation_that_fails_half_way_is_taken_up_again(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    sink = JSONLinesSink(folder / "a.jsonl", max_bytes=1)
    sink.write_many([make(0)])
    moved = folder.rename(tmp_path / "moved")
    for _ in range(2):
        with pytest.raises(OSError):
            sink.write_many([make(1)])
    moved.rename(folder)
    sink.write_many([make(1)])
    sink.close()
    assert numbers(folder / "a.jsonl") == [0, 1]


@pytest.mark.skipif(os.name == "nt", reason="needs flock")
def test_two_sinks_do_not_write_to_one_file(tmp_path: Path) -> None:
    sink = JSONLinesSink(tmp_path / "a.jsonl")
    with pytest.raises(SinkError, match="somebody else"):
        JSONLinesSink(tmp_path / "a.jsonl")
    sink.close()
    JSONLinesSink(tmp_path / "a.jsonl").close()


def test_a_file_of_something_else_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    with pytest.raises(SinkError, match="something else"):
        JSONLinesSink(path)
    assert path.read_text() == "my notes\n"


@pytest.mark.parametrize("policy", ["batch", "close", "never"])
def test_the_disk_is_asked_as_often_as_the_policy_says(
    tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)  # what the system does with it can't be seen from here
    sink = JSONLinesSink(tmp_path / "a.jsonl", fsync=policy)  # type: ignore[arg-type]
    opened = len(synced)
    batches(sink, 1, 1, 1)
    written = len(synced)
    sink.close()
    assert (opened, written - opened, len(synced) - written) == {
        "batch": (1, 3, 1),
        "close": (1, 0, 1),
        "never": (0, 0, 0),
    }[policy]


@pytest.mark.parametrize("name", NAMES)
def test_reading_finds_by_venue_product_type_and_time(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    records = [
        Record(venue, product, kind, time, "{}", None, None, {})
        for time, (venue, product, kind) in enumerate(
            (v, p, k) for v in ("coinbase", "binance") for p in ("A", "B", None) for k in ("x", "y", None)
        )
    ]
    sink = JSONLinesSink(path, max_bytes=200)
    for record in records:
        sink.write_many([record])
    sink.close()
    assert list(read(path)) == records
    assert [r.time for r in read(path, venue="binance", product="B")] == [12, 13, 14]
    assert [r.time for r in read(path, type="y")] == [1, 4, 7, 10, 13, 16]
    assert [r.time for r in read(path, since=5, until=8)] == [5, 6, 7]
    assert list(read(path, venue="nowhere")) == []


def test_damage_in_a_rotated_file_is_told_and_not_taken_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    sink = JSONLinesSink(path, max_bytes=1)
    batches(sink, 1, 1)
    sink.close()
    rotated = tmp_path / "a.000001.jsonl.gz"
    rotated.write_bytes(rotated.read_bytes()[:-4])
    with pytest.raises((EOFError, gzip.BadGzipFile, zlib.error)):
        list(read(path))


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "a.jsonl"))


def test_a_closed_sink_takes_nothing(tmp_path: Path) -> None:
    sink = JSONLinesSink(tmp_path / "a.jsonl")
    sink.close()
    with pytest.raises(SinkError):
        sink.write_many([make(0)])


def test_a_place_that_cannot_be_written_to_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"nowhere.*No such file"):
        JSONLinesSink(tmp_path / "nowhere" / "a.jsonl")


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    for options in ({"max_bytes": 0}, {"max_age": 0}, {"fsync": "sometimes"}):
        with pytest.raises(InvalidRequest):
            JSONLinesSink(tmp_path / "a.jsonl", **options)
    assert list(tmp_path.iterdir()) == []
