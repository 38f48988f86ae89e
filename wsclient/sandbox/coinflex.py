"""The CoinFLEX dialect as the exchange speaks it: requests read and run, replies and notices written.

Pure: it turns texts into engine calls and engine events into texts, and knows connections only by number.
Source: protocol page, sections "Welcome and authentication", "Commands", "Notices" and "Limits".
"""

import base64
import hmac
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from wsclient.coinflex.curve import NONCE_BYTES
from wsclient.sandbox import auth
from wsclient.sandbox.coinflex_notices import Audience, render
from wsclient.sandbox.coinflex_view import CoinflexView
from wsclient.sandbox.engine import Engine, EngineError, Market, Order
from wsclient.sandbox.events import Event
from wsclient.sandbox.limits import RateLimits, RollingWindow
from wsclient.sandbox.users import User
from wsclient.sandbox.venue import Refusal, Request, Venue

NOT_FOUND: Final = 1
CONFLICT: Final = 2
RATE_LIMITED: Final = 6
NOT_AUTHORIZED: Final = 7
BAD_REQUEST: Final = 8

MAX_TEXT: Final = 65_536
"""Longer messages (characters) are refused unread: the longest sensible command has a few hundred."""
MAX_SHOWN: Final = 1_000
"""The fields of longer messages (characters) are not kept in the ledger."""
MAX_NAME: Final = 64
"""How much of an unknown method's name is."""
MAX_TAG: Final = 2**63
NO_ASSET: Final = 0
NO_ORDER: Final = 0
"""Numbers that no asset and no order has."""

PUBLIC: Final = frozenset({"Authenticate", "EstimateMarketOrder", "WatchOrders", "WatchTicker"})
ORDERS: Final = frozenset({"PlaceOrder", "ModifyOrder", "CancelOrder", "CancelAllOrders", "EstimateMarketOrder"})
INFORMATION: Final = frozenset({"GetBalances", "GetOrders", "GetTradeVolume"})
SECRETS: Final = frozenset({"cookie", "nonce", "signature", "passphrase"})

Pair = tuple[int, int]


@dataclass(slots=True)
class _Session:
    """What the exchange knows of a connection. A nonce is None once it has been used."""

    id: int
    nonce: bytes | None
    user: int | None = None
    books: set[Pair] = field(default_factory=set)
    tickers: set[Pair] = field(default_factory=set)


