"""Threads that do to a few clients what any thread may do at any moment, and what must hold whatever they do."""

import asyncio
import itertools
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field
from typing import Any, Final

from tests.campaign.watch import open_sockets, stacks, threads_left, watched_log
from wsclient import Reply, WSClient, WSClientError
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Delay, Drop, Refuse
from wsclient.sandbox.users import User
from wsclient.sandbox.wirefaults import Storm

THREADS: Final = 16
PLACES: Final = 4
"""Clients at a time, each for four threads."""
PATIENCE: Final = 20.0
"""Seconds that one step of a thread may take before that counts as a hang; each is over in two or three."""
SOCKET_TIMEOUT: Final = 0.5
PAIR: Final[dict[str, Any]] = {"base": "XBT", "counter": "USDT"}
Step = Callable[[WSClient, random.Random, int], None]


@dataclass(slots=True)
class Findings:
    """What happened, by name, and what should never have."""

    figures: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str) -> None:
        with self._lock:
            self.figures[name] += 1

    def violate(self, text: str) -> None:
        with self._lock:
            self.violations.append(text)


class Handlers:
    """A client's handlers: they call the client back, stop it, raise and dawdle, as people's do."""

    def __init__(self, findings: Findings, seed: str, told: Callable[[Reply[Any]], None]) -> None:
        self._findings = findings
        self._random = random.Random(seed)
        self._told = told
        self._inside = threading.Lock()
        self.opened = 0
        self.closed = 0

    def opened_(self, client: WSClient) -> None:
        self.opened += 1
        self._mischief(client, "open")

    def closed_(self, client: WSClient, code: int | None, reason: str | None) -> None:
        self.closed += 1
        self._mischief(client, "close")

    def message(self, client: WSClient, text: str) -> None:
        self._mischief(client, "message")

    def error(self, client: WSClient, error: Exception) -> None:
        known = isinstance(error, (WSClientError, Mischief))
        self._findings.count(f"error {type(error).__name__}")
        if not known:
            self._findings.violate(f"err_handler was told what is of no tree: {error!r}")
        # no call in here that fails at once: that tells the error handler, which calls, which fails
        if self._random.random() < 0.02:
            client.stop()

    def _mischief(self, client: WSClient, where: str) -> None:
        """Only the event thread is here, one handler after the other."""
        if not self._inside.acquire(blocking=False):
            self._findings.violate(f"two handlers of one client at the same time\n{stacks()}")
            return
        try:
            self._findings.count(f"handled {where}")
            chance = self._random.random()
            if chance < 0.02:
                raise Mischief(where)
            if chance < 0.025:
                client.stop()
            elif chance < 0.06:
                self._call(client)
            elif chance < 0.07:
                self._wait(client)
        finally:
            self._inside.release()

    def _call(self, client: WSClient) -> None:
        try:
            self._told(
                client.GetBalances()
                if self._random.random() < 0.5
                else client.EstimateMarketOrder(**PAIR, quantity=1)
            )
        except WSClientError as error:
            self._findings.count(f"in a handler {type(error).__name__}")

    def _wait(self, client: WSClient) -> None:
        """What must fail with a sentence, and not hang."""
        try:
            client.call("GetBalances")
        except WSClientError as error:
            self._findings.count(f"in a handler {type(error).__name__}")
        else:
            self._findings.violate("a call was waited for on the event thread")


class Mischief(Exception):
    """What a handler of the user's raises."""


