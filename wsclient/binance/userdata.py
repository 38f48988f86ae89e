"""The account's events: subscribed to on the client's own connection, and put right after each loss.

Source: the protocol page, "WebSocket API (request and reply)", the paragraph "User data".
"""

import threading
from collections.abc import Callable
from typing import Any, Final

from ..core.connection import Connection
from ..core.listeners import Listeners
from ..core.reply import Reply
from ..errors import TransportError, WSClientError, same_again
from .dialect import USER_DATA
from .errors import MAX_RETRIES

Event = dict[str, Any]

_OPEN: Final = frozenset(("NEW", "PARTIALLY_FILLED", "PENDING_NEW", "PENDING_CANCEL"))


class Ended(Event):
    """The event that says why no more come, until they are asked for again or a connection is back."""

    def __init__(self, error: WSClientError) -> None:
        super().__init__(e="error", m=str(error))
        self.error = error


class UserData:
    """Follows the watch of the account's events, for any number of listeners.

    now: milliseconds since the Unix epoch, for what isn't the exchange's own event
    raised: told what a listener raised
    """

    def __init__(
        self,
        connection: Connection[Any],
        now: Callable[[], int],
        *,
        raised: Callable[[Callable[..., object], BaseException], object],
    ) -> None:
        self._connection = connection
        self._now = now
        self._listeners = Listeners(raised)
        # touched by the event thread alone:
        self._id: int | None = None  # of the subscription whose events count
        self._open: dict[int, str] = {}  # the orders known to be open: their ids and symbols
        self._known = False  # whether those of an earlier connection are
        self._lock = threading.Lock()  # guards what follows
        self._changed = threading.Condition(self._lock)
        self._claimed = False
        self._whole = False
        self._failure: WSClientError | None = None

    def __repr__(self) -> str:
        return "the account's events"

    # -- any thread

    def add(self, listener: Callable[[Event], object]) -> Callable[[], bool]:
        """Adds a listener; returns what removes it, and tells whether others are left."""
        end = self._listeners.add(listener)

        def remove() -> bool:
            end()
            return bool(self._listeners.all)

        return remove

    def claim(self) -> bool:
        """Whether the caller is the one to have it subscribed to: it is the first, or the last one failed."""
        with self._lock:
            if self._claimed and self._failure is None:
                return False
            self._claimed = True
            self._failure = None
            return True

    def ready(self, timeout: float) -> None:
        """Waits until it is subscribed, so many seconds at most. Raises why it couldn't be."""
        with self._changed:
            self._changed.wait_for(lambda: self._whole or self._failure is not None, timeout)
            failure, whole = self._failure, self._whole
        if failure is not None:
            raise same_again(failure) from failure
        if not whole:
            raise TransportError(f"no answer to subscribing to the account's events within {timeout:g} s")

    # -- for the watch, in the order of the wire

    def asked(self) -> None:
        """It is about to be subscribed to."""

    def answered(self, message: Event) -> None:
        """It is subscribed to; what was missed is asked for."""
        result = message.get("result")
        self._id = result.get("subscriptionId") if isinstance(result, dict) else None
        with self._changed:
            self._whole = True
            self._failure = None
            self._changed.notify_all()
        self._ask("openOrders.status", {}, self._reconcile)

    def notice(self, message: Event) -> None:
        """An event, or one of a subscription that was before this one."""
        event = message.get("event")
        if not isinstance(event, dict) or message.get("subscriptionId") != self._id:
            return
        self._follow_order(event)
        self._tell(event)
        if event.get("e") == "eventStreamTerminated" and self._id is not None:
            self._id = None
            self._connection.renew(USER_DATA)

    def lost(self) -> None:
        """The connection ended, or the subscription is renewed."""
        self._id = None
        with self._lock:
            self._whole = False

    def failed(self, error: WSClientError) -> None:
        """It couldn't be had, or not again."""
        self._failed(error)

    def given_up(self, error: WSClientError) -> None:
        """No connection can be had for now."""
        gave_up = TransportError(MAX_RETRIES)
        gave_up.__cause__ = error
        self._failed(error, gave_up)

    def _failed(self, error: WSClientError, told_as: WSClientError | None = None) -> None:
        self._id = None
        with self._changed:
            told = self._failure is None
            self._whole = False
            self._failure = error
            self._changed.notify_all()
        if told:
            self._tell(Ended(error if told_as is None else told_as))

    # -- the orders that are open, and those of which the end was missed

    def _follow_order(self, event: Event) -> None:
        order, symbol = event.get("i"), event.get("s")
        if event.get("e") != "executionReport" or type(order) is not int or not isinstance(symbol, str):
            return
        if str(event.get("X")) in _OPEN:
            self._open[order] = symbol
        else:
            self._open.pop(order, None)

    def _reconcile(self, rows: Any) -> None:
        """Which orders are open now, after the subscription: what follows is told by events."""
        if not isinstance(rows, list):
            return
        before, self._open = self._open, {}
        for row in rows:
            if isinstance(row, dict) and type(row.get("orderId")) is int:
                self._open[row["orderId"]] = str(row.get("symbol"))
        if not self._known:
            self._known = True
            return
        self._tell_orders(rows)
        for order, symbol in before.items():
            if order not in self._open:
                named = {"symbol": symbol, "orderId": order}
                self._ask("order.status", named, lambda row: self._tell_orders([row]))

    def _tell_orders(self, rows: list[Any]) -> None:
        self._tell({"e": "ordersReconciled", "E": self._now(), "orders": rows})

    def _ask(self, method: str, params: Event, then: Callable[[Any], None]) -> None:
        def answered(reply: Reply[Any]) -> None:
            error = reply.exception()
            if error is None:
                then(reply.result())
            elif not isinstance(error, TransportError):  # else the next connection asks again
                self._tell({"e": "error", "m": f"the orders can't be reconciled: {error}"})

        try:
            self._connection.submit({"method": method, "params": params}).add_done_callback(answered)  # type: ignore[arg-type]
        except WSClientError as error:
            if not isinstance(error, TransportError):
                self._tell({"e": "error", "m": f"the orders can't be reconciled: {error}"})

    def _tell(self, event: Event) -> None:
        self._listeners.tell(event)
