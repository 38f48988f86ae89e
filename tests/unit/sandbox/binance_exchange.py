"""A Binance to talk to without a socket: two users, a clock by hand, and everything it says kept."""

import hashlib
import hmac
import itertools
import json
from typing import Any

from wsclient.coinflex.assets import Assets
from wsclient.sandbox.binance import BinanceVenue
from wsclient.sandbox.binance_limits import BinanceSettings
from wsclient.sandbox.engine import Engine, Fees
from wsclient.sandbox.listings import binance_markets, coinbase_markets, coinflex_markets
from wsclient.sandbox.users import User, ready_made
from wsclient.sandbox.venue import HangUp, Ping, Say

XBT, USDT = Assets["XBT"], Assets["USDT"]
START = 1_600_000_020_000_000
"""The clock's beginning: microseconds, and a full minute."""
SECOND = 1_000_000
PRICE = 90_000_000
"""9000 on the book of XBT/USDT."""


class Exchange:
    """An engine behind the Binance dialect alone."""

    def __init__(self, *, fees: Fees | None = None, **settings: Any) -> None:
        self.clock = START
        markets = (*coinflex_markets(), *coinbase_markets(), *binance_markets())
        self.engine = Engine(markets, clock=lambda: self.clock, fees=fees)
        self.users = ready_made(3, seed=0)
        for user in self.users:
            self.engine.add_user(user.id, user.holdings(self.engine.decimals))
        options = {"messages": None, **settings}
        self.venue = BinanceVenue(
            self.engine, self.users, clock=lambda: self.clock, settings=BinanceSettings(**options)
        )
        self.said: dict[int, list[Any]] = {}
        self.pings: list[Ping] = []
        self.ended: dict[int, tuple[int, str]] = {}
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1)

    # ------------------------------------------------------------ what a server does

    def connect(self, target: str) -> int:
        """A new connection's number."""
        session = next(self._numbers)
        assert self.venue.admit(target, "127.0.0.1") is None
        self.venue.open(session, target)
        self.said[session] = []
        self.publish()
        return session

    def publish(self) -> None:
        """Tell what has happened."""
        events = self.engine.take_events()
        assert not list(self.venue.notices(events))
        for action in self.venue.actions():
            match action:
                case Say(text, sessions):
                    for session in sessions:
                        if session not in self.ended:
                            self.said[session].append(json.loads(text))
                case Ping():
                    self.pings.append(action)
                case HangUp(session, code, reason):
                    self.ended[session] = code, reason
                    self.venue.close(session)

    def ask_raw(self, session: int, text: str) -> dict[str, Any]:
        """The reply to a message."""
        reply = self.venue.execute(session, self.venue.read(text))
        self.publish()
        return json.loads(json.dumps(reply))  # type: ignore[no-any-return]

    def wait(self, seconds: float) -> None:
        """Let time pass, beat by beat at most a tenth of a second apart, and end on a beat."""
        left = round(seconds * SECOND)
        while left > 0:
            step = min(left, SECOND // 10)
            self.clock += step
            left -= step
            self.venue.beat()
            self.publish()

    def jump(self, seconds: float) -> None:
        """Let time pass without a beat in between, and then one."""
        self.clock += round(seconds * SECOND)
        self.venue.beat()
        self.publish()

    # ------------------------------------------------------------ what clients do

    def ask(self, session: int, method: str, params: Any = None) -> dict[str, Any]:
        """The reply to a request."""
        fields = {"id": next(self._ids), "method": method}
        return self.ask_raw(session, json.dumps(fields if params is None else {**fields, "params": params}))

    def call(self, session: int, method: str, user: User | None = None, **params: Any) -> Any:
        """The result of a request that succeeds, signed by a user's HMAC key if that is given."""
        reply = self.ask(session, method, self.signed(user, **params) if user else params)
        assert reply["status"] == 200, reply
        return reply["result"]

    def refused(self, session: int, method: str, user: User | None = None, **params: Any) -> tuple[int, str]:
        """Code and text of a request that fails."""
        reply = self.ask(session, method, self.signed(user, **params) if user else params)
        assert reply["status"] >= 400, reply
        return reply["error"]["code"], reply["error"]["msg"]

    def signed(self, user: User, **params: Any) -> dict[str, Any]:
        """Parameters with an HMAC signature."""
        params = {"timestamp": self.clock // 1000, **params, "apiKey": user.binance.api_key}
        shown = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
        text = "&".join(f"{name}={shown[name]}" for name in sorted(params))
        digest = hmac.new(user.binance.api_secret.encode(), text.encode(), hashlib.sha256)
        return {**params, "signature": digest.hexdigest()}

    def place(self, session: int, user: User, side: str, quantity: str, price: str | None, **more: Any) -> Any:
        """Place a limit order (GTC unless said), or without a price a market order; its result."""
        return self.call(session, "order.place", user, **order(side, quantity, price, **more))

    def coinflex(self, user: User, quantity: int, price: int | None = None) -> None:
        """Place an order on XBT/USDT as another dialect does."""
        self.engine.place(user.id, base=XBT, counter=USDT, quantity=quantity, price=price)
        self.publish()

    def hears(self, session: int) -> list[Any]:
        """What a connection was told since the last time."""
        said, self.said[session] = self.said[session], []
        return said


def order(side: str, quantity: str, price: str | None = None, **more: Any) -> dict[str, Any]:
    """The parameters of an order on BTCUSDT."""
    if price is None:
        return {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": quantity, **more}
    if more.get("type") != "LIMIT_MAKER":
        more = {"timeInForce": "GTC", "type": "LIMIT", **more}
    return {"symbol": "BTCUSDT", "side": side, "quantity": quantity, "price": price, **more}
