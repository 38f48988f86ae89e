"""Carrying out what the engine has allowed: opening, matching, changing and closing orders.

Everything here succeeds; whoever calls has checked. This is also the only place that emits events, so the
guaranteed order of notices (see `engine.py`) can be read off its methods.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from wsclient.sandbox.accounts import Accounts
from wsclient.sandbox.events import (
    Event,
    Fill,
    OrderClosed,
    OrderModified,
    OrderOpened,
    OrdersMatched,
    TickerChanged,
    TradeVolumeChanged,
)
from wsclient.sandbox.market import Fees, Market, held_decimals
from wsclient.sandbox.orderbook import BookSide, LiveOrder, OrderBook
from wsclient.sandbox.settlement import Rounding, affordable
from wsclient.sandbox.statistics import TickerWatch, trade_volume


@dataclass(slots=True, eq=False)
class MarketOrder:
    """A market order while it is carried out: `left` is of the base asset, or of the counter if `by_total`."""

    user: int
    tonce: int | None
    market: Market
    bid: bool
    left: int
    by_total: bool


Taker: TypeAlias = LiveOrder | MarketOrder


class Floor:
    """The trading floor: all books and accounts, and the events that came of them."""

    def __init__(self, markets: Iterable[Market], clock: Callable[[], int], seed: int, fees: Fees | None) -> None:
        markets = tuple(markets)
        self.decimals = held_decimals(markets)
        self.accounts = Accounts(self.decimals)
        self.books: dict[tuple[int, int], OrderBook] = {}
        for market in markets:
            if (market.base, market.counter) in self.books:
                raise ValueError(f"there is a market for these two assets already: {market}")
            unit = 10 ** (self.decimals[market.base] - market.base_decimals)
            self.books[market.base, market.counter] = OrderBook(replace(market, base_unit=unit))
        self.tickers = {pair: TickerWatch() for pair in self.books}
        self.sessions: dict[object, dict[int, LiveOrder]] = {}
        self.events: list[Event] = []
        self.fees = fees or Fees()
        self._rounding = Rounding(seed)
        self._clock = clock
        self._time = 0
        self._touched: dict[tuple[int, int], None] = {}
        self._volumes: dict[tuple[int, int], None] = {}

    def stamp(self) -> int:
        """A time for an event, later than all before it."""
        self._time = max(self._clock(), self._time + 1)
        return self._time

    def open(self, order: LiveOrder, *, rests: bool) -> None:
        """Open a limit order and match it; what is left goes into the book if it `rests`, or is closed."""
        self.accounts.reserve(order.user, *order.reserves)
        self._tell_balances()
        self.accounts[order.user].open(order)
        if order.session is not None:
            self.sessions.setdefault(order.session, {})[order.id] = order
        self._tell(OrderOpened, order, order.time)
        self.match(order)
        if order.open and rests:
            self._side(order).add(order)
        elif order.open:
            self._close(order)
            self._tell_balances()

    def change(self, order: LiveOrder, quantity: int, price: int) -> None:
        """Change a resting order. A new price or a larger quantity costs it its place, a new price may match."""
        moves = price != order.price
        requeues = moves or quantity > order.quantity
        if requeues:
            self._side(order).remove(order)
            order.time = self.stamp()
        asset, before = order.reserves
        order.quantity, order.price = quantity, price
        self.accounts.reserve(order.user, asset, order.reserves[1] - before)
        self._tell_balances()
        self._tell(OrderModified, order, order.time)
        if moves:
            self.match(order)
        if requeues and order.open:
            self._side(order).add(order)

    def bring(self, user: int, asset: int, amount: int) -> None:
        """Let a user deposit an amount, or (below zero) withdraw it."""
        self.accounts.bring(user, asset, amount)
        self._tell_balances()

    def cancel(self, order: LiveOrder) -> None:
        """Close an order that rests in the book."""
        self._side(order).remove(order)
        self._close(order)
        self._tell_balances()

    def match(self, taker: Taker) -> None:
        """Trade with the other side of the book as far as price, quantity and money go.

        Every turn trades at least one unit of the base asset, or closes an order, or is the last.
        """
        market = taker.market
        limit = taker if isinstance(taker, LiveOrder) else None
        makers = self.books[market.base, market.counter].side(bid=not taker.bid)
        while maker := makers.best():
            if limit and not makers.reached_by(limit.price):
                return
            bid_rate, ask_rate = self._rates(taker, maker)
            bid = limit if taker.bid else maker
            money = bid.reserves[1] if bid else self._free(taker.user, market.counter)
            wanted = self._wanted(taker, maker.price)
            quantity = min(wanted, maker.quantity, affordable(market, maker.price, money, bid_rate))
            if quantity:
                self._trade(taker, maker, quantity, money, bid_rate, ask_rate)
                if quantity == wanted or (limit and not limit.open):
                    return
            elif wanted and maker.bid:
                # What this bid reserves doesn't pay for one unit and its fee: it can never trade again.
                self.cancel(maker)
            else:
                if limit:  # for the same reason
                    self._close(limit)
                    self._tell_balances()
                return

    def finish(self) -> None:
        """End a command: tell what it did to traded volumes and to tickers."""
        for user, asset in self._volumes:
            self.events.append(TradeVolumeChanged(user, asset, self.accounts[user].volumes[asset].amount))
        self._volumes.clear()
        for pair in self._touched:
            book = self.books[pair]
            changes = self.tickers[pair].publish(book.bids.best_price(), book.asks.best_price())
            if changes:
                self.events.append(TickerChanged(*pair, changes))
        self._touched.clear()

    def advance(self) -> None:
        """Forget the trades that are too old to count."""
        now = max(self._clock(), self._time)
        for account in self.accounts:
            for asset, window in account.volumes.items():
                if window.expire(now):
                    self._volumes[account.user, asset] = None
        for pair, ticker in self.tickers.items():
            if ticker.expire(now):
                self._touched[pair] = None
        self.finish()

    def _wanted(self, taker: Taker, price: int) -> int:
        """How much of the base asset the taker would trade at this price, whatever a buyer can pay."""
        if isinstance(taker, LiveOrder):
            return taker.quantity
        wanted = taker.left * taker.market.divisor // price if taker.by_total else taker.left
        market = taker.market
        return wanted if taker.bid else min(wanted, self._free(taker.user, market.base) // market.base_unit)

    def _free(self, user: int, asset: int) -> int:
        return self.accounts[user].available.get(asset, 0)

    def _rates(self, taker: Taker, maker: LiveOrder) -> tuple[int, int]:
        """The fee rates of the bid and of the ask; who trades with himself pays none."""
        if taker.user == maker.user:
            return 0, 0
        fees = self.fees
        return (fees.taker, fees.maker) if taker.bid else (fees.maker, fees.taker)

    def _trade(
        self, taker: Taker, maker: LiveOrder, quantity: int, money: int, bid_rate: int, ask_rate: int
    ) -> None:
        market, price, time = maker.market, maker.price, self.stamp()
        bid, ask = (taker, maker) if taker.bid else (maker, taker)
        most = money
        if isinstance(bid, LiveOrder):
            most -= market.cost(bid.quantity - quantity, bid.price)
        settled = self._rounding.settle(
            market, quantity, price, money=money, most=most, bid_rate=bid_rate, ask_rate=ask_rate
        )
        total, spent = settled.total, settled.total + settled.bid_fee

        if isinstance(bid, LiveOrder):
            # Where a fee has eaten into the reservation, only so much of the order is left as the rest covers.
            covered = affordable(market, bid.price, money - spent, 0)
            self._reduce(bid, min(bid.quantity - quantity, covered))
        if isinstance(ask, LiveOrder):
            self._reduce(ask, ask.quantity - quantity)
        if isinstance(taker, MarketOrder):
            taker.left -= total if taker.by_total else quantity
        give = self.accounts.give
        held = quantity * market.base_unit
        give(bid.user, market.counter, -spent)
        give(ask.user, market.base, -held)
        give(bid.user, market.base, held)
        give(ask.user, market.counter, total - settled.ask_fee)
        if fee := settled.bid_fee + settled.ask_fee:
            give(self.fees.house, market.counter, fee)

        self.events.append(
            OrdersMatched(
                market.base,
                market.counter,
                quantity,
                price,
                total,
                time,
                "bid" if taker.bid else "ask",
                _fill(bid, settled.bid_fee),
                _fill(ask, settled.ask_fee),
            )
        )
        if not maker.quantity:
            self._side(maker).remove(maker)
            self._close(maker)
        if isinstance(taker, LiveOrder) and not taker.quantity:
            self._close(taker)
        self._tell_balances()
        self._count(market, bid.user, ask.user, quantity, price, total, time)

    def _count(
        self, market: Market, buyer: int, seller: int, quantity: int, price: int, total: int, time: int
    ) -> None:
        """Add a trade to the market's ticker and, once each, to what its users have traded."""
        pair = market.base, market.counter
        self._touched[pair] = None
        self.tickers[pair].trade(time, quantity, price)
        for user in dict.fromkeys((buyer, seller)):
            volumes = self.accounts[user].volumes
            for asset, amount in ((market.base, quantity * market.base_unit), (market.counter, total)):
                if amount:
                    if asset not in volumes:
                        volumes[asset] = trade_volume()
                    volumes[asset].add(time, amount)
                    self._volumes[user, asset] = None

    def _side(self, order: LiveOrder) -> BookSide:
        return self.books[order.market.base, order.market.counter].side(bid=order.bid)

    def _reduce(self, order: LiveOrder, quantity: int) -> None:
        """Leave an order with a smaller quantity, and free what it no longer needs to hold."""
        asset, before = order.reserves
        order.quantity = quantity
        self.accounts.reserve(order.user, asset, order.reserves[1] - before)

    def _close(self, order: LiveOrder) -> None:
        """End an order that is in no book (any more). Its `quantity` stays what it was, for whoever asks."""
        self.accounts[order.user].close(order)
        if order.session is not None:
            mates = self.sessions[order.session]
            del mates[order.id]
            if not mates:
                del self.sessions[order.session]
        order.open = False
        asset, amount = order.reserves
        self.accounts.reserve(order.user, asset, -amount)
        self._tell(OrderClosed, order, self.stamp())

    def _tell(
        self, kind: type[OrderOpened] | type[OrderModified] | type[OrderClosed], order: LiveOrder, time: int
    ) -> None:
        market = order.market
        self._touched[market.base, market.counter] = None
        self.events.append(
            kind(order.user, order.id, order.tonce, market.base, market.counter, order.signed, order.price, time)
        )

    def _tell_balances(self) -> None:
        self.events.extend(self.accounts.changes())


def _fill(side: Taker, fee: int) -> Fill:
    if isinstance(side, LiveOrder):
        return Fill(side.user, side.id, side.tonce, side.quantity, 0, fee)
    return Fill(side.user, None, side.tonce, None, 0, fee)
