"""Simulated traders, so that there is a market to watch: quotes, cancels, takers around drifting prices.

The decisions come from a seeded generator and from what the traders know of their own orders, so one seed gives
one sequence of commands; when the next one is due is the business of whoever calls `step`. They may go on for
ever: the number of their orders is bounded, prices are pulled back to where they began, and both sides are taken
alike, with balances that no ready-made user can exhaust.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

from wsclient.coinflex.assets import SCALE
from wsclient.sandbox.assets import CODES
from wsclient.sandbox.engine import Engine, EngineError, Market
from wsclient.sandbox.users import FIRST_TRADER

WEALTH: Final = 10_000_000_000 * SCALE
"""What a trader owns of each asset that it trades, scaled by 10000."""
TRADERS: Final = 4
DEPTH: Final = 25
"""Orders on each side of a book at the start."""
MOST_ORDERS: Final = 3 * DEPTH
"""Orders that the traders have in one book at most."""


@dataclass(frozen=True, slots=True)
class Habit:
    """How a market is traded: by its assets' names, the price it hovers around, and the usual size of an order."""

    base: str
    counter: str
    price: float
    size: float
    volatility: float = 0.00015
    """The standard deviation of the price's relative step."""
    spread: float = 0.001
    """How far from the middle, relative to the price, a quote is on average."""


HABITS: Final = (
    Habit("XBT", "USDT", 9000.0, 0.8),
    Habit("ETH", "USDT", 240.0, 12.0),
    Habit("BCH", "USDT", 250.0, 10.0),
    Habit("FLEX", "USDT", 0.6, 4000.0, spread=0.03),
    Habit("USDC", "USDT", 1.0, 2500.0, volatility=0.00005, spread=0.004),
)
"""How CoinFLEX's markets are traded."""

HABITS_ELSEWHERE: Final = (
    Habit("XBT", "USD", 9000.0, 0.8),
    Habit("ETH", "USD", 240.0, 12.0),
    Habit("ETH", "EUR", 215.0, 12.0),
    Habit("ETH", "XBT", 0.02667, 12.0),
    Habit("BNB", "XBT", 0.0018, 50.0),
    Habit("NEO", "XBT", 0.0011, 80.0),
)
"""How the markets are traded that only other venues have."""

PULL: Final = 0.0001
"""Which part of its distance from home a price loses at each step: it stays within some percent of it."""
LOOK_EVERY: Final = 50
"""After how many steps in a market the traders look which of their orders there are left."""


@dataclass(frozen=True, slots=True)
class Place:
    """Place an order; without a `price` it is a market order. `quantity` is negative to sell."""

    user: int
    market: Market
    quantity: int
    price: int | None


