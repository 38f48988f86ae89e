"""Sinks by URL."""

import sys
from pathlib import Path

import pytest

from wsclient.errors import InvalidRequest
from wsclient.sinks import JSONLinesSink, SQLiteSink, open_sink


@pytest.mark.parametrize(
    ("scheme", "kind"), [("jsonl", JSONLinesSink), ("sqlite", SQLiteSink)], ids=["jsonl", "sqlite"]
)
def test_the_scheme_chooses_and_the_path_is_relative_or_absolute(
    scheme: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for url, path in (
        (f"{scheme}:market", "market"),
        (f"{scheme}:./a%20b%3F", "a b?"),
        (f"{scheme}:{tmp_path}/absolute", "absolute"),
        (f"{scheme}://{tmp_path}/three", "three"),
    ):
        sink = open_sink(url)
        assert isinstance(sink, kind)
        sink.close()
        assert (tmp_path / path).is_file()


def test_options_follow_a_question_mark(tmp_path: Path) -> None:
    for url in (
        "jsonl:{}/a.jsonl?max_bytes=5&max_age=1.5&fsync=batch",
        "sqlite:{}/a.db?synchronous=full&busy_timeout=1",
    ):
        open_sink(url.format(tmp_path)).close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "market.db",
        "/var/market.db",
        "postgres://host/db",
        "sqlite:",
        "sqlite:?synchronous=full",
        "sqlite://host/market.db",
        "jsonl:folder/",
        "jsonl:a%00b",
        "jsonl:a?color=red",
        "jsonl:a?max_bytes=many",
        "jsonl:a?fsync=perhaps",
        "sqlite:a?synchronous=perhaps",
        5,
        None,
    ],
)
def test_what_names_no_sink_is_refused_and_makes_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest):
        open_sink(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["mongodb:", "mongodb://user:s3cret@host:port/db", "mongodb://us er:s3cret@@/x"])
def test_a_mongodb_url_that_is_wrong_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        open_sink(url)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_without_pymongo_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(ImportError, match="wsclient\\[mongo\\]"):
        open_sink("mongodb://localhost")
