"""Tonces: the numbers by which the account's owner knows an order, and settling orders by them. Pure.

Source: the protocol page, "Commands", the paragraph on `tonce`.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Literal

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


class Tonces:
    """The tonces of one client: they rise, and start from the time, so that they exceed those of its last run.

    clock: microseconds since the Unix epoch
    """

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._last = 0
        self._forgotten = 0

    def next(self) -> int:
        """One greater than all before."""
        with self._lock:
            self._last = max(self._last + 1, self._clock())
            return self._last

    def seen(self, tonce: int) -> None:
        """The user chose one, or it goes out again, which raises `NotSent` if that may place it twice."""
        with self._lock:
            if isinstance(tonce, Again) and tonce <= self._forgotten:
                raise NotSent("not sent: CancelAllOrders has just made the exchange forget its tonces")
            self._last = max(self._last, tonce)

    def reset(self) -> None:
        """CancelAllOrders goes out: with it the exchange forgets which tonces were used."""
        with self._lock:
            self._forgotten = self._last

    @property
    def last(self) -> int:
        return self._last

    @property
    def forgotten(self) -> int:
        """Up to here the exchange may not know any more which it has placed."""
        return self._forgotten


def check_rule(rule: str) -> None:
    if rule not in ("increasing", "unique"):
        raise InvalidRequest(f'tonces is "increasing" or "unique", not {rule!r}')


def can_settle(request: Message) -> bool:
    """Whether something can be found out about a call: for an order with a tonce, by that."""
    return request.get("method") == "PlaceOrder" and type(request.get("tonce")) is int


def settle(requests: Sequence[Message], rule: Rule, tonces: Tonces) -> Generator[Message, Outcome, list[Outcome]]:
    """What became of these orders: GetOrders tells which are open; under the increasing rule the others are
    placed again, each with its tonce, in the order of the tonces: the exchange refuses what it has placed. Not so
    after CancelAllOrders, which resets what it knows; one by another client of the account can't be seen here.

    Yields requests, is sent their outcomes, returns an outcome for each order.
    """
    answer = yield {"method": "GetOrders"}
    if not isinstance(answer, dict):
        return [_unknown("the open orders couldn't be asked for", answer) for _ in requests]
    orders = answer.get("orders")
    open_orders: dict[Any, Message] = {}
    for order in orders if isinstance(orders, list) else ():
        if isinstance(order, dict):
            open_orders[order.get("tonce")] = order
    outcomes: dict[int, Outcome] = {}
    for at in sorted(range(len(requests)), key=lambda at: requests[at]["tonce"]):
        request = requests[at]
        tonce = request["tonce"]
        if tonce in open_orders:
            outcomes[at] = open_orders[tonce]
        elif rule == "increasing" and tonce <= tonces.forgotten:
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
            outcomes[at] = _placed_again(tonce, (yield again), tonces)
    return [outcomes[at] for at in range(len(requests))]


def _placed_again(tonce: int, answer: Outcome, tonces: Tonces) -> Outcome:
    if isinstance(answer, dict):
        return answer
    if not isinstance(answer, TonceOutOfSequence):
        return _unknown(f"no order with the tonce {tonce} is open, and placing it again was refused", answer)
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
