"""Books rebuilt from Coinbase's feed equal the engine's after every command, whatever is commanded."""

import json
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.unit.sandbox.coinbase_books import FullBook, LevelBook, Row, order_number, read
from wsclient.sandbox.assets import CODES
from wsclient.sandbox.coinbase import CoinbaseSettings, CoinbaseVenue
from wsclient.sandbox.engine import Engine, EngineError, Fees, Market
from wsclient.sandbox.venue import Say

XBT, USDT, USD, ETH = (CODES[name] for name in ("XBT", "USDT", "USD", "ETH"))
MARKETS = {
    "BTC-USDT": Market(XBT, USDT, tick=10000),
    "BTC-USD": Market(XBT, USD, tick=1, scale=10**2, base_decimals=8, counter_decimals=8),
    "ETH-BTC": Market(ETH, XBT, tick=1, scale=10**5, base_decimals=8, counter_decimals=8),
}
PRICES = {"BTC-USDT": 90_000_000, "BTC-USD": 900_000, "ETH-BTC": 2_667}
COMMANDS = 4000


class Rebuilt:
    """An engine with a venue, and both kinds of books of every product rebuilt from what a session is told."""

    def __init__(self, fees: Fees | None) -> None:
        self.engine = Engine(MARKETS.values(), fees=fees, seed=7)
        self.users = [1, 2, 3]
        rich = {XBT: 50 * 10**8, USDT: 400_000 * 10**4, USD: 400_000 * 10**8, ETH: 2_000 * 10**8}
        for user in self.users:
            self.engine.add_user(user, rich)
        for number in range(40):  # what stands before the feed begins
            step = number // 2 + 1
            bid = number % 2 == 0
            for name in MARKETS:
                price = round(PRICES[name] * (1 - 0.001 * step if bid else 1 + 0.001 * step))
                self.place(1, name, 0.01 if bid else -0.01, price)
        self.engine.take_events()
        self.venue = CoinbaseVenue(self.engine, [], clock=lambda: 0, settings=CoinbaseSettings(require_auth=False))
        self.venue.open(1)
        ask = {"type": "subscribe", "product_ids": list(MARKETS), "channels": ["full", "level2"]}
        assert self.venue.execute(1, self.venue.read(json.dumps(ask)))["type"] == "subscriptions"
        self.level2 = {name: LevelBook() for name in MARKETS}
        for action in self.venue.actions():
            assert isinstance(action, Say)
            snapshot = read(action.text)
            self.level2[snapshot["product_id"]].apply(snapshot)
        self.full = {}
        for name in MARKETS:
            page = self.venue.page(f"/products/{name}/book?level=3")
            assert page is not None
            self.full[name] = FullBook.of_page(json.loads(page.body))
        self.kinds: dict[str, int] = {}

    def place(self, user: int, name: str, size: float, price: int | None, **more: Any) -> None:
        market = MARKETS[name]
        quantity = round(size * 10**market.base_decimals)
        self.engine.place(user, base=market.base, counter=market.counter, quantity=quantity, price=price, **more)

    def command(self, random: Random) -> None:
        """Any command, most of them sensible."""
        user, name = random.choice(self.users), random.choice(list(MARKETS))
        orders = self.engine.orders(user)
        choice = random.random()
        size = random.expovariate(1.0) * random.choice([-0.02, 0.02]) or 0.01
        price = round(PRICES[name] * random.uniform(0.985, 1.015))
        try:
            if choice < 0.5 or not orders:
                persist = random.choice([True, True, True, "fill_or_kill"])
                self.place(user, name, size, price, persist=persist)
            elif choice < 0.62:
                self.place(user, name, size, None)
            elif choice < 0.8:
                self.engine.cancel(user, id=random.choice(orders).id)
            else:
                order = random.choice(orders)
                target = round(order.price * random.uniform(0.98, 1.02)) if random.random() < 0.6 else None
                delta = round(order.quantity * random.uniform(-1.2, 1.2)) if target is None else None
                self.engine.modify(user, id=order.id, price=target, quantity_delta=delta)
        except EngineError:
            self.engine.cancel_all(user)

    def publish(self) -> None:
        """Apply what the session is told of everything that has happened."""
        for text, sessions in self.venue.notices(self.engine.take_events()):
            assert list(sessions) == [1]
            message = read(text)
            name = message["product_id"]
            self.kinds[message["type"]] = self.kinds.get(message["type"], 0) + 1
            if message["type"] == "l2update":
                self.level2[name].apply(message)
                # told right after the message that changed them
                assert self.level2[name].levels == self.full[name].levels()
            else:
                self.full[name].apply(message)
                assert not self.full[name].crossed()

    def agree(self) -> None:
        """Both books are the engine's own, order by order and level by level."""
        for name, market in MARKETS.items():
            engine: dict[int, Row] = {
                order.id: (
                    "buy" if order.quantity > 0 else "sell",
                    Decimal(order.price) / market.scale,
                    Decimal(abs(order.quantity)) / 10**market.base_decimals,
                )
                for order in self.engine.book(market.base, market.counter, limit=None)
            }
            rebuilt = self.full[name]
            assert {order_number(number): row for number, row in rebuilt.rows().items()} == engine
            assert self.level2[name].levels == rebuilt.levels()
            page = self.venue.page(f"/products/{name}/book?level=2")
            assert page is not None
            fields = json.loads(page.body)
            assert fields["sequence"] == rebuilt.sequence
            told = {
                (side, Decimal(price)): Decimal(size)
                for side, rows in (("buy", fields["bids"]), ("sell", fields["asks"]))
                for price, size, _ in rows
            }
            assert told == rebuilt.levels()


@pytest.mark.parametrize("fees", [None, Fees(1000, 2000, 99), Fees(300_000, 200_000, 99)])
def test_both_books_are_the_engines_after_every_command(fees: Fees | None) -> None:
    random, rebuilt = Random(11), Rebuilt(fees)
    rebuilt.agree()
    for _ in range(COMMANDS):
        rebuilt.command(random)
        rebuilt.publish()
        rebuilt.agree()
    assert {"received", "open", "match", "change", "done", "l2update"} == set(rebuilt.kinds)
    assert min(rebuilt.kinds.values()) > 100


def test_commands_told_of_together_are_told_as_well_as_one_by_one() -> None:
    random, rebuilt = Random(12), Rebuilt(Fees(1000, 200_000, 99))
    for _ in range(COMMANDS // 20):
        for _ in range(20):
            rebuilt.command(random)
        rebuilt.publish()
        rebuilt.agree()


def test_a_bid_that_cannot_pay_its_fee_is_done_before_the_ask_that_met_it_opens() -> None:
    rebuilt = Rebuilt(Fees(300_000, 0, 99))
    for user in rebuilt.users:
        rebuilt.engine.cancel_all(user)
    rebuilt.publish()
    unit = 10**-8
    rebuilt.place(2, "BTC-USD", unit, 900_000)
    rebuilt.place(3, "BTC-USD", -unit, 900_000)
    told = [read(text) for text, _ in rebuilt.venue.notices(rebuilt.engine.take_events())]
    told = [message for message in told if message["type"] != "l2update"]
    assert [(message["type"], message["side"]) for message in told] == [
        ("received", "buy"),
        ("open", "buy"),
        ("received", "sell"),
        ("done", "buy"),
        ("open", "sell"),
    ]
    assert told[3]["reason"] == "canceled"
