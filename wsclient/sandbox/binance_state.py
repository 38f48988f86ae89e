"""Everything that the sandbox's Binance knows, kept up with the engine's events, and what is to be said of it.

A request may want to know what its own command has caused before that is published. So events are absorbed where
they wait in the engine, each once, and what follows from them is held until the server asks for it.
"""

from collections.abc import Callable, Iterable, Sequence

from wsclient.sandbox.binance_feed import Feed
from wsclient.sandbox.binance_limits import BinanceSettings, RequestLimits
from wsclient.sandbox.binance_orders import OrderDesk, Report
from wsclient.sandbox.binance_reports import account_position, balance_update, execution_report
from wsclient.sandbox.binance_streams import Hub
from wsclient.sandbox.binance_symbols import Symbols
from wsclient.sandbox.binance_userdata import UserData
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import (
    BalanceChanged,
    Event,
    OrderClosed,
    OrderModified,
    OrderOpened,
    OrdersMatched,
    TradeVolumeChanged,
)
from wsclient.sandbox.users import User
from wsclient.sandbox.venue import Action


class BinanceState:
    """The parts of the exchange, and the actions that wait for the server."""

    def __init__(
        self, engine: Engine, users: Iterable[User], settings: BinanceSettings, clock: Callable[[], int]
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.clock = clock
        self.users = {user.id: user for user in users}
        self.symbols = Symbols(engine.markets.values(), engine.decimals)
        self.limits = RequestLimits(settings)
        self.hub = Hub()
        self.feed = Feed(engine, self.symbols, self.hub, clock=clock)
        self.desk = OrderDesk(self.symbols, frozenset(self.users), history=settings.history)
        self.user_data = UserData(self.hub, valid_for=round(settings.listen_key_seconds * 1_000_000))
        self._out: list[Action] = []
        self._absorbed = 0
        self._balances: dict[int, dict[int, None]] = {}

    # ------------------------------------------------------------ events

    def absorb(self) -> None:
        """Take in what has happened up to now, but isn't published yet."""
        waiting = self.engine.waiting
        self._take(waiting[self._absorbed :])
        self._absorbed = len(waiting)

    def settle(self, events: Sequence[Event]) -> None:
        """Take in what was published, and end what belongs together."""
        self._take(events[self._absorbed :])
        self._absorbed = 0
        self.do(self.feed.settle())
        for user, assets in self._balances.items():
            self._tell_balances(user, assets)
        self._balances.clear()

    def report(self, reports: Iterable[Report]) -> None:
        """Tell the owners of orders what has become of these."""
        for report in reports:
            user = report.order.user
            if self.user_data.listens(user):
                self.do(self.user_data.tell(user, execution_report(report, self.clock())))

    def deposit(self, user: int, asset: int, amount: int) -> None:
        """Let a user have more (or less) of an asset, in held units."""
        self.engine.deposit(user, asset, amount)
        self.do(self.user_data.tell(user, balance_update(self.symbols, asset, amount, self.clock())))

    def _take(self, events: Sequence[Event]) -> None:
        """Take events in. Most are about strangers' orders, so those are to cost little."""
        users, feed = self.users, self.feed
        for event in events:
            match event:
                case OrderOpened() | OrderModified() | OrderClosed():
                    if feed.touch(event) is not None and event.user in users:
                        self.report(self.desk.absorb(event, 0))
                case BalanceChanged():
                    self._changed(event.user, event.asset)
                case OrdersMatched():
                    self.do(feed.match(event))
                    trade = feed.trade_number(event)
                    if trade and (event.bid.user in users or event.ask.user in users):
                        self.report(self.desk.absorb(event, trade))
                    for user in (event.bid.user, event.ask.user):
                        # what is reserved changes too, and that the engine doesn't tell
                        self._changed(user, event.base)
                        self._changed(user, event.counter)
                case TradeVolumeChanged():  # a command is over
                    self.do(feed.end_matches())

    def _changed(self, user: int, asset: int) -> None:
        if user in self.users:
            self._balances.setdefault(user, {})[asset] = None

    def _tell_balances(self, user: int, assets: Iterable[int]) -> None:
        if not self.user_data.listens(user):
            return
        owned = {balance.asset: balance for balance in self.engine.balances(user)}
        changed = [(asset, owned[asset].available, owned[asset].reserved) for asset in assets if asset in owned]
        now = self.clock()
        self.do(self.user_data.tell(user, account_position(self.symbols, changed, now, now)))

    # ------------------------------------------------------------ actions

    def do(self, actions: Iterable[Action]) -> None:
        """Have something done when the server next asks."""
        self._out.extend(actions)

    def take_actions(self) -> list[Action]:
        """What is to be done, each told once."""
        actions, self._out = self._out, []
        return actions
