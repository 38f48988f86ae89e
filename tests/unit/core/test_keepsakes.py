"""What is brought back, where it isn't wanted any more."""

import time
from typing import Any

import pytest

from wsclient.coinflex.book import OrderBook
from wsclient.coinflex.dialect import CoinFLEX, orders_of
from wsclient.core.keepsakes import Keepsakes
from wsclient.core.watches import Watch, Watches

KEY, OTHER = orders_of(1, 2), orders_of(1, 3)


class Kept:
    """Keepsakes of two books."""

    def __init__(self) -> None:
        dialect = CoinFLEX()
        self.errors: list[Exception] = []
        self.watches = Watches(dialect, time.monotonic)
        self.books = {KEY: OrderBook(1, 2), OTHER: OrderBook(1, 3)}
        for key, book in self.books.items():
            watch = Watch(key, listener=book)
            self.watches.ask(watch)
            self.watches.began([watch], {})
        self.keepsakes = Keepsakes(dialect, self.watches, self.errors.append, resubmit=False)
        self.plan = self.keepsakes.plan(log_in=False, account=lambda: None)

    def release(self, key: Any) -> None:
        assert self.watches.release(key, self.books[key]) is not None


def told(request: Any) -> tuple[int, bool]:
    return request["counter"], request["watch"]


@pytest.mark.parametrize("answered", [False, True])
def test_what_was_released_before_all_is_back_is_ended_at_the_end_of_it(answered: bool) -> None:
    kept = Kept()
    assert told(next(kept.plan)) == (2, True)
    if not answered:
        kept.release(KEY)
    assert told(kept.plan.send({"orders": []})) == (3, True)
    if answered:
        kept.release(KEY)
    assert told(kept.plan.send({"orders": []})) == (2, False)
    kept.release(OTHER)
    assert told(kept.plan.send({})) == (3, False)
    with pytest.raises(StopIteration):
        kept.plan.send({})
    assert not kept.keepsakes.end_released(KEY)


def test_what_was_released_between_that_and_the_moment_when_calls_can_end_it_is_still_to_be_ended_once() -> None:
    kept = Kept()
    next(kept.plan)
    kept.plan.send({"orders": []})
    with pytest.raises(StopIteration):
        kept.plan.send({"orders": []})
    kept.release(KEY)
    assert kept.keepsakes.end_released(KEY)
    assert not kept.keepsakes.end_released(KEY)
    assert not kept.keepsakes.end_released(OTHER)  # it is kept
