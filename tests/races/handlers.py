"""What people's handlers do: call the client back, stop it, raise and dawdle; and what must hold meanwhile."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.campaign.watch import stacks
from wsclient import Reply, WSClient, WSClientError

PAIR: Final[dict[str, Any]] = {"base": "XBT", "counter": "USDT"}


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


class Mischief(Exception):
    """What a handler of the user's raises."""


class Handlers:
    """One client's handlers.

    told: given the calls that they make
    may_wait: they have a thread of their own, on which waiting for a reply is no deadlock
    """

    def __init__(
        self, findings: Findings, seed: str, told: Callable[[Reply[Any]], None], *, may_wait: bool
    ) -> None:
        self._findings = findings
        self._random = random.Random(seed)
        self._told = told
        self._may_wait = may_wait
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
        """Only one thread is here, with one handler after the other."""
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
        """On the event thread this must fail with a sentence, and not hang."""
        try:
            client.call("GetBalances", timeout=1.0)
        except TimeoutError:
            self._findings.count("in a handler not yet")
        except WSClientError as error:
            self._findings.count(f"in a handler {type(error).__name__}")
        else:
            if not self._may_wait:
                self._findings.violate("a call was waited for on the event thread")
