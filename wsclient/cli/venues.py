"""The venues as the recorder sees them: what can be watched there, and how that is begun.

A venue's client is imported when it is asked for.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..core.reconnect import Reconnect
from ..errors import InvalidRequest
from ..sinks import Classifier

if TYPE_CHECKING:
    from ..sandbox import Sandbox

FOR_EVER: Final = Reconnect(tries=10**9)
"""Who records doesn't give up: what comes once the exchange is back is worth having."""


@dataclass(frozen=True)
class Handlers:
    """Called on the client's thread, as those of `WSClient` are."""

    err: Callable[[Any, Exception], object]
    open: Callable[[Any], object]
    close: Callable[[Any, int | None, str | None], object]


class Source(Protocol):
    """What is being recorded."""

    classify: Classifier

    def tap(self, fn: Callable[[str], object], /) -> object:
        """Has `fn` called with each text message."""

    def watch(self) -> Sequence[Future[Any]]:
        """Connects, and asks for what is to be recorded; the answers, each of which may be an error."""

    def stop(self) -> None:
        """Ends it; no message comes afterwards."""


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


class CoinFLEX:
    """Order books and tickers, both public, through `WSClient`."""

    def __init__(
        self,
        url: str,
        markets: Sequence[str],
        channels: Sequence[str],
        credentials: Sequence[str],
        handlers: Handlers,
    ) -> None:
        from .. import Assets, WSClient
        from ..coinflex.amounts import asset_code
        from ..sinks.classify import coinflex_named

        self._pairs = []
        for market in markets:
            base, slash, counter = market.partition("/")
            if not slash:
                raise InvalidRequest(f"a market is written BASE/COUNTER, XBT/USDT for instance, not {market!r}")
            self._pairs.append((asset_code(base), asset_code(counter)))
        self._channels = channels
        self._client = WSClient(
            url,
            err_handler=handlers.err,
            open_handler=handlers.open,
            close_handler=handlers.close,
            reconnect=FOR_EVER,
        )
        self.classify = coinflex_named({code: name for name, code in Assets.items()})
        self.tap = self._client.tap
        self.stop = self._client.stop

    def watch(self) -> list[Future[Any]]:
        """Watches each market."""
        commands: dict[str, Callable[..., Future[Any]]] = {
            "orders": self._client.WatchOrders,
            "ticker": self._client.WatchTicker,
        }
        return [
            commands[channel](base=base, counter=counter, watch=True)
            for base, counter in self._pairs
            for channel in self._channels
        ]


VENUES: Final[dict[str, Venue]] = {
    "coinflex": Venue(
        url=None,
        market="XBT/USDT",
        channels=("orders", "ticker"),
        known=("orders", "ticker"),
        sandbox=lambda exchange: exchange.url,
        connect=CoinFLEX,
    ),
}
