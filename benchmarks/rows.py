"""The rows: what is measured, by which clients, and what is to be reached against each."""

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


# about a second and a half each
_FEED = {
    OURS: 500_000,
    MEMORY: 600_000,
    PICOWS: 500_000,
    PICOWS_UVLOOP: 500_000,
    WEBSOCKETS: 200_000,
    WEBSOCKETS_ASYNCIO: 150_000,
    AIOHTTP: 200_000,
    APP: 40_000,
    RECV: 40_000,
    RECV_UNCHECKED: 60_000,
    RAW: 10_000_000,
}
_FEED_RAW = _FEED | {
    OURS: 3_000_000,
    PICOWS: 3_000_000,
    PICOWS_UVLOOP: 3_000_000,
    WEBSOCKETS: 300_000,
    AIOHTTP: 300_000,
}

ROWS: Final = [
    Row(
        "feed",
        "a feed of 190-byte JSON notices, each parsed with json.loads in the handler",
        "feed",
        "rate",
        "messages/s",
        Cores.APART,
        {
            MEMORY: 0.83,
            WEBSOCKETS: 2.3,
            APP: 12,
            PICOWS: 0.95,
            PICOWS_UVLOOP: None,
            RECV: None,
            RECV_UNCHECKED: None,
            WEBSOCKETS_ASYNCIO: None,
            AIOHTTP: None,
        },
        "/feed?count=COUNT&welcome=1",
        {"parse": True},
        rising=True,
        counts=_FEED,
    ),
    Row(
        "feed-raw",
        "the same feed, the raw text to the handler",
        "feed",
        "rate",
        "messages/s",
        Cores.APART,
        {
            WEBSOCKETS: 10,
            APP: 90,
            PICOWS: None,
            PICOWS_UVLOOP: None,
            RECV: None,
            RECV_UNCHECKED: None,
            WEBSOCKETS_ASYNCIO: None,
            AIOHTTP: None,
        },
        "/feed?count=COUNT&welcome=1",
        {"parse": False},
        rising=True,
        counts=_FEED_RAW,
    ),
    Row(
        "call",
        "sequential calls from one thread, no handler: p50",
        "calls",
        "p50",
        "µs",
        Cores.SHARED,
        {
            PICOWS: 1.0,
            PICOWS_UVLOOP: None,
            WEBSOCKETS: 2.0,
            APP: None,
            RECV: None,
            WEBSOCKETS_ASYNCIO: None,
            AIOHTTP: None,
        },
        "/echo?welcome=1",
        {"count": 10_000, "warm_up": 1000, "handler": False},
    ),
    Row(
        "call-handler",
        "the same with a handler that is given every text: p50",
        "calls",
        "p50",
        "µs",
        Cores.SHARED,
        {
            WEBSOCKETS: 1.4,
            PICOWS: None,
            PICOWS_UVLOOP: None,
            APP: None,
            RECV: None,
            WEBSOCKETS_ASYNCIO: None,
            AIOHTTP: None,
        },
        "/echo?welcome=1",
        {"count": 10_000, "warm_up": 1000, "handler": True},
    ),
    Row(
        "feed-calls",
        "sequential calls while a feed of 20,000 notices/s goes to a handler: p99",
        "feed_calls",
        "p99",
        "µs",
        Cores.APART,
        {WEBSOCKETS: 1.5, PICOWS: 0.75, PICOWS_UVLOOP: None, WEBSOCKETS_ASYNCIO: None, AIOHTTP: None},
        "/feedcalls?rate=20000&welcome=1",
        {"count": 10_000, "warm_up": 1000},
    ),
    Row(
        "threads",
        "8 threads share one client, 5,000 calls each",
        "threads",
        "rate",
        "calls/s",
        Cores.APART,
        {WEBSOCKETS: 1.7, APP: None},
        "/echo?welcome=1",
        {"threads": 8, "each": 5000, "warm_up": 100},
        rising=True,
    ),
    Row(
        "window",
        "256 calls in flight from one thread",
        "window",
        "rate",
        "calls/s",
        Cores.APART,
        {WEBSOCKETS: 1.8, PICOWS: 0.8, PICOWS_UVLOOP: None, APP: None},
        "/echo?welcome=1",
        {"size": 256, "count": 50_000, "warm_up": 1000},
        rising=True,
        counts={RAW: 300_000},
    ),
    Row(
        "record",
        "a burst of 100,000 190-byte notices kept in SQLite: until all are received, none dropped",
        "record",
        "ms",
        "ms",
        Cores.APART,
        path="/feed?count=COUNT&welcome=1",
        parameters={"count": 100_000},
        at_most=1000,
    ),
    Row(
        "book",
        "Coinbase's full channel, messages of 245 bytes, kept as a level 3 book",
        "book",
        "rate",
        "messages/s",
        Cores.APART,
        {CBPRO: 10},
        "/coinbase?count=COUNT",
        {"count": 200_000},
        rising=True,
        counts={CBPRO: 30_000},
    ),
    Row(
        "auth",
        "authentication: key and signature, warm, without gmpy2: p50",
        "authentication",
        "p50",
        "ms",
        Cores.ALONE,
        parameters={"count": 1000, "warm_up": 10},
        at_most=0.5,
        ours=LOCAL,
    ),
    Row(
        "import",
        "import wsclient and WSClient, after websocket, json, ssl and concurrent.futures",
        "importing",
        "ms",
        "ms",
        Cores.ALONE,
        parameters={"count": 20},
        at_most=10,
        ours=LOCAL,
    ),
    Row(
        "memory",
        "memory of an idle connection, 200 in one process",
        "memory",
        "kib",
        "KiB",
        Cores.APART,
        {WEBSOCKETS: None, APP: None, WEBSOCKETS_ASYNCIO: None, PICOWS: None, AIOHTTP: None},
        "/echo?welcome=1",
        {"connections": 200},
        at_most=30,
    ),
]


def named(names: list[str]) -> list[Row]:
    """The rows of these names, in their order; all of them where none is given. Raises `KeyError`."""
    known = {row.name: row for row in ROWS}
    return [known[name] for name in names] if names else list(ROWS)
