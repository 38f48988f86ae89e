"""Every command of the protocol as a method, with its fields as keywords.

To add a command: a method here, its reply in `replies.py`, and its name in `dialect.PUBLIC` if it needs no login.
Source: the protocol page, "Commands".
"""

from abc import ABC, abstractmethod
from typing import Any, Final, Literal

from ..core.connect import check_seconds
from ..core.reply import Reply
from ..errors import InvalidRequest
from . import replies
from .amounts import asset_code
from .tonces import AUTO, MAX_TONCE, Auto

Asset = int | str
"""An asset's code, or its name in `Assets`."""


class Commands(ABC):
    """The commands; each sends at once and returns a `Reply`.

    An asset is a code or a name. Amounts and prices are integers scaled by 10000 (see `to_wire`). An amount's sign
    carries the side: positive buys, negative sells. `tag` is chosen by the client unless given. What is left out
    isn't sent.

    Each raises `InvalidRequest` for what can't be sent. Of the errors that a Reply may hold, each method names the
    exchange's own; besides there are `NotSent`, `OutcomeUnknown`, `AuthenticationError` (private commands),
    `RateLimited` and `BadRequest`.
    """

    cancel_on_disconnect = False

    @abstractmethod
    def send(self, message: dict[str, Any], *, stale_after: float | None = None) -> Reply[Any]:
        """Sends any message."""

    def GetBalances(self, *, tag: int | None = None) -> Reply[replies.Balances]:
        """The account's balances: available, reserved and total, for each asset. Private."""
        return self._command("GetBalances", tag=tag)

    def GetOrders(self, *, tag: int | None = None) -> Reply[replies.Orders]:
        """The account's open orders. Private."""
        return self._command("GetOrders", tag=tag)

    def EstimateMarketOrder(
        self,
        *,
        base: Asset,
        counter: Asset,
        quantity: int | None = None,
        total: int | None = None,
        tag: int | None = None,
    ) -> Reply[replies.Estimate]:
        """What a market order would trade now, fees left aside. Public.

        quantity: of the base asset, scaled by 10000; or
        total: of the counter asset, scaled by 10000; one of the two
        Errors: `NotFound` (no such market).
        """
        _one_of("quantity or total", quantity, total)
        return self._command(
            "EstimateMarketOrder",
            **_pair(base, counter),
            quantity=_amount("quantity", quantity),
            total=_amount("total", total),
            tag=tag,
        )

    def PlaceOrder(
        self,
        *,
        base: Asset,
        counter: Asset,
        quantity: int | None = None,
        price: int | None = None,
        total: int | None = None,
        tonce: int | Auto | None = AUTO,
        persist: bool | Literal["fill_or_kill"] | None = None,
        post_only: bool | None = None,
        cancel_on_disconnect: bool | None = None,
        tag: int | None = None,
    ) -> Reply[replies.Placed]:
        """Places a limit order (quantity and price) or a market order (quantity alone, or total alone). Private.

        quantity: of the base asset, scaled by 10000
        price: of one base asset in the counter asset, scaled by 10000; the exchange rounds it to the tick
        total: of the counter asset, scaled by 10000
        tonce: a non-zero number of yours for this order, by which it can be modified and cancelled too. Unless
            told otherwise the client gives one, rising in the order of the wire and greater than the time in
            microseconds, so that the order can be settled after a lost connection; None sends none
        persist: False cancels the order when this connection ends; "fill_or_kill" cancels what doesn't match at
            once; True, as without it, lets it rest
        post_only: refuse the order rather than match at once
        cancel_on_disconnect: True is another word for `persist=False`; it is the client's unless given
        Errors: `NotFound` (no such market), `TonceOutOfSequence`, `InsufficientFunds`, `TooManyOrders`,
        `WouldMatch`.
        """
        _one_of("quantity or total", quantity, total)
        if price is not None and quantity is None:
            raise InvalidRequest("a limit order has a quantity and a price; a total is for a market order")
        if persist is not None and not isinstance(persist, bool) and persist != "fill_or_kill":
            raise InvalidRequest(f'persist is True, False or "fill_or_kill", not {persist!r}')
        if _flag("cancel_on_disconnect", cancel_on_disconnect) and persist is True:
            raise InvalidRequest("an order either persists or is cancelled on disconnect")
        if persist is None and price is not None:
            cancelled = self.cancel_on_disconnect if cancel_on_disconnect is None else cancel_on_disconnect
            persist = False if cancelled else None
        return self._command(
            "PlaceOrder",
            **_pair(base, counter),
            quantity=_amount("quantity", quantity),
            price=_price(price),
            total=_amount("total", total),
            tonce=tonce if isinstance(tonce, Auto) else _tonce(tonce),
            persist=persist,
            post_only=_flag("post_only", post_only),
            tag=tag,
        )

    def ModifyOrder(
        self,
        *,
        id: int | None = None,
        tonce: int | None = None,
        quantity_delta: int | None = None,
        price: int | None = None,
        post_only: bool | None = None,
        tag: int | None = None,
    ) -> Reply[replies.Changed]:
        """Changes an open order's quantity or price or both. Private.

        id or tonce: which order
        quantity_delta: what to add to its quantity, scaled by 10000, so that a negative one enlarges an ask; one
            that reaches or crosses zero cancels the order. Enlarging gives up the place in the queue
        price: its new price, scaled by 10000
        post_only: refuse rather than match at once
        Errors: `NotFound`, `InsufficientFunds`, `WouldMatch`.
        """
        _one_of("id or tonce", id, tonce)
        return self._command(
            "ModifyOrder",
            id=_integer("id", id),
            tonce=_tonce(tonce),
            quantity_delta=_integer("quantity_delta", quantity_delta),
            price=_price(price),
            post_only=_flag("post_only", post_only),
            tag=tag,
        )

    def CancelOrder(
        self, *, id: int | None = None, tonce: int | None = None, tag: int | None = None
    ) -> Reply[replies.Changed]:
        """Cancels an open order; the reply says what remained of it. Private.

        id or tonce: which order
        Errors: `NotFound`.
        """
        _one_of("id or tonce", id, tonce)
        return self._command("CancelOrder", id=_integer("id", id), tonce=_tonce(tonce), tag=tag)

    def CancelAllOrders(self, *, tag: int | None = None) -> Reply[replies.Orders]:
        """Cancels all the account's open orders, which the reply lists, and resets its tonces. Private."""
        return self._command("CancelAllOrders", tag=tag)

    def GetTradeVolume(self, *, asset: Asset, tag: int | None = None) -> Reply[replies.TradeVolume]:
        """What the account traded of an asset in the last 30 days. Private."""
        return self._command("GetTradeVolume", asset=asset_code(asset), tag=tag)

    def WatchOrders(
        self,
        *,
        base: Asset,
        counter: Asset,
        watch: bool,
        stale_after: float | None = None,
        tag: int | None = None,
    ) -> Reply[replies.WatchedOrders]:
        """Begins or ends the notices of a market's order book. Public.

        watch: True begins, and the reply has the book as it is; False ends
        stale_after: seconds without such a notice after which `StaleFeed` is reported and the watch is renewed
        Errors: `NotFound` (no such market, or not watching), `Conflict` (watching already).
        """
        return self._watch("WatchOrders", _pair(base, counter), watch, stale_after, tag)

    def WatchTicker(
        self,
        *,
        base: Asset,
        counter: Asset,
        watch: bool,
        stale_after: float | None = None,
        tag: int | None = None,
    ) -> Reply[replies.WatchedTicker]:
        """Begins or ends the notices of a market's ticker. Public.

        watch: True begins, and the reply has the ticker as it is; False ends
        stale_after: seconds without such a notice after which `StaleFeed` is reported and the watch is renewed
        Errors: `NotFound` (no such market, or not watching), `Conflict` (watching already).
        """
        return self._watch("WatchTicker", _pair(base, counter), watch, stale_after, tag)

    def _command(self, method: str, **fields: Any) -> Reply[Any]:
        message: dict[str, Any] = {"method": method}
        for name, value in fields.items():
            if value is not None:
                message[name] = value
        return self.send(message)

    def _watch(
        self, method: str, pair: dict[str, int], watch: bool, stale_after: float | None, tag: int | None
    ) -> Reply[Any]:
        message: dict[str, Any] = {"method": method, **pair, "watch": _switch(watch)}
        if tag is not None:
            message["tag"] = tag
        if stale_after is not None:
            check_seconds("stale_after", stale_after)
            if not watch:
                raise InvalidRequest("stale_after is for a watch that begins")
        return self.send(message, stale_after=stale_after)


