"""The orders of the sandbox's users as Binance knows them: numbers, client order ids, states, history.

The engine knows open limit orders; Binance also has market orders with numbers, client order ids, and remembers
what has ended. So every order of a user gets a record here, through whichever dialect it was placed, kept up by
the engine's events. `OrderDesk.absorb` turns each event into reports, which are what user data streams tell.

Source: protocol page, section "WebSocket API (request and reply)".
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from wsclient.sandbox.binance_symbols import Symbol, Symbols
from wsclient.sandbox.events import Event, Fill, OrderClosed, OrderModified, OrderOpened, OrdersMatched

Side: TypeAlias = Literal["BUY", "SELL"]
Kind: TypeAlias = Literal["LIMIT", "LIMIT_MAKER", "MARKET"]
TimeInForce: TypeAlias = Literal["GTC", "IOC", "FOK"]
Status: TypeAlias = Literal["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"]
Execution: TypeAlias = Literal["NEW", "TRADE", "CANCELED", "EXPIRED", "REPLACED"]

OPEN: Final[frozenset[Status]] = frozenset({"NEW", "PARTIALLY_FILLED"})


@dataclass(frozen=True, slots=True)
class OrderFill:
    """One match of an order, in the market's units; `fee` is of the quote asset."""

    trade: int
    price: int
    quantity: int
    total: int
    fee: int
    maker: bool


@dataclass(slots=True, eq=False)
class OrderRecord:
    """One order. Quantities, prices and totals are in its market's units, times in microseconds."""

    id: int
    user: int
    symbol: Symbol
    client_id: str
    side: Side
    kind: Kind
    time_in_force: TimeInForce
    price: int
    quantity: int
    quote_quantity: int
    time: int
    engine_id: int | None = None
    executed: int = 0
    spent: int = 0
    status: Status = "NEW"
    updated: int = 0
    works: bool = False
    """It is, or was, on the book."""
    expiry: str | None = None
    cancelled_as: str | None = None
    """The client order id that the cancellation gave it."""
    fills: list[OrderFill] = field(default_factory=list)
    """Its matches at once, for the reply to who placed it."""

    @property
    def open(self) -> bool:
        """Whether it can still trade."""
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class Report:
    """Something has happened to an order, which was then as this says."""

    order: OrderRecord
    execution: Execution
    status: Status
    executed: int
    spent: int
    quantity: int
    price: int
    time: int
    works: bool
    number: int
    """Counts the reports, over all orders."""
    fill: OrderFill | None = None


