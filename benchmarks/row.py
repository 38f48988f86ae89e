"""What a row is: one comparison of some clients, and who they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

OURS: Final = "wsclient"
RAW: Final = "bare socket (the server alone)"
MEMORY: Final = "json.loads from memory"
WEBSOCKETS: Final = "websockets sync"
WEBSOCKETS_ASYNCIO: Final = "websockets asyncio"
APP: Final = "websocket-client WebSocketApp"
RECV: Final = "websocket-client recv"
RECV_UNCHECKED: Final = "websocket-client recv, UTF-8 unchecked"
PICOWS: Final = "picows"
PICOWS_UVLOOP: Final = "picows on uvloop"
AIOHTTP: Final = "aiohttp"
CBPRO: Final = "cbpro-style on websocket-client recv"
BINANCE: Final = "wsclient's Binance sockets, asyncio"
BINANCE_PLAIN: Final = "wsclient's Binance sockets, a thread"
BINANCE_CALLS: Final = "wsclient's Binance client"
PYTHON_BINANCE: Final = "python-binance"
UNICORN: Final = "unicorn-binance-websocket-api"
LOCAL: Final = "wsclient, without a server"


@dataclass(frozen=True)
class Client:
    """module: in `benchmarks.clients`; needs: the packages that it can't do without"""

    module: str
    needs: tuple[str, ...] = ()


CLIENTS: Final[Mapping[str, Client]] = {
    OURS: Client("ours"),
    LOCAL: Client("local"),
    MEMORY: Client("local"),
    WEBSOCKETS: Client("websockets_sync", ("websockets",)),
    WEBSOCKETS_ASYNCIO: Client("websockets_asyncio", ("websockets",)),
    APP: Client("websocket_app", ("websocket",)),
    RECV: Client("websocket_recv", ("websocket",)),
    RECV_UNCHECKED: Client("websocket_recv_unchecked", ("websocket",)),
    PICOWS: Client("picows_asyncio", ("picows",)),
    PICOWS_UVLOOP: Client("picows_uvloop", ("picows", "uvloop")),
    AIOHTTP: Client("aiohttp_client", ("aiohttp",)),
    CBPRO: Client("cbpro_style", ("websocket", "sortedcontainers")),
    BINANCE: Client("ours_binance"),
    BINANCE_PLAIN: Client("ours_binance_plain"),
    BINANCE_CALLS: Client("ours_binance"),
    PYTHON_BINANCE: Client("python_binance", ("binance",)),
    UNICORN: Client("unicorn_binance", ("unicorn_binance_websocket_api",)),
    RAW: Client("raw"),
}


class Cores(Enum):
    """Where the two processes run, if there are two cores and the system lets us choose."""

    APART = "server and client on a core each"
    SHARED = "server and client on one core"
    ALONE = "no server"


@dataclass(frozen=True)
class Row:
    """One comparison.

    job: the function of the client's module
    figure: which of its figures counts
    unit: of that figure
    rising: whether more is better
    peers: how many times as good as each of them ours is to be; None: for information
    at_most: what ours is to stay under
    counts: how many there are to do, for each client that isn't as quick as the others
    """

    name: str
    title: str
    job: str
    figure: str
    unit: str
    cores: Cores
    peers: Mapping[str, float | None] = field(default_factory=dict)
    path: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rising: bool = False
    at_most: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    ours: str = OURS

    @property
    def clients(self) -> list[str]:
        alone = self.cores is Cores.ALONE or self.job in ("memory", "record")
        return [self.ours, *self.peers, *([] if alone else [RAW])]

    def job_for(self, client: str, scale: float) -> tuple[str, dict[str, Any]]:
        """The path with its query, and the parameters; scale: of all counts."""
        parameters = dict(self.parameters)
        if client in self.counts:
            parameters["count"] = self.counts[client]
        for name in ("count", "each", "connections"):
            if name in parameters:
                parameters[name] = max(20, int(parameters[name] * scale))
        path = self.path.replace("COUNT", str(parameters.get("count", "")))
        return path, parameters
