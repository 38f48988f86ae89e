"""A small exchange for example tests: one market (scale 10000, tick 100), three users, a clock by hand."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from wsclient.sandbox.engine import Engine, EngineError, Fees, Market
from wsclient.sandbox.events import Event

BASE, COUNTER = 1, 2
ANN, BOB, CAT = 11, 12, 13
HOUSE = 99
START = 1_500_000_000_000_000
RICH = 10_000_000

E = TypeVar("E")


class Exchange:
    """An engine with shorthand for what tests do all the time."""

    def __init__(self, *, fees: Fees | None = None, seed: int = 0, **options: Any) -> None:
        self.clock = START
        self.engine = Engine(
            [Market(BASE, COUNTER, tick=100)], clock=lambda: self.clock, fees=fees, seed=seed, **options
        )
        for user in (ANN, BOB, CAT):
            self.engine.add_user(user, {BASE: RICH, COUNTER: RICH})

    def place(self, user: int, quantity: int | None = None, price: int | None = None, **more: Any) -> int:
        """Place an order and give its id, or what remains of a market order."""
        placed = self.engine.place(user, base=BASE, counter=COUNTER, quantity=quantity, price=price, **more)
        answer = placed.id if placed.id is not None else placed.remaining
        assert answer is not None
        return answer

    def events(self, *kinds: type[E]) -> list[E]:
        """Take the events, and keep those of some kinds."""
        return [event for event in self.engine.take_events() if isinstance(event, kinds)]

    def all_events(self) -> list[Event]:
        """Take all the events."""
        return self.engine.take_events()

    def skip(self) -> None:
        """Forget what has happened so far."""
        self.engine.take_events()

    def book(self) -> list[tuple[int, int, int]]:
        """The id, quantity and price of each open order, best bid first, then best ask first."""
        return [(order.id, order.quantity, order.price) for order in self.engine.book(BASE, COUNTER)]

    def balance(self, user: int, asset: int) -> tuple[int, int]:
        """What is available and what is reserved."""
        for balance in self.engine.balances(user):
            if balance.asset == asset:
                return balance.available, balance.reserved
        return 0, 0

    def refuses(self, code: int, user: int, *order: int | None, **more: Any) -> None:
        """Expect an error from `place`."""
        with refused(code):
            self.place(user, *order, **more)


@contextmanager
def refused(code: int) -> Iterator[None]:
    """Expect an EngineError with this code, and with something to read."""
    with pytest.raises(EngineError) as caught:
        yield
    assert caught.value.code == code
    assert caught.value.message.endswith(".")


def kinds(events: Sequence[object]) -> list[str]:
    """The names of the events' types, for tests about their order."""
    return [type(event).__name__ for event in events]
