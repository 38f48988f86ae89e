"""Books that fetch their snapshots: what counts, what is tried again, and when."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from wsclient import ClientClosed, NotFound, ProtocolError, RateLimited, TooFast, TransportError
from wsclient.binance import SlowDown
from wsclient.books import Levels
from wsclient.core.worker import Job
from wsclient.decimals import pairs
from wsclient.fetched import FetchedBook, Outcome

Message = dict[str, Any]


class Source:
    """Takes the wishes of a book; the test grants them in any order."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.told: list[Callable[[Outcome], object]] = []
        self.cancelled: list[int] = []  # by when they were wished for

    def __call__(self, delay: float, told: Callable[[Outcome], object]) -> Job:
        number = len(self.told)
        self.delays.append(delay)
        self.told.append(told)
        return Job(lambda: None, lambda job: self.cancelled.append(number))


class Numbered(FetchedBook):
    """A snapshot has a number, and a notice the one after it."""

    at = 0

    def _adopt(self, message: Message) -> bool:
        if self._held and message["at"] + 1 < self._held[0]["at"]:
            return False
        self._levels.replace(pairs(message["bids"]), [])
        self.at = message["at"]
        return True

    def _apply(self, notice: Message) -> bool:
        if notice["at"] <= self.at:
            return False
        if notice["at"] > self.at + 1:
            self._lose()
        self.at = notice["at"]
        return True


def snapshot(at: int, bids: Any = ()) -> Message:
    return {"at": at, "bids": list(bids)}


def made() -> tuple[Numbered, Source, list[Exception]]:
    source, reported = Source(), list[Exception]()
    book = Numbered(Levels(), fetch=source, report=reported.append, random=lambda: 1.0)
    book.begin()
    return book, source, reported


def test_the_first_is_fetched_at_once_and_each_next_one_later() -> None:
    book, source, reported = made()
    for number in range(7):
        source.told[number](TransportError("gone"))
    assert source.delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert len(reported) == 7
    source.told[7](snapshot(1))
    assert not book.stale
    book.notice({"at": 5})  # a gap: it begins anew, and without a delay since the last one was good
    assert book.stale
    assert source.delays[8:] == [0.0]


def test_what_was_begun_before_a_loss_counts_no_more_and_is_cancelled() -> None:
    book, source, _ = made()
    book.lost()
    assert source.cancelled == [0]
    source.told[0](snapshot(1))
    assert book.stale
    assert len(source.told) == 1
    book.begin()
    source.told[0](snapshot(2))
    assert book.stale
    source.told[1](snapshot(3))
    assert (book.stale, book.at) == (False, 3)


@pytest.mark.parametrize("outcome", [snapshot(1), TransportError("gone"), NotFound(404, "no", {}), {}])
def test_nothing_that_comes_after_the_connection_was_lost_begins_anything(outcome: Any) -> None:
    book, source, reported = made()
    book.given_up(TransportError("no connection"))
    source.told[0](outcome)
    assert book.stale
    assert len(source.told) == 1
    assert not reported
    with pytest.raises(TransportError, match="no connection"):
        book.wait(0)


def test_one_older_than_what_is_held_is_fetched_once_more_and_the_notices_are_kept() -> None:
    book, source, reported = made()
    book.notice({"at": 8})
    source.told[0](snapshot(5))
    assert book.stale
    assert source.delays == [0.0, 0.5]
    source.told[1](snapshot(7))
    assert (book.stale, book.at) == (False, 8)
    assert not reported


def test_a_gap_in_what_was_held_fetches_one_more_and_not_two() -> None:
    book, source, _ = made()
    book.notice({"at": 8})
    book.notice({"at": 10})
    source.told[0](snapshot(7))
    assert book.stale
    assert len(source.told) == 2
    source.told[1](snapshot(11))
    assert not book.stale


def test_one_that_cant_be_read_is_reported_and_fetched_once_more() -> None:
    book, source, reported = made()
    source.told[0](snapshot(1, [["dear", "1"]]))
    assert [type(error) for error in reported] == [ProtocolError]
    assert (book.stale, len(source.told)) == (True, 2)
    source.told[1](snapshot(1, [["1", "1"]]))
    assert book.best_bid == (Decimal(1), Decimal(1))


def test_a_refusal_is_told_to_whoever_waits_and_ends_it_until_it_is_asked_for_again() -> None:
    book, source, reported = made()
    refusal = NotFound(404, "there is no such market", {})
    source.told[0](refusal)
    assert reported == [refusal]
    with pytest.raises(NotFound):
        book.wait(0)
    book.begin()
    assert len(source.told) == 1
    assert book.claim()
    book.begin()
    source.told[1](snapshot(1))
    assert not book.stale


@pytest.mark.parametrize("kind", [SlowDown, RateLimited])
def test_a_refusal_for_asking_too_much_is_no_end_and_it_is_asked_again_when_it_may(
    kind: type[RateLimited],
) -> None:
    book, source, reported = made()
    refusal = kind(-1003, "too much", {})
    source.told[0](refusal)
    assert source.delays == [0.0, 0.5]
    source.told[1](SlowDown(-1003, "too much", {}, retry_after=30.0))
    source.told[2](TooFast("not sent", 29.0))
    assert source.delays == [0.0, 0.5, 30.0, 29.0]
    assert len(reported) == 3
    source.told[3](snapshot(1))
    assert not book.stale


def test_once_the_client_is_stopped_that_snapshots_come_from_the_book_has_failed() -> None:
    book, source, reported = made()
    closed = ClientClosed("the client was stopped")
    source.told[0](closed)
    assert len(source.told) == 1
    assert reported == [closed]
    with pytest.raises(ClientClosed):
        book.wait(0)


def test_a_closed_book_wants_nothing_any_more() -> None:
    book, source, _ = made()
    book.close()
    assert source.cancelled == [0]
    source.told[0](snapshot(1))
    assert book.stale
    assert len(source.told) == 1
