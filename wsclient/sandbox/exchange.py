"""`Sandbox`: a whole exchange in one thread, started and stopped like a file is opened and closed."""

import asyncio
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

from wsclient.sandbox.binance import API, BinanceVenue
from wsclient.sandbox.binance_control import BinanceControl
from wsclient.sandbox.binance_limits import BinanceSettings
from wsclient.sandbox.coinbase import CoinbaseSettings, CoinbaseVenue
from wsclient.sandbox.coinflex import CoinflexVenue
from wsclient.sandbox.engine import Engine, Fees, Market
from wsclient.sandbox.faults import Faults
from wsclient.sandbox.ledger import DEFAULT_LIMIT, Ledger
from wsclient.sandbox.limits import RateLimits
from wsclient.sandbox.listings import binance_markets, coinbase_markets, coinflex_markets
from wsclient.sandbox.options import check_choice, check_number
from wsclient.sandbox.server import SandboxServer
from wsclient.sandbox.traders import Traders
from wsclient.sandbox.users import User, ready_made

T = TypeVar("T")

READY_MADE_USERS: Final = 8
LONGEST_RUSH: Final = 0.05
"""For how long (seconds) traders may act in a row, and how much they make up for after a delay."""
ADVANCE_SECONDS: Final = 1.0
"""How often the engine forgets what has left the 24 hours of a ticker and the 30 days of a volume."""


