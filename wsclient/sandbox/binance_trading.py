"""The request API's methods about orders: placed onto the same books as every other dialect's.

The engine places, matches and closes; this file reads what clients of Binance send and keeps its rules: client
order ids that no two open orders share, FOK orders that fill wholly or not at all, market orders that can be paid.

Source: protocol page, section "WebSocket API (request and reply)".
"""

import re
from dataclasses import dataclass
from typing import Any, Final, cast

from wsclient.sandbox import binance_reports as reports
from wsclient.sandbox.binance_api import Call, Method, Params, boolean, integer, text
from wsclient.sandbox.binance_errors import (
    BAD_CANCEL_RESTRICTIONS,
    BAD_SIDE,
    BAD_TIME_IN_FORCE,
    BAD_TYPE,
    CANCEL_REJECTED,
    EMPTY,
    ILLEGAL_CHARACTERS,
    MISSING,
    NO_SUCH_ORDER,
    NOT_REQUIRED,
    ORDER_REJECTED,
    WRONG_CLIENT_ID,
    BinanceError,
    invalid,
    missing,
    refused,
)
from wsclient.sandbox.binance_orders import Kind, OrderRecord, Side, TimeInForce
from wsclient.sandbox.binance_state import BinanceState
from wsclient.sandbox.binance_symbols import Symbol
from wsclient.sandbox.engine import EngineError
from wsclient.sandbox.market import FEE_SCALE

CLIENT_ID: Final = r"^[a-zA-Z0-9-_]{1,36}$"
_client_id = re.compile(CLIENT_ID, re.ASCII)
UNSUPPORTED_TYPES: Final = {
    "STOP_LOSS": "Stop loss orders",
    "STOP_LOSS_LIMIT": "Stop loss limit orders",
    "TAKE_PROFIT": "Take profit orders",
    "TAKE_PROFIT_LIMIT": "Take profit limit orders",
}
UNKNOWN_ORDER: Final = "Unknown order sent."
NO_FUNDS: Final = "Account has insufficient balance for requested action."

