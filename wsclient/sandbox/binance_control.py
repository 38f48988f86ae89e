"""`exchange.binance`: what a test or a bot's author can make the sandbox's Binance do, and ask it.

    exchange.binance.end_day()                      # every connection is 24 hours old
    exchange.binance.announce_shutdown(grace=2)     # serverShutdown, and the end two seconds later
    exchange.binance.deposit(user, "BTC", "0.5")    # balanceUpdate
    exchange.binance.order(user, "BTCUSDT", "my-client-order-id")

Callable from any thread, and before the start and after the stop as well.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from wsclient.sandbox import binance_reports as reports
from wsclient.sandbox.binance import BinanceVenue
from wsclient.sandbox.binance_errors import BinanceError
from wsclient.sandbox.binance_producers import Market
from wsclient.sandbox.binance_symbols import ONE, Symbol
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.users import User

T = TypeVar("T")


class Run(Protocol):
    """Calls a function on the sandbox's thread and publishes what it caused."""

    def __call__(self, function: Callable[[Engine], T], /) -> T:
        """Call it and give its value."""


class BinanceControl:
    """The sandbox's Binance from behind the counter. Users are `User`s or their numbers, times seconds."""

    def __init__(self, venue: BinanceVenue, run: Run) -> None:
        self._venue = venue
        self._state = venue.state
        self._run = run

    # ------------------------------------------------------------ connections

    @property
    def sessions(self) -> tuple[int, ...]:
        """The open connections by their numbers in the ledger."""
        return self._run(lambda engine: self._venue.sessions)

    def ping(self, sessions: Iterable[int] | None = None) -> None:
        """Ping connections (None: all) now."""

        def ping(engine: Engine) -> None:
            for session in self._among(sessions):
                self._venue.ping(session)

        self._run(ping)

    def end_day(self, sessions: Iterable[int] | None = None) -> None:
        """End connections (None: all) as when they are 24 hours old: a Close frame with code 1001."""
        self._run(lambda engine: self._venue.end_day(self._among(sessions)))

    def announce_shutdown(self, grace: float = 10.0, sessions: Iterable[int] | None = None) -> None:
        """Send connections (None: all) `serverShutdown`, and end them (1001) when `grace` seconds have passed."""
        self._run(lambda engine: self._venue.shut_down(self._among(sessions), grace))

    def _among(self, sessions: Iterable[int] | None) -> list[int]:
        open_now = self._venue.sessions
        return list(open_now) if sessions is None else [session for session in sessions if session in open_now]

    # ------------------------------------------------------------ accounts

    def deposit(self, user: User | int, asset: str, amount: Decimal | str) -> None:
        """Let a user have more of an asset (as Binance calls it), or less where `amount` is below zero.

        ValueError says that there is no such asset, or no such amount to be had.
        """
        code = self._state.symbols.codes.get(asset)
        eighths = Decimal(amount) * ONE
        if code is None or eighths != int(eighths):
            raise ValueError(f"there is no {amount} {asset}")
        held = self._state.symbols.held(code, int(eighths))
        self._run(lambda engine: self._state.deposit(_number(user), code, held))

    def terminate_user_data(self, user: User | int) -> None:
        """End a user's subscriptions: each connection is told `eventStreamTerminated`."""
        self._run(
            lambda engine: self._state.do(self._state.user_data.terminate(_number(user), self._state.clock()))
        )

    def expire_listen_key(self, listen_key: str) -> None:
        """Let a listenKey's time be over: `listenKeyExpired`."""
        self._run(lambda engine: self._state.do(self._state.user_data.expire(self._state.clock(), listen_key)))

    # ------------------------------------------------------------ the truth

    def order(self, user: User | int, symbol: str, client_id: str) -> dict[str, Any] | None:
        """A user's order by its client order id, as `order.status` tells it; None if there never was one."""

        def find(engine: Engine) -> dict[str, Any] | None:
            self._state.absorb()
            order = self._state.desk.named(_number(user), self._symbol(symbol), client_id)
            return None if order is None else reports.status(order)

        return self._run(find)

    def orders(self, user: User | int) -> list[dict[str, Any]]:
        """All orders of a user that are remembered, oldest first; an order placed twice is there twice."""

        def find(engine: Engine) -> list[dict[str, Any]]:
            self._state.absorb()
            return [reports.status(order) for order in self._state.desk.all(_number(user))]

        return self._run(find)

    def last_trade_id(self, symbol: str) -> int:
        """The number of a symbol's last trade: all from 1 to it have been told on its stream."""

        def ask(engine: Engine) -> int:
            self._state.absorb()
            return self._market(symbol).tape.last_id

        return self._run(ask)

    def depth(self, symbol: str) -> dict[str, Any]:
        """A symbol's whole book, in the form of the reply to `depth`."""

        def ask(engine: Engine) -> dict[str, Any]:
            self._state.absorb()
            return self._state.feed.depth(self._market(symbol), 10**9)

        return self._run(ask)

    def _symbol(self, name: str) -> Symbol:
        try:
            return self._state.symbols.named(name)
        except BinanceError:
            raise ValueError(f"there is no symbol {name}") from None

    def _market(self, name: str) -> Market:
        return self._state.feed.markets[self._symbol(name).name]


def _number(user: User | int) -> int:
    return user if isinstance(user, int) else user.id
