"""Many threads open and close books, subscribe and unsubscribe, while connections are cut: all comes to rest.

The environment sets the size: WSCLIENT_TEST_COINBASE_STEPS (default 60), for each of six threads.
"""

import os
import threading
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.integration.coinbase_market import PRODUCT, Heard, feed, place
from tests.peers import PATIENCE
from wsclient import ClientClosed, InvalidRequest, Reconnect, TransportError
from wsclient.coinbase import Feed
from wsclient.sandbox import Sandbox
from wsclient.sandbox.coinbase import CoinbaseSettings
from wsclient.sandbox.noticefaults import Skip

STEPS = int(os.environ.get("WSCLIENT_TEST_COINBASE_STEPS", "60"))
PRODUCTS = (PRODUCT, "ETH-USD", "ETH-EUR")


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=300, coinbase=CoinbaseSettings(heartbeat=0.05)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


def follow(ours: Feed, draw: Random) -> None:
    """A book is asked for, perhaps waited for, perhaps closed."""
    product = draw.choice(PRODUCTS)
    book = ours.order_book(product) if draw.random() < 0.5 else ours.order_book(product, 3)
    if draw.random() < 0.5:
        try:
            book.wait(PATIENCE)
        except (ClientClosed, TransportError):
            pass  # somebody closed it, or a connection couldn't be had
    if draw.random() < 0.6:
        book.close()


def subscribe(ours: Feed, draw: Random) -> None:
    """Something is subscribed to, or no longer."""
    channels = draw.sample(["heartbeat", "level2", "full", "ticker", "matches"], draw.randint(1, 3))
    try:
        act = ours.subscribe if draw.random() < 0.6 else ours.unsubscribe
        reply = act(channels, [draw.choice(PRODUCTS)])
    except InvalidRequest:
        return  # a book lives on it
    outcome = reply.exception(PATIENCE)
    assert outcome is None or isinstance(outcome, TransportError)


def test_books_and_subscriptions_come_and_go_on_many_threads_through_lost_connections(exchange: Sandbox) -> None:
    heard = Heard()
    exchange.faults.add(Skip(kind="snapshot", chance=0.1, times=None), Skip(kind="open", chance=0.01, times=None))
    failures: list[BaseException] = []
    done = threading.Event()

    def work(seed: int, job: Callable[[Feed, Random], None]) -> None:
        draw = Random(seed)
        try:
            for _ in range(STEPS):
                job(ours, draw)
        except BaseException as error:
            failures.append(error)

    def cut() -> None:
        while not done.wait(0.1):
            exchange.cut_all()

    with feed(exchange, heard, reconnect=Reconnect(tries=50, base=0.005, cap=0.05)) as ours:
        workers = [
            threading.Thread(target=work, args=(seed, job)) for seed in range(3) for job in (follow, subscribe)
        ]
        cutter = threading.Thread(target=cut)
        for thread in (*workers, cutter):
            thread.start()
        for worker in workers:
            worker.join(4 * PATIENCE)
            assert not worker.is_alive()
        done.set()
        cutter.join(PATIENCE)
        assert failures == []
        exchange.faults.clear()
        for product in PRODUCTS:
            for book in (ours.order_book(product), ours.order_book(product, 3)):
                book.wait(PATIENCE)
        place(exchange, 10_000, 9_500_000)
        assert all(isinstance(error, TransportError) for error in heard.errors), heard.errors
