"""Coinbase's books on a real feed: how they begin, heal, share what they live on, and end."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.coinbase_market import PRICE, PRODUCT, Heard, feed, place, token_of, trade
from tests.integration.coinbase_peer import get
from tests.peers import PATIENCE
from wsclient import (
    CommandError,
    InvalidRequest,
    NotAuthorized,
    NotSent,
    Reconnect,
    Reply,
    TransportError,
    WouldDeadlock,
)
from wsclient.books import Book
from wsclient.coinbase import Feed
from wsclient.sandbox import Sandbox
from wsclient.sandbox.coinbase import CoinbaseSettings
from wsclient.sandbox.faults import Refuse
from wsclient.sandbox.noticefaults import Skip

QUICK = Reconnect(base=0.01)


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, coinbase=CoinbaseSettings(heartbeat=0.05)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


class Watched:
    """A book, and how to wait for what becomes of it."""

    def __init__(self, book: Book[Decimal]) -> None:
        self.book = book
        self._changed = threading.Condition()
        book.on_change(self._on_change)

    def _on_change(self, _: object) -> None:
        with self._changed:
            self._changed.notify_all()

    def until(self, best_bid: tuple[str, str] | None) -> None:
        """Until it is whole, with this best bid."""
        expected = None if best_bid is None else tuple(map(Decimal, best_bid))
        with self._changed:
            assert self._changed.wait_for(lambda: not self.book.stale and self.book.best_bid == expected, PATIENCE)


def channels(answer: Reply[dict[str, Any]]) -> set[str]:
    """What is subscribed to after a message that was sent last."""
    return {channel["name"] for channel in answer.result(PATIENCE)["channels"]}


def test_both_books_follow_the_market(exchange: Sandbox) -> None:
    place(exchange, 10_000)
    with feed(exchange) as ours:
        level2, level3 = ours.order_book(PRODUCT).wait(PATIENCE), ours.order_book(PRODUCT, 3).wait(PATIENCE)
        size = level2.depth().bids[0].quantity
        assert level2.best_bid == level3.best_bid == (Decimal("9000.00"), size)
        place(exchange, 10_000, PRICE + 100)
        for book in (level2, level3):
            Watched(book).until(("9001.00", str(size)))
        trade(exchange, PRICE + 50)  # which takes the better bid first
        Watched(level3).until(("9000.50", str(size)))
        assert [order.price for order in level3.orders] == [Decimal("9000.50"), Decimal(9000)]
        assert level3.sequence == get(exchange, f"/products/{PRODUCT}/book?level=3")[1]["sequence"]


def test_a_book_that_is_asked_for_again_is_the_same_one(exchange: Sandbox) -> None:
    with feed(exchange) as ours:
        book = ours.order_book(PRODUCT)
        assert ours.order_book(PRODUCT, level=2) is book
        assert len({id(book), id(ours.order_book(PRODUCT, 3))}) == 2
        with pytest.raises(InvalidRequest):
            ours.order_book(PRODUCT, 1)  # type: ignore[call-overload]
        with pytest.raises(InvalidRequest):
            ours.order_book("")


def test_a_closed_book_ends_what_it_has_subscribed_to(exchange: Sandbox) -> None:
    with feed(exchange) as ours:
        ours.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)
        level2, level3 = ours.order_book(PRODUCT).wait(PATIENCE), ours.order_book(PRODUCT, 3).wait(PATIENCE)
        level2.close()
        assert channels(ours.subscribe(["status"])) == {"ticker", "heartbeat", "full", "status"}
        level3.close()
        assert channels(ours.unsubscribe(["status"])) == {"ticker"}
        again = ours.order_book(PRODUCT)
        assert again is not level2
        assert again.wait(PATIENCE)


def test_books_may_be_closed_and_asked_for_again_in_haste(exchange: Sandbox) -> None:
    with feed(exchange) as ours:
        closed = []
        for _ in range(20):
            for book in (ours.order_book(PRODUCT), ours.order_book(PRODUCT, 3)):
                book.close()
                closed.append(book)
        books = [ours.order_book(PRODUCT), ours.order_book(PRODUCT, 3)]
        for book in closed:
            book.close()  # once more, which is no business of the new ones
        for again in books:
            assert again.wait(PATIENCE)
        assert channels(ours.subscribe(["status"])) == {"heartbeat", "level2", "full", "status"}


def test_a_book_and_the_user_share_their_channels(exchange: Sandbox) -> None:
    with feed(exchange) as ours:
        ours.subscribe(["heartbeat", "level2"], [PRODUCT]).result(PATIENCE)
        book = ours.order_book(PRODUCT).wait(PATIENCE)
        for channel in ("heartbeat", "level2"):
            with pytest.raises(InvalidRequest, match="close it instead"):
                ours.unsubscribe([channel], [PRODUCT])
            with pytest.raises(InvalidRequest, match="close it instead"):
                ours.unsubscribe([channel])
        book.close()
        assert channels(ours.subscribe(["status"])) == {"heartbeat", "level2", "status"}
        other = ours.order_book("ETH-USD").wait(PATIENCE)
        ours.subscribe(["level2"], ["ETH-USD"]).result(PATIENCE)  # after the book this time
        other.close()
        assert channels(ours.unsubscribe(["status"])) == {"heartbeat", "level2"}


def test_a_book_asked_for_while_its_channel_is_being_subscribed_to_becomes_whole(exchange: Sandbox) -> None:
    with feed(exchange) as ours:
        ours.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)
        pending = ours.subscribe(["level2"], [PRODUCT])
        assert ours.order_book(PRODUCT).wait(PATIENCE)
        assert pending.result(PATIENCE)


def test_a_snapshot_that_is_lost_is_asked_for_again(exchange: Sandbox) -> None:
    exchange.faults.add(Skip(kind="snapshot", times=2))
    place(exchange, 10_000)
    with feed(exchange) as ours:
        assert ours.order_book(PRODUCT).wait(PATIENCE).best_bid is not None


def test_books_come_back_with_their_connection_and_are_stale_meanwhile(exchange: Sandbox) -> None:
    heard = Heard()
    with feed(exchange, heard, reconnect=QUICK) as ours:
        books = [ours.order_book(PRODUCT).wait(PATIENCE), ours.order_book(PRODUCT, 3).wait(PATIENCE)]
        staleness: list[list[bool]] = [[], []]
        for book, seen in zip(books, staleness, strict=True):
            book.on_change(lambda book, seen=seen: seen.append(book.stale))  # type: ignore[misc]
        exchange.cut_all()
        place(exchange, 10_000)
        heard.until(lambda: heard.opened == 2)
        for book, seen in zip(books, staleness, strict=True):
            book.wait(PATIENCE)
            Watched(book).until(("9000", str(book.depth().bids[0].quantity)))
            assert seen[0] is True


def test_what_a_book_is_refused_is_told_by_waiting_and_asking_again_tries_again(exchange: Sandbox) -> None:
    with feed(exchange, user=None) as ours:
        for ask in (lambda: ours.order_book(PRODUCT), lambda: ours.order_book(PRODUCT, 3)):
            with pytest.raises(NotAuthorized):
                ask().wait(PATIENCE)
        ours.set_auth_data(token_of(exchange))
        assert ours.order_book(PRODUCT).wait(PATIENCE)
        assert ours.order_book(PRODUCT, 3).wait(PATIENCE)
        with pytest.raises(CommandError, match="not a valid product"):
            ours.order_book("NO-SUCH").wait(PATIENCE)


def test_no_connection_is_told_like_elsewhere() -> None:
    with Feed("ws://127.0.0.1:1", snapshots=dict) as ours, pytest.raises(NotSent):  # type: ignore[arg-type]
        ours.order_book(PRODUCT, 3)
    heard = Heard()
    with Feed("ws://127.0.0.1:1", err_handler=heard.on_error) as ours:
        book = ours.order_book(PRODUCT)
        with pytest.raises(NotSent):
            book.wait(PATIENCE)
        assert heard.errors


def test_waiting_on_the_event_thread_is_refused(exchange: Sandbox) -> None:
    caught: list[BaseException] = []
    done = threading.Event()

    def on_text(ours: Feed, text: str) -> None:
        try:
            ours.order_book(PRODUCT).wait(PATIENCE)
        except WouldDeadlock as error:
            caught.append(error)
        done.set()

    with feed(exchange, msg_handler=on_text) as ours:
        ours.subscribe(["heartbeat"], [PRODUCT])
        assert done.wait(PATIENCE)
    assert caught


# ---------------------------------------------------------------- snapshots of level 3


def test_without_a_known_rest_url_a_full_book_needs_a_source(exchange: Sandbox) -> None:
    with feed(exchange, rest_url=None) as ours, pytest.raises(InvalidRequest, match="rest_url"):
        ours.order_book(PRODUCT, 3)


def test_a_snapshot_that_cannot_be_had_is_fetched_again_and_reported(exchange: Sandbox) -> None:
    heard = Heard()
    exchange.faults.add(Refuse(path="/products", status=503, times=2))
    place(exchange, 10_000)
    with feed(exchange, heard) as ours:
        assert ours.order_book(PRODUCT, 3).wait(PATIENCE).best_bid is not None
    assert [type(error) for error in heard.errors] == [TransportError, TransportError]
    assert "503" in str(heard.errors[0])


def test_a_snapshot_that_is_refused_for_good_fails_the_book(exchange: Sandbox) -> None:
    heard = Heard()
    exchange.faults.add(Refuse(path="/products", status=404))
    with feed(exchange, heard) as ours, pytest.raises(CommandError):
        ours.order_book(PRODUCT, 3).wait(PATIENCE)


def test_a_source_of_the_users_own_may_be_slow_old_or_wrong(exchange: Sandbox) -> None:
    pages: list[Any] = [
        RuntimeError("not yet"),
        "no dict",
        {"bids": [["x"]], "asks": [], "sequence": 5},
        {"bids": []},
    ]
    threads: set[str] = set()

    def source(product_id: str) -> Any:
        threads.add(threading.current_thread().name)
        page = pages.pop(0) if pages else get(exchange, f"/products/{product_id}/book?level=3")[1]
        if isinstance(page, Exception):
            raise page
        return page

    heard = Heard()
    place(exchange, 10_000)
    with feed(exchange, heard, snapshots=source, rest_url=None) as ours:
        assert ours.order_book(PRODUCT, 3).wait(PATIENCE).best_bid is not None
    assert len(heard.errors) == 4
    assert all("snapshots" in name for name in threads)


def test_stopping_does_not_wait_for_a_source_that_hangs(exchange: Sandbox) -> None:
    hanging, let_go = threading.Event(), threading.Event()

    def source(product_id: str) -> Any:
        hanging.set()
        let_go.wait(PATIENCE)
        return {}

    ours = feed(exchange, snapshots=source, socket_timeout=0.5)
    book = ours.order_book(PRODUCT, 3)
    assert hanging.wait(PATIENCE)
    ours.stop()
    assert not let_go.is_set()
    assert book.stale
    let_go.set()
