"""One round of the campaign: an exchange, its clients and a storm, from one seed; then the truth."""

import itertools
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

from tests.campaign.audit import Violation, audit, sessions_lost, unknown_orders
from tests.campaign.books import Samples, digest, wait_until
from tests.campaign.calls import Account, Journal, Kind
from tests.campaign.traders import PATIENCE, Desk, Trader
from tests.campaign.watch import describe_socket, open_sockets, stacks, threads_left, watched_log
from wsclient import ProtocolError, Reconnect, State, WSClient, WSClientError
from wsclient.coinflex.book import OrderBook
from wsclient.sandbox import Sandbox
from wsclient.sandbox.answers import Order
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.faults import CutFrame, Delay, Drop, Refuse, Reorder
from wsclient.sandbox.ledger import Faulted, Ledger, Struck
from wsclient.sandbox.wirefaults import Storm

DESKS: Final = 6
TRADERS_A_DESK: Final = 3
MOST_SETTLED: Final = 25
"""Of how many orders that aren't open each client is asked in the end; of those that are it is asked anyhow."""
USERS: Final = 400
"""More than the clients that a round can have: each client that gives its own tags has a user of its own."""
HOST: Final = "127.0.0.9" if sys.platform == "linux" else "127.0.0.1"
"""An address from which no client connects, so that its ports are never taken while the exchange restarts."""


