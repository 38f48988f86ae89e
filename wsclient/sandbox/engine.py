"""The matching engine: orders in, events out; no I/O, no threads, and the same every time from a seed and a clock.

This file decides whether a command may be carried out; `matching.py` carries it out.

Guaranteed order of events (protocol page, section "Notices"): a limit order is first opened whole, then matched,
and its rest stays or is closed. So each has one life: `OrderOpened`, any number of `OrdersMatched` and
`OrderModified`, one `OrderClosed` (which says 0 if all was traded). A book that replays events may therefore look
crossed until the events of that one command are through. `BalanceChanged` comes before the `OrderOpened` or
`OrderModified` that it pays for, and after the `OrdersMatched` or `OrderClosed` that causes it. An order that a
match completes is closed right after it, before the balances. `TradeVolumeChanged`, then `TickerChanged`, end a
command.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from wsclient.sandbox import checks
from wsclient.sandbox.accounts import Account
from wsclient.sandbox.answers import Balance, Estimate, Order, Placed, Ticker
from wsclient.sandbox.checks import EngineError
from wsclient.sandbox.events import Event
from wsclient.sandbox.market import Fees, Market
from wsclient.sandbox.matching import Floor, MarketOrder
from wsclient.sandbox.orderbook import LiveOrder, OrderBook

__all__ = ["Balance", "Engine", "EngineError", "Estimate", "Fees", "Market", "Order", "Placed", "Ticker"]


def _microseconds() -> int:
    return time.time_ns() // 1000


class Engine:
    """One exchange's books and accounts.

    Fields of commands are taken as `object`, straight from decoded JSON: what does not fit is an `EngineError`,
    and a command that raises it has changed nothing and emitted nothing. A user never added is a `KeyError`.

    `clock` gives microseconds since the Unix epoch; order ids and times strictly increase, also where it does not.
    `seed` is that of the stochastic rounding. `tonces` names the rule in force: "increasing" (greater than all
    since the last `cancel_all`) or "unique" (among the user's open orders).
    """

    def __init__(
        self,
        markets: Iterable[Market],
        *,
        clock: Callable[[], int] = _microseconds,
        seed: int = 0,
        tonces: Literal["increasing", "unique"] = "increasing",
        fees: Fees | None = None,
        max_open_orders: int = 1000,
    ) -> None:
        self._floor = Floor(markets, clock, seed, fees)
        self._accounts = self._floor.accounts
        self._increasing = tonces == "increasing"
        self._max_open_orders = max_open_orders
        self._last_id = 0
        if fees is not None:
            self._accounts.add(fees.house, {})

    @property
    def markets(self) -> Mapping[tuple[int, int], Market]:
        """What is traded, by base and counter asset."""
        return {pair: book.market for pair, book in self._floor.books.items()}

    @property
    def decimals(self) -> Mapping[int, int]:
        """With how many decimals each asset is held: balances and volumes count units of that size."""
        return self._floor.decimals

    def add_user(self, user: int, balances: Mapping[int, int]) -> None:
        """Open an account with these available balances, by asset code, in the units in which assets are held.

        `ValueError` says that the user is there already, an amount is negative, or that more would exist of an
        asset than 64 bits can count at four decimals.
        """
        self._accounts.add(user, balances)

    def deposit(self, user: int, asset: int, amount: int) -> None:
        """Let a user have more of an asset (or, below zero, less), in held units. ValueError: see `add_user`."""
        self._floor.bring(user, asset, amount)

    def place(
        self,
        user: int,
        *,
        base: object,
        counter: object,
        quantity: object = None,
        price: object = None,
        total: object = None,
        tonce: object = None,
        persist: object = True,
        post_only: object = False,
        session: object | None = None,
    ) -> Placed:
        """Place a limit order (quantity and price) or a market order (quantity alone, or total alone).

        Quantity and total are negative to sell. `persist=False` ties a limit order to `session`, see `end_session`
        (without a session it means nothing), "fill_or_kill" closes what does not match at once. A market order
        trades what book and balance allow, up to the quantity or the total, fees not counted.

        Errors: 8 malformed, 1 no such market, 3 tonce, 5 too many open orders, 9 `post_only` would match, 4 funds.
        A tonce used before is found before anything that the order itself may have brought about, so that a
        repeated order is always answered with 3.
        """
        account = self._accounts[user]
        number, amount = checks.optional_amount("quantity", quantity), checks.optional_amount("total", total)
        limit, nonce = checks.optional_price(price), checks.optional_amount("tonce", tonce)
        lasting, passive = checks.persistence(persist), checks.flag("post_only", post_only)
        book = self._book(base, counter)
        if limit is None:
            if passive:
                raise EngineError(checks.BAD_REQUEST, "An order without a price can't be post-only.")
            left = checks.market_amount(number, amount)
            self._check_tonce(account, nonce)
            taker = MarketOrder(user, nonce, book.market, left > 0, abs(left), by_total=number is None)
            self._spend_tonce(account, nonce)
            self._floor.match(taker)
            self._floor.finish()
            return Placed(remaining=taker.left)

        if number is None or amount is not None:
            raise EngineError(checks.BAD_REQUEST, "An order with a price needs a quantity, and takes no total.")
        bid = number > 0
        limit = _tick_price(book.market, limit, bid=bid)
        order = LiveOrder(0, user, nonce, book.market, bid, abs(number), limit, 0)
        self._check_amounts(order.market, order.quantity, limit)
        self._check_tonce(account, nonce)
        if len(account.orders) >= self._max_open_orders:
            raise EngineError(checks.TOO_MANY, "You have as many open orders as you may have.")
        if passive:
            _check_passive(book, limit, bid=bid)
        self._check_funds(account, *order.reserves)

        self._spend_tonce(account, nonce)
        self._last_id += 1
        order.id, order.time = self._last_id, self._floor.stamp()
        order.session = session if lasting is False else None
        placed = Placed(id=order.id, time=order.time)
        self._floor.open(order, rests=lasting != "fill_or_kill")
        self._floor.finish()
        return placed

    def modify(
        self,
        user: int,
        *,
        id: object = None,
        tonce: object = None,
        quantity_delta: object = None,
        price: object = None,
        post_only: object = False,
    ) -> Order:
        """Change an open order, and give it as it is then: its quantity is 0 if that ended it.

        The delta is added to the signed quantity; reaching or crossing zero cancels. A larger quantity sends the
        order to the back of its level, a smaller one keeps its place. Another price (after rounding to the tick)
        sends it to the back of its new level and matches if it crosses, which `post_only` refuses. Going to the
        back gives the order a new time. A delta of 0, or the price that it has, changes nothing and is no error.

        Errors: 8 malformed, 1 no such order, 9 `post_only` would match, 4 funds.
        """
        account = self._accounts[user]
        delta, limit = checks.optional_integer("quantity_delta", quantity_delta), checks.optional_price(price)
        passive = checks.flag("post_only", post_only)
        if delta is None and limit is None:
            raise EngineError(checks.BAD_REQUEST, "Say what to modify: quantity_delta, price or both.")
        order = self._find(account, id, tonce)
        limit = order.price if limit is None else _tick_price(order.market, limit, bid=order.bid)
        quantity = order.quantity + (delta or 0) * (1 if order.bid else -1)
        if quantity <= 0:
            self._cancel([order])
            return _outcome(order)
        self._check_amounts(order.market, quantity, limit)
        if passive and limit != order.price:
            _check_passive(self._floor.books[order.market.base, order.market.counter], limit, bid=order.bid)
        asset, needed = order.requires(quantity, limit)
        self._check_funds(account, asset, needed - order.reserves[1])

        if (quantity, limit) != (order.quantity, order.price):
            self._floor.change(order, quantity, limit)
            self._floor.finish()
        return _outcome(order)

    def cancel(self, user: int, *, id: object = None, tonce: object = None) -> Order:
        """Cancel an open order, and give it as it was. Errors: 8 malformed, 1 no such order."""
        return self._cancel([self._find(self._accounts[user], id, tonce)])[0]

    def cancel_all(self, user: int, pairs: Collection[tuple[int, int]] | None = None) -> list[Order]:
        """Cancel all of a user's orders (on some markets, if `pairs` says which) and start its tonces afresh."""
        account = self._accounts[user]
        account.last_tonce = 0
        orders = account.orders.values()
        return self._cancel(
            [order for order in orders if pairs is None or (order.market.base, order.market.counter) in pairs]
        )

    def end_session(self, session: object) -> list[Order]:
        """Cancel the orders that were placed with `persist=False` for this session, oldest first."""
        return self._cancel(list(self._floor.sessions.get(session, {}).values()))

    def balances(self, user: int) -> list[Balance]:
        """The balances of every asset that the user has or has had, by ascending asset code."""
        return self._accounts[user].balances()

    def orders(self, user: int) -> list[Order]:
        """A user's open orders, oldest first."""
        return [order.snapshot() for order in self._accounts[user].orders.values()]

    def order(self, user: int, *, id: object = None, tonce: object = None) -> Order:
        """One of a user's open orders. Errors: 8 malformed, 1 no such order."""
        return self._find(self._accounts[user], id, tonce).snapshot()

    def estimate(
        self, *, base: object, counter: object, quantity: object = None, total: object = None
    ) -> Estimate:
        """What a market order would trade now, whatever anybody's balance, before fees.

        Nothing is left to chance: the exact totals are added up and the sum is rounded to the nearest.
        Errors: 8 malformed, 1 no such market.
        """
        number, amount = checks.optional_amount("quantity", quantity), checks.optional_amount("total", total)
        book = self._book(base, counter)
        wish = checks.market_amount(number, amount)
        divisor, traded, exact = book.market.divisor, 0, 0  # `exact` is the total times the divisor
        for maker in book.side(bid=wish < 0):
            if number is None:
                wanted = (abs(wish) * divisor - exact) // maker.price
            else:
                wanted = abs(wish) - traded
            if not wanted:
                break
            step = min(wanted, maker.quantity)
            traded += step
            exact += step * maker.price
        return Estimate(traded, (2 * exact + divisor) // (2 * divisor))

    def volume(self, user: int, asset: object) -> int:
        """What a user has traded of an asset within 30 days, as of the last event or `advance`, in held units."""
        window = self._accounts[user].volumes.get(checks.integer("asset", asset))
        return window.amount if window else 0

    def book(self, base: object, counter: object, limit: int | None = 1000) -> list[Order]:
        """The open orders of a market: bids from the best, then asks from the best, `limit` of each at most."""
        return self._book(base, counter).snapshot(limit)

    def ticker(self, base: object, counter: object) -> Ticker:
        """The ticker of a market, as of the last event or `advance`."""
        market = self._book(base, counter).market
        return self._floor.tickers[market.base, market.counter].published

    def advance(self) -> None:
        """Let time pass: what has left the 24 hours and 30 days is forgotten, and events say so."""
        self._floor.advance()

    def levels(
        self, base: object, counter: object, limit: int | None = None
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The best `limit` bids and asks by price: each price with all that is offered at it, the best first."""
        book = self._book(base, counter)
        return book.bids.levels(limit), book.asks.levels(limit)

    @property
    def fees(self) -> Fees:
        """What trading costs."""
        return self._floor.fees

    @property
    def waiting(self) -> Sequence[Event]:
        """What has happened since the last `take_events`, which is not to be changed."""
        return self._floor.events

    def take_events(self) -> list[Event]:
        """What has happened since the last call, in the guaranteed order."""
        events, self._floor.events = self._floor.events, []
        return events

    def _cancel(self, orders: list[LiveOrder]) -> list[Order]:
        cancelled = [order.snapshot() for order in orders]
        for order in orders:
            self._floor.cancel(order)
        self._floor.finish()
        return cancelled

    def _book(self, base: object, counter: object) -> OrderBook:
        pair = checks.integer("base", base), checks.integer("counter", counter)
        book = self._floor.books.get(pair)
        if book is None:
            raise EngineError(checks.NOT_FOUND, "There is no market for these two assets.")
        return book

    def _find(self, account: Account, id: object, tonce: object) -> LiveOrder:
        number, nonce = checks.optional_integer("id", id), checks.optional_integer("tonce", tonce)
        if (number is None) == (nonce is None):
            raise EngineError(checks.BAD_REQUEST, "Name the order by its id or by its tonce, one of the two.")
        order = account.orders.get(number) if number is not None else account.by_tonce.get(nonce or 0)
        if order is None:
            raise EngineError(checks.NOT_FOUND, "You have no such open order.")
        return order

    def _check_tonce(self, account: Account, tonce: int | None) -> None:
        if tonce is None:
            return
        if self._increasing and tonce <= account.last_tonce:
            raise EngineError(checks.TONCE, "This tonce is not greater than those you have used.")
        if tonce in account.by_tonce:
            raise EngineError(checks.TONCE, "An open order of yours has this tonce.")

    def _spend_tonce(self, account: Account, tonce: int | None) -> None:
        if tonce is not None and self._increasing:
            account.last_tonce = tonce

    @staticmethod
    def _check_amounts(market: Market, quantity: int, price: int) -> None:
        checks.fits(quantity)
        checks.fits(market.cost(quantity, price))

    @staticmethod
    def _check_funds(account: Account, asset: int, amount: int) -> None:
        if amount > account.available.get(asset, 0):
            raise EngineError(checks.FUNDS, "Your available balance does not cover this order.")


def _outcome(order: LiveOrder) -> Order:
    """The order after a change: a closed one has nothing left."""
    return order.snapshot() if order.open else replace(order.snapshot(), quantity=0)


def _tick_price(market: Market, price: int, *, bid: bool) -> int:
    rounded = market.round_price(price, bid=bid)
    if rounded == 0:
        raise EngineError(checks.BAD_REQUEST, "The price of a bid may not be less than one tick.")
    return checks.fits(rounded)


def _check_passive(book: OrderBook, price: int, *, bid: bool) -> None:
    if book.side(bid=not bid).reached_by(price):
        raise EngineError(checks.WOULD_MATCH, "A post-only order may not match at once.")
