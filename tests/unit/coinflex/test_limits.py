"""CoinFLEX's rate limits, as the protocol page has them."""

from typing import Any

import pytest

from wsclient.coinflex.commands import METHODS
from wsclient.coinflex.limits import COSTS, RateLimit
from wsclient.core.pacing import Limit
from wsclient.errors import InvalidRequest


def test_every_method_is_limited_but_the_watches() -> None:
    assert set(COSTS) == (set(METHODS) | {"Authenticate"}) - {"WatchOrders", "WatchTicker"}
    for costs in COSTS.values():
        assert set(costs) <= set(RateLimit().limits)


def test_the_limits_are_those_of_the_protocol_page() -> None:
    assert RateLimit().limits == {
        "orders": Limit(200, 1),
        "information requests": Limit(10, 10, per_connection=True),
        "authentications": Limit(1000, 3600),
    }


@pytest.mark.parametrize(
    "wrong", [{"wait": -1}, {"wait": True}, {"wait": float("nan")}, {"wait": "1"}, {"orders": 200}]
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        RateLimit(**wrong)