@dataclass(frozen=True, slots=True)
class Modify:
    """Change an order's price or its quantity."""

    user: int
    id: int
    price: int | None = None
    quantity_delta: int | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel an order."""

    user: int
    id: int


Action: TypeAlias = Place | Modify | Cancel


@dataclass(frozen=True, slots=True)
class _Quote:
    """An order that a trader has placed, and perhaps still has."""

    user: int
    id: int
    bid: bool
    quantity: int


@dataclass(slots=True)
class _Stall:
    """One market as the traders see it. `middle` is the price of one whole unit, not scaled."""

    market: Market
    habit: Habit
    middle: float
    quotes: list[_Quote] = field(default_factory=list)
    steps: int = 0

    def poorer_side(self) -> tuple[bool, int]:
        """On which side (True: bids) fewer orders stand, and how many those are."""
        bids = sum(quote.bid for quote in self.quotes)
        asks = len(self.quotes) - bids
        return bids < asks, min(bids, asks)


class Traders:
    """A few accounts that keep several markets moving. `open()` once, then `step()` as often as wanted."""

    def __init__(
        self, markets: Iterable[Market], *, seed: int = 0, count: int = TRADERS, first: int = FIRST_TRADER
    ) -> None:
        self._random = Random(f"wsclient sandbox traders {seed}")
        self.users: tuple[int, ...] = tuple(range(first, first + count))
        listed = {(market.base, market.counter): market for market in markets}
        self._stalls = [
            _Stall(listed[pair], habit, habit.price)
            for habit in (*HABITS, *HABITS_ELSEWHERE)
            if (pair := (CODES[habit.base], CODES[habit.counter])) in listed
        ]

    def open(self, engine: Engine) -> None:
        """Open the traders' accounts, and give every book some depth."""
        assets = {asset for stall in self._stalls for asset in (stall.market.base, stall.market.counter)}
        for user in self.users:
            engine.add_user(user, {asset: WEALTH * 10 ** engine.decimals[asset] // SCALE for asset in assets})
        for stall in self._stalls:
            for number in range(2 * DEPTH):
                self.perform(engine, stall, self._quote(stall, bid=number % 2 == 0))

    def step(self, engine: Engine) -> Action | None:
        """Decide upon one command and run it; None if there is nothing to trade."""
        if not self._stalls:
            return None
        stall = self._random.choice(self._stalls)
        stall.steps += 1
        if stall.steps % LOOK_EVERY == 0:
            standing = {order.id for user in self.users for order in engine.orders(user)}
            stall.quotes = [quote for quote in stall.quotes if quote.id in standing]
        action = self.decide(stall)
        self.perform(engine, stall, action)
        return action

    # ------------------------------------------------------------ deciding

    def decide(self, stall: _Stall) -> Action:
        """The next command in one market. Moves its price; touches no engine."""
        random, habit = self._random, stall.habit
        home = math.log(stall.middle / habit.price)
        stall.middle *= math.exp(random.gauss(0.0, habit.volatility) - PULL * home)
        poorer, fewest = stall.poorer_side()
        if fewest < DEPTH // 2:
            return self._quote(stall, bid=poorer)
        if len(stall.quotes) >= MOST_ORDERS:
            return self._cancel(stall)
        choice = random.random()
        if choice < 0.42:
            return self._quote(stall, bid=random.random() < 0.5)
        if choice < 0.62:
            return self._cancel(stall)
        if choice < 0.86:
            return self._modify(stall)
        return self._take(stall)

    def _quote(self, stall: _Stall, *, bid: bool) -> Place:
        """Offer to trade at some distance from the middle; most offers are near it."""
        distance = self._random.expovariate(1.0) * stall.habit.spread
        price = stall.middle * (1 - distance if bid else 1 + distance)
        size = self._size(stall)
        limit = max(stall.market.tick, round(price * stall.market.scale))
        return Place(self._random.choice(self.users), stall.market, size if bid else -size, limit)

    def _take(self, stall: _Stall) -> Place:
        """Trade at once, at whatever price there is."""
        size = self._size(stall)
        buys = self._random.random() < 0.5
        return Place(self._random.choice(self.users), stall.market, size if buys else -size, None)

    def _cancel(self, stall: _Stall) -> Cancel:
        quote = stall.quotes.pop(self._random.randrange(len(stall.quotes)))
        return Cancel(quote.user, quote.id)

    def _modify(self, stall: _Stall) -> Modify:
        """Follow the middle with an order, or change its size; what this ends is found out at the next try."""
        quote = self._random.choice(stall.quotes)
        if self._random.random() < 0.5:
            place = self._quote(stall, bid=quote.bid)
            return Modify(quote.user, quote.id, price=place.price)
        change = max(1, round(quote.quantity * self._random.uniform(0.05, 0.3)))
        grows = self._random.random() < 0.5
        return Modify(quote.user, quote.id, quantity_delta=change if grows == quote.bid else -change)

    def _size(self, stall: _Stall) -> int:
        size: float = stall.habit.size * self._random.expovariate(1.0) * 10**stall.market.base_decimals
        return max(1, round(size))

    # ------------------------------------------------------------ acting

    def perform(self, engine: Engine, stall: _Stall, action: Action) -> None:
        """Run a command. An order that has gone in the meantime is forgotten; nothing else can go wrong."""
        try:
            match action:
                case Place(user, market, quantity, price):
                    placed = engine.place(
                        user, base=market.base, counter=market.counter, quantity=quantity, price=price
                    )
                    if placed.id is not None:
                        stall.quotes.append(_Quote(user, placed.id, quantity > 0, abs(quantity)))
                case Modify(user, id, price, quantity_delta):
                    engine.modify(user, id=id, price=price, quantity_delta=quantity_delta)
                case Cancel(user, id):
                    engine.cancel(user, id=id)
        except EngineError:
            if isinstance(action, Modify):
                stall.quotes = [quote for quote in stall.quotes if quote.id != action.id]
