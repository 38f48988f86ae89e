"""The request API's methods about who is there: accounts, sessions and user data streams.

Source: protocol page, section "WebSocket API (request and reply)".
"""

from typing import Any

from wsclient.sandbox import binance_reports as reports
from wsclient.sandbox.binance_api import Call, Method, RequestApi, boolean, integer, text
from wsclient.sandbox.binance_errors import (
    BAD_KEY,
    KEY_KIND,
    UNAUTHORIZED,
    BinanceError,
    missing,
)
from wsclient.sandbox.binance_state import BinanceState


class AccountMethods:
    """Asked by users, and by sessions about themselves."""

    def __init__(self, state: BinanceState, api: RequestApi) -> None:
        self._state = state
        self._api = api

    def methods(self) -> dict[str, Method]:
        """Each by its name."""
        key, listen_key = frozenset({"apiKey"}), frozenset({"apiKey", "listenKey"})
        return {
            "account.status": Method(self._account, frozenset({"omitZeroBalances"}), 20, "signed"),
            "session.logon": Method(self._log_on, weight=2, security="signed"),
            "session.status": Method(self._status, weight=2),
            "session.logout": Method(self._log_out, weight=2),
            "session.subscriptions": Method(self._subscriptions, weight=2),
            "userDataStream.subscribe": Method(self._subscribe, weight=2),
            "userDataStream.subscribe.signature": Method(self._subscribe_signed, weight=2, security="signed"),
            "userDataStream.unsubscribe": Method(self._unsubscribe, frozenset({"subscriptionId"}), 2),
            "userDataStream.start": Method(self._start, key | {"margin", "symbol"}, 2, "key"),
            "userDataStream.ping": Method(self._ping, listen_key, 2, "key"),
            "userDataStream.stop": Method(self._stop, listen_key, 2, "key"),
        }

    def _account(self, call: Call) -> dict[str, Any]:
        symbols, engine = self._state.symbols, self._state.engine
        omits_zero = boolean(call.params, "omitZeroBalances")
        fees = engine.fees
        return {
            "makerCommission": fees.maker // 100,
            "takerCommission": fees.taker // 100,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "commissionRates": {
                "maker": reports.rate(fees.maker),
                "taker": reports.rate(fees.taker),
                "buyer": reports.rate(0),
                "seller": reports.rate(0),
            },
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": call.now // 1000,
            "accountType": "SPOT",
            "balances": [
                {
                    "asset": symbols.assets.get(balance.asset, f"ASSET{balance.asset}"),
                    "free": symbols.amount(balance.asset, balance.available),
                    "locked": symbols.amount(balance.asset, balance.reserved),
                }
                for balance in engine.balances(call.user)
                if balance.total or not omits_zero
            ],
            "permissions": ["SPOT"],
            "uid": call.user,
        }

    # ------------------------------------------------------------ sessions

    def _log_on(self, call: Call) -> dict[str, Any]:
        session = call.session
        name = text(call.params, "apiKey")
        if name is None:  # a session that has logged on needs none elsewhere
            raise missing("apiKey")
        key = self._api.key(name)
        if key.kind != "ed25519":
            kind = {"hmac": "HMAC_SHA256", "rsa": "RSA"}[key.kind]
            raise BinanceError(KEY_KIND, f"{kind} API key is not supported.")
        session.key, session.user, session.authorized = key, call.user, call.now
        return self._status(call)

    def _log_out(self, call: Call) -> dict[str, Any]:
        session = call.session
        session.key = session.user = session.authorized = None
        self._state.do(self._state.user_data.log_out(session.id, call.now))
        return self._status(call)

    def _status(self, call: Call) -> dict[str, Any]:
        session = call.session
        return {
            "apiKey": session.key.api_key if session.key else None,
            "authorizedSince": session.authorized // 1000 if session.authorized is not None else None,
            "connectedSince": session.opened // 1000,
            "returnRateLimits": session.shows_limits,
            "serverTime": call.now // 1000,
            "userDataStream": bool(self._state.user_data.subscriptions(session.id)),
        }

    # ------------------------------------------------------------ user data

    def _subscriptions(self, call: Call) -> list[dict[str, Any]]:
        active = self._state.user_data.subscriptions(call.session.id)
        return [{"subscriptionId": subscription.number} for subscription in active]

    def _subscribe(self, call: Call) -> dict[str, Any]:
        user = call.session.user
        if user is None:
            raise BinanceError(BAD_KEY, "Invalid API-key, IP, or permissions for action.", UNAUTHORIZED)
        return {"subscriptionId": self._state.user_data.subscribe(call.session.id, user, by_logon=True)}

    def _subscribe_signed(self, call: Call) -> dict[str, Any]:
        if "signature" not in call.params:  # a session that has logged on needs no signature elsewhere
            raise missing("signature")
        number = self._state.user_data.subscribe(call.session.id, call.user, by_logon=False)
        return {"subscriptionId": number}

    def _unsubscribe(self, call: Call) -> dict[str, Any]:
        number = integer(call.params, "subscriptionId")
        self._state.do(self._state.user_data.unsubscribe(call.session.id, number, call.now))
        return {}

    def _start(self, call: Call) -> dict[str, Any]:
        margin = text(call.params, "margin", ("CROSS", "ISOLATED")) or "SPOT"
        purpose = margin
        if margin == "ISOLATED":
            purpose += " " + self._state.symbols.named(call.params.get("symbol")).name
        return {"listenKey": self._state.user_data.start(call.user, purpose, call.now)}

    def _ping(self, call: Call) -> dict[str, Any]:
        self._state.user_data.ping(call.user, call.params.get("listenKey"), call.now)
        return {}

    def _stop(self, call: Call) -> dict[str, Any]:
        self._state.user_data.stop(call.user, call.params.get("listenKey"))
        return {}
