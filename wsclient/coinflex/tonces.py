"""Tonces: the numbers by which the account's owner knows an order, and settling orders by them. Pure.

Source: the protocol page, "Commands", the paragraph on `tonce`.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Final, Literal

from ..core.dialect import Message, Outcome
from ..errors import CommandError, InvalidRequest, NotSent, OutcomeUnknown, TonceOutOfSequence

Rule = Literal["increasing", "unique"]


class Auto:
    """Stands for the tonce that an order is given as it goes out."""

    def __repr__(self) -> str:
        return "AUTO"

    def __reduce__(self) -> str:
        return "AUTO"


class Again(int):
    """The tonce of an order that is placed again."""


AUTO: Final = Auto()
"""As a tonce: the client gives one, rising in the order of the wire."""


MAX_TONCE: Final = 2**63 - 1
_DOUBT: Final = 60_000_000  # microseconds
_MOST: Final = 10_000  # tonces that are kept in mind


class Tonces:
    """The tonces of one client: they rise, and start from the time, so that they exceed those of its last run.

    clock: microseconds since the Unix epoch
    """

    __slots__ = ("_clock", "_doubtful_until", "_last", "_lock", "_reset", "_since")

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._last = 0
        self._reset = False  # whether there was a CancelAllOrders of ours
        self._since: dict[int, None] = {}  # the tonces of what went out after the last one, oldest first
        self._doubtful_until = 0  # the clock's time until when one may still arrive

    def next(self) -> int:
        """One greater than all before."""
        with self._lock:
            self._last = max(self._last + 1, self._clock())
            self._note(self._last)
            return self._last

    def seen(self, tonce: int) -> None:
        """The user chose one, or it goes out again, which raises `NotSent` if that may place it twice."""
        with self._lock:
            if isinstance(tonce, Again):
                if self._forgets(tonce):
                    raise NotSent("not sent: CancelAllOrders has just made the exchange forget its tonces")
            else:
                self._note(tonce)
            if tonce <= MAX_TONCE:  # else it is refused, and so would all be that follow
                self._last = max(self._last, tonce)

    def reset(self) -> None:
        """CancelAllOrders goes out: with it the exchange forgets which tonces were used."""
        with self._lock:
            self._reset = True
            self._since.clear()

    def doubt(self) -> None:
        """A CancelAllOrders had no answer. It may be waiting in a buffer, and take effect at any moment."""
        with self._lock:
            self._since.clear()
            self._doubtful_until = self._clock() + _DOUBT

    def forgets(self, tonce: int) -> bool:
        """Whether the exchange may not know any more that it has placed this one."""
        with self._lock:
            return self._forgets(tonce)

    @property
    def last(self) -> int:
        return self._last

    # -- with the lock held

    def _forgets(self, tonce: int) -> bool:
        return self._reset and tonce not in self._since

    def _note(self, tonce: int) -> None:
        if self._reset and self._clock() >= self._doubtful_until:
            self._since[tonce] = None
            if len(self._since) > _MOST:
                del self._since[next(iter(self._since))]


def check_rule(rule: str) -> None:
    if rule not in ("increasing", "unique"):
        raise InvalidRequest(f'tonces is "increasing" or "unique", not {rule!r}')


def can_settle(request: Message) -> bool:
    """Whether something can be found out about a call: for an order with a tonce, by that."""
    return request.get("method") == "PlaceOrder" and type(request.get("tonce")) is int


def settle(requests: Sequence[Message], rule: Rule, tonces: Tonces) -> Generator[Message, Outcome, list[Outcome]]:
    """What became of these orders: GetOrders tells which are open; under the increasing rule the others are
    placed again, each with its tonce, in the order of the tonces: the exchange refuses what it has placed. Not so
    what went out before a CancelAllOrders, which resets what it knows, or within a minute after one that had no
    answer; one by another client of the account can't be seen here.

    Yields requests, is sent their outcomes, returns an outcome for each order.
    """
    answer = yield {"method": "GetOrders"}
    if not isinstance(answer, dict):
        return [_unknown("the open orders couldn't be asked for", answer) for _ in requests]
    open_orders = _by_tonce(answer)
    outcomes: dict[int, Outcome] = {}
    for at in sorted(range(len(requests)), key=lambda at: requests[at]["tonce"]):
        request = requests[at]
        tonce = request["tonce"]
        if tonce in open_orders:
            outcomes[at] = _found(open_orders[tonce], request)
        elif rule == "increasing" and tonces.forgets(tonce):
            outcomes[at] = _unknown(
                f"no order with the tonce {tonce} is open: it never arrived, or has been filled or cancelled, and "
                "can't be placed again safely, since CancelAllOrders has made the exchange forget its tonces"
            )
        elif rule == "unique":
            outcomes[at] = _unknown(
                f"no order with the tonce {tonce} is open: it never arrived, or has been filled or cancelled"
            )
        else:
            again = {name: value for name, value in request.items() if name != "tag"} | {"tonce": Again(tonce)}
            outcome = yield again
            if isinstance(outcome, TonceOutOfSequence):
                # it was placed, perhaps only meanwhile: it may have been on its way, or settled by another thread
                answer = yield {"method": "GetOrders"}
                if not isinstance(answer, dict):
                    outcomes[at] = _unknown(f"the order with the tonce {tonce} can't be asked for", answer)
                elif (found := _by_tonce(answer).get(tonce)) is not None:
                    outcomes[at] = _found(found, request)
                else:
                    outcomes[at] = _refused(tonce, outcome, tonces)
            elif isinstance(outcome, dict):
                outcomes[at] = outcome
            else:
                outcomes[at] = _unknown(
                    f"no order with the tonce {tonce} is open, and placing it again failed", outcome
                )
    return [outcomes[at] for at in range(len(requests))]


def _by_tonce(answer: Message) -> dict[int, Message]:
    """The open orders that have one."""
    orders = answer.get("orders")
    return {
        order["tonce"]: order
        for order in (orders if isinstance(orders, list) else ())
        if isinstance(order, dict) and type(order.get("tonce")) is int
    }


def _found(order: Message, request: Message) -> Outcome:
    """An open order with the tonce, which is the one that was asked for if the rest fits."""

    def side(message: Message) -> bool:
        quantity = message.get("quantity", message.get("total"))
        return isinstance(quantity, int) and quantity > 0

    if side(order) is side(request) and all(order.get(name) == request.get(name) for name in ("base", "counter")):
        return order
    return _unknown(f"an order with the tonce {request['tonce']} is open, but it isn't this one: {order}")


def _refused(tonce: int, answer: TonceOutOfSequence, tonces: Tonces) -> Outcome:
    if tonces.last > tonce:
        return _unknown(
            f"no order with the tonce {tonce} is open: it has been filled or cancelled, or it never arrived and "
            "can't be placed any more, since one with a greater tonce was",
            answer,
        )
    return _unknown(
        f"the order with the tonce {tonce} was placed, and has been filled or cancelled since, unless another "
        "client of this account has placed one with a greater tonce",
        answer,
    )


def _unknown(text: str, cause: Exception | None = None) -> OutcomeUnknown:
    if isinstance(cause, CommandError):
        text = f"{text}: {cause}"
    error = OutcomeUnknown(text)
    error.__cause__ = cause
    return error