NAMED: Final = frozenset({"symbol", "orderId", "origClientOrderId"})
NEW: Final = frozenset(
    {
        "symbol", "side", "type", "timeInForce", "price", "quantity", "quoteOrderQty", "newClientOrderId",
        "newOrderRespType", "icebergQty", "selfTradePreventionMode",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Wish:
    """An order as it was sent, in its market's units; 0 where something wasn't given."""

    symbol: Symbol
    side: Side
    kind: Kind
    time_in_force: TimeInForce
    price: int
    quantity: int
    quote_quantity: int
    client_id: str | None
    answer: reports.RespType

    @property
    def buys(self) -> bool:
        return self.side == "BUY"


class TradingMethods:
    """Asked by users."""

    def __init__(self, state: BinanceState) -> None:
        self._state = state
        self._engine = state.engine
        self._desk = state.desk

    def methods(self) -> dict[str, Method]:
        """Each by its name."""
        test = NEW | {"computeCommissionRates"}
        cancel = NAMED | {"newClientOrderId", "cancelRestrictions"}
        symbol = frozenset({"symbol"})
        return {
            "order.place": Method(self._place, NEW, 1, "signed", orders=True),
            "order.test": Method(
                self._test, test, lambda params: 20 if params.get("computeCommissionRates") else 1, "signed"
            ),
            "order.status": Method(self._status, NAMED, 4, "signed"),
            "order.cancel": Method(self._cancel, cancel, 1, "signed"),
            "openOrders.status": Method(
                self._open, symbol, lambda params: 6 if "symbol" in params else 80, "signed"
            ),
            "openOrders.cancelAll": Method(self._cancel_all, symbol, 1, "signed"),
        }

    # ------------------------------------------------------------ placing

    def _place(self, call: Call) -> dict[str, Any]:
        state, user = self._state, call.user
        wish = self._read(call.params)
        self._check(user, wish)
        state.limits.check_orders(user, call.now)
        order = self._desk.begin(
            user, wish.symbol, wish.client_id, wish.side, wish.kind, wish.time_in_force,
            price=wish.price, quantity=wish.quantity, quote_quantity=wish.quote_quantity, time=call.now,
        )  # fmt: skip
        if wish.time_in_force != "FOK" or self._fills_wholly(wish):
            self._give(user, wish)
        state.absorb()
        state.report(self._desk.placed(call.now))
        state.limits.count_order(user, call.now)
        return reports.placed(order, wish.answer)

    def _test(self, call: Call) -> dict[str, Any]:
        rates = boolean(call.params, "computeCommissionRates")
        self._check(call.user, self._read(call.params))
        if not rates:
            return {}
        fees = self._engine.fees
        standard = {"maker": reports.rate(fees.maker), "taker": reports.rate(fees.taker)}
        nothing = {"maker": reports.rate(0), "taker": reports.rate(0)}
        return {
            "standardCommissionForOrder": standard,
            "specialCommissionForOrder": nothing,
            "taxCommissionForOrder": nothing,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": reports.rate(0),
            },
        }

    def _give(self, user: int, wish: _Wish) -> None:
        """Let the engine have the order."""
        base, counter = wish.symbol.pair
        try:
            self._engine.place(
                user,
                base=base,
                counter=counter,
                quantity=wish.quantity if wish.buys else -wish.quantity,
                price=wish.price or None,
                persist=True if wish.kind == "MARKET" or wish.time_in_force == "GTC" else "fill_or_kill",
                post_only=wish.kind == "LIMIT_MAKER",
            )
        except EngineError as error:
            self._desk.forget()
            raise refused(error) from error

    def _read(self, params: Params) -> _Wish:
        symbol = self._state.symbols.named(params.get("symbol"))
        side = params.get("side")
        if side is None:
            raise missing("side")
        if side not in ("BUY", "SELL"):
            raise BinanceError(BAD_SIDE, "Invalid side.")
        kind = _kind(params)
        force, price, quantity, quote = self._amounts(symbol, side, kind, params)
        text(params, "selfTradePreventionMode", ("NONE",))
        usual = "ACK" if kind == "LIMIT_MAKER" else "FULL"
        answer = text(params, "newOrderRespType", ("ACK", "RESULT", "FULL")) or usual
        client_id = _named(params, "newClientOrderId")
        return _Wish(symbol, side, kind, force, price, quantity, quote, client_id, cast(reports.RespType, answer))

    def _amounts(
        self, symbol: Symbol, side: Side, kind: Kind, params: Params
    ) -> tuple[TimeInForce, int, int, int]:
        """Time in force, price, quantity and quote quantity, as the kind of order needs or forbids them."""
        if params.get("icebergQty") is not None:
            raise BinanceError(ORDER_REJECTED, "Iceberg orders are not supported for this symbol.")
        needed = {"LIMIT": ("timeInForce", "price", "quantity"), "LIMIT_MAKER": ("price", "quantity")}
        for name in needed.get(kind, ()):
            if params.get(name) is None:
                raise missing(name)
        forbidden = {"LIMIT": ("quoteOrderQty",), "LIMIT_MAKER": ("timeInForce", "quoteOrderQty")}
        for name in forbidden.get(kind, ("timeInForce", "price")):
            if params.get(name) is not None:
                raise BinanceError(NOT_REQUIRED, f"Parameter '{name}' sent when not required.")
        if kind != "MARKET":
            force = params.get("timeInForce", "GTC")
            if force not in ("GTC", "IOC", "FOK"):
                raise BinanceError(BAD_TIME_IN_FORCE, "Invalid timeInForce.")
            price = symbol.read_price(params["price"])
            return force, price, symbol.read_quantity("quantity", params["quantity"]), 0
        if params.get("quoteOrderQty") is None:
            if params.get("quantity") is None:
                raise _neither("quantity", "quoteOrderQty")
            return "GTC", 0, symbol.read_quantity("quantity", params["quantity"]), 0
        if params.get("quantity") is not None:
            raise BinanceError(NOT_REQUIRED, "Parameter 'quoteOrderQty' sent when not required.")
        quote = symbol.read_total(params["quoteOrderQty"])
        # the quantity is as much as this money buys, or brings in, at the prices that there are now
        base, counter = symbol.pair
        quantity = self._engine.estimate(
            base=base, counter=counter, total=quote if side == "BUY" else -quote
        ).quantity
        if not quantity:
            raise BinanceError(ORDER_REJECTED, "Order book liquidity is less than symbol minimum quantity.")
        return "GTC", 0, quantity, quote

    def _check(self, user: int, wish: _Wish) -> None:
        """What the engine doesn't check, or not for market orders."""
        if wish.client_id is not None:
            other = self._desk.named(user, wish.symbol, wish.client_id)
            if other is not None and other.open:
                raise BinanceError(ORDER_REJECTED, "Duplicate order sent.")
        market, fees = wish.symbol.market, self._engine.fees
        owned = {balance.asset: balance.available for balance in self._engine.balances(user)}
        if not wish.buys:
            if wish.quantity * market.base_unit > owned.get(market.base, 0):
                raise BinanceError(ORDER_REJECTED, NO_FUNDS)
            return
        if wish.kind == "MARKET":
            total = self._engine.estimate(base=market.base, counter=market.counter, quantity=wish.quantity).total
            total += -(-total * fees.taker // FEE_SCALE)
        else:
            total = market.cost(wish.quantity, wish.price)
        if total > owned.get(market.counter, 0):
            raise BinanceError(ORDER_REJECTED, NO_FUNDS)

    def _fills_wholly(self, wish: _Wish) -> bool:
        """Whether the other side of the book has enough at this price or better (fees not counted)."""
        bids, asks = self._engine.levels(*wish.symbol.pair)
        if wish.buys:
            offered = sum(quantity for price, quantity in asks if price <= wish.price)
        else:
            offered = sum(quantity for price, quantity in bids if price >= wish.price)
        return offered >= wish.quantity

    # ------------------------------------------------------------ asking and cancelling

    def _status(self, call: Call) -> dict[str, Any]:
        order = self._find(call)
        if order is None:
            raise BinanceError(NO_SUCH_ORDER, "Order does not exist.")
        return reports.status(order)

    def _open(self, call: Call) -> list[dict[str, Any]]:
        name = call.params.get("symbol")
        symbol = None if name is None else self._state.symbols.named(name)
        return [reports.status(order) for order in self._desk.open_orders(call.user, symbol)]

    def _cancel(self, call: Call) -> dict[str, Any]:
        order = self._find(call)
        restriction = call.params.get("cancelRestrictions")
        if restriction not in (None, "ONLY_NEW", "ONLY_PARTIALLY_FILLED"):
            raise BinanceError(BAD_CANCEL_RESTRICTIONS, "Invalid cancelRestrictions")
        new_id = _named(call.params, "newClientOrderId")
        if order is None or not order.open:
            raise BinanceError(CANCEL_REJECTED, UNKNOWN_ORDER)
        if restriction is not None and restriction != f"ONLY_{order.status}":
            raise BinanceError(CANCEL_REJECTED, "Order was not canceled due to cancel restrictions.")
        return self._end(order, new_id)

    def _cancel_all(self, call: Call) -> list[dict[str, Any]]:
        symbol = self._state.symbols.named(call.params.get("symbol"))
        orders = self._desk.open_orders(call.user, symbol)
        if not orders:
            raise BinanceError(CANCEL_REJECTED, UNKNOWN_ORDER)
        return [self._end(order, None) for order in orders]

    def _end(self, order: OrderRecord, new_id: str | None) -> dict[str, Any]:
        client_id = self._desk.cancelled_as(order, new_id)
        self._engine.cancel(order.user, id=order.engine_id)
        self._state.absorb()
        return reports.cancelled(order, client_id)

    def _find(self, call: Call) -> OrderRecord | None:
        """The order that is named, by its number, by its client order id, or by both alike."""
        symbol = self._state.symbols.named(call.params.get("symbol"))
        number, client_id = integer(call.params, "orderId"), text(call.params, "origClientOrderId")
        if number is None and not client_id:
            raise _neither("origClientOrderId", "orderId")
        if number is None:
            return self._desk.named(call.user, symbol, client_id or "")
        order = self._desk.find(call.user, symbol, number)
        if order is not None and client_id and client_id not in (order.client_id, order.cancelled_as):
            raise BinanceError(WRONG_CLIENT_ID, "Client order ID is not correct for this order ID.")
        return order


def _kind(params: Params) -> Kind:
    kind = params.get("type")
    if kind is None:
        raise missing("type")
    if isinstance(kind, str) and kind in UNSUPPORTED_TYPES:
        raise BinanceError(ORDER_REJECTED, f"{UNSUPPORTED_TYPES[kind]} are not supported for this symbol.")
    if kind not in ("LIMIT", "LIMIT_MAKER", "MARKET"):
        raise BinanceError(BAD_TYPE, "Invalid orderType.")
    return cast(Kind, kind)


def _named(params: Params, name: str) -> str | None:
    """A client order id that somebody chose."""
    value = params.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(name)
    if not value:
        raise BinanceError(EMPTY, f"Parameter '{name}' was empty.")
    if not _client_id.fullmatch(value):
        raise BinanceError(
            ILLEGAL_CHARACTERS,
            f"Illegal characters found in parameter '{name}'; legal range is '{CLIENT_ID}'.",
        )
    return value


def _neither(one: str, other: str) -> BinanceError:
    return BinanceError(MISSING, f"Param '{one}' or '{other}' must be sent, but both were empty/null!")
