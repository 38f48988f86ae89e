"""Coinbase's books: levels, and orders one by one."""

import itertools
import random
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.sandbox.coinbase_books import FullBook as Reference
from wsclient import ProtocolError
from wsclient.books import Order
from wsclient.coinbase import FullBook, LevelBook
from wsclient.core.worker import Job

Message = dict[str, Any]


class Fetched:
    """Counts how often a snapshot was asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: object) -> Job:
        self.count += 1
        return Job(lambda: None, lambda job: None)


def page(sequence: int, bids: list[list[str]] | None = None, asks: list[list[str]] | None = None) -> Message:
    return {"sequence": sequence, "bids": bids or [], "asks": asks or []}


def opened(sequence: int, id: str, size: str = "1", price: str = "100", side: str = "buy") -> Message:
    return {
        "type": "open", "sequence": sequence, "order_id": id, "side": side, "price": price, "remaining_size": size,
    }  # fmt: skip


def done(sequence: int, id: str) -> Message:
    return {"type": "done", "sequence": sequence, "order_id": id, "side": "buy", "reason": "canceled"}


def matched(sequence: int, maker: str, size: str) -> Message:
    return {"type": "match", "sequence": sequence, "maker_order_id": maker, "taker_order_id": "t", "size": size}


def made(fetched: Fetched, **options: Any) -> FullBook:
    return FullBook("A-B", fetch=fetched, report=lambda error: None, **options)


def whole(*rows: list[str], sequence: int = 10) -> tuple[FullBook, Fetched]:
    fetched = Fetched()
    book = made(fetched)
    book.asked()
    book.answered({"type": "subscriptions"})
    book.answered(page(sequence, [*rows]))
    assert not book.stale
    return book, fetched


# ---------------------------------------------------------------- level 2


def test_a_level_book_begins_with_its_snapshot_and_takes_absolute_sizes() -> None:
    book = LevelBook("A-B")
    book.asked()
    book.answered({"type": "subscriptions"})
    assert book.stale
    book.answered({"type": "snapshot", "bids": [["100.10", "2"], ["99", "1"]], "asks": [["101", "0.5"]]})
    assert book.best_bid == (Decimal("100.10"), Decimal(2))
    changes = [["buy", "100.10", "0"], ["sell", "101", "0.25"], ["sell", "100.50", "1"]]
    book.notice({"type": "l2update", "changes": changes})
    assert book.depth().bids == ((Decimal(99), Decimal(1)),)
    assert book.depth().asks == ((Decimal("100.50"), Decimal(1)), (Decimal(101), Decimal("0.25")))


def test_updates_before_the_snapshot_are_applied_to_it() -> None:
    book = LevelBook("A-B")
    book.asked()
    book.notice({"type": "l2update", "changes": [["buy", "100", "0.0"]]})
    book.answered({"type": "snapshot", "bids": [["100", "2"]], "asks": []})
    assert book.best_bid is None
    assert not book.stale


def test_a_snapshot_that_does_not_come_is_asked_for_again_at_the_third_heartbeat() -> None:
    renewed = Fetched()
    book = LevelBook("A-B", renew=renewed)
    for _ in range(5):
        book.beat()
    assert renewed.count == 0
    book.asked()
    for _ in range(3):
        book.beat()
    assert renewed.count == 1
    book.answered({"type": "snapshot", "bids": [], "asks": []})
    for _ in range(5):
        book.beat()
    assert renewed.count == 1


@pytest.mark.parametrize(
    "changes",
    [
        None,
        [["buy", "1"]],
        [["up", "1", "1"]],
        [["buy", 1, "1"]],
        [["buy", "1", "NaN"]],
        [["buy", [], "1"]],
        [["buy", "1", "-1"]],
    ],
)
def test_an_update_that_cannot_be_read_leaves_the_book_stale(changes: object) -> None:
    book = LevelBook("A-B")
    book.asked()
    book.answered({"type": "snapshot", "bids": [], "asks": []})
    with pytest.raises(ProtocolError):
        book.notice({"type": "l2update", "changes": changes})
    assert book.stale


# ---------------------------------------------------------------- level 3


def test_a_full_book_has_each_order_by_priority() -> None:
    book, _ = whole(["100", "1", "a"], ["100", "2", "b"])
    book.notice(opened(11, "c", "3", "101"))
    book.notice(opened(12, "d", "4", "102", "sell"))
    book.notice(opened(13, "e", "5", "100"))
    assert [order.id for order in book.orders] == ["c", "a", "b", "e", "d"]
    assert book.orders[-1] == Order("d", Decimal(-4), Decimal(102), book.orders[-1].time)
    assert book.best_ask == (Decimal(102), Decimal(4))
    assert book.depth(5).bids == ((Decimal(101), Decimal(3)), (Decimal(100), Decimal(8)))
    assert (len(book), book.sequence, bool(book)) == (5, 13, True)


def test_matches_reduce_the_maker_and_done_removes_it() -> None:
    book, _ = whole(["100", "1.5", "a"])
    book.notice(matched(11, "a", "0.5"))
    assert book.best_bid == (Decimal(100), Decimal("1.0"))
    book.notice(matched(12, "a", "1.0"))
    assert book.best_bid is None
    book.notice(done(13, "a"))
    book.notice(done(14, "never rested"))
    assert (len(book), book.stale, book.sequence) == (0, False, 14)


def test_received_opens_nothing() -> None:
    book, _ = whole()
    book.notice({"type": "received", "sequence": 11, "order_id": "a", "side": "buy", "price": "100", "size": "1"})
    assert (len(book), book.sequence) == (0, 11)


def test_a_smaller_size_keeps_its_place_and_a_larger_size_or_another_price_does_not() -> None:
    book, _ = whole(["100", "2", "a"], ["100", "2", "b"])
    change = {"type": "change", "side": "buy", "price": "100"}
    book.notice({**change, "sequence": 11, "order_id": "a", "new_size": "1"})
    assert [order.id for order in book.orders] == ["a", "b"]
    book.notice({**change, "sequence": 12, "order_id": "a", "new_size": "3"})
    assert [order.id for order in book.orders] == ["b", "a"]
    book.notice({**change, "sequence": 13, "order_id": "b", "new_size": "2", "new_price": "99"})
    assert [(order.id, str(order.price)) for order in book.orders] == [("a", "100"), ("b", "99")]
    book.notice({**change, "sequence": 14, "order_id": "unheard of", "new_size": "2"})
    book.notice({**change, "sequence": 15, "order_id": "a", "new_funds": "2"})
    assert not book.stale


def test_a_gap_makes_it_stale_at_once_and_only_a_later_snapshot_whole() -> None:
    book, fetched = whole(["100", "1", "a"])
    staleness: list[bool] = []
    book.on_change(lambda book: staleness.append(book.stale))
    book.notice(opened(12, "c"))
    assert book.stale
    assert staleness == [True]
    assert fetched.count == 2  # once to begin with
    book.answered(page(11, [["100", "1", "b"]]))  # without c
    assert book.stale
    assert fetched.count == 3
    book.notice(opened(13, "d"))
    book.answered(page(12, [["100", "1", "b"], ["100", "1", "c"]]))
    assert not book.stale
    assert [order.id for order in book.orders] == ["b", "c", "d"]


def test_late_and_repeated_messages_change_nothing() -> None:
    book, fetched = whole(["100", "1", "a"])
    book.notice(opened(11, "b"))
    version = book.version
    book.notice(opened(11, "b"))
    book.notice(done(10, "a"))
    assert (book.version, len(book), book.stale, fetched.count) == (version, 2, False, 1)


def test_a_heartbeat_shows_what_is_missing() -> None:
    book, fetched = whole(["100", "1", "a"])
    book.missing(10)
    assert not book.stale
    book.missing(12)
    assert book.stale
    book.answered(page(11))
    assert book.stale
    assert fetched.count == 3
    book.answered(page(12))
    assert not book.stale


def test_a_match_with_an_order_that_should_rest_shows_that_something_is_wrong() -> None:
    book, fetched = whole(["100", "1", "a"])
    book.notice(matched(11, "unheard of", "1"))
    assert book.stale
    assert fetched.count == 2
    book, fetched = whole(["100", "1", "a"])
    book.notice(matched(11, "a", "1.5"))
    assert book.stale


def test_a_new_connection_may_begin_anywhere() -> None:
    book, _ = whole(["100", "1", "a"])
    book.notice(opened(20, "x"))
    book.lost()
    assert book.stale
    book.notice(opened(21, "y"))
    book.asked()
    book.answered({"type": "subscriptions"})
    book.answered(page(5, [["100", "1", "b"]]))
    assert not book.stale
    assert book.sequence == 5


def test_too_many_messages_before_the_snapshot_make_it_wait_for_a_later_one() -> None:
    fetched = Fetched()
    book = made(fetched, max_held=3)
    book.asked()
    for number in range(11, 18):
        book.notice(opened(number, f"o{number}"))
    book.answered(page(12))
    assert book.stale
    book.answered(page(16, [["100", "1", "a"]]))
    assert [order.id for order in book.orders] == ["a", "o17"]


def test_messages_that_take_too_much_before_the_snapshot_make_it_wait_for_a_later_one() -> None:
    fetched = Fetched()
    book = made(fetched, max_held_bytes=20_000)
    book.asked()
    for number in range(11, 18):
        book.notice({**opened(number, f"o{number}"), "more": "x" * 5000})
    book.answered(page(12))
    assert book.stale
    book.answered(page(16, [["100", "1", "a"]]))
    assert [order.id for order in book.orders] == ["a", "o17"]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "open", "sequence": 11},
        opened(11, "a", "dear"),
        opened(11, "a", side="up"),
        opened(11, "a", "0"),
        opened(11, "a", "-1"),
        {**opened(11, "a"), "order_id": []},
        {**opened(11, "a"), "price": 5},
        {**opened(11, "a"), "price": []},
        matched(11, "a", "x"),
        matched(11, "a", "-1"),
        {"type": "change", "sequence": 11, "order_id": "a", "new_size": "-1", "price": "100"},
    ],
)
def test_a_message_that_cannot_be_read_leaves_the_book_stale(message: Message) -> None:
    book, _ = whole(["100", "1", "a"])
    with pytest.raises(ProtocolError):
        book.notice(message)
    assert book.stale


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        page(11) | {"bids": [["1"]]},
        page(11) | {"asks": [["1", "1", 5]]},
        page(11) | {"sequence": "x"},
        page(11, [["1", "-1", "a"]]),
    ],
)
def test_a_snapshot_that_cannot_be_read_is_a_protocol_error(wrong: Message) -> None:
    book = made(Fetched())
    book.asked()
    with pytest.raises(ProtocolError):
        book.answered({"bids": [], **wrong})
    assert book.stale


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_in_order_it_is_as_the_reference_has_it(seed: int) -> None:
    draw, numbers = random.Random(seed), itertools.count(11)
    book, _ = whole()
    reference = Reference(sequence=10)
    live: list[str] = []
    for step in range(1500):
        number = next(numbers)
        kind = draw.random()
        if kind < 0.5 or not live:
            side, around = draw.choice((("buy", 90), ("sell", 110)))
            message = opened(
                number, f"o{step}", f"{draw.randint(1, 50)}.5", str(around + draw.randint(-9, 9)), side
            )
            live.append(f"o{step}")
        elif kind < 0.7:
            id = draw.choice(live)
            side, price, size = reference.orders[id]
            told = {"side": side, "price": str(price), "order_id": id, "old_size": str(size)}
            message = {"type": "change", "sequence": number, **told, "new_size": f"{draw.randint(1, 50)}.5"}
            if draw.random() < 0.3:
                del message["price"]
                message |= {"old_price": str(price), "new_price": str(price + draw.choice((-1, 1)))}
        elif kind < 0.8:
            id = draw.choice(live)
            side, price, size = reference.orders[id]
            traded = str(size if draw.random() < 0.5 else size / 2)
            message = {**matched(number, id, traded), "side": side, "price": str(price)}
            if traded == str(size):
                live.remove(id)
        else:
            message = done(number, live.pop(draw.randrange(len(live))))
        book.notice(message)
        reference.apply(message)
    rows = {
        order.id: ("buy" if order.quantity > 0 else "sell", order.price, abs(order.quantity))
        for order in book.orders
    }
    assert rows == reference.rows()
    sums = {("buy", *level): None for level in book.depth().bids} | {
        ("sell", *level): None for level in book.depth().asks
    }
    assert set(sums) == {(side, price, size) for (side, price), size in reference.levels().items()}
