"""CoinFLEX's rate limits, for a client that keeps below them.

Source: the protocol page, "Limits".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..core.pacing import Limit, check_limits

AUTHENTICATIONS: Final = "authentications"
ORDERS: Final = "orders"
INFORMATION: Final = "information requests"

_ORDERS_LIMIT: Final = Limit(200, 1)
_INFORMATION_LIMIT: Final = Limit(10, 10, per_connection=True)
_AUTHENTICATIONS_LIMIT: Final = Limit(1000, 3600)

_ORDER: Final = {ORDERS: 1}
_INFORMATION: Final = {INFORMATION: 1}

COSTS: Final[Mapping[str, Mapping[str, int]]] = {
    "Authenticate": {AUTHENTICATIONS: 1},
    # The page counts placements, cancels and estimates; who modifies is counted too, to be on the safe side.
    "PlaceOrder": _ORDER,
    "ModifyOrder": _ORDER,
    "CancelOrder": _ORDER,
    "CancelAllOrders": _ORDER,
    "EstimateMarketOrder": _ORDER,
    "GetBalances": _INFORMATION,
    "GetOrders": _INFORMATION,
    "GetTradeVolume": _INFORMATION,
}
"""What each method takes of which limit. The others aren't limited."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limits that a client keeps, and what it does when one is reached.

    orders: placing, modifying, cancelling and estimating; 200 in a second. The exchange counts them by
        account: several clients of one account share what it allows, and each is to be given its part
    information: asking for balances, orders and volumes; 10 in 10 s on one connection
    authentications: logins; 1000 in an hour
    wait: seconds that a call waits for its turn, first come first served; None for as long as it takes, 0 to be
        refused at once. A refused call fails with `TooFast`, and nothing of it was sent
    """

    orders: Limit = _ORDERS_LIMIT
    information: Limit = _INFORMATION_LIMIT
    authentications: Limit = _AUTHENTICATIONS_LIMIT
    wait: float | None = None

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def limits(self) -> dict[str, Limit]:
        """By the names that `COSTS` uses."""
        return {ORDERS: self.orders, INFORMATION: self.information, AUTHENTICATIONS: self.authentications}
