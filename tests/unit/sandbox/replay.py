"""A second opinion: an exchange rebuilt from nothing but the events, which must agree with the engine.

It knows the protocol page's rules of reservation and of the order of notices, and shares no code with the engine.
"""

from dataclasses import dataclass, field, replace

from wsclient.sandbox.engine import Engine, Market, Order, Ticker
from wsclient.sandbox.events import (
    BalanceChanged,
    Event,
    Fill,
    OrderClosed,
    OrderModified,
    OrderOpened,
    OrdersMatched,
    TickerChanged,
    TradeVolumeChanged,
)

Key = tuple[int, int]


@dataclass
class Replay:
    """Follows an engine by its events. `told` is what BalanceChanged says, `owed` what the other events imply."""

    markets: dict[Key, Market]
    told: dict[Key, int]
    house: int | None = None
    orders: dict[int, Order] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    tickers: dict[Key, Ticker] = field(default_factory=dict)
    volumes: dict[Key, int] = field(default_factory=dict)
    time: int = 0
    last_id: int = 0

    def __post_init__(self) -> None:
        self.owed = dict(self.told)
        self.announced: dict[Key, int] = {}

    def requirement(self, order: Order) -> tuple[int, int]:
        """The asset and amount that the protocol page says an order reserves."""
        if order.quantity < 0:
            return order.base, -order.quantity
        scale = self.markets[order.base, order.counter].scale
        return order.counter, (order.quantity * order.price + scale - 1) // scale

    def apply_all(self, events: list[Event]) -> None:
        for event in events:
            self.apply(event)
        assert not self.announced, "a balance was told that nothing explains"
        assert {k: v for k, v in self.told.items() if v} == {k: v for k, v in self.owed.items() if v}

    def apply(self, event: Event) -> None:
        if not isinstance(event, BalanceChanged | OrderOpened | OrderModified):
            assert not self.announced, f"a balance was told too early, before {event}"
        match event:
            case BalanceChanged():
                key = event.user, event.asset
                assert self.told.get(key, 0) != event.balance, "a balance was told that did not change"
                self.told[key] = event.balance
                if self.owed.get(key, 0) != event.balance:
                    self.announced[key] = event.balance  # for an order that has to follow
            case OrderOpened():
                assert event.id > self.last_id
                self.last_id = event.id
                self.tick(event.time)
                self.reserve_for(event, 0)
            case OrderModified():
                assert self.orders[event.id].user == event.user
                self.reserve_for(event, self.requirement(self.orders[event.id])[1])
            case OrdersMatched():
                self.tick(event.time)
                self.trade(event)
            case OrderClosed():
                self.tick(event.time)
                order = self.orders.pop(event.id)
                asset, amount = self.requirement(order)
                self.owe(event.user, asset, amount)
                self.closed.add(event.id)
                said = (event.user, event.tonce, event.base, event.counter, event.quantity, event.price)
                known = (order.user, order.tonce, order.base, order.counter, order.quantity, order.price)
                assert said == known
            case TickerChanged():
                old = self.tickers.get((event.base, event.counter), Ticker())
                assert event.changes
                assert all(getattr(old, name) != value for name, value in event.changes.items())
                self.tickers[event.base, event.counter] = replace(old, **event.changes)  # type: ignore[arg-type]
            case TradeVolumeChanged():
                self.volumes[event.user, event.asset] = event.volume

    def tick(self, time: int) -> None:
        assert time > self.time, "times have to rise"
        self.time = time

    def owe(self, user: int, asset: int, amount: int) -> None:
        self.owed[user, asset] = self.owed.get((user, asset), 0) + amount

    def reserve_for(self, event: OrderOpened | OrderModified, before: int) -> None:
        assert event.id not in self.closed
        order = Order(
            event.id, event.user, event.tonce, event.base, event.counter, event.quantity, event.price, event.time
        )
        asset, amount = self.requirement(order)
        self.owe(event.user, asset, before - amount)
        key = event.user, asset
        if before != amount:
            assert self.announced.pop(key) == self.owed[key], "the reservation has to be told first"
        self.orders[event.id] = order

    def trade(self, event: OrdersMatched) -> None:
        market = self.markets[event.base, event.counter]
        exact = event.quantity * event.price
        assert event.quantity > 0
        assert exact // market.scale <= event.total <= -(-exact // market.scale)
        maker = event.ask if event.taker_side == "bid" else event.bid
        assert maker.order is not None, "an order that rests is named"
        assert self.orders[maker.order].price == event.price, "trades are at the maker's price"
        assert event.bid.base_fee == event.ask.base_fee == 0
        if event.bid.user == event.ask.user:
            assert event.bid.counter_fee == event.ask.counter_fee == 0
        self.fill(event.bid, event, 1)
        self.fill(event.ask, event, -1)
        self.owe(event.bid.user, event.base, event.quantity)
        self.owe(event.bid.user, event.counter, -event.total - event.bid.counter_fee)
        self.owe(event.ask.user, event.base, -event.quantity)
        self.owe(event.ask.user, event.counter, event.total - event.ask.counter_fee)
        if self.house is not None:
            self.owe(self.house, event.counter, event.bid.counter_fee + event.ask.counter_fee)
        else:
            assert event.bid.counter_fee == event.ask.counter_fee == 0

    def fill(self, side: Fill, event: OrdersMatched, sign: int) -> None:
        if side.order is None:
            assert side.remaining is None
            return
        order = self.orders[side.order]
        assert (order.user, order.tonce) == (side.user, side.tonce)
        assert side.remaining is not None
        left = abs(order.quantity) - event.quantity
        assert 0 <= side.remaining <= left
        assert side.remaining == left or side.counter_fee, "only a fee takes more off an order than was traded"
        assert order.quantity * sign > 0
        assert order.price * sign >= event.price * sign
        after = replace(order, quantity=sign * side.remaining)
        asset, before = self.requirement(order)
        self.owe(side.user, asset, before - self.requirement(after)[1])
        self.orders[side.order] = after

    def book(self, base: int, counter: int) -> list[Order]:
        """The open orders of a market in the order of their priority: by price, then by time."""
        mine = [order for order in self.orders.values() if (order.base, order.counter) == (base, counter)]
        bids = sorted((o for o in mine if o.quantity > 0), key=lambda o: (-o.price, o.time))
        return bids + sorted((o for o in mine if o.quantity < 0), key=lambda o: (o.price, o.time))

    def agree(self, engine: Engine, users: list[int], supply: dict[int, int]) -> None:
        """Every invariant of the engine, between two commands."""
        sums = dict.fromkeys(supply, 0)
        reserved: dict[Key, int] = {}
        for order in self.orders.values():
            asset, amount = self.requirement(order)
            reserved[order.user, asset] = reserved.get((order.user, asset), 0) + amount
        for user in users:
            for balance in engine.balances(user):
                key = user, balance.asset
                assert balance.available >= 0
                assert balance.available == self.told.get(key, 0)
                assert balance.reserved == reserved.get(key, 0)
                assert balance.total == balance.available + balance.reserved
                sums[balance.asset] += balance.total
            assert engine.orders(user) == sorted(
                (order for order in self.orders.values() if order.user == user), key=lambda o: o.id
            )
        assert sums == supply, "no asset is made or lost"
        for pair, market in self.markets.items():
            book, ticker = engine.book(*pair, limit=None), engine.ticker(*pair)
            assert book == self.book(*pair)
            assert ticker == self.tickers.get(pair, Ticker())
            bids = [order.price for order in book if order.quantity > 0]
            asks = [order.price for order in book if order.quantity < 0]
            assert (ticker.bid, ticker.ask) == (max(bids, default=None), min(asks, default=None))
            assert not bids or not asks or max(bids) < min(asks), "the book is crossed"
            assert all(order.price % market.tick == 0 for order in book)
        for (user, asset), volume in self.volumes.items():
            assert engine.volume(user, asset) == volume
