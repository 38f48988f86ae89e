"""Order books of Binance's markets, kept beside a busy exchange: exact, also after what was lost."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.binance_market import managers
from tests.peers import PATIENCE
from wsclient import ClientClosed, CommandError, Reconnect, TransportError, WouldDeadlock
from wsclient.binance import BinanceSocketManager, OrderBook, Renewal
from wsclient.sandbox import Sandbox
from wsclient.sandbox.binance_faults import Answer
from wsclient.sandbox.binance_limits import BinanceSettings
from wsclient.sandbox.noticefaults import Break, Repeat, Skip

Make = Callable[..., BinanceSocketManager]
SYMBOLS = ("BTCUSDT", "BNBBTC", "NEOBTC")


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=400, seed=5, binance=BinanceSettings(request_weight=None)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


@pytest.fixture
def make(exchange: Sandbox) -> Iterator[Make]:
    yield from managers(exchange)


class Watcher:
    """Compares a book with the exchange's own whenever both are of the same moment."""

    def __init__(self, exchange: Sandbox, book: OrderBook) -> None:
        self._exchange = exchange
        self._book = book
        self._changed = threading.Condition()
        book.on_change(self._notify)

    def _notify(self, book: OrderBook) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, meets: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(meets, PATIENCE)

    def compare(self, times: int = 1) -> None:
        """Find so many moments that both know, and see that they are the same."""
        book, seen = self._book, {0}
        while len(seen) <= times:
            truth = self._exchange.binance.depth(book.symbol)
            moment = truth["lastUpdateId"]
            self.wait_for(lambda moment=moment: not book.stale and book.update_id >= moment)  # type: ignore[misc]
            before, levels, after = book.update_id, book.depth(), book.update_id
            if before == after == moment and moment not in seen:
                for side in ("bids", "asks"):
                    listed = [(Decimal(price), Decimal(quantity)) for price, quantity in truth[side]]
                    assert [tuple(level) for level in getattr(levels, side)] == listed
                seen.add(moment)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_book_is_the_exchanges_while_traders_are_busy(exchange: Sandbox, make: Make, symbol: str) -> None:
    book = make().order_book(symbol).wait(PATIENCE)
    Watcher(exchange, book).compare(5)
    assert book.best_bid is not None
    assert isinstance(book.best_bid.price, Decimal)


@pytest.mark.parametrize(
    "fault", [Skip(kind="depthUpdate", nth=3, times=3), Break(kind="depthUpdate", nth=3, times=3)]
)
def test_a_book_is_stale_after_a_loss_and_heals_by_itself(exchange: Sandbox, make: Make, fault: Any) -> None:
    book = make().order_book("BTCUSDT")
    watcher = Watcher(exchange, book)
    lost = threading.Event()
    book.wait(PATIENCE).on_change(lambda book: lost.set() if book.stale else None)
    exchange.faults.add(fault)
    assert lost.wait(PATIENCE)
    watcher.compare(3)


def test_events_told_twice_change_nothing(exchange: Sandbox, make: Make) -> None:
    exchange.faults.add(Repeat(kind="depthUpdate", times=None, chance=0.5))
    book = make().order_book("BTCUSDT").wait(PATIENCE)
    Watcher(exchange, book).compare(3)


def test_a_book_stays_whole_when_its_connection_is_replaced(exchange: Sandbox, make: Make) -> None:
    book = make(renewal=Renewal(after=0.3, overlap=0.2)).order_book("BTCUSDT").wait(PATIENCE)
    stale: list[int] = []
    book.on_change(lambda book: stale.append(book.update_id) if book.stale else None)
    watcher = Watcher(exchange, book)
    exchange.ledger.wait_for(lambda ledger: len(ledger.connections) >= 5)
    watcher.compare(2)
    assert not stale


def test_a_snapshot_that_cant_be_had_is_asked_for_again(exchange: Sandbox, make: Make) -> None:
    exchange.faults.add(Answer(method="depth", status=503, times=2))
    book = make().order_book("BTCUSDT").wait(PATIENCE)
    Watcher(exchange, book).compare()
    assert len(exchange.ledger.commands("depth")) == 3


def test_a_market_that_there_isnt_has_no_book(make: Make) -> None:
    with pytest.raises(CommandError):
        make().order_book("NOPE").wait(PATIENCE)


def test_there_is_one_book_of_a_market_until_it_is_closed(exchange: Sandbox, make: Make) -> None:
    bm = make()
    book = bm.order_book("BTCUSDT").wait(PATIENCE)
    assert bm.order_book("btcusdt") is book
    book.close()
    assert book.stale
    with pytest.raises(ClientClosed):
        book.wait(PATIENCE)
    again = bm.order_book("BTCUSDT").wait(PATIENCE)
    assert again is not book
    book.close()  # once more, which is no concern of the new one's
    assert bm.order_book("BTCUSDT") is again
    Watcher(exchange, again).compare(2)
    bm.stop()
    with pytest.raises(ClientClosed):
        again.wait(PATIENCE)


def test_nobody_waits_for_a_book_on_the_threads_that_make_it_whole(exchange: Sandbox, make: Make) -> None:
    bm = make()
    told: queue.Queue[Exception] = queue.Queue()

    def wait(book: OrderBook) -> None:
        try:
            book.wait()
        except WouldDeadlock as error:
            told.put(error)

    book = bm.order_book("BTCUSDT").wait(PATIENCE)
    book.on_change(wait)
    for fault in (Skip(kind="depthUpdate"), Break(kind="depthUpdate")):
        exchange.faults.add(fault)
        assert "on_change" in str(told.get(timeout=PATIENCE))
        book.wait(PATIENCE)
    Watcher(exchange, book).compare(2)


def test_a_book_may_be_closed_and_asked_for_by_many_threads(exchange: Sandbox, make: Make) -> None:
    bm = make()

    def work(number: int) -> None:
        for _ in range(15):
            book = bm.order_book("BTCUSDT")
            if number:
                book.close()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(work, number) for number in range(3)]:
            done.result()
    bm.order_book("BTCUSDT").close()
    book = bm.order_book("BTCUSDT").wait(PATIENCE)
    Watcher(exchange, book).compare(2)
    assert [len(stream.sinks) for stream, _ in bm._streams._streams.values()] == [1]


def test_a_book_for_which_there_is_no_exchange_any_more_has_failed(exchange: Sandbox, make: Make) -> None:
    bm = make(reconnect=Reconnect(tries=2, base=0))
    book = bm.order_book("BTCUSDT").wait(PATIENCE)
    lost = threading.Event()
    book.on_change(lambda book: lost.set() if book.stale else None)
    exchange.stop()
    assert lost.wait(PATIENCE)
    with pytest.raises(TransportError):
        book.wait(PATIENCE)
