"""The SQLite database: what is in it, how it is found, and what others may do to it meanwhile."""

import sqlite3
from pathlib import Path

import pytest

from tests.unit.sinks.stores import make
from wsclient.errors import InvalidRequest, SinkError
from wsclient.sinks.contract import Record
from wsclient.sinks.sqlite import SQLiteSink, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "market.db"


def kept(record: Record) -> Record:
    """What a database gives back of a record."""
    return record._replace(id=None, message=None)


def test_what_is_written_is_there_at_once_and_read_back(path: Path) -> None:
    sink = SQLiteSink(path)
    records = [make(0, exchange_time=5), make(1, product=None, type=None), make(2, text="\x00 no JSON ✓")]
    sink.write_many(records)
    assert list(read(path)) == [kept(record) for record in records]
    sink.close()
    sink.close()
    assert list(read(path)) == [kept(record) for record in records]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 63, 511, 585, 4095, 4097, 10_000])
def test_batches_of_every_size_are_written_whole_and_in_order(path: Path, size: int) -> None:
    sink = SQLiteSink(path)
    sink.write_many([make(number) for number in range(size)])
    sink.close()
    assert [record.time for record in read(path)] == [make(number).time for number in range(size)]


def test_an_existing_database_is_continued(path: Path) -> None:
    for number in range(3):
        sink = SQLiteSink(path)
        sink.write_many([make(number)])
        sink.close()
    assert len(list(read(path))) == 3


def test_the_database_is_in_wal_mode_and_finds_by_its_indexes(path: Path) -> None:
    SQLiteSink(path).close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    for question, index in (
        ("venue = 'v' AND product = 'p' AND type = 't' AND time >= 5 ORDER BY time, id", "messages_by_market"),
        ("venue = 'v' AND product = 'p'", "messages_by_market"),
        ("time >= 5 AND time < 9 ORDER BY time, id", "messages_by_time"),
    ):
        plan = database.execute(f"EXPLAIN QUERY PLAN SELECT * FROM messages WHERE {question}").fetchall()
        assert index in plan[0][3]
        assert len(plan) == 1, "it should need no sorting"
    database.close()


def test_reading_finds_by_venue_product_type_and_time(path: Path) -> None:
    sink = SQLiteSink(path)
    sink.write_many(
        [
            make(time, venue=venue, product=product, type=kind, time=time)
            for time, (venue, product, kind) in enumerate(
                (v, p, k) for v in ("coinbase", "binance") for p in ("A", "B", None) for k in ("x", "y", None)
            )
        ]
    )
    sink.close()
    assert [r.time for r in read(path)] == list(range(18))
    assert [r.time for r in read(path, venue="binance", product="B")] == [12, 13, 14]
    assert [r.time for r in read(path, type="y")] == [1, 4, 7, 10, 13, 16]
    assert [r.time for r in read(path, "coinbase", "A", "x", 0, 1)] == [0]
    assert [r.time for r in read(path, since=5, until=8)] == [5, 6, 7]
    assert list(read(path, venue="' OR 1=1 --")) == []


def test_messages_of_the_same_time_stay_in_their_order(path: Path) -> None:
    sink = SQLiteSink(path)
    sink.write_many([make(number, time=5) for number in range(100)])
    sink.close()
    assert [record.text for record in read(path)] == [make(number).text for number in range(100)]


def test_reading_is_not_disturbed_by_writing(path: Path) -> None:
    sink = SQLiteSink(path)
    sink.write_many([make(number) for number in range(1000)])
    rows = read(path)
    next(rows)
    sink.write_many([make(number) for number in range(1000, 2000)])
    assert len(list(rows)) == 999
    sink.close()
    assert len(list(read(path))) == 2000


def test_while_another_program_has_the_database_a_batch_fails_whole_and_can_be_tried_again(path: Path) -> None:
    sink = SQLiteSink(path, busy_timeout=0.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    records = [make(number) for number in range(10)]
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sink.write_many(records)
    other.execute("ROLLBACK")
    other.close()
    sink.write_many(records)
    sink.close()
    assert len(list(read(path))) == 10


def test_a_batch_that_fails_in_its_middle_leaves_nothing_behind(path: Path) -> None:
    sink = SQLiteSink(path)
    good = [make(number) for number in range(600)]
    with pytest.raises(sqlite3.IntegrityError):
        sink.write_many([*good, make(600, venue=None)])
    assert list(read(path)) == []
    sink.write_many(good)
    sink.close()
    assert len(list(read(path))) == 600


def test_half_a_surrogate_pair_is_kept_as_an_escape(path: Path) -> None:
    sink = SQLiteSink(path)
    sink.write_many([make(0), make(1, text="\ud800"), make(2)])
    sink.close()
    assert [record.text for record in read(path)] == [make(0).text, "\\ud800", make(2).text]


def test_a_database_of_something_else_is_not_touched(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mine (a)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(SinkError, match="something else"):
        SQLiteSink(path)
    assert path.read_bytes() == before


def test_what_is_no_database_or_in_no_folder_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes, which are long enough to be looked at " * 30)
    for path in (tmp_path / "notes.txt", tmp_path / "nowhere" / "market.db"):
        with pytest.raises(SinkError):
            SQLiteSink(path)
        with pytest.raises(SinkError):
            list(read(path))


def test_reading_makes_no_database(path: Path) -> None:
    with pytest.raises(SinkError):
        list(read(path))
    assert not path.exists()


def test_paths_with_signs_that_mean_something_in_urls_are_paths(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c %20.db"
    sink = SQLiteSink(path)
    sink.write_many([make(0)])
    sink.close()
    assert len(list(read(path))) == 1


def test_a_closed_sink_takes_nothing(path: Path) -> None:
    sink = SQLiteSink(path)
    sink.close()
    with pytest.raises(SinkError):
        sink.write_many([make(0)])


def test_wrong_options_are_refused(path: Path) -> None:
    with pytest.raises(InvalidRequest):
        SQLiteSink(path, synchronous="perhaps")  # type: ignore[arg-type]
    assert not path.exists()
