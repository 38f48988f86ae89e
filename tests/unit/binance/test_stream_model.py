"""A stream beside a model of an exchange: whatever happens to its connections, each trade is told once."""

import random

import pytest

from tests.unit.binance.test_stream import Kept, trade
from wsclient.binance.stream import Stream


class Connection:
    """One that is open: what the exchange has sent on it, and what hasn't arrived yet."""

    def __init__(self) -> None:
        self.subscribed = False
        self.sent: list[int] = []


class Model:
    """An exchange with one market, a stream of it, and what a lane would do; each step is drawn by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.traded = 0
        self.requests = 0
        self.stream = Stream("bnbbtc@trade", fill=self._asked)
        self.kept = Kept()
        self.stream.sinks = (self.kept,)
        self.first: Connection | None = None
        self.second: Connection | None = None
        self.begin()
        self.trade()
        self.deliver(self.first)

    def _asked(self, stream: Stream) -> None:
        self.requests += 1

    # -- what may happen

    def trade(self) -> None:
        self.traded += 1
        for connection in (self.first, self.second):
            if connection is not None and connection.subscribed:
                connection.sent.append(self.traded)

    def deliver(self, connection: Connection | None) -> None:
        if connection is not None and connection.sent:
            self.stream.take(connection, trade(connection.sent.pop(0)))

    def answer(self) -> None:
        """The trades of before are fetched, which may be ahead of what the connections have told."""
        if self.requests:
            self.requests -= 1
            self.stream.filled([trade(number) for number in range(1, self.traded + 1)])

    def begin(self) -> None:
        if self.first is None:
            self.first = Connection()
            self.stream.begin(self.first)
            self.first.subscribed = True

    def cut(self) -> None:
        """The first connection is lost, with what was on its way."""
        if self.first is None:
            return
        if self.second is not None:
            self.first, self.second = self.second, None
            self.stream.switch(self.first)
            self.first.subscribed = True
        else:
            self.first = None
            self.stream.lose()

    def cut_second(self) -> None:
        if self.second is not None:
            second, self.second = self.second, None
            self.stream.separate(second, self.first)

    def overlap(self) -> None:
        if self.first is not None and self.second is None:
            self.second = Connection()
            self.stream.overlap(self.second)
            self.second.subscribed = self.chance.random() < 0.7

    def finish(self) -> None:
        """The second connection replaces the first in order: all is told that was sent on that."""
        if self.first is not None and self.second is not None and self.second.subscribed:
            while self.first.sent:
                self.deliver(self.first)
            self.cut()

    def step(self) -> None:
        self.chance.choice(
            [
                *[self.trade] * 6,
                *[lambda: self.deliver(self.first)] * 6,
                *[lambda: self.deliver(self.second)] * 6,
                *[self.answer, self.begin, self.overlap] * 2,
                *[self.cut, self.cut_second, self.finish, self.stream.catch_up],
            ]
        )()

    def settle(self) -> None:
        """Everything arrives, and the market is quiet."""
        self.begin()
        self.finish()
        self.cut_second()
        for _ in range(3):
            while self.first is not None and self.first.sent:
                self.deliver(self.first)
            self.stream.catch_up()
            while self.requests:
                self.answer()


@pytest.mark.parametrize("batch", range(10))
def test_each_trade_is_told_once_and_in_order(batch: int) -> None:
    for seed in range(batch * 200, batch * 200 + 200):
        model = Model(seed)
        for _ in range(150):
            model.step()
        model.settle()
        assert model.kept.ids == list(range(1, model.traded + 1)), seed
        assert model.stream.missed == 0