class OrderDesk:
    """Every user's orders."""

    def __init__(self, symbols: Symbols, users: frozenset[int], *, history: int) -> None:
        self._symbols = symbols
        self._users = users
        self._history = history
        self._last_id = 0
        self._reports = 0
        self._finished: OrderedDict[int, OrderRecord] = OrderedDict()
        self._orders: dict[int, OrderRecord] = {}
        self._by_engine: dict[int, OrderRecord] = {}
        self._by_client: dict[tuple[int, str, str], OrderRecord] = {}
        self._placing: OrderRecord | None = None

    # ------------------------------------------------------------ looking up

    def find(self, user: int, symbol: Symbol, order_id: int) -> OrderRecord | None:
        """A user's order by its number, open or finished."""
        order = self._orders.get(order_id)
        return order if order and order.user == user and order.symbol is symbol else None

    def named(self, user: int, symbol: Symbol, client_id: str) -> OrderRecord | None:
        """A user's order by its client order id; the last one that had it."""
        return self._by_client.get((user, symbol.name, client_id))

    def open_orders(self, user: int, symbol: Symbol | None = None) -> list[OrderRecord]:
        """A user's open orders, oldest first."""
        return [
            order
            for order in self._by_engine.values()
            if order.user == user and order.open and (symbol is None or order.symbol is symbol)
        ]

    def all(self, user: int) -> list[OrderRecord]:
        """All orders of a user that are remembered, oldest first."""
        return [order for order in self._orders.values() if order.user == user]

    # ------------------------------------------------------------ placing

    def begin(
        self,
        user: int,
        symbol: Symbol,
        client_id: str | None,
        side: Side,
        kind: Kind,
        time_in_force: TimeInForce,
        *,
        price: int,
        quantity: int,
        quote_quantity: int,
        time: int,
    ) -> OrderRecord:
        """Make the record of an order that is about to be given to the engine; what that says next is about it."""
        self._last_id += 1
        order = OrderRecord(
            self._last_id, user, symbol, client_id or generated(self._last_id), side, kind, time_in_force,
            price, quantity, quote_quantity, time, updated=time,
        )  # fmt: skip
        self._placing = order
        return order

    def forget(self) -> None:
        """The engine has refused the order."""
        self._placing = None

    def placed(self, time: int) -> Iterator[Report]:
        """The engine is done with the order: a market order, or one that nobody could fill, is over."""
        order, self._placing = self._placing, None
        if order is None or order.engine_id is not None:
            return
        if order.id not in self._orders:  # nothing was matched, so nothing was told yet
            self._keep(order)
            yield self._report(order, "NEW", time)
        if order.open:
            order.status = "EXPIRED"
            order.expiry = (
                "UNFILLED_FOK_ORDER_EXPIRED" if order.time_in_force == "FOK" else "INSUFFICIENT_LIQUIDITY"
            )
            order.updated = time
            self._finish(order)
            yield self._report(order, "EXPIRED", time)

    # ------------------------------------------------------------ what the engine says

    def absorb(self, event: Event, trade: int) -> Iterator[Report]:
        """Keep the records up with an event (a match: the trade of this number), and report what it did."""
        match event:
            case OrderOpened() if event.user in self._users:
                yield from self._opened(event)
            case OrderModified() if event.id in self._by_engine:
                order = self._by_engine[event.id]
                order.quantity = order.executed + abs(event.quantity)
                order.price, order.updated = event.price, event.time
                yield self._report(order, "REPLACED", event.time)
            case OrdersMatched():
                for fill, bid in ((event.bid, True), (event.ask, False)):
                    if fill.user in self._users:
                        yield from self._matched(event, fill, trade, bid=bid)
            case OrderClosed() if event.id in self._by_engine:
                yield from self._closed(event)

    def _opened(self, event: OrderOpened) -> Iterator[Report]:
        order = self._placing
        if order is None or order.engine_id is not None:
            order = self._elsewhere(event.user, event.base, event.counter, event.quantity, event.price, event.time)
        order.engine_id = event.id
        order.time = order.updated = event.time
        order.works = True
        self._by_engine[event.id] = order
        self._keep(order)
        yield self._report(order, "NEW", event.time)

    def _matched(self, event: OrdersMatched, side: Fill, trade: int, *, bid: bool) -> Iterator[Report]:
        taker = event.taker_side == ("bid" if bid else "ask")
        order: OrderRecord | None
        if side.order is not None:
            order = self._by_engine.get(side.order)
            if order is None:  # it stood in the book before there was a desk
                return
        elif self._placing is not None:
            order = self._placing
        else:
            # another dialect's market order; the engine doesn't say how large it is, so each match is one order
            order = self._elsewhere(
                side.user, event.base, event.counter, event.quantity if bid else -event.quantity, 0, event.time
            )
            order.kind = "MARKET"
        if order.id not in self._orders:
            self._keep(order)
            yield self._report(order, "NEW", event.time)
        fill = OrderFill(trade, event.price, event.quantity, event.total, side.counter_fee, not taker)
        order.executed += event.quantity
        order.spent += event.total
        order.updated = event.time
        if order is self._placing:
            order.fills.append(fill)
        done = order.executed >= order.quantity
        order.status = "FILLED" if done else "PARTIALLY_FILLED"
        if done and order.engine_id is None:
            self._finish(order)
        yield self._report(order, "TRADE", event.time, fill)

    def _closed(self, event: OrderClosed) -> Iterator[Report]:
        order = self._by_engine.pop(event.id)
        if order.status != "FILLED":
            order.updated = event.time
            if not event.quantity:
                # a fee has eaten what was reserved for the rest; for the engine the order is done
                order.status, order.expiry = "EXPIRED", "INSUFFICIENT_LIQUIDITY"
            elif order.time_in_force == "GTC":
                order.status = "CANCELED"
            else:
                order.status, order.expiry = "EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED"
        self._finish(order)
        if order.status == "CANCELED":
            yield self._report(order, "CANCELED", event.time)
        elif order.status == "EXPIRED":
            yield self._report(order, "EXPIRED", event.time)

    def cancelled_as(self, order: OrderRecord, client_id: str | None) -> str:
        """Give an order that is about to be cancelled its new client order id, by which it can be found, too."""
        order.cancelled_as = client_id or generated(order.id, "cancel")
        self._by_client[order.user, order.symbol.name, order.cancelled_as] = order
        return order.cancelled_as

    # ------------------------------------------------------------ the records

    def _elsewhere(self, user: int, base: int, counter: int, quantity: int, price: int, time: int) -> OrderRecord:
        """The record of an order that came through another dialect."""
        self._last_id += 1
        symbol = self._symbols.by_pair[base, counter]
        side: Side = "BUY" if quantity > 0 else "SELL"
        return OrderRecord(
            self._last_id, user, symbol, generated(self._last_id, "elsewhere"), side, "LIMIT", "GTC",
            price, abs(quantity), 0, time, updated=time,
        )  # fmt: skip

    def _keep(self, order: OrderRecord) -> None:
        self._orders[order.id] = order
        self._by_client[order.user, order.symbol.name, order.client_id] = order

    def _finish(self, order: OrderRecord) -> None:
        self._finished[order.id] = order
        while len(self._finished) > self._history:
            _, old = self._finished.popitem(last=False)
            self._orders.pop(old.id, None)
            for name in (old.client_id, old.cancelled_as or ""):
                key = (old.user, old.symbol.name, name)
                if self._by_client.get(key) is old:
                    del self._by_client[key]

    def _report(
        self, order: OrderRecord, execution: Execution, time: int, fill: OrderFill | None = None
    ) -> Report:
        self._reports += 1
        return Report(
            order, execution, order.status, order.executed, order.spent, order.quantity, order.price, time,
            order.works and order.open, self._reports, fill,
        )  # fmt: skip


def generated(number: int, purpose: str = "order") -> str:
    """A client order id where none was given: Binance makes one up, too."""
    return f"sandbox_{purpose}_{number}"
