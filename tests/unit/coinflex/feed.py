"""An exchange and a connection to it, on which replies and notices overtake each other as the protocol allows."""

import json
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from wsclient.sandbox.coinflex_notices import Audience, render
from wsclient.sandbox.engine import Engine, EngineError, Fees, Market
from wsclient.sandbox.events import Event, OrderClosed, OrderModified, OrderOpened, OrdersMatched

BASE, COUNTER, OTHER = 63488, 65283, 63520
PAIR = (BASE, COUNTER)
USERS = (11, 12, 13)
ME = USERS[0]
SESSION = 1

Message = dict[str, Any]
Row = tuple[int, int, int, int]


class Listener(Protocol):
    def asked(self) -> None: ...
    def answered(self, message: Message) -> None: ...
    def notice(self, message: Message) -> None: ...
    def lost(self) -> None: ...


class Exchange:
    """An engine whose book is known after every single event; `book` holds id -> (id, quantity, price, time)."""

    def __init__(self, random: Random, *, fees: Fees | None = None, max_open_orders: int = 20) -> None:
        self.random = random
        self.clock = 10**15
        markets = [Market(BASE, COUNTER, tick=100), Market(OTHER, COUNTER, tick=100)]
        self.engine = Engine(
            markets, clock=lambda: self.clock, fees=fees, tonces="unique", max_open_orders=max_open_orders
        )
        for user in USERS:
            self.engine.add_user(user, dict.fromkeys((BASE, COUNTER, OTHER), 10**8))
        self.book: dict[int, Row] = {}

    def act(self, command: Callable[[Engine], object] | None = None) -> list[Event]:
        """Runs a command, a random one unless it is given; its events."""
        self.clock += self.random.randrange(3)
        try:
            (command or self._random_command)(self.engine)
        except EngineError:
            return []
        return self.engine.take_events()

    def follow(self, event: Event) -> None:
        """Brings `book` up to an event."""
        if isinstance(event, OrderOpened | OrderModified | OrdersMatched | OrderClosed) and (
            (event.base, event.counter) == PAIR
        ):
            if isinstance(event, OrderClosed):
                self.book.pop(event.id, None)
            elif isinstance(event, OrdersMatched):
                for fill, sign in ((event.bid, 1), (event.ask, -1)):
                    if fill.order is not None and fill.remaining is not None:
                        id, _, price, time = self.book.pop(fill.order)
                        if fill.remaining:
                            self.book[id] = id, sign * fill.remaining, price, time
            else:
                self.book[event.id] = event.id, event.quantity, event.price, event.time

    def listed(self, limit: int | None = None) -> list[Row]:
        """The engine's own book, in the order of priority; so many of each side."""
        return [(order.id, order.quantity, order.price, order.time) for order in self.engine.book(*PAIR, limit)]

    def check(self) -> None:
        """Between commands, the book that follows the events is the engine's."""
        listed = self.listed()
        assert {row[0]: row for row in listed} == self.book

    def _random_command(self, engine: Engine) -> object:
        random = self.random
        user, sign = random.choice(USERS), random.choice((1, -1))
        pair = {"base": BASE if random.random() < 0.9 else OTHER, "counter": COUNTER}
        kind = random.randrange(100)
        orders = engine.orders(user)
        if kind < 12 and orders:
            return engine.cancel(user, id=random.choice(orders).id)
        if kind < 35 and orders:
            order = random.choice(orders)
            changes: dict[str, Any] = {"quantity_delta": random.randint(-100, 100)}
            if random.random() < 0.4:
                changes["price"] = order.price + 100 * random.randint(-3, 3)
            return engine.modify(user, id=order.id, **changes)
        if kind < 42:
            return engine.place(user, **pair, quantity=sign * random.randint(1, 900))
        if kind < 46:
            return engine.place(user, **pair, total=sign * random.randint(1, 900))
        if kind < 47 and random.random() < 0.1:
            return random.choice([engine.cancel_all, lambda user: engine.end_session("s")])(user)
        return engine.place(
            user,
            **pair,
            quantity=sign * random.randint(1, 600),
            price=100 * (100 - sign * random.randint(-2, 10)),  # some of them trade at once
            persist=random.choice([True, True, True, False, "fill_or_kill"]),
            session="s",
        )


