"""Threads that do to a few clients what any thread may do at any moment, and what must hold whatever they do."""

import asyncio
import itertools
import random
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from typing import Any, Final

from tests.campaign.watch import open_sockets, stacks, threads_left, watched_log
from tests.races.handlers import PAIR, Findings, Handlers
from wsclient import Reconnect, Reply, WSClient, WSClientError
from wsclient.core.backlog import Policy
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
POLICIES: Final[tuple[Policy, ...]] = ("block", "drop_oldest", "drop_newest", "conflate")
Step = Callable[[WSClient, random.Random, int], None]


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
        self._orders: list[tuple[WSClient, Reply[Any]]] = []
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
            (6, self._trade),
            (3, self._settle),
            (3, self._follow),
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
        queued = number % 4 == 3
        handlers = Handlers(self.findings, f"handlers {self._seed} {number}", self._keep, may_wait=queued)
        client = WSClient(
            self._exchange.url,
            handlers.message if number % 3 else None,
            handlers.error if number % 2 else None,
            handlers.opened_,
            handlers.closed_,
            socket_timeout=SOCKET_TIMEOUT,
            ping_interval=0.25,
            reconnect=Reconnect(tries=4, base=0.02, cap=0.1) if number % 5 else None,
            resubmit=bool(number % 5) and number % 2 == 0,
            handler_queue=20 if queued else None,
            queue_policy=POLICIES[number // 4 % len(POLICIES)],
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

    def _trade(self, client: WSClient, chooser: random.Random, place: int) -> None:
        reply = client.PlaceOrder(**PAIR, quantity=chooser.choice((-100, 100)), price=90_000_000)
        self._keep(reply)
        with self._lock:
            self._orders.append((client, reply))

    def _settle(self, client: WSClient, chooser: random.Random, place: int) -> None:
        with self._lock:
            if not self._orders:
                return
            trader, reply = self._orders.pop()
        trader.settle(reply, timeout=chooser.choice((0.01, 2.0)))

    def _follow(self, client: WSClient, chooser: random.Random, place: int) -> None:
        live = client.balances() if chooser.random() < 0.3 else client.order_book(**PAIR)
        if chooser.random() < 0.5:
            live.wait(chooser.choice((0.0, 0.05)))
        if chooser.random() < 0.2:
            live.close()

    def _look(self, client: WSClient, chooser: random.Random, place: int) -> None:
        assert repr(client)
        assert client.state.value
        assert client.stats().pending >= 0

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
        if not any(known in text for known in ("Mischief", "is still busy")):
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
