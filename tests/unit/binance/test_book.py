"""The book by its rule: what is dropped, what is a gap, and what begins again."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from wsclient.binance.book import OrderBook
from wsclient.core.worker import Job
from wsclient.errors import BadRequest, ProtocolError, TransportError


class Snapshots:
    """Takes the wishes of a book, to be fulfilled by the test."""

    def __init__(self) -> None:
        self.wishes: list[tuple[float, Callable[[Any], object]]] = []

    def __call__(self, delay: float, told: Callable[[Any], object]) -> Job:
        self.wishes.append((delay, told))
        return Job(lambda: None, lambda job: None)

    def fulfil(self, outcome: Any) -> float:
        """The delay that was wished for."""
        delay, told = self.wishes.pop(0)
        told(outcome)
        return delay


def listed(rows: Any) -> list[list[str]]:
    return [list(row) for row in rows]


def snapshot(update_id: Any = 10, bids: Any = (("1.5", "2"),), asks: Any = (("1.6", "3"),)) -> dict[str, Any]:
    return {"lastUpdateId": update_id, "bids": listed(bids), "asks": listed(asks)}


def event(first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    return {"e": "depthUpdate", "U": first, "u": last, "b": listed(bids), "a": listed(asks)}


def made() -> tuple[OrderBook, Snapshots]:
    snapshots = Snapshots()
    book = OrderBook("BNBBTC", snapshots)
    book.subscribed()
    return book, snapshots


def prices(book: OrderBook) -> list[tuple[str, str]]:
    return [(str(level.price), str(level.quantity)) for level in (*book.depth().bids, *book.depth().asks)]


def test_held_events_are_applied_to_the_snapshot_but_for_those_it_has() -> None:
    book, snapshots = made()
    book.put(event(8, 9, bids=[("9", "9")]))
    book.put(event(10, 12, bids=[("1.4", "1"), ("1.5", "0")]))
    snapshots.fulfil(snapshot(10))
    assert not book.stale
    assert book.update_id == 12
    assert prices(book) == [("1.4", "1"), ("1.6", "3")]
    book.put(event(13, 13, asks=[("1.6", "0.00000000")]))
    book.put(event(12, 13, asks=[("1.6", "7")]))  # known
    assert prices(book) == [("1.4", "1")]
    assert book.best_bid == (Decimal("1.4"), Decimal(1))


def test_a_snapshot_older_than_what_is_held_is_fetched_once_more_and_nothing_is_forgotten() -> None:
    book, snapshots = made()
    book.put(event(20, 21, bids=[("1.4", "1")]))
    assert snapshots.fulfil(snapshot(10)) == 0
    assert book.stale
    snapshots.fulfil(snapshot(20))
    assert book.update_id == 21
    assert ("1.4", "1") in prices(book)
    assert not snapshots.wishes


def test_a_gap_makes_it_stale_until_the_next_snapshot() -> None:
    book, snapshots = made()
    snapshots.fulfil(snapshot(10))
    book.put(event(12, 12))
    assert book.stale
    book.put(event(13, 13, bids=[("1", "1")]))
    snapshots.fulfil(snapshot(12))
    assert not book.stale
    assert book.update_id == 13


def test_an_event_that_is_nested_too_deeply_makes_it_start_again() -> None:
    book, snapshots = made()
    snapshots.fulfil(snapshot(10))
    book.put('{"stream":"bnbbtc@depth","data":' + "[" * 200_000 + "]" * 200_000 + "}")
    assert book.stale
    snapshots.fulfil(snapshot(11))
    assert not book.stale


def test_what_went_wrong_is_tried_again_later_and_a_refusal_is_not() -> None:
    book, snapshots = made()
    snapshots.fulfil(TransportError("gone"))
    snapshots.fulfil({"lastUpdateId": "x"})
    snapshots.fulfil(snapshot(1, bids=[("NaN", "1")]))
    assert book.stale
    snapshots.fulfil(snapshot(10))
    assert not book.stale
    book.lost()
    book.subscribed()
    snapshots.fulfil(BadRequest(-1121, "Invalid symbol.", {"method": "depth"}))
    assert not snapshots.wishes
    with pytest.raises(BadRequest):
        book.wait(0)


def test_a_snapshot_from_before_a_loss_counts_no_more() -> None:
    book, snapshots = made()
    book.lost()
    book.subscribed()
    snapshots.fulfil(snapshot(10))  # the one asked for first
    assert book.stale
    snapshots.fulfil(snapshot(11))
    assert book.update_id == 11


@pytest.mark.parametrize(
    "wrong",
    ['{"data": 5}', "{", '{"data": {"U": 11}}', '{"data": {"U": 11, "u": 11, "b": [["1", 2]], "a": []}}'],
)
def test_an_event_that_cant_be_read_makes_it_start_again(wrong: str) -> None:
    book, snapshots = made()
    snapshots.fulfil(snapshot(10))
    book.put(wrong)
    assert book.stale
    snapshots.fulfil(snapshot(12))
    assert book.wait(0).update_id == 12


def test_a_failed_book_says_why() -> None:
    book, snapshots = made()
    book.failed(ProtocolError("over"))
    snapshots.fulfil(snapshot(10))  # too late
    with pytest.raises(ProtocolError):
        book.wait(0)
