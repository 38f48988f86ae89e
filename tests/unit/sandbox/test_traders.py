"""The simulated traders: the same from a seed, bounded for ever, and never stuck."""

import itertools

from wsclient.coinflex.assets import SCALE, Assets
from wsclient.sandbox.engine import Engine, Market
from wsclient.sandbox.events import OrderModified, OrderOpened, OrdersMatched
from wsclient.sandbox.listings import coinflex_markets
from wsclient.sandbox.traders import HABITS, MOST_ORDERS, WEALTH, Traders

STEPS = 6000


def make(seed: int = 0) -> tuple[Engine, Traders]:
    ticks = itertools.count(1_600_000_000_000_000, 30_000)
    markets = coinflex_markets()
    engine = Engine(markets, clock=lambda: next(ticks), seed=seed)
    traders = Traders(markets, seed=seed)
    traders.open(engine)
    return engine, traders


def test_every_market_has_depth_on_both_sides_from_the_start() -> None:
    engine, traders = make()
    books = {(event.base, event.counter) for event in engine.take_events() if isinstance(event, OrderOpened)}
    assert len(books) == len(HABITS)
    for pair in books:
        orders = engine.book(*pair)
        assert sum(order.quantity > 0 for order in orders) > 10
        assert sum(order.quantity < 0 for order in orders) > 10
        assert {order.user for order in orders} <= set(traders.users)


def test_one_seed_makes_one_sequence_of_commands() -> None:
    engine, traders = make(5)
    first = [traders.step(engine) for _ in range(300)]
    engine, traders = make(5)
    assert [traders.step(engine) for _ in range(300)] == first
    engine, traders = make(6)
    assert [traders.step(engine) for _ in range(300)] != first


def test_they_can_go_on_for_ever() -> None:
    engine, traders = make()
    opened = {(event.base, event.counter) for event in engine.take_events() if isinstance(event, OrderOpened)}
    kinds = set()
    traded = set()
    for step in range(STEPS):
        traders.step(engine)
        for event in engine.take_events():
            kinds.add(type(event))
            if isinstance(event, OrdersMatched):
                traded.add((event.base, event.counter))
        if step % 500 == 0:
            assert sum(len(engine.orders(user)) for user in traders.users) <= MOST_ORDERS * len(HABITS)
    assert {OrderModified, OrdersMatched} <= kinds
    assert traded == opened
    for pair in opened:
        ticker = engine.ticker(*pair)
        assert ticker.bid is not None
        assert ticker.ask is not None
    for habit in HABITS:
        ticker = engine.ticker(Assets[habit.base], Assets[habit.counter])
        assert ticker.last is not None
        assert 0.8 < ticker.last / SCALE / habit.price < 1.25
    for user in traders.users:
        for balance in engine.balances(user):
            assert 0.99 < balance.total / WEALTH < 1.01


def test_a_book_that_somebody_has_emptied_fills_again() -> None:
    engine, traders = make()
    pair = next((e.base, e.counter) for e in engine.take_events() if isinstance(e, OrderOpened))
    engine.add_user(1, {pair[0]: 10**15, pair[1]: 10**15})
    engine.place(1, base=pair[0], counter=pair[1], quantity=10**13)
    engine.place(1, base=pair[0], counter=pair[1], quantity=-(10**13))
    assert engine.book(*pair) == []
    for _ in range(1000):
        traders.step(engine)
    ticker = engine.ticker(*pair)
    assert ticker.bid is not None
    assert ticker.ask is not None


def test_without_a_market_that_they_know_they_do_nothing() -> None:
    markets = [Market(1, 2, 1)]
    engine = Engine(markets)
    traders = Traders(markets)
    traders.open(engine)
    assert traders.step(engine) is None
    assert engine.take_events() == []