class Line:
    """One connection to an exchange: what it asks is run later, and what the exchange says is delivered later.

    Each item has the number of the last event that it knows of, and what was true after that event. The truth
    on an owner's line is what is true between two commands, and None within one.
    """

    def __init__(
        self, exchange: Exchange, truth: Callable[[], Any], *, owner: int | None = None, limit: int = 1000
    ) -> None:
        self.exchange = exchange
        self._limit = limit
        self._truth = truth
        self._owner = owner
        self._audience = Audience()
        self._events = 0
        self.requests: deque[Callable[[], Message]] = deque()
        self.replies: deque[tuple[Message, int, Any]] = deque()
        self.notices: deque[tuple[Message, int, Any]] = deque()
        self.seen = 0  # the last event that the client can know of
        self.truth: Any = None  # what was true then
        self.snapshot = 0  # the last event that a snapshot which was delivered knew of
        self.told = 0  # the last event of which a notice was delivered
        self.connect()

    def connect(self) -> None:
        """Begins anew; what was under way is lost."""
        self._audience = Audience()
        if self._owner is not None:
            self._audience.add_owner(self._owner, SESSION)
        for queue in (self.requests, self.replies, self.notices):
            queue.clear()

    def watch(self) -> None:
        """Asks for the book."""
        self.requests.append(self._watched)

    def ask_for_balances(self) -> None:
        """Asks for the owner's balances and orders."""
        assert self._owner is not None
        self.requests.append(self._balances)
        self.requests.append(self._orders)

    def act(self, command: Callable[[Engine], object] | None = None) -> None:
        """Lets something happen at the exchange; notices of it are under way then."""
        told: list[tuple[Message, int, Any]] = []
        for event in self.exchange.act(command):
            self.exchange.follow(event)
            self._events += 1
            for text, _ in render([event], self._audience):
                # the book is known after each event, balances once the command is through
                told.append((json.loads(text), self._events, self._truth() if self._owner is None else None))
        if told and self._owner is not None:
            told[-1] = (told[-1][0], self._events, self._truth())
        self.notices.extend(told)

    def run_request(self) -> None:
        """The exchange runs a request; the reply is under way then."""
        self.replies.append((self.requests.popleft()(), self._events, self._truth()))

    def deliver_reply(self, listener: Listener) -> None:
        message, number, truth = self.replies.popleft()
        self._saw(number, truth)
        self.snapshot = max(self.snapshot, number)
        listener.answered(message)

    def deliver_notice(self, listener: Listener) -> None:
        message, number, truth = self.notices.popleft()
        self._saw(number, truth)
        self.told = number
        listener.notice(message)

    def _saw(self, number: int, truth: Any) -> None:
        if number >= self.seen:
            self.seen, self.truth = number, truth

    def _watched(self) -> Message:
        self._audience.books.add(PAIR, SESSION)
        keys = ("id", "quantity", "price", "time")
        return {"orders": [dict(zip(keys, row, strict=True)) for row in self.exchange.listed(self._limit)]}

    def _balances(self) -> Message:
        assert self._owner is not None
        rows = [
            {
                "asset": balance.asset,
                "balance": balance.available,
                "reserved_balance": balance.reserved,
                "total_balance": balance.total,
            }
            for balance in self.exchange.engine.balances(self._owner)
        ]
        return {"balances": rows}

    def _orders(self) -> Message:
        assert self._owner is not None
        keys = ("id", "tonce", "base", "counter", "quantity", "price", "time")
        orders = self.exchange.engine.orders(self._owner)
        return {"orders": [{key: getattr(order, key) for key in keys} for order in orders]}
