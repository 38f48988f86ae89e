"""What CoinFLEX sees of an exchange that trades more than CoinFLEX listed, and holds some of it finer.

Its protocol has four decimals for every asset. An account holds XBT with eight, since other venues trade it so.
What is free is shown rounded down (all that is shown can be used on CoinFLEX), and so is the whole; what is
reserved is the difference, so that the three always add up. A change too small to be seen is not told. Markets
and assets that CoinFLEX never listed don't exist here: no order, notice or balance speaks of them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from wsclient.sandbox.answers import Balance
from wsclient.sandbox.engine import Engine, Order
from wsclient.sandbox.events import BalanceChanged, Event, TradeVolumeChanged
from wsclient.sandbox.market import WIRE_DECIMALS

Pair = tuple[int, int]


class CoinflexView:
    """One exchange as CoinFLEX shows it. `pairs` are the markets that CoinFLEX lists (None: all there are)."""

    def __init__(self, engine: Engine, pairs: Iterable[Pair] | None = None) -> None:
        self.pairs: Collection[Pair] = frozenset(engine.markets if pairs is None else pairs)
        self._elsewhere = frozenset(engine.markets) - frozenset(self.pairs)
        self.whole = not self._elsewhere
        """Whether CoinFLEX lists every market that there is."""
        assets = {asset for pair in engine.markets for asset in pair}
        self._hidden = assets - {asset for pair in self.pairs for asset in pair}
        self._units: Mapping[int, int] = {
            asset: 10 ** (decimals - WIRE_DECIMALS)
            for asset, decimals in engine.decimals.items()
            if decimals > WIRE_DECIMALS
        }
        self._told: dict[tuple[int, int], int] = {}

    def hides(self, base: object, counter: object) -> bool:
        """Whether there is such a market that CoinFLEX does not list."""
        # from a client's JSON: what is no integer is malformed, and that is for the engine to say
        return type(base) is int and type(counter) is int and (base, counter) in self._elsewhere

    def amount(self, asset: int, held: int) -> int:
        """An amount of an asset with four decimals, rounded down; 0 of one that CoinFLEX doesn't know."""
        return 0 if asset in self._hidden else held // self._units.get(asset, 1)

    def orders(self, orders: Iterable[Order]) -> list[Order]:
        """Those of some orders that CoinFLEX knows of."""
        return [order for order in orders if not self.hides(order.base, order.counter)]

    def balances(self, balances: Iterable[Balance]) -> list[Balance]:
        """Balances with four decimals."""
        shown = []
        for balance in balances:
            if balance.asset not in self._hidden:
                available = self.amount(balance.asset, balance.available)
                total = self.amount(balance.asset, balance.total)
                shown.append(Balance(balance.asset, available, total - available))
        return shown

    def events(self, events: Iterable[Event]) -> Iterator[Event]:
        """What has happened, as far as it concerns CoinFLEX."""
        for event in events:
            match event:
                case BalanceChanged(user, asset, held):
                    if asset in self._hidden:
                        continue
                    if asset not in self._units:
                        yield event
                        continue
                    balance = self.amount(asset, held)
                    if self._told.get((user, asset)) != balance:
                        self._told[user, asset] = balance
                        yield BalanceChanged(user, asset, balance)
                case TradeVolumeChanged(user, asset, held):
                    if asset not in self._hidden:
                        yield TradeVolumeChanged(user, asset, self.amount(asset, held))
                case _:
                    if (event.base, event.counter) in self.pairs:
                        yield event