class CoinflexVenue(Venue):
    """One exchange's CoinFLEX front door. All methods are called on the sandbox's one thread."""

    def __init__(
        self,
        engine: Engine,
        users: Iterable[User],
        *,
        clock: Callable[[], int],
        limits: RateLimits | None = None,
        markets: Iterable[Market] | None = None,
        path: str = "/v1",
        nonces: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.path = path
        self._engine = engine
        pairs = None if markets is None else [(market.base, market.counter) for market in markets]
        self._view = CoinflexView(engine, pairs)
        self._users = {user.id: user for user in users}
        self._keys: dict[int, auth.Point] = {}
        self._clock = clock
        self._nonces = nonces
        self._sessions: dict[int, _Session] = {}
        self._audience = Audience()
        self._logins = RollingWindow(limits.authentications) if limits else None
        self._orders = RollingWindow(limits.orders) if limits else None
        self._information = RollingWindow(limits.information) if limits else None
        self._commands: dict[str, Callable[[_Session, Mapping[str, Any]], dict[str, Any]]] = {
            "Authenticate": self._authenticate,
            "GetBalances": self._get_balances,
            "GetOrders": self._get_orders,
            "EstimateMarketOrder": self._estimate_market_order,
            "PlaceOrder": self._place_order,
            "ModifyOrder": self._modify_order,
            "CancelOrder": self._cancel_order,
            "CancelAllOrders": self._cancel_all_orders,
            "GetTradeVolume": self._get_trade_volume,
            "WatchOrders": self._watch_orders,
            "WatchTicker": self._watch_ticker,
        }

    @property
    def methods(self) -> Collection[str]:
        """The protocol's commands."""
        return tuple(self._commands)

    # ------------------------------------------------------------ connections

    def open(self, session: int, target: str = "") -> Mapping[str, Any]:
        """Begin a connection; the answer is its Welcome, with a nonce of its own."""
        nonce = self._nonces(NONCE_BYTES)
        self._sessions[session] = _Session(session, nonce)
        return {"notice": "Welcome", "nonce": base64.b64encode(nonce).decode()}

    def close(self, session: int) -> None:
        """End a connection: its watches, and its orders that were not to persist."""
        state = self._sessions.pop(session, None)
        if state is None:
            return
        self._audience.forget(session, state.user, state.books, state.tickers)
        for window in (self._logins, self._orders, self._information):
            if window is not None:
                window.forget(("session", session))
        self._engine.end_session(session)

    def user(self, session: int) -> int | None:
        """Who has logged in on a connection."""
        state = self._sessions.get(session)
        return state.user if state is not None else None

    def notices(self, events: Iterable[Event]) -> Iterator[tuple[str, Collection[int]]]:
        """What events are to be told to whom, see `coinflex_notices`."""
        return render(self._view.events(events), self._audience)

    # ------------------------------------------------------------ requests

    def read(self, text: str) -> Request:
        """Decode a message. What is no JSON object with a method is a request that can only be refused."""
        if len(text) > MAX_TEXT:
            return Request(None, refusal=Refusal(BAD_REQUEST, "This message is too long for a command."))
        try:
            message = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return Request(None, refusal=Refusal(BAD_REQUEST, "This message is not JSON."))
        if not isinstance(message, dict):
            return Request(None, refusal=Refusal(BAD_REQUEST, "A command has to be a JSON object."))
        tag = message.get("tag")
        tag = tag if type(tag) is int and tag != 0 and -MAX_TAG <= tag < MAX_TAG else None
        shown = _shown(message) if len(text) <= MAX_SHOWN else {"length": len(text)}
        method = message.get("method")
        if not isinstance(method, str):
            refusal = Refusal(BAD_REQUEST, "A command has to name its method.")
            return Request(None, tag, message, shown, refusal)
        if method not in self._commands:
            return Request(
                method[:MAX_NAME], tag, message, shown, Refusal(BAD_REQUEST, "There is no such method.")
            )
        return Request(method, tag, message, shown)

    def execute(self, session: int, request: Request) -> dict[str, Any]:
        """Run a request: its reply, which may be an error."""
        try:
            if request.refusal is not None or request.method is None:
                raise request.refusal or Refusal(BAD_REQUEST, "A command has to name its method.")
            state = self._sessions[session]
            if state.user is None and request.method not in PUBLIC:
                raise Refusal(NOT_AUTHORIZED, "You have to authenticate first.")
            self._check_rate(state, request.method)
            # null says the same as leaving a field out
            fields = {name: value for name, value in request.fields.items() if value is not None}
            reply = {"error_code": 0, **self._commands[request.method](state, fields)}
        except (Refusal, EngineError) as error:
            reply = {"error_code": error.code, "error_msg": error.message}
        return _tagged(reply, request)

    def failed(self, request: Request) -> dict[str, Any]:
        """Error 8, for a request on which the exchange itself failed."""
        return _tagged({"error_code": BAD_REQUEST, "error_msg": "The exchange failed on this command."}, request)

    def _check_rate(self, state: _Session, method: str) -> None:
        """Orders count by user, wherever they come from; information requests count by connection."""
        window, key = None, ("session", state.id)
        if method in ORDERS:
            window = self._orders
            key = ("user", state.user) if state.user is not None else key
        elif method in INFORMATION:
            window = self._information
        if window is not None and not window.admit(key, self._clock()):
            raise Refusal(RATE_LIMITED, "You are sending too many requests.")

    # ------------------------------------------------------------ logging in

    def _authenticate(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        user_id, cookie = fields.get("user_id"), fields.get("cookie")
        if type(user_id) is not int or not 0 <= user_id < auth.USER_ID_LIMIT:
            raise Refusal(BAD_REQUEST, "The user_id has to be an integer of 64 bits.")
        user = self._users.get(user_id)
        key = ("user", user_id) if user is not None else ("session", state.id)
        if self._logins is not None and not self._logins.admit(key, self._clock()):
            raise Refusal(RATE_LIMITED, "There were too many attempts to authenticate.")
        if not isinstance(cookie, str):
            raise Refusal(BAD_REQUEST, "The cookie has to be a string.")
        client_nonce, r, s = _login_fields(fields)
        if state.nonce is None:
            raise Refusal(BAD_REQUEST, "This connection has authenticated already.")
        if user is None:
            raise Refusal(NOT_FOUND, "There is no such user.")
        if not hmac.compare_digest(cookie.encode("utf-8", "replace"), user.cookie.encode()):
            raise Refusal(NOT_AUTHORIZED, "The cookie is wrong.")
        message = auth.signed_message(user_id, state.nonce, client_nonce)
        if not auth.verify(self._public_key(user), message, r, s):
            raise Refusal(NOT_AUTHORIZED, "The signature is wrong.")
        state.nonce = None
        state.user = user_id
        self._audience.add_owner(user_id, state.id)
        return {}

    def _public_key(self, user: User) -> auth.Point:
        key = self._keys.get(user.id)
        if key is None:
            key = self._keys[user.id] = auth.derive_public_key(user.id, user.passphrase)
        return key

    # ------------------------------------------------------------ private commands

    def _get_balances(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "balances": [
                {
                    "asset": balance.asset,
                    "balance": balance.available,
                    "reserved_balance": balance.reserved,
                    "total_balance": balance.total,
                }
                for balance in self._view.balances(self._engine.balances(_owner(state)))
            ]
        }

    def _get_orders(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"orders": [_own_order(order) for order in self._view.orders(self._engine.orders(_owner(state)))]}

    def _place_order(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        placed = self._engine.place(
            _owner(state),
            **self._pair(fields),
            quantity=fields.get("quantity"),
            price=fields.get("price"),
            total=fields.get("total"),
            tonce=fields.get("tonce"),
            persist=fields.get("persist", True),
            post_only=fields.get("post_only", False),
            session=state.id,
        )
        if placed.id is None:
            return {"remaining": placed.remaining}
        return {"id": placed.id, "time": placed.time}

    def _modify_order(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        order = self._engine.modify(
            _owner(state),
            **self._named(state, fields),
            quantity_delta=fields.get("quantity_delta"),
            price=fields.get("price"),
            post_only=fields.get("post_only", False),
        )
        return _own_order(order)

    def _cancel_order(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        return _own_order(self._engine.cancel(_owner(state), **self._named(state, fields)))

    def _cancel_all_orders(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "orders": [_own_order(order) for order in self._engine.cancel_all(_owner(state), self._view.pairs)]
        }

    def _get_trade_volume(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        volume = self._engine.volume(_owner(state), asset := fields.get("asset"))
        return {"volume": self._view.amount(asset, volume) if isinstance(asset, int) else volume}

    def _pair(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The market that is meant; one that CoinFLEX doesn't list is one that doesn't exist."""
        base, counter = fields.get("base"), fields.get("counter")
        if self._view.hides(base, counter):
            return {"base": NO_ASSET, "counter": NO_ASSET}
        return {"base": base, "counter": counter}

    def _named(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The order that is meant, by id or tonce, likewise."""
        named = {"id": fields.get("id"), "tonce": fields.get("tonce")}
        if not self._view.whole:
            try:
                order = self._engine.order(_owner(state), **named)
            except EngineError:
                return named  # the engine will say so itself, in its own order of errors
            if self._view.hides(order.base, order.counter):
                return {"id": NO_ORDER}
        return named

    # ------------------------------------------------------------ public commands

    def _estimate_market_order(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        estimate = self._engine.estimate(
            **self._pair(fields),
            quantity=fields.get("quantity"),
            total=fields.get("total"),
        )
        return {"quantity": estimate.quantity, "total": estimate.total}

    def _watch_orders(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        orders = self._engine.book(**self._pair(fields))
        pair = (fields["base"], fields["counter"])
        if not _watch(state.books, pair, fields.get("watch")):
            self._audience.books.remove(pair, state.id)
            return {}
        self._audience.books.add(pair, state.id)
        return {
            "orders": [
                {"id": order.id, "quantity": order.quantity, "price": order.price, "time": order.time}
                for order in orders
            ]
        }

    def _watch_ticker(self, state: _Session, fields: Mapping[str, Any]) -> dict[str, Any]:
        ticker = self._engine.ticker(**self._pair(fields))
        pair = (fields["base"], fields["counter"])
        if not _watch(state.tickers, pair, fields.get("watch")):
            self._audience.tickers.remove(pair, state.id)
            return {}
        self._audience.tickers.add(pair, state.id)
        return {
            "last": ticker.last,
            "bid": ticker.bid,
            "ask": ticker.ask,
            "low": ticker.low,
            "high": ticker.high,
            "volume": ticker.volume,
        }


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _shown(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message's fields as the ledger may keep them."""
    return {name: value for name, value in message.items() if name not in SECRETS}


def _tagged(reply: dict[str, Any], request: Request) -> dict[str, Any]:
    return reply if request.tag is None else {**reply, "tag": request.tag}


def _login_fields(fields: Mapping[str, Any]) -> tuple[bytes, int, int]:
    signature = fields.get("signature")
    if not isinstance(signature, list) or len(signature) != 2:
        raise Refusal(BAD_REQUEST, "The signature has to be a list of two numbers in base64.")
    try:
        r, s = map(auth.decode_number, signature)
        return auth.decode_nonce(fields.get("nonce")), r, s
    except auth.MalformedLogin as error:
        raise Refusal(BAD_REQUEST, f"Malformed login: {error}.") from None


def _owner(state: _Session) -> int:
    assert state.user is not None, "private commands come after the login"
    return state.user


def _own_order(order: Order) -> dict[str, Any]:
    """An order as its owner sees it."""
    return {
        "id": order.id,
        "tonce": order.tonce,
        "base": order.base,
        "counter": order.counter,
        "quantity": order.quantity,
        "price": order.price,
        "time": order.time,
    }


def _watch(watched: set[Pair], pair: Pair, watch: object) -> bool:
    """Begin or end watching; whether it began."""
    if watch is True:
        if pair in watched:
            raise Refusal(CONFLICT, "You are watching this already.")
        watched.add(pair)
        return True
    if watch is False:
        if pair not in watched:
            raise Refusal(NOT_FOUND, "You are not watching this.")
        watched.remove(pair)
        return False
    raise Refusal(BAD_REQUEST, "Watch has to be true or false.")