class Races:
    """`run` once. seconds: how long; seed: of what the threads decide."""

    def __init__(self, *, seconds: float, seed: str) -> None:
        self._seconds = seconds
        self._seed = seed
        self.findings = Findings()
        self._numbers = itertools.count()
        self._exchange = Sandbox(traders=200, seed=1, users=4)
        self._lock = threading.Lock()  # guards what follows
        self._places: list[WSClient] = []
        self._replies: list[Reply[Any]] = []
        self._handlers: list[tuple[WSClient, Handlers]] = []
        self._steps: dict[int, tuple[str, float]] = {}

    def run(self) -> Findings:
        """Run the threads, watch them, and look at what is left."""
        sockets, findings = open_sockets(), self.findings
        with watched_log(self._logged), self._exchange:
            self._exchange.faults.add(
                Storm(
                    seed=random.Random(f"storm {self._seed}").getrandbits(32), reach=20_000, spare=0.3, mute=0.02
                ),
                Refuse(times=None, chance=0.05),
                Drop(times=None, chance=0.01, when="executed"),
                Drop(times=None, chance=0.005, code=1001),
                Delay(times=None, chance=0.05, seconds=0.01),
            )
            self._places = [self._client() for _ in range(PLACES)]
            self._trouble()
            for client in self._places:
                client.stop()
            if left := threads_left():
                findings.violate(f"event threads were left over: {left}\n{stacks()}")
        if left := sorted(open_sockets() - sockets):
            findings.violate(f"sockets were left over: {left}")
        self._look_back()
        return findings

    def _trouble(self) -> None:
        until = time.monotonic() + self._seconds
        threads = [
            threading.Thread(target=self._thread, args=(number, until), daemon=True) for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not self._hangs():
                thread.join(1.0)
        if any(thread.is_alive() for thread in threads):
            self.findings.violate(f"a thread hangs: {self._steps}\n{stacks()}")

    def _hangs(self) -> bool:
        now = time.monotonic()
        return any(now - began > PATIENCE for _, began in list(self._steps.values()))

    # ------------------------------------------------------------ the threads

    def _thread(self, number: int, until: float) -> None:
        chooser = random.Random(f"races {self._seed} {number}")
        steps: list[tuple[int, Step]] = [
            (30, self._send),
            (10, self._call),
            (6, self._authenticate),
            (6, self._watch),
            (4, self._gather),
            (4, self._cancel),
            (2, self._await),
            (3, self._look),
            (1, self._stop),
            (1, self._stop_with),
            (6, self._renew),
        ]
        weights = [weight for weight, _ in steps]
        while time.monotonic() < until:
            step = chooser.choices(steps, weights)[0][1]
            place = chooser.randrange(PLACES)
            with self._lock:
                client = self._places[place]
                self._steps[number] = (step.__name__, time.monotonic())
            try:
                step(client, chooser, place)
                self.findings.count(step.__name__.strip("_"))
            except WSClientError as error:
                self.findings.count(f"{step.__name__.strip('_')} {type(error).__name__}")
            except (TimeoutError, CancelledError):
                self.findings.count(f"{step.__name__.strip('_')} not yet")
            except BaseException:
                self.findings.violate(f"an exception of no tree in {step.__name__}: {traceback.format_exc()}")
        with self._lock:
            del self._steps[number]

    def _client(self) -> WSClient:
        number = next(self._numbers)
        handlers = Handlers(self.findings, f"handlers {self._seed} {number}", self._keep)
        client = WSClient(
            self._exchange.url,
            handlers.message if number % 3 else None,
            handlers.error if number % 2 else None,
            handlers.opened_,
            handlers.closed_,
            socket_timeout=SOCKET_TIMEOUT,
            ping_interval=0.25,
        )
        user: User = self._exchange.users[number % len(self._exchange.users)]
        client.set_auth_data(user.id, user.cookie, user.passphrase)
        with self._lock:
            self._handlers.append((client, handlers))
        return client

    def _keep(self, reply: Reply[Any]) -> None:
        with self._lock:
            self._replies.append(reply)

    # ------------------------------------------------------------ steps, each what a user may do

    def _send(self, client: WSClient, chooser: random.Random, place: int) -> None:
        self._keep(
            client.EstimateMarketOrder(**PAIR, quantity=1) if chooser.random() < 0.5 else client.GetBalances()
        )

    def _call(self, client: WSClient, chooser: random.Random, place: int) -> None:
        client.call(chooser.choice(("GetOrders", "GetBalances")), timeout=chooser.choice((0.001, 0.1, None)))

    def _authenticate(self, client: WSClient, chooser: random.Random, place: int) -> None:
        client.authenticate()

    def _watch(self, client: WSClient, chooser: random.Random, place: int) -> None:
        self._keep(client.WatchOrders(**PAIR, watch=chooser.random() < 0.7))

    def _gather(self, client: WSClient, chooser: random.Random, place: int) -> None:
        replies = [client.GetOrders() for _ in range(5)]
        for reply in replies:
            self._keep(reply)
        wait(replies, timeout=PATIENCE / 2)

    def _cancel(self, client: WSClient, chooser: random.Random, place: int) -> None:
        reply = client.GetBalances()
        self._keep(reply)
        called: Future[None] = Future()
        reply.add_done_callback(lambda _: called.set_result(None))
        reply.cancel()
        called.result(PATIENCE / 2)

    def _await(self, client: WSClient, chooser: random.Random, place: int) -> None:
        async def one() -> Any:
            return await asyncio.wait_for(client.GetBalances(), PATIENCE / 2)

        asyncio.run(one())

    def _look(self, client: WSClient, chooser: random.Random, place: int) -> None:
        assert repr(client)
        assert client.state.value

    def _stop(self, client: WSClient, chooser: random.Random, place: int) -> None:
        began = time.monotonic()
        client.stop()
        if time.monotonic() - began > SOCKET_TIMEOUT + PATIENCE / 4:
            self.findings.violate(f"stop() took {time.monotonic() - began:.1f} s")

    def _stop_with(self, client: WSClient, chooser: random.Random, place: int) -> None:
        with client:
            self._keep(client.GetBalances())

    def _renew(self, client: WSClient, chooser: random.Random, place: int) -> None:
        fresh = self._client()
        with self._lock:
            old, self._places[place] = self._places[place], fresh
        old.stop()

    # ------------------------------------------------------------ afterwards

    def _logged(self, text: str) -> None:
        if "Mischief" not in text and "stop(): the event thread is still busy" not in text:
            self.findings.violate(f"the client met a mistake of its own: {text}")

    def _look_back(self) -> None:
        """Every call has had its outcome by now, and every connection that was opened was closed."""
        for reply in self._replies:
            if not reply.done():
                self.findings.violate(f"an outcome never came: {reply!r}")
            elif not reply.cancelled():
                error = reply.exception(0)
                self.findings.count("done" if error is None else f"outcome {type(error).__name__}")
                if error is not None and not isinstance(error, WSClientError):
                    self.findings.violate(f"an outcome of no tree: {error!r}")
        for client, handlers in self._handlers:
            if handlers.opened != handlers.closed:
                self.findings.violate(f"{client!r} was opened {handlers.opened}, closed {handlers.closed} times")
        for trouble in self._exchange.ledger.troubles:
            self.findings.violate(f"the exchange met an exception: {trouble.error!r}")
        self.findings.figures["clients"] = len(self._handlers)
        self.findings.figures["connections"] = len(self._exchange.ledger.connections)
        self.findings.figures["cuts"] = len(self._exchange.ledger.cuts)
