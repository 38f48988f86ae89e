"""An account's balances, kept up to date.

`BalanceChanged` tells what is available, and nothing tells what is reserved. But an account's own orders are told,
whoever placed them and where, and what each reserves is known: a bid ceil(quantity × price / 10000) of the counter
asset, an ask its quantity of the base. So two snapshots are taken, of the balances and of the open orders.

Source: the protocol page, "Commands" (GetBalances, GetOrders, what orders reserve) and "Notices".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import ProtocolError, WSClientError
from ..live import Live, Message, integer
from .amounts import SCALE, asset_code


class Funds(NamedTuple):
    """What an account has of an asset, scaled by 10000: available + reserved (by open orders) = total."""

    available: int
    reserved: int

    @property
    def total(self) -> int:
        return self.available + self.reserved


NOTHING = Funds(0, 0)


class OwnOrder(NamedTuple):
    """What an open order of the account reserves depends on this. The quantity is negative for an ask."""

    base: int
    counter: int
    quantity: int
    price: int

    @property
    def reserves(self) -> tuple[int, int]:
        """The asset, and how much of it."""
        if self.quantity < 0:
            return self.base, -self.quantity
        return self.counter, -(-self.quantity * self.price // SCALE)


@dataclass(frozen=True, slots=True)
class BalancesSnapshot(Mapping[int, Funds]):
    """All balances at one moment, by asset code; it doesn't change any more.

    stale: whether they might have differed from the exchange's then
    version: which moment; see `Live.version`
    """

    funds: Mapping[int, Funds]
    stale: bool
    version: int

    def __getitem__(self, asset: int | str) -> Funds:
        """The balance of an asset, by code or name; nothing of what the account never had."""
        return self.funds.get(asset_code(asset), NOTHING)

    def __contains__(self, asset: object) -> bool:
        return asset in self.funds

    def __iter__(self) -> Iterator[int]:
        return iter(self.funds)

    def __len__(self) -> int:
        return len(self.funds)


class Balances(Live):
    """The account's balances, as `WSClient.balances` gives them; to be read by any thread while they are written.

        balances = client.balances().wait(5)
        balances["XBT"].available

    Amounts are scaled by 10000. What is available is what the exchange said last. What is reserved follows from
    the account's open orders. It is exact at the end of each event; for the moment between the notices of one
    event it may miss what that event is about, since a reservation is told before its order, and a trade before
    the balances that it changes. While `stale`, this has what was known last.

    on_failure: told when one of the two watches that it lives on can't be had
    options: see `Live`
    """

    def __init__(self, *, on_failure: Callable[[], object] = lambda: None, **options: Any) -> None:
        super().__init__(**options)
        self._on_failure = on_failure
        # what follows is guarded by the lock
        self._available: dict[int, int] = {}
        self._reserved: dict[int, int] = {}
        self._orders: dict[int, OwnOrder] = {}
        self._answers: dict[str, Message] = {}  # those of the two that have come
        self._snapshot: BalancesSnapshot | None = None

    # -- for readers, on any thread

    def snapshot(self) -> BalancesSnapshot:
        """All balances at one moment. It is made when somebody asks, once for each `version`."""
        with self._lock:
            made = self._snapshot
            if made is None or made.version != self._version:
                assets = sorted(self._available.keys() | self._reserved.keys())
                funds = {asset: self._funds(asset) for asset in assets}
                made = BalancesSnapshot(MappingProxyType(funds), self.stale, self._version)
                self._snapshot = made
            return made

    def __iter__(self) -> Iterator[int]:
        """The codes of the assets that the account has or had."""
        return iter(self.snapshot())

    def __getitem__(self, asset: int | str) -> Funds:
        """The balance of an asset, by code or name; nothing of what the account never had."""
        code = asset_code(asset)
        with self._lock:
            return self._funds(code)

    def __repr__(self) -> str:
        return f"<Balances of {len(self._available)} assets, {'stale' if self.stale else 'whole'}>"

    # -- for the watches that are followed

    def failed(self, error: WSClientError) -> None:
        super().failed(error)
        self._on_failure()

    # -- with the lock held

    def _lose(self, error: WSClientError | None = None) -> None:
        super()._lose(error)
        self._answers = {}

    def _funds(self, asset: int) -> Funds:
        return Funds(self._available.get(asset, 0), self._reserved.get(asset, 0))

    def _adopt(self, message: Message) -> bool:
        for name in ("balances", "orders"):
            if name in message:
                self._answers[name] = message
        if len(self._answers) < 2:
            return False
        answers, self._answers = self._answers, {}
        available = {
            integer(row, "asset"): integer(row, "balance") for row in _rows(answers["balances"], "balances")
        }
        orders = {integer(row, "id"): _own_order(row) for row in _rows(answers["orders"], "orders")}
        self._available, self._orders, self._reserved = available, {}, {}
        for id, order in orders.items():
            self._put(id, order)
        return True

    def _apply(self, notice: Message) -> bool:
        kind = notice.get("notice")
        if kind == "BalanceChanged":
            self._available[integer(notice, "asset")] = integer(notice, "balance")
        elif kind == "OrdersMatched":
            bid, ask = self._matched(notice, "bid", 1), self._matched(notice, "ask", -1)
            return bid or ask
        elif kind == "OrderClosed":
            return self._put(integer(notice, "id"), None)
        elif kind in ("OrderOpened", "OrderModified") and "tonce" in notice:  # which only an order's owner is told
            id = integer(notice, "id")
            if kind == "OrderOpened" and id in self._orders:
                return False  # the snapshot had it already, perhaps as it was after this
            return self._put(id, _own_order(notice))
        else:
            return False
        return True

    def _matched(self, notice: Message, side: str, sign: int) -> bool:
        if notice.get(side) is None:
            return False
        id = integer(notice, side)
        order = self._orders.get(id)
        if order is None:
            return False
        return self._put(id, order._replace(quantity=sign * integer(notice, f"{side}_rem")))

    def _put(self, id: int, order: OwnOrder | None) -> bool:
        """Makes this the order with this id; whether there was one, or is one now."""
        before = self._orders.pop(id, None)
        if before is not None:
            asset, amount = before.reserves
            self._reserved[asset] -= amount
        if order is not None:
            self._orders[id] = order
            asset, amount = order.reserves
            self._reserved[asset] = self._reserved.get(asset, 0) + amount
        return before is not None or order is not None


def _own_order(message: Message) -> OwnOrder:
    return OwnOrder(*(integer(message, name) for name in OwnOrder._fields))


def _rows(message: Message, name: str) -> list[Message]:
    rows = message[name]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProtocolError(f"a reply whose {name} is no list of objects: {rows!r:.50}")
    return rows
