"""What requests weigh, and the limits for a client that keeps below them.

Source: the protocol page, "WebSocket API (request and reply)", and the weights of the exchange's documentation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..core.pacing import Limit, check_limits

WEIGHT: Final = "request weight"
ORDERS: Final = "orders in ten seconds"
ORDERS_DAY: Final = "orders in a day"

Params = Mapping[str, Any]


def _depth(params: Params) -> int:
    limit = params.get("limit", 100)
    if not isinstance(limit, int) or limit <= 100:
        return 5
    return 25 if limit <= 500 else 50 if limit <= 1000 else 250


_WEIGHTS: Final[Mapping[str, int | Callable[[Params], int]]] = {
    "account.status": 20,
    "depth": _depth,
    "exchangeInfo": 20,
    "klines": 2,
    "openOrders.status": lambda params: 6 if "symbol" in params else 80,
    "order.status": 4,
    "order.test": lambda params: 20 if params.get("computeCommissionRates") else 1,
    "session.logon": 2,
    "session.status": 2,
    "ticker.book": lambda params: 2 if "symbol" in params else 4,
    "ticker.price": lambda params: 2 if "symbol" in params else 4,
    "trades.aggregate": 4,
    "trades.historical": 25,
    "trades.recent": 25,
    "userDataStream.ping": 2,
    "userDataStream.start": 2,
    "userDataStream.stop": 2,
    "userDataStream.subscribe": 2,
    "userDataStream.subscribe.signature": 2,
    "userDataStream.unsubscribe": 2,
}


def costs(method: str, params: Params) -> dict[str, int]:
    """What a request takes of which limit; 1 where its weight isn't known."""
    if method == "order.place":
        return dict(_PLACE)
    weight = _WEIGHTS.get(method, 1)
    return {WEIGHT: weight if isinstance(weight, int) else weight(params)}


_PLACE: Final = {WEIGHT: 1, ORDERS: 1, ORDERS_DAY: 1}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limits that a client keeps, and what it does when one is reached.

    weight: of all requests; 6000 in a minute. The exchange counts it by address
    orders, orders_day: placed orders; 50 in ten seconds, 160,000 in a day, counted by account
    wait: seconds that a call waits for its turn, first come first served; None for as long as it takes, 0 to be
        refused at once. A refused call fails with `TooFast`, and nothing of it was sent
    """

    weight: Limit = Limit(6000, 60)  # noqa: RUF009 - a frozen dataclass
    orders: Limit = Limit(50, 10)  # noqa: RUF009
    orders_day: Limit = Limit(160_000, 86_400)  # noqa: RUF009
    wait: float | None = None

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def limits(self) -> dict[str, Limit]:
        """By the names that `costs` uses."""
        return {WEIGHT: self.weight, ORDERS: self.orders, ORDERS_DAY: self.orders_day}
