"""What Binance allows: settings with its own figures, and the counting of requests and orders.

Messages on a connection count in a true rolling window; the request API counts by intervals of the clock, as its
`rateLimits` say. Source: protocol page, "Limits" and "WebSocket API (request and reply)".
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

from wsclient.sandbox.binance_errors import BANNED, SLOW_DOWN, TOO_MANY_ORDERS, TOO_MANY_REQUESTS, BinanceError
from wsclient.sandbox.limits import Rate

SECOND: Final = 1_000_000
_SPANS: Final = {"SECOND": SECOND, "MINUTE": 60 * SECOND, "DAY": 86_400 * SECOND}
_ADVICE: Final = "Please use WebSocket Streams for live updates to avoid"


@dataclass(frozen=True, slots=True)
class BinanceSettings:
    """How the sandbox's Binance behaves. Times are seconds; a limit that is None isn't enforced.

    ping_interval, pong_timeout: how often it pings, and how long a Pong may take
    lifetime: after how long a connection is ended
    messages: what a client may send on a market stream, Pings and Pongs included; more ends the connection
    max_streams: subscriptions of one connection
    connections: connections from one address; more are refused with HTTP status 429
    request_weight: the weight of an address's requests in a minute
    orders_10s, orders_day: an account's orders in ten seconds, and in a day
    ban_after, ban_seconds: after how many requests that were refused for their weight an address is banned, and
        for how long
    listen_key_seconds: how long a listenKey is valid without a ping
    flat_errors: errors on a stream as `{"code", "msg", "id"}`, the other form that clients have to understand
    history: how many finished orders of all users are remembered
    """

    ping_interval: float = 20.0
    pong_timeout: float = 60.0
    lifetime: float = 86_400.0
    messages: Rate | None = field(default=Rate(5, 1))
    max_streams: int = 1024
    connections: Rate | None = field(default=Rate(300, 300))
    request_weight: int | None = 6000
    orders_10s: int | None = 50
    orders_day: int | None = 160_000
    ban_after: int = 100
    ban_seconds: float = 120.0
    listen_key_seconds: float = 3600.0
    flat_errors: bool = False
    history: int = 100_000


class _Counter:
    """One limit, counted from the beginning of each interval of the clock."""

    def __init__(self, kind: str, interval: str, number: int, limit: int) -> None:
        self.kind = kind
        self.interval = interval
        self.number = number
        self.limit = limit
        self.span = _SPANS[interval] * number
        self._interval = 0
        self._counts: dict[Hashable, int] = {}

    def add(self, key: Hashable, amount: int, now: int) -> int:
        """Count, and give the count."""
        if self._interval != now // self.span:
            self._interval = now // self.span
            self._counts.clear()
        count = self._counts[key] = self._counts.get(key, 0) + amount
        return count

    def ends(self, now: int) -> int:
        """When the interval is over, in milliseconds."""
        return (now // self.span + 1) * self.span // 1000

    def show(self, count: int | None = None) -> dict[str, Any]:
        """Its entry in `rateLimits`, or in `exchangeInfo`."""
        shown: dict[str, Any] = {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.number,
            "limit": self.limit,
        }
        return shown if count is None else {**shown, "count": count}


class RequestLimits:
    """The request API's limits: weight by address, orders by account. Times are microseconds."""

    def __init__(self, settings: BinanceSettings) -> None:
        self._settings = settings
        self._weight = [
            _Counter("REQUEST_WEIGHT", "MINUTE", 1, limit)
            for limit in (settings.request_weight,)
            if limit is not None
        ]
        self._orders = [
            _Counter("ORDERS", interval, number, limit)
            for interval, number, limit in (
                ("SECOND", 10, settings.orders_10s),
                ("DAY", 1, settings.orders_day),
            )
            if limit is not None
        ]
        self._strikes: dict[str, int] = {}
        self._banned: dict[str, int] = {}

    def describe(self) -> list[dict[str, Any]]:
        """The limits as `exchangeInfo` lists them."""
        limits = [counter.show() for counter in (*self._weight, *self._orders)]
        rate = self._settings.connections
        if rate is not None:
            limits.append(
                {
                    "rateLimitType": "CONNECTIONS",
                    "interval": "MINUTE",
                    "intervalNum": max(1, round(rate.seconds / 60)),
                    "limit": rate.count,
                }
            )
        return limits

    def weigh(self, address: str, weight: int, now: int) -> None:
        """Count a request; error -1003 (status 429, or 418 once the address is banned) if it is one too many."""
        until = self._banned.get(address, 0)
        if now < until:
            raise _banned(until, now)
        for counter in self._weight:
            if counter.add(address, weight, now) <= counter.limit:
                continue
            strikes = self._strikes[address] = self._strikes.get(address, 0) + 1
            if strikes > self._settings.ban_after:
                self._strikes[address] = 0
                until = self._banned[address] = now + round(self._settings.ban_seconds * SECOND)
                raise _banned(until, now)
            raise BinanceError(
                TOO_MANY_REQUESTS,
                f"Too much request weight used; current limit is {counter.limit} request weight per "
                f"{counter.number} {counter.interval}. {_ADVICE} polling the API.",
                SLOW_DOWN,
                {"serverTime": now // 1000, "retryAfter": counter.ends(now)},
            )

    def check_orders(self, user: int, now: int) -> None:
        """Error -1015 if the account has placed as many orders as it may."""
        for counter in self._orders:
            if counter.add(user, 0, now) >= counter.limit:
                raise BinanceError(
                    TOO_MANY_ORDERS,
                    f"Too many new orders; current limit is {counter.limit} orders per "
                    f"{counter.number} {counter.interval}.",
                    SLOW_DOWN,
                    {"serverTime": now // 1000, "retryAfter": counter.ends(now)},
                )

    def count_order(self, user: int, now: int) -> None:
        """Count an order that was accepted."""
        for counter in self._orders:
            counter.add(user, 1, now)

    def show(self, address: str, user: int | None, now: int) -> list[dict[str, Any]]:
        """What a reply says of the limits; those of a user's orders where that is given."""
        shown = [] if user is None else [counter.show(counter.add(user, 0, now)) for counter in self._orders]
        return [*shown, *(counter.show(counter.add(address, 0, now)) for counter in self._weight)]


def _banned(until: int, now: int) -> BinanceError:
    return BinanceError(
        TOO_MANY_REQUESTS,
        f"Way too much request weight used; IP banned until {until // 1000}. {_ADVICE} bans.",
        BANNED,
        {"serverTime": now // 1000, "retryAfter": until // 1000},
    )
