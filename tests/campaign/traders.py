"""Those who call: threads that place, modify and cancel orders at random, several on each client."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from random import Random
from typing import Any, Final

from tests.campaign.books import Samples
from tests.campaign.calls import Account, Call, Journal, Kind
from wsclient import AuthenticationError, ClientClosed, Conflict, TransportError
from wsclient.coinflex.assets import Assets

MARKETS: Final = (
    (Assets["XBT"], Assets["USDT"], 90_000_000),
    (Assets["ETH"], Assets["USDT"], 2_400_000),
)
"""Base, counter and the price around which orders are placed, scaled by 10000."""
MOST_KNOWN: Final = 40
"""How many of its orders a trader remembers; older ones it cancels."""
PATIENCE: Final = 30.0
"""Seconds after which an outcome that hasn't come counts as one that never will."""


class Desk:
    """Where traders find the client that is theirs at the moment; now and then it is stopped for a new one."""

    def __init__(self, hire: Callable[[], Account]) -> None:
        self._hire = hire
        self._lock = threading.Lock()  # guards what follows
        self._account = hire()

    @property
    def account(self) -> Account:
        with self._lock:
            return self._account

    def renew(self) -> None:
        """Put a new client in the place of the present one, which is stopped with calls under way."""
        new = self._hire()
        with self._lock:
            old, self._account = self._account, new
        old.client.stop()


class Trader:
    """One thread's worth of trading. `over` says when to end; it waits for its last outcomes then."""

    def __init__(
        self,
        desk: Desk,
        journal: Journal,
        samples: Samples,
        tags: Iterator[int],
        seed: str,
        over: Callable[[], bool],
        *,
        restless: float,
    ) -> None:
        self._desk = desk
        self._journal = journal
        self._samples = samples
        self._tags = tags
        self._random = Random(seed)
        self._over = over
        self._restless = restless
        self._orders: list[dict[str, Any]] = []  # of the client that the trader has now
        self._last: Account | None = None

    def run(self) -> None:
        """Trade until it is over."""
        random = self._random
        while not self._over():
            if random.random() < self._restless:
                self._desk.renew()
            account = self._desk.account
            if account is not self._last:
                self._last, self._orders = account, []
            chance = random.random()
            if account.own_tags and len(account.watched) < len(MARKETS):
                self._watch(account)
            elif not account.own_tags and account.balances is None:
                self._follow(account)
            elif chance < 0.5:
                self._wait(self._send(account))
            elif chance < 0.6 and account.own_tags:
                method, fields = self._decide(account)
                tag = next(self._tags)
                self._journal.ask(account, method, **fields, tag=tag)
            else:  # a burst, whose outcomes are waited for together, or given up early, or looked at later
                calls = [self._send(account) for _ in range(random.randint(2, 8))]
                if random.random() < 0.1:
                    for call in calls:
                        if call.reply is not None:
                            call.reply.cancel()
                for call in calls:
                    self._wait(call)

    def _watch(self, account: Account) -> None:
        """Begin a watch, which from then on has to outlive the connections."""
        base, counter, _ = self._random.choice(MARKETS)
        fields = {"base": base, "counter": counter, "watch": True, "tag": next(self._tags)}
        kind, answer = self._journal.ask(account, "WatchTicker", **fields).outcome()
        # a conflict tells that there is one, of which the answer may still be on its way, and be cut off
        if kind is Kind.DONE or isinstance(answer, Conflict):
            account.watched.add((base, counter))

    def _follow(self, account: Account) -> None:
        """Begin to keep books and balances up to date; what fails is tried again."""
        try:
            for base, counter, _ in MARKETS:
                book = account.client.order_book(base, counter)
                if (base, counter) not in account.books:
                    account.books[base, counter] = book
                    book.on_change(self._samples.look)
            account.balances = account.client.balances()
        except (TransportError, AuthenticationError, ClientClosed):
            pass

    # ------------------------------------------------------------ deciding

    def _send(self, account: Account) -> Call:
        method, fields = self._decide(account)
        tag = {"tag": next(self._tags)} if account.own_tags else {}
        return self._journal.send(account, method, **fields, **tag)

    def _decide(self, account: Account) -> tuple[str, dict[str, Any]]:
        random = self._random
        base, counter, middle = random.choice(MARKETS)
        chance = random.random()
        if len(self._orders) > MOST_KNOWN:
            return "CancelOrder", self._orders.pop(0)
        if chance < 0.5:
            return "PlaceOrder", self._order(account, base, counter, middle)
        if chance < 0.72 and self._orders:
            return "CancelOrder", self._orders.pop(random.randrange(len(self._orders)))
        if chance < 0.84 and self._orders:
            return "ModifyOrder", {**random.choice(self._orders), **self._change(middle)}
        if chance < 0.90 and account.own_tags:
            return "EstimateMarketOrder", {"base": base, "counter": counter, "quantity": random.choice((-50, 50))}
        if chance < 0.91:
            return "CancelAllOrders", {}
        return random.choice(("GetBalances", "GetOrders")), {}

    def _order(self, account: Account, base: int, counter: int, middle: int) -> dict[str, Any]:
        random = self._random
        quantity = random.randint(100, 5000) * random.choice((-1, 1))
        order: dict[str, Any] = {"base": base, "counter": counter, "quantity": quantity}
        if random.random() < 0.9:
            away = random.gauss(0.002, 0.002)
            order["price"] = round(middle * (1 - away if quantity > 0 else 1 + away))
            style = random.random()
            if style < 0.1:
                order["persist"] = False
            elif style < 0.15:
                order["persist"] = "fill_or_kill"
            elif style < 0.2:
                order["post_only"] = True
        if account.own_tonces:
            order["tonce"] = next(account.tonces)
        return order

    def _change(self, middle: int) -> dict[str, Any]:
        random = self._random
        change = {
            "quantity_delta": random.randint(-300, 300) or 1,
            "price": middle + random.randint(-500, 500) * 100,
        }
        if random.random() < 0.7:
            del change[random.choice(list(change))]
        return change

    # ------------------------------------------------------------ waiting

    def _wait(self, call: Call) -> None:
        """Wait for an outcome, and remember the order that it may have brought."""
        if call.reply is not None:
            hasty = self._random.random() < 0.05
            try:
                call.reply.exception(0.001 if hasty else PATIENCE)
            except (TimeoutError, CancelledError):
                return  # the audit looks again when all is over
        kind, result = call.outcome()
        if call.method != "PlaceOrder":
            return
        if kind is Kind.UNKNOWN and call.reply is not None and self._random.random() < 0.1:
            self._journal.settle(call)
        if call.tonce is not None and kind in (Kind.DONE, Kind.UNKNOWN):
            self._orders.append({"tonce": call.tonce})
        elif kind is Kind.DONE and "id" in result:
            self._orders.append({"id": result["id"]})
