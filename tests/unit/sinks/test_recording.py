"""Attaching a sink to something that brings messages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sinks.stores import Store
from wsclient import sinks
from wsclient.errors import InvalidRequest, SinkError
from wsclient.sinks import SinkQueue, attach, read_jsonl, read_sqlite
from wsclient.sinks.contract import Record, Shape


class Feed:
    """The least that can be recorded."""

    venue = "coinbase"

    def __init__(self) -> None:
        self.taps: list[Callable[[str], object]] = []

    def tap(self, fn: Callable[[str], object]) -> Callable[[], None]:
        self.taps.append(fn)
        return lambda: self.taps.remove(fn)

    def say(self, *texts: str) -> None:
        for text in texts:
            for fn in self.taps:
                fn(text)


class NamelessFeed(Feed):
    venue = None  # type: ignore[assignment]


class BrokenFeed(Feed):
    def tap(self, fn: Callable[[str], object]) -> Callable[[], None]:
        raise RuntimeError("no taps here")


MATCH = '{"type":"match","product_id":"BTC-USD","price":"1.10"}'


@pytest.mark.parametrize(("scheme", "read"), [("jsonl", read_jsonl), ("sqlite", read_sqlite)])
def test_one_call_records_a_feed(tmp_path: Path, scheme: str, read: Callable[[Path], Iterator[Record]]) -> None:
    feed = Feed()
    feed.say("before")
    with attach(feed, f"{scheme}:{tmp_path}/kept") as recording:
        feed.say(MATCH, "no JSON")
        recording.flush(10)
        assert recording.counts.written == 2
    feed.say("after")
    first, second = read(tmp_path / "kept")
    assert first[:3] == ("coinbase", "BTC-USD", "match")
    assert first.text == MATCH
    assert second[:3] == ("coinbase", None, None)
    assert feed.taps == []


def test_detaching_keeps_what_came_before_and_the_queue_for_others() -> None:
    store, first, second = Store(), Feed(), Feed()
    with SinkQueue(store) as queue:
        one, two = attach(first, queue), attach(second, queue, venue="elsewhere")
        first.say("a")
        one.detach()
        one.detach()
        first.say("b")
        one.close()
        second.say("c")
        two.close()
        assert store.closings == 0
    assert [(record.venue, record.text) for batch in store.batches for record in batch] == [
        ("coinbase", "a"),
        ("elsewhere", "c"),
    ]
    assert store.closings == 1


def test_a_sink_that_was_given_is_closed_with_the_recording() -> None:
    store = Store()
    recording = attach(Feed(), store)
    recording.close()
    recording.close()
    assert store.closings == 1


def test_what_could_not_be_written_is_told_where_the_recording_ends() -> None:
    store, feed = Store(), Feed()
    store.away = 10**9
    recording = attach(feed, store, on_error=lambda _: None)
    feed.say("a")
    with pytest.raises(SinkError):
        recording.close(0.01)
    assert feed.taps == []


def test_a_classifier_of_ones_own_and_a_venue_nobody_knows() -> None:
    store, feed = Store(), Feed()
    with attach(feed, store, venue="mine", classify=lambda message: Shape(message["p"])):
        feed.say('{"p": "A-B"}')
    with attach(feed, store, venue="mine"):
        feed.say('{"p": "A-B"}')
    assert [(r.venue, r.product) for batch in store.batches for r in batch] == [("mine", "A-B"), ("mine", None)]


def test_a_source_without_a_name_or_a_tap_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/kept"
    with pytest.raises(InvalidRequest, match="venue"):
        attach(NamelessFeed(), url)
    with pytest.raises(InvalidRequest, match="recorded"):
        attach(object(), url, venue="mine")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_cannot_be_tapped_leaves_nothing_open() -> None:
    store = Store()
    with pytest.raises(RuntimeError):
        attach(BrokenFeed(), store)
    assert store.closings == 1


@pytest.mark.parametrize("sink", [5, None, b"sqlite:market.db", object()])
def test_what_is_no_sink_is_refused(sink: Any) -> None:
    with pytest.raises(InvalidRequest, match="a sink has write_many"):
        attach(Feed(), sink)


def test_wrong_options_leave_nothing_open() -> None:
    store = Store()
    with pytest.raises(InvalidRequest):
        attach(Feed(), store, size=0)
    assert store.closings == 1


def test_every_public_name_is_there_and_no_other() -> None:
    for name in sinks.__all__:
        assert getattr(sinks, name) is not None
        assert name in dir(sinks)
    assert not hasattr(sinks, "attache")
