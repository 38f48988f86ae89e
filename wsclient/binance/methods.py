"""The request API's methods as methods, each with the parameters that the protocol page's exchange gives them.

Source: the protocol page, "WebSocket API (request and reply)", the paragraph "Methods to know".
"""

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any

from ..core.reply import Reply

Amount = Decimal | int | str
"""A price or a quantity: exact, so no float."""


class Methods(ABC):
    """Each sends at once and returns a Reply, whose result is the answer's `result`.

    Parameters that aren't given aren't sent; `options` are further parameters of the exchange's.
    """

    @abstractmethod
    def submit(self, method: str, **params: Any) -> Reply[Any]: ...

    # -- the exchange and its markets

    def ping(self) -> Reply[Any]:
        """An empty answer."""
        return self.submit("ping")

    def time(self) -> Reply[Any]:
        """The exchange's time: {serverTime}, in milliseconds since the Unix epoch."""
        return self.submit("time")

    def exchange_info(
        self, symbol: str | None = None, symbols: list[str] | None = None, **options: Any
    ) -> Reply[Any]:
        """Markets and their filters, and the rate limits: of one symbol, of several, or of all."""
        return self.submit("exchangeInfo", symbol=symbol, symbols=symbols, **options)

    def depth(self, symbol: str, limit: int | None = None) -> Reply[Any]:
        """A market's price levels: {lastUpdateId, bids, asks}.

        limit: levels of each side, 5000 at most; 100 unless given
        """
        return self.submit("depth", symbol=symbol, limit=limit)

    def trades_recent(self, symbol: str, limit: int | None = None) -> Reply[Any]:
        """A market's last trades, oldest first.

        limit: 1000 at most; 500 unless given
        """
        return self.submit("trades.recent", symbol=symbol, limit=limit)

    def klines(
        self,
        symbol: str,
        interval: str,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> Reply[Any]:
        """A market's candles, oldest first.

        interval: one of `wsclient.binance.enums.KLINE_INTERVAL_…`
        start_time, end_time: milliseconds since the Unix epoch
        limit: 1000 at most; 500 unless given
        """
        times = {"startTime": start_time, "endTime": end_time}
        return self.submit("klines", symbol=symbol, interval=interval, limit=limit, **times, **options)

    def ticker_price(self, symbol: str | None = None, symbols: list[str] | None = None) -> Reply[Any]:
        """The last price of one symbol, of several, or of all."""
        return self.submit("ticker.price", symbol=symbol, symbols=symbols)

    # -- the account and its orders

    def account_status(self, omit_zero_balances: bool | None = None) -> Reply[Any]:
        """The account, its balances and commissions."""
        return self.submit("account.status", omitZeroBalances=omit_zero_balances)

    def order_place(
        self,
        symbol: str,
        side: str,
        type: str,
        quantity: Amount | None = None,
        price: Amount | None = None,
        *,
        time_in_force: str | None = None,
        quote_order_quantity: Amount | None = None,
        client_order_id: str | None = None,
        **options: Any,
    ) -> Reply[Any]:
        """Places an order.

        side: "BUY" or "SELL"
        type: "LIMIT", "LIMIT_MAKER", "MARKET" …
        quantity: of the base asset; price: of the quote asset for one of it
        time_in_force: "GTC", "IOC" or "FOK"; a LIMIT order is "GTC" unless told otherwise
        quote_order_quantity: for a MARKET order, instead of the quantity: how much of the quote asset
        client_order_id: 1 to 36 of A-Z, a-z, 0-9, - and _; without it one is made up, by which `settle` finds it
        """
        if time_in_force is None and type == "LIMIT":
            time_in_force = "GTC"
        return self.submit(
            "order.place",
            symbol=symbol,
            side=side,
            type=type,
            timeInForce=time_in_force,
            price=price,
            quantity=quantity,
            quoteOrderQty=quote_order_quantity,
            newClientOrderId=client_order_id,
            **options,
        )

    def order_test(self, symbol: str, side: str, type: str, **params: Any) -> Reply[Any]:
        """Checks an order without placing it. params: as the exchange names them: `timeInForce`, `price` …"""
        return self.submit("order.test", symbol=symbol, side=side, type=type, **params)

    def order_status(
        self, symbol: str, order_id: int | None = None, client_order_id: str | None = None
    ) -> Reply[Any]:
        """An order, open or not, by either of its ids."""
        return self.submit("order.status", symbol=symbol, orderId=order_id, origClientOrderId=client_order_id)

    def order_cancel(
        self, symbol: str, order_id: int | None = None, client_order_id: str | None = None, **options: Any
    ) -> Reply[Any]:
        """Cancels an open order, by either of its ids."""
        ids = {"orderId": order_id, "origClientOrderId": client_order_id}
        return self.submit("order.cancel", symbol=symbol, **ids, **options)

    def open_orders_status(self, symbol: str | None = None) -> Reply[Any]:
        """The open orders of one symbol, or of all."""
        return self.submit("openOrders.status", symbol=symbol)

    def open_orders_cancel_all(self, symbol: str) -> Reply[Any]:
        """Cancels all open orders of a symbol."""
        return self.submit("openOrders.cancelAll", symbol=symbol)
