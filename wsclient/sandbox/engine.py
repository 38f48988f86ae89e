"""The matching engine: orders in, events out; no I/O, no threads, and the same every time from a seed and a clock.

Guaranteed order of events (protocol page, section "Notices"): every limit order is first opened whole, then matched,
and its rest stays or is closed, so that each has one life: `OrderOpened`, any number of `OrdersMatched` and
`OrderModified`, one `OrderClosed`. A book that replays events may therefore look crossed until the events of that
one command are through. `BalanceChanged` comes before the `OrderOpened` or `OrderModified` that it pays for, and
after the `OrdersMatched` or `OrderClosed` that causes it. `TradeVolumeChanged` and `TickerChanged` end a command.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from wsclient.sandbox.answers import Balance, Estimate, Order, Placed, Ticker
from wsclient.sandbox.checks import EngineError
from wsclient.sandbox.events import Event
from wsclient.sandbox.market import Fees, Market

__all__ = ["Balance", "Engine", "EngineError", "Estimate", "Fees", "Market", "Order", "Placed", "Ticker"]


def _microseconds() -> int:
    return time.time_ns() // 1000


class Engine:
    """One exchange's books and accounts.

    Fields of commands are taken as `object`, straight from decoded JSON: what does not fit is `EngineError`, and a
    command that raises it has changed nothing and emitted nothing. A user that was never added is a `KeyError`.
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
        raise NotImplementedError

    def add_user(self, user: int, balances: Mapping[int, int]) -> None:
        """Open an account with these available balances, by asset code."""
        raise NotImplementedError

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
        """Place a limit order (quantity and price) or a market order (quantity alone, or total alone)."""
        raise NotImplementedError

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
        """Change an open order; the answer's quantity is 0 if that ended it."""
        raise NotImplementedError

    def cancel(self, user: int, *, id: object = None, tonce: object = None) -> Order:
        """Cancel an open order, and tell what it was."""
        raise NotImplementedError

    def cancel_all(self, user: int) -> list[Order]:
        """Cancel all of a user's orders and start its tonces afresh."""
        raise NotImplementedError

    def end_session(self, session: object) -> list[Order]:
        """Cancel the orders that were to live no longer than this connection."""
        raise NotImplementedError

    def balances(self, user: int) -> list[Balance]:
        """A user's balances, by ascending asset code."""
        raise NotImplementedError

    def orders(self, user: int) -> list[Order]:
        """A user's open orders, oldest first."""
        raise NotImplementedError

    def estimate(
        self, *, base: object, counter: object, quantity: object = None, total: object = None
    ) -> Estimate:
        """What a market order would trade now, whatever its owner's balance, before fees."""
        raise NotImplementedError

    def volume(self, user: int, asset: object) -> int:
        """What a user has traded of an asset within 30 days."""
        raise NotImplementedError

    def book(self, base: object, counter: object, limit: int | None = 1000) -> list[Order]:
        """The open orders of a market: bids from the best, then asks from the best, `limit` of each at most."""
        raise NotImplementedError

    def ticker(self, base: object, counter: object) -> Ticker:
        """The ticker of a market."""
        raise NotImplementedError

    def advance(self) -> None:
        """Let time pass: what has left the 24 hours and 30 days is forgotten, and said so in events."""
        raise NotImplementedError

    def take_events(self) -> list[Event]:
        """What has happened since the last call, in the guaranteed order."""
        raise NotImplementedError
