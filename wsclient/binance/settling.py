"""What became of orders whose outcome is unknown: asked by the client order id that every order has. Pure.

An order isn't placed again to find out, since the exchange refuses a client order id only while another order
with it is open. But it refuses a request whose timestamp is older than its recvWindow. So once that has passed, an
order that it doesn't know was never placed, and won't be. That holds where the connection was lost. Where the
exchange itself answered that it can't tell, the order had arrived, and may show at any later time.

Source: the protocol page, "WebSocket API (request and reply)".
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from ..core.dialect import Message, Outcome
from ..errors import CommandError, OutcomeUnknown
from .errors import NO_SUCH_ORDER, CantTell, NotPlaced, TooSoonToTell

RECV_WINDOW: Final = 5000
"""Milliseconds for which the exchange accepts a request that doesn't say for how long."""

MAX_RECV_WINDOW: Final = 60_000
"""Milliseconds; the exchange refuses more."""

MARGIN: Final = 100
"""Milliseconds that our idea of the exchange's clock may be wrong by, besides the time that an answer takes."""

GRACE: Final = 30.0
"""Seconds in which an order has shown, as good as always, of which the exchange couldn't tell."""

_FIRST_PAUSE: Final = 0.25  # seconds
_LONGEST_PAUSE: Final = 4.0


def cant_tell(error: BaseException | None) -> bool:
    """Whether it goes back to an answer of the exchange that it can't tell."""
    while error is not None and not isinstance(error, CantTell):
        error = error.__cause__
    return error is not None


def pauses(seconds: float) -> Iterator[float]:
    """The waits between asking for an order that may yet show: longer and longer, so many seconds in all."""
    pause = _FIRST_PAUSE
    while seconds > 0:
        pause = min(pause, seconds)
        seconds -= pause
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def can_settle(request: Message) -> bool:
    """Whether something can be found out about a call: for an order that has gone out with an id."""
    params = request.get("params")
    return (
        request.get("method") == "order.place"
        and isinstance(params, dict)
        and "newClientOrderId" in params
        and type(params.get("timestamp")) is int
    )


def settle(requests: Sequence[Message], now: Callable[[], int]) -> Generator[Message, Outcome, list[Outcome]]:
    """What became of these orders, as `order.status` tells.

    now: milliseconds since the Unix epoch, by the exchange's clock

    Yields requests, is sent their outcomes, returns an outcome for each order: the order, `NotPlaced`, or
    `OutcomeUnknown`, which is `TooSoonToTell` where asking again later will tell.
    """
    outcomes: list[Outcome] = []
    for request in requests:
        params = request["params"]
        name = params["newClientOrderId"]
        until = params["timestamp"] + _window(params.get("recvWindow", RECV_WINDOW)) + MARGIN
        left = until - now()  # before asking: what is accepted after that would be too late
        asked = {"symbol": params["symbol"], "origClientOrderId": name}
        answer = yield {"method": "order.status", "params": asked}
        outcomes.append(_outcome(name, answer, left))
    return outcomes


def _window(value: Any) -> int:
    """A recvWindow, of which the exchange takes fractions, too; the longest there is for what can't be read."""
    try:
        window = Decimal(str(value))
        return math.ceil(window) if 0 <= window <= MAX_RECV_WINDOW else MAX_RECV_WINDOW
    except ArithmeticError:
        return MAX_RECV_WINDOW


def _outcome(name: str, answer: Outcome, left: int) -> Outcome:
    if isinstance(answer, dict):
        return answer
    if isinstance(answer, CommandError) and answer.code == NO_SUCH_ORDER:
        if left > 0:
            return TooSoonToTell(
                f"there is no order {name} yet; in {left} ms it can't be accepted any more", left / 1000
            )
        return NotPlaced(f"the exchange has no order {name}, and can't accept it any more: place it again")
    error = OutcomeUnknown(f"still unknown, since asking for the order {name} failed: {answer}")
    error.__cause__ = answer
    return error