class Requests(Commands):
    """The commands, each giving what it would send: the message, and `stale_after`."""

    def __init__(self, cancel_on_disconnect: bool = False) -> None:
        self.cancel_on_disconnect = cancel_on_disconnect

    def send(self, message: dict[str, Any], *, stale_after: float | None = None) -> Any:
        return message, stale_after


METHODS = tuple(name for name in vars(Commands) if name[0].isupper())
"""The names of all commands."""


def _pair(base: Asset, counter: Asset) -> dict[str, int]:
    return {"base": asset_code(base), "counter": asset_code(counter)}


def _one_of(names: str, first: int | None, second: int | None) -> None:
    if (first is None) is (second is None):
        raise InvalidRequest(f"give either {names}" + (", not both" if first is not None else ""))


_AMOUNTS: Final = ("quantity", "quantity_delta", "price", "total")


def _integer(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        amount = name in _AMOUNTS and (isinstance(value, str | float) or hasattr(value, "as_tuple"))
        hint = "; to_wire() converts decimals" if amount else ""
        raise InvalidRequest(f"{name} is an int, not {type(value).__name__}: {value!r}{hint}")
    return value


def _amount(name: str, value: int | None) -> int | None:
    if value is None or (type(value) is int and value):
        return value
    if _integer(name, value) == 0:
        raise InvalidRequest(f"{name} must not be zero")
    return value


def _tonce(value: int | None) -> int | None:
    if _amount("tonce", value) is not None and not -MAX_TONCE <= value <= MAX_TONCE:  # type: ignore[operator]
        raise InvalidRequest(f"a tonce has 64 bits at most: {value!r}")
    return value


def _price(value: int | None) -> int | None:
    if value is not None and _integer("price", value) is not None and value <= 0:
        raise InvalidRequest(f"a price is positive, not {value}")
    return value


def _flag(name: str, value: bool | None) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{name} is True or False, not {value!r}")
    return value


def _switch(watch: bool) -> bool:
    if not isinstance(watch, bool):
        raise InvalidRequest(f"watch is True or False, not {watch!r}")
    return watch
