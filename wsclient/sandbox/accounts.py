"""What users own: balances free and reserved, open orders, tonces, traded volume.

An account does what it is told and checks no rule of trading: that is the engine's part. It only guards the two
things that no mistake may break, that no amount is ever negative and that every change of a free balance is told.
Source: protocol page, `GetBalances`, `BalanceChanged` and the two rules of `tonce`.
"""

from collections.abc import Iterator, Mapping

from wsclient.sandbox.answers import Balance
from wsclient.sandbox.checks import INT64_MAX
from wsclient.sandbox.events import BalanceChanged
from wsclient.sandbox.market import WIRE_DECIMALS
from wsclient.sandbox.orderbook import LiveOrder
from wsclient.sandbox.statistics import SlidingWindow


class Account:
    """One user. Amounts are integers, in the units in which their asset is held (see `market.py`)."""

    def __init__(self, user: int, balances: Mapping[int, int]) -> None:
        self.user = user
        self.available = dict(balances)
        self.reserved = dict.fromkeys(balances, 0)
        self.published = dict(balances)
        self.orders: dict[int, LiveOrder] = {}
        self.by_tonce: dict[int, LiveOrder] = {}
        self.last_tonce = 0
        self.volumes: dict[int, SlidingWindow] = {}

    def open(self, order: LiveOrder) -> None:
        """Take in an order of this user."""
        self.orders[order.id] = order
        if order.tonce is not None:
            self.by_tonce[order.tonce] = order

    def close(self, order: LiveOrder) -> None:
        """Let go of an order."""
        del self.orders[order.id]
        if order.tonce is not None:
            del self.by_tonce[order.tonce]

    def balances(self) -> list[Balance]:
        """Every asset that this user has or has had, by ascending code."""
        return [Balance(asset, self.available[asset], self.reserved[asset]) for asset in sorted(self.available)]


class Accounts:
    """All users, and the changes of balances that are still to be told."""

    def __init__(self, decimals: Mapping[int, int]) -> None:
        self._decimals = decimals
        self._accounts: dict[int, Account] = {}
        self._supply: dict[int, int] = {}
        self._changed: dict[tuple[int, int], Account] = {}

    def __getitem__(self, user: int) -> Account:
        return self._accounts[user]

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def add(self, user: int, balances: Mapping[int, int]) -> None:
        """Open an account.

        All that exists of an asset has to fit 64 bits at four decimals, so no balance can ever outgrow the wire.
        """
        if user in self._accounts:
            raise ValueError(f"user {user} has an account already")
        for asset, amount in balances.items():
            finer = self._decimals.get(asset, WIRE_DECIMALS) - WIRE_DECIMALS
            if amount < 0 or self._supply.get(asset, 0) + amount > INT64_MAX * 10 ** max(finer, 0):
                raise ValueError(f"user {user} can't have {amount} of asset {asset}")
        for asset, amount in balances.items():
            self._supply[asset] = self._supply.get(asset, 0) + amount
        self._accounts[user] = Account(user, balances)

    def bring(self, user: int, asset: int, amount: int) -> None:
        """Add to what a user has free, from outside, or (below zero) take it out. ValueError: see `add`."""
        finer = self._decimals.get(asset, WIRE_DECIMALS) - WIRE_DECIMALS
        left = self._accounts[user].available.get(asset, 0) + amount
        supply = self._supply.get(asset, 0) + amount
        if left < 0 or supply > INT64_MAX * 10 ** max(finer, 0):
            raise ValueError(f"user {user} can't have {left} of asset {asset}")
        self._supply[asset] = supply
        self.give(user, asset, amount)

    def give(self, user: int, asset: int, amount: int) -> None:
        """Add to (or, below zero, take from) what a user has free."""
        account = self._accounts[user]
        left = account.available.get(asset, 0) + amount
        assert left >= 0, f"user {user} would have {left} of asset {asset}"
        account.available[asset] = left
        account.reserved.setdefault(asset, 0)
        self._changed[user, asset] = account

    def reserve(self, user: int, asset: int, amount: int) -> None:
        """Move an amount from free to reserved (or, below zero, back)."""
        self.give(user, asset, -amount)
        account = self._accounts[user]
        account.reserved[asset] += amount
        assert account.reserved[asset] >= 0, f"user {user} would have reserved less than nothing of asset {asset}"

    def changes(self) -> list[BalanceChanged]:
        """The free balances that differ from what was told last."""
        events = []
        for (user, asset), account in self._changed.items():
            balance = account.available[asset]
            if account.published.get(asset, 0) != balance:
                account.published[asset] = balance
                events.append(BalanceChanged(user, asset, balance))
        self._changed.clear()
        return events