def wall_clock() -> Callable[[], int]:
    """A clock of microseconds since the Unix epoch that never goes back, whatever is done to the system's."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: (time.monotonic_ns() + offset) // 1000


class Sandbox:
    """An exchange of one's own, on a port of this machine.

        with Sandbox() as exchange:
            client = WSClient(exchange.url)
            client.set_auth_data(exchange.users[0].id, exchange.users[0].cookie, exchange.users[0].passphrase)

    Constructing starts nothing. `start()` (or `with`) listens; `stop()` closes every connection and leaves no
    thread and no socket behind. It may be started again: same port, same accounts, same books. `TypeError` or
    `ValueError` says which argument can't be meant.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        traders: float = 30.0,
        tonces: Literal["increasing", "unique"] = "increasing",
        fees: Fees | None = None,
        rate_limits: bool | RateLimits = False,
        idle_timeout: float | None = 60.0,
        max_message_size: int = 16 * 1024 * 1024,
        max_connections: int = 1000,
        max_backlog: int = 16 * 1024 * 1024,
        certfile: str | None = None,
        keyfile: str | None = None,
        clock: Callable[[], int] | None = None,
        users: int | Iterable[User] = READY_MADE_USERS,
        balances: Mapping[int, int] | None = None,
        markets: Iterable[Market] | None = None,
        coinbase: CoinbaseSettings | None = None,
        binance: BinanceSettings | None = None,
        ledger_limit: int | None = DEFAULT_LIMIT,
        keep_notices: bool = False,
    ) -> None:
        check_number("traders", traders)
        check_choice("tonces", tonces, ("increasing", "unique"))
        if idle_timeout is not None:
            check_number("idle_timeout", idle_timeout, exclusive=True)
        clock = clock or wall_clock()
        self.users: tuple[User, ...] = (
            ready_made(users, seed=seed, balances=balances) if isinstance(users, int) else tuple(users)
        )
        self.ledger: Ledger = Ledger(clock=clock, limit=ledger_limit, keep_notices=keep_notices)
        self._host = host
        self._port = port
        self._tls = _tls_context(certfile, keyfile)
        listed = coinflex_markets() if markets is None else tuple(markets)
        elsewhere = (*coinbase_markets(), *binance_markets()) if markets is None else ()
        markets = (*listed, *elsewhere)
        self._engine = Engine(markets, clock=clock, seed=seed, tonces=tonces, fees=fees)
        for user in self.users:
            self._engine.add_user(user.id, user.holdings(self._engine.decimals))
        self._rate = traders
        self._traders = Traders(markets, seed=seed)
        if traders > 0:
            self._traders.open(self._engine)
            self._engine.take_events()  # the books of the first morning are nobody's news
        if rate_limits is True:
            rate_limits = RateLimits()
        limits = rate_limits or None
        coinflex = CoinflexVenue(self._engine, self.users, clock=clock, limits=limits, markets=listed)
        feed = CoinbaseVenue(self._engine, self.users, clock=clock, settings=coinbase, limited=limits is not None)
        streams = BinanceVenue(self._engine, self.users, clock=clock, settings=binance)
        self.binance: BinanceControl = BinanceControl(streams, self.run)
        venues = (coinflex, feed, streams)
        self.faults: Faults = Faults(seed=seed, methods=[name for venue in venues for name in venue.methods])
        self._path = coinflex.path
        self._coinbase_paths = feed.path, feed.direct_path
        self._server = SandboxServer(
            self._engine,
            venues,
            self.ledger,
            self.faults,
            idle_timeout=idle_timeout,
            max_message_size=max_message_size,
            max_connections=max_connections,
            max_backlog=max_backlog,
        )
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._jobs: deque[Callable[[], None]] = deque()

    # ------------------------------------------------------------ where and who

    @property
    def url(self) -> str:
        """The address of the CoinFLEX dialect. Unless a port was set, it is known from the first start on."""
        return self._address("ws") + self._path

    @property
    def coinbase_url(self) -> str:
        """The address of the Coinbase dialect's feed, known likewise."""
        return self._address("ws") + self._coinbase_paths[0]

    @property
    def coinbase_direct_url(self) -> str:
        """The address of the same feed for authenticated users only, as the real one has it."""
        return self._address("ws") + self._coinbase_paths[1]

    @property
    def coinbase_rest_url(self) -> str:
        """Where the Coinbase dialect's REST paths begin, such as `/products/BTC-USD/book?level=3`."""
        return self._address("http")

    @property
    def binance_url(self) -> str:
        """Where the Binance dialect's paths begin: `/ws`, `/ws/<streams>`, `/stream?streams=` and `/ws-api/v3`."""
        return self._address("ws")

    @property
    def binance_api_url(self) -> str:
        """The address of the Binance dialect's request API."""
        return self._address("ws") + API

    def _address(self, scheme: str) -> str:
        if self._port == 0:
            raise RuntimeError("the sandbox has no address before it is started")
        secure = "" if self._tls is None else "s"
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)
        return f"{scheme}{secure}://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def port(self) -> int:
        """The TCP port; 0 before the first start, if none was set."""
        return self._port

    @property
    def running(self) -> bool:
        """Whether clients can connect."""
        return self._loop is not None

    def __repr__(self) -> str:
        return f"<Sandbox on {self._host}:{self._port}, {'running' if self.running else 'stopped'}>"

    # ------------------------------------------------------------ life

    def start(self) -> Self:
        """Listen, in a thread of its own. Starting what runs already changes nothing.

        Raises OSError, with the address in its text, where it can't listen.
        """
        with self._lock:
            if self._thread is not None and not self._ending:
                return self
            previous = self._thread
        if previous is not None:
            previous.join()
        with self._lock:
            if self._thread is not None:  # somebody else was faster
                return self
            sock = _listen(self._host, self._port)
            self._port = sock.getsockname()[1]
            self._ending = False
            started: Future[None] = Future()
            name = f"wsclient-sandbox-{self._port}"
            self._thread = threading.Thread(target=self._main, args=(sock, started), name=name, daemon=True)
            self._thread.start()
            started.result()
        return self

    def stop(self) -> None:
        """Close every connection and end the thread; idempotent, from any thread.

        On the sandbox's own thread (in `run`) it can't be waited for: it then happens right after.
        """
        with self._lock:
            thread = self._thread
            if thread is None:
                return
            self._ending = True
            if self._loop is not None and self._stopping is not None:
                self._loop.call_soon_threadsafe(self._stopping.set)
        if thread is not threading.current_thread():
            thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def cut_all(self) -> int:
        """Cut every open connection, without a Close frame, and say how many; anybody may connect again."""
        return self.run(lambda engine: self._server.cut_all())

    def run(self, function: Callable[[Engine], T]) -> T:
        """Call `function(engine)` where the engine lives, tell clients what it caused, and return its value.

        Works before the start and after the stop as well, and from within itself. Exceptions are the caller's.
        """
        done: Future[T] = Future()

        def job() -> None:
            try:
                try:
                    value = function(self._engine)
                finally:
                    self._server.publish()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(value)

        if self._thread is threading.current_thread():
            job()
            return done.result()
        with self._lock:
            if self._loop is None:
                job()
            else:
                self._jobs.append(job)
                self._loop.call_soon_threadsafe(self._work)
        return done.result()

    # ------------------------------------------------------------ the thread

    def _main(self, sock: socket.socket, started: "Future[None]") -> None:
        try:
            asyncio.run(self._serve(sock, started))
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            else:
                self._server.trouble(None, error)
        finally:
            sock.close()
            if not started.done():  # pragma: no cover
                started.set_exception(RuntimeError("the sandbox ended before it began"))
            with self._lock:
                self._thread = None
                self._work()  # what came too late for the loop

    async def _serve(self, sock: socket.socket, started: "Future[None]") -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unhandled)
        stopping = asyncio.Event()
        await self._server.start(sock, self._tls)
        self._loop, self._stopping = loop, stopping
        timers = [loop.create_task(self._keep_time())]
        if self._rate > 0:
            timers.append(loop.create_task(self._trade()))
        started.set_result(None)
        try:
            await stopping.wait()
        finally:
            for timer in timers:
                timer.cancel()
            # What is just being accepted when asyncio's server closes fails half-way, and leaves its socket to the
            # garbage collector: so nothing more is accepted, and what was gets the two rounds that it takes.
            loop.remove_reader(sock)
            for _ in range(3):
                await asyncio.sleep(0)
            try:
                await self._server.stop()
            finally:
                with self._lock:  # nobody may call a loop that is about to close
                    self._loop = self._stopping = None

    async def _keep_time(self) -> None:
        """Let the engine forget in time, also when nothing happens."""
        while True:
            await asyncio.sleep(ADVANCE_SECONDS)
            try:
                self._engine.advance()
            except Exception as error:
                self._server.trouble(None, error)
            self._server.publish()

    async def _trade(self) -> None:
        """Let the traders act so often that there are `rate` events a second, or as many as can be had."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            # behind by more than a moment, as after a suspend, the markets don't rush after it
            due = max(due, loop.time() - LONGEST_RUSH)
            await asyncio.sleep(max(due - loop.time(), 0))
            until = loop.time()
            while due <= until and loop.time() < until + LONGEST_RUSH:
                try:
                    self._traders.step(self._engine)
                except Exception as error:
                    self._server.trouble(None, error)
                due += max(self._server.publish(), 1) / self._rate

    def _work(self) -> None:
        while self._jobs:
            self._jobs.popleft()()

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Errors that no code of ours could catch; a client that breaks its socket or TLS is none of them."""
        error = context.get("exception")
        # cancelled are the TLS handshakes that a stop has interrupted
        if not isinstance(error, OSError | asyncio.CancelledError):
            self._server.trouble(None, error or RuntimeError(context.get("message")))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(number, f"the sandbox cannot listen on {host}:{port}: {reason}") from error


def _tls_context(certfile: str | None, keyfile: str | None) -> ssl.SSLContext | None:
    if certfile is None:
        if keyfile is not None:
            raise ValueError("a keyfile is of no use without its certfile")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    return context