@dataclass(slots=True)
class Report:
    """What a round found. Figures by name; violations as texts, so that processes can hand them on."""

    seed: str
    kills: int = 0
    seconds: float = 0.0
    figures: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Round:
    """One round; `run` once. kills: cut connections after which the storm ends."""

    def __init__(self, seed: str, *, kills: int) -> None:
        self._seed = seed
        self._kills = kills
        self._random = Random(f"campaign {seed}")
        self._increasing = self._random.random() < 0.5
        self._exchange = Sandbox(
            host=HOST,
            traders=0,
            seed=self._random.getrandbits(32),
            tonces="increasing" if self._increasing else "unique",
            users=USERS,
            ledger_limit=None,
        )
        self._users = iter(self._exchange.users)
        self._numbers = itertools.count(1)
        self._tags = itertools.count(1 << 40)
        self._journal = Journal()
        self._samples = Samples()
        self._accounts: list[Account] = []
        self._lock = threading.Lock()  # guards what follows
        self._report = Report(seed)
        self._accusations: list[tuple[int, str]] = []

    def run(self) -> Report:
        """Trade through the storm, wait for the calm, and compare."""
        began = time.monotonic()
        sockets = open_sockets()
        with watched_log(lambda text: self._violate("the client met a mistake of its own", text)):
            self._exchange.start()
            try:
                self._trade()
                self._calm()
            finally:
                for account in self._accounts:
                    account.client.stop()
                self._exchange.stop()
        if left := threads_left():
            self._violate("an event thread was left over", f"{left}\n{stacks()}")
        if left := sorted(open_sockets() - sockets):
            self._violate("a socket was left over", f"{[describe_socket(name) for name in left]}")
        self._compare()
        self._report.seconds = time.monotonic() - began
        return self._report

    # ------------------------------------------------------------ the storm

    def _trade(self) -> None:
        self._exchange.faults.add(*self._weather())
        desks = [Desk(self._desk(number)) for number in range(DESKS)]
        traders = [
            Trader(
                desk,
                self._journal,
                self._samples,
                self._tags,
                f"trader {self._seed} {number}",
                self._over,
                restless=0.002 if desk is not desks[0] else 0.0,
            )
            for number, desk in enumerate(desks * TRADERS_A_DESK)
        ]
        threads = [threading.Thread(target=self._guarded, args=(trader,), daemon=True) for trader in traders]
        for thread in threads:
            thread.start()
        self._restart_sometimes(threads)
        deadline = time.monotonic() + 4 * PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            self._violate("a trader never ended", stacks())
        self._exchange.faults.clear()
        self._report.kills = self._cuts()

    def _weather(self) -> Iterator[Any]:
        seed = self._random.getrandbits(32)
        yield Storm(seed=seed, reach=self._random.choice((3000, 10_000, 30_000)), mute=0.01)
        yield Refuse(times=None, chance=0.03)
        yield Drop(times=None, chance=0.002, when="before")
        yield Drop(times=None, chance=0.002, when="executed")
        yield Drop(times=None, chance=0.002, when="answered")
        yield Drop(times=None, chance=0.001, when="executed", code=1012, reason="restarting")
        yield CutFrame(times=None, chance=0.002)
        yield Delay(times=None, chance=0.01, seconds=0.02)
        yield Reorder(times=None, chance=0.05, window=4, seed=seed)

    def _over(self) -> bool:
        return self._cuts() >= self._kills

    def _cuts(self) -> int:
        return len(self._exchange.ledger.of(Struck))

    def _restart_sometimes(self, threads: list[threading.Thread]) -> None:
        """Let the exchange be gone for a moment, twice a round: connections are refused by the system then."""
        for part in (1, 2):
            due = self._kills * part // 3
            while self._cuts() < due and any(thread.is_alive() for thread in threads):
                threads[0].join(0.1)
            self._exchange.stop()
            threads[0].join(0.05)
            self._exchange.start()

    def _guarded(self, trader: Trader) -> None:
        try:
            trader.run()
        except Exception:
            self._violate("a trader met an exception of no tree", traceback.format_exc())

    # ------------------------------------------------------------ clients

    def _desk(self, number: int) -> Callable[[], Account]:
        """How a desk gets its clients, each desk in its own way."""
        own_tags, own_tonces, handles = number % 2 == 0, number % 3 != 2, number != 2
        resubmits = number >= DESKS // 2 and self._increasing

        def hire() -> Account:
            with self._lock:
                user, client_number = next(self._users), next(self._numbers)
            client = WSClient(
                self._exchange.url,
                self._on_message if number % 3 == 0 else None,
                self._on_error if handles else None,
                socket_timeout=0.5,
                ping_interval=0.25,
                reconnect=Reconnect(tries=5, base=0.02, cap=0.2),
                tonces="increasing" if self._increasing else "unique",
                resubmit=resubmits,
                cancel_on_disconnect=number == 5,
            )
            client.set_auth_data(user.id, user.cookie, user.passphrase)
            account = Account(client_number, client, user.id, own_tags, own_tonces, resubmits)
            with self._lock:
                self._accounts.append(account)
            return account

        return hire

    def _on_message(self, client: WSClient, text: str) -> None:
        with self._lock:
            self._report.figures["messages handled"] += 1

    def _on_error(self, client: WSClient, error: Exception) -> None:
        with self._lock:
            self._report.figures[f"handled {type(error).__name__}"] += 1
            number = next(account.number for account in self._accounts if account.client is client)
        if isinstance(error, ProtocolError):
            self._accusations.append((number, str(error)))
        if not isinstance(error, WSClientError):
            self._violate("an error handler was told what is of no tree", repr(error))

    # ------------------------------------------------------------ the calm

    def _calm(self) -> None:
        """Let everybody learn how his calls have ended, and the exchange which connections have."""
        for call in list(self._journal.calls):
            if call.reply is not None and not call.reply.done():
                try:
                    call.reply.exception(PATIENCE)
                except TimeoutError:
                    self._violate("an outcome never came", f"{call}\n{stacks()}")
                    break
        living = [account for account in self._accounts if account.client.state is not State.STOPPED]
        for account in living:
            self._settle(account)
        for account in living:  # nothing changes any more
            self._compare_state(account)
        ledger = self._exchange.ledger
        lost = sessions_lost(self._journal.calls, ledger.entries())
        try:
            ledger.wait_for(lambda ledger: lost <= {closed.session for closed in ledger.closures}, 10)
        except TimeoutError:
            left = lost - {closed.session for closed in ledger.closures}
            self._violate("told unknown, but the connection never ended", f"sessions {left}")

    def _settle(self, account: Account) -> None:
        """Let a client that still lives say what became of its orders and watches, and see whether that is all."""
        user, client = account.user, account.client
        try:
            client.authenticate()
        except WSClientError as error:
            self._violate("a client doesn't get back to a calm exchange", f"client {account.number}: {error!r}")
            return
        calls = [call for call in self._journal.calls if call.account is account]
        still_open = {order.tonce for order in self._exchange.run(lambda engine: engine.orders(user))}
        others = 0
        for call in calls:
            if call.method == "PlaceOrder" and call.reply is not None and call.outcome()[0] is Kind.UNKNOWN:
                others += call.tonce not in still_open
                if call.tonce in still_open or others <= MOST_SETTLED:
                    self._journal.settle(call)
        orders = self._exchange.run(lambda engine: engine.orders(user))
        for violation in unknown_orders(calls, orders, self._exchange.ledger.entries()):
            self._violate(violation.rule, violation.detail)
        watched = {
            (call.fields["base"], call.fields["counter"])
            for call in calls
            if call.method == "WatchTicker" and call.outcome()[0] is Kind.DONE
        }
        if not self._watches(user, watched):
            self._violate("a watch was not restored", f"client {account.number}: {watched}")

    def _compare_state(self, account: Account) -> None:
        """Look whether a client's books and balances have become what the exchange has."""
        for (base, counter), book in account.books.items():
            orders = self._exchange.run(partial(_book, base, counter))
            theirs = digest((order.id, order.quantity, order.price) for order in orders)

            def equal(book: OrderBook = book, theirs: int = theirs) -> bool:
                ours = digest((order.id, order.quantity, order.price) for order in book.orders)
                return not book.stale and ours == theirs

            account.client.order_book(base, counter)  # again, if it gave up
            if not wait_until(book, equal, PATIENCE):
                detail = (
                    f"client {account.number}: {book!r} ({book.failure!r}), the exchange has {len(orders)} orders"
                )
                self._violate("a book isn't equal to the exchange's in the end", detail)
        balances = account.balances
        if balances is not None:
            theirs_ = {
                row["asset"]: (row["balance"], row["reserved_balance"])
                for row in account.client.GetBalances().result(PATIENCE)["balances"]
            }
            account.client.balances()
            if not wait_until(
                balances, lambda: not balances.stale and dict(balances.snapshot()) == theirs_, PATIENCE
            ):
                detail = (
                    f"client {account.number}: {balances!r} ({balances.failure!r}), the exchange has {theirs_}"
                )
                self._violate("balances aren't equal to the exchange's in the end", detail)

    def _watches(self, user: int, watched: set[tuple[int, int]]) -> bool:
        """Whether a user's only open connection has all its watches; it may be about to get them."""

        def restored(ledger: Ledger) -> bool:
            alive = ledger.open_sessions()
            [*sessions] = {command.session for command in ledger.commands(user=user)} & alive
            done = {
                (entry.command.fields["base"], entry.command.fields["counter"])
                for entry in ledger.executed("WatchTicker")
                if entry.command.session in sessions and entry.code == 0
            }
            return watched <= done

        try:
            return self._exchange.ledger.wait_for(restored, 10)
        except TimeoutError:
            return False

    # ------------------------------------------------------------ the truth

    def _compare(self) -> None:
        figures = self._report.figures
        for kind, count in self._journal.outcomes().items():
            figures[f"calls {kind.value}"] = count
        for fault in self._exchange.ledger.of(Faulted):
            figures[f"faults {type(fault.fault).__name__}"] += 1
        for call in self._journal.calls:
            if call.settled is not None:
                figures["settled " + ("found" if isinstance(call.settled, dict) else "unknown")] += 1
        figures["clients"] = len(self._accounts)
        figures["connections"] = len(self._exchange.ledger.connections)
        entries = self._exchange.ledger.entries()
        figures["books looked at"] = self._samples.count
        figures["books lost"] = self._samples.losses
        events = self._exchange.ledger.events()
        for violation in itertools.chain(audit(self._journal.calls, entries), self._samples.check(events)):
            self._violate(violation.rule, violation.detail)
        for number, text in self._accusations:
            about = [str(c) for c in self._journal.calls if c.account.number == number and f"tag {c.tag}:" in text]
            self._violate("the exchange was said to break its protocol", f"client {number}: {text}; {about}")
        for trouble in self._exchange.ledger.troubles:
            told = "".join(traceback.format_exception(trouble.error))
            self._violate("the exchange met an exception", told)

    def _violate(self, rule: str, detail: str) -> None:
        with self._lock:
            self._report.violations.append(str(Violation(rule, detail)))


def _book(base: int, counter: int, engine: Engine) -> list[Order]:
    return engine.book(base, counter, None)


def play(seed: str, kills: int) -> Report:
    """One round, for processes of their own too."""
    return Round(seed, kills=kills).run()
