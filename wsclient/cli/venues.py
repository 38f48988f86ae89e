"""The venues as `record` knows them: where they are, and what is recorded of them unless told otherwise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .sources import Binance, Coinbase, CoinFLEX, Handlers, Source

if TYPE_CHECKING:
    from ..sandbox import Sandbox


@dataclass(frozen=True)
class Venue:
    """One exchange.

    url: where it is; None where nobody answers any more
    market: recorded unless others are given; channels: likewise
    known: names of channels; empty where the exchange knows best
    sandbox: its address in a sandbox
    connect: makes the source, of (url, markets, channels, credentials, handlers); nothing is sent
    keys: the environment's variables with the credentials
    demo: the credentials of a sandbox's first user, in that order
    """

    url: str | None
    market: str
    channels: tuple[str, ...]
    sandbox: "Callable[[Sandbox], str]"
    connect: Callable[[str, Sequence[str], Sequence[str], Sequence[str], Handlers], Source]
    known: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    demo: "Callable[[Sandbox], tuple[str, ...]]" = lambda sandbox: ()


VENUES: Final[dict[str, Venue]] = {
    "coinflex": Venue(
        url=None,
        market="XBT/USDT",
        channels=("orders", "ticker"),
        known=("orders", "ticker"),
        sandbox=lambda exchange: exchange.url,
        connect=CoinFLEX,
    ),
    "coinbase": Venue(
        url="wss://ws-feed.exchange.coinbase.com",
        market="BTC-USD",
        channels=("heartbeat", "matches", "ticker", "level2_batch"),  # which need no key
        sandbox=lambda exchange: exchange.coinbase_url,
        connect=Coinbase,
        keys=("COINBASE_KEY", "COINBASE_SECRET", "COINBASE_PASSPHRASE"),
        demo=lambda exchange: (
            exchange.users[0].coinbase.key,
            exchange.users[0].coinbase.secret,
            exchange.users[0].coinbase.passphrase,
        ),
    ),
    "binance": Venue(
        url="wss://stream.binance.com:9443",
        market="BTCUSDT",
        channels=("trade", "depth@100ms", "bookTicker"),
        sandbox=lambda exchange: exchange.binance_url,
        connect=Binance,
    ),
}
