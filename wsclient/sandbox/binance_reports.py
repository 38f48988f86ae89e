"""How Binance writes orders, reports about them, and balances. Times in texts are milliseconds.

Source: protocol page, section "WebSocket API (request and reply)": order methods and user data events.
"""

from typing import Any, Final, Literal, TypeAlias

from wsclient.sandbox.binance_orders import OrderFill, OrderRecord, Report
from wsclient.sandbox.binance_symbols import ZERO, Symbols
from wsclient.sandbox.market import FEE_SCALE

RespType: TypeAlias = Literal["ACK", "RESULT", "FULL"]
NO_LIST: Final = -1
"""The order list of an order that is in none."""


def placed(order: OrderRecord, kind: RespType) -> dict[str, Any]:
    """The reply to `order.place`."""
    symbol = order.symbol
    reply: dict[str, Any] = {
        "symbol": symbol.name,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_id,
        "transactTime": order.updated // 1000,
    }
    if kind == "ACK":
        return reply
    reply |= _state(order)
    if order.works or order.kind == "MARKET":
        reply["workingTime"] = order.time // 1000
    if order.expiry is not None:
        reply["expiryReason"] = order.expiry
    reply["selfTradePreventionMode"] = "NONE"
    if kind == "FULL":
        reply["fills"] = [_fill(order, fill) for fill in order.fills]
    return reply


def cancelled(order: OrderRecord, client_id: str) -> dict[str, Any]:
    """The reply to `order.cancel`, and an element of that to `openOrders.cancelAll`."""
    return {
        "symbol": order.symbol.name,
        "origClientOrderId": order.client_id,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": client_id,
        "transactTime": order.updated // 1000,
        **_state(order),
        "selfTradePreventionMode": "NONE",
    }


def status(order: OrderRecord) -> dict[str, Any]:
    """The reply to `order.status`, and an element of that to `openOrders.status`."""
    state = _state(order)
    quote = state.pop("origQuoteOrderQty")
    shown: dict[str, Any] = {
        "symbol": order.symbol.name,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_id,
        **state,
        "stopPrice": ZERO,
        "icebergQty": ZERO,
        "time": order.time // 1000,
        "updateTime": order.updated // 1000,
        "isWorking": True,
        "workingTime": order.time // 1000,
        "origQuoteOrderQty": quote,
        "selfTradePreventionMode": "NONE",
    }
    if order.expiry is not None:
        shown["expiryReason"] = order.expiry
    return shown


def _state(order: OrderRecord) -> dict[str, Any]:
    symbol = order.symbol
    return {
        "price": symbol.price(order.price),
        "origQty": symbol.quantity(order.quantity),
        "executedQty": symbol.quantity(order.executed),
        "origQuoteOrderQty": symbol.total(order.quote_quantity),
        "cummulativeQuoteQty": symbol.total(order.spent),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.kind,
        "side": order.side,
    }


def _fill(order: OrderRecord, fill: OrderFill) -> dict[str, Any]:
    symbol = order.symbol
    return {
        "price": symbol.price(fill.price),
        "qty": symbol.quantity(fill.quantity),
        "commission": symbol.total(fill.fee),
        "commissionAsset": symbol.quote_asset,
        "tradeId": fill.trade,
    }


def execution_report(report: Report, now: int) -> dict[str, Any]:
    """The event `executionReport`. `now` is in microseconds."""
    order, fill, symbol = report.order, report.fill, report.order.symbol
    gone = report.execution == "CANCELED"
    told: dict[str, Any] = {
        "e": "executionReport",
        "E": now // 1000,
        "s": symbol.name,
        "c": (order.cancelled_as if gone else None) or order.client_id,
        "S": order.side,
        "o": order.kind,
        "f": order.time_in_force,
        "q": symbol.quantity(report.quantity),
        "p": symbol.price(report.price),
        "P": ZERO,
        "F": ZERO,
        "g": NO_LIST,
        "C": order.client_id if gone else "",
        "x": report.execution,
        "X": report.status,
        "r": "NONE",
        "i": order.id,
        "l": symbol.quantity(fill.quantity) if fill else ZERO,
        "z": symbol.quantity(report.executed),
        "L": symbol.price(fill.price) if fill else ZERO,
        "n": symbol.total(fill.fee) if fill and fill.fee else "0",
        "N": symbol.quote_asset if fill else None,
        "T": report.time // 1000,
        "t": fill.trade if fill else -1,
        "I": report.number,
        "w": report.works,
        "m": fill.maker if fill else False,
        "M": False,
        "O": order.time // 1000,
        "Z": symbol.total(report.spent),
        "Y": symbol.total(fill.total) if fill else ZERO,
        "Q": symbol.total(order.quote_quantity),
    }
    if order.works or order.kind == "MARKET":
        told["W"] = order.time // 1000
    told["V"] = "NONE"
    if report.execution == "EXPIRED" and order.expiry is not None:
        told["eR"] = order.expiry
    return told


def account_position(
    symbols: Symbols, balances: list[tuple[int, int, int]], updated: int, now: int
) -> dict[str, Any]:
    """The event `outboundAccountPosition`: assets with what is free and what is locked, in held units."""
    return {
        "e": "outboundAccountPosition",
        "E": now // 1000,
        "u": updated // 1000,
        "B": [
            {"a": symbols.assets[asset], "f": symbols.amount(asset, free), "l": symbols.amount(asset, locked)}
            for asset, free, locked in balances
        ],
    }


def balance_update(symbols: Symbols, asset: int, change: int, now: int) -> dict[str, Any]:
    """The event `balanceUpdate`, which a deposit or withdrawal causes; `change` is in held units."""
    return {
        "e": "balanceUpdate",
        "E": now // 1000,
        "a": symbols.assets[asset],
        "d": symbols.amount(asset, change),
        "T": now // 1000,
    }


def rate(millionths: int) -> str:
    """A fee rate as a part of the total."""
    return f"{millionths // FEE_SCALE}.{millionths % FEE_SCALE * 100:08d}"
