"""Clients of the sandbox's Binance that share no code with wsclient: `websockets` for the wire, `hmac` to sign."""

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from wsclient.sandbox import Sandbox
from wsclient.sandbox.users import User

DEADLINE = 10.0


class BinancePeer:
    """One connection. Messages without an id that come while a reply is waited for are kept in `heard`."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.heard: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    def recv(self, timeout: float = DEADLINE) -> dict[str, Any]:
        """The next message of all."""
        message = json.loads(self.websocket.recv(timeout=timeout))
        assert isinstance(message, dict)
        return message

    def ask(self, method: str, params: Any = None) -> int:
        """Send a request; its id."""
        number = next(self._ids)
        request = {"id": number, "method": method}
        self.websocket.send(json.dumps(request if params is None else {**request, "params": params}))
        return number

    def reply(self, number: int) -> dict[str, Any]:
        """The reply to a request; any other message before it is kept."""
        end = time.monotonic() + DEADLINE
        while True:
            message = self.recv(timeout=end - time.monotonic())
            if message.get("id") == number:
                return message
            self.heard.append(message)

    def call(self, method: str, user: User | None = None, **params: Any) -> Any:
        """The result of a request that succeeds, signed by a user's HMAC key if that is given."""
        reply = self.reply(self.ask(method, signed(user, **params) if user else params))
        assert reply["status"] == 200, reply
        return reply["result"]

    def event(self, meets: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that meets a condition, unwrapped; what comes before it is dropped."""
        end = time.monotonic() + DEADLINE
        while True:
            message = self.heard.pop(0) if self.heard else self.recv(timeout=end - time.monotonic())
            inner = message.get("data", message.get("event", message))
            if isinstance(inner, dict) and meets(inner):
                return inner

    def ended(self) -> ConnectionClosed:
        """How the connection ends; what is said before that is kept in `heard`."""
        end = time.monotonic() + DEADLINE
        try:
            while True:
                self.heard.append(self.recv(timeout=end - time.monotonic()))
        except ConnectionClosed as closed:
            return closed


def signed(user: User, **params: Any) -> dict[str, Any]:
    """Parameters with a timestamp and an HMAC signature."""
    params = {"timestamp": time.time_ns() // 1_000_000, **params, "apiKey": user.binance.api_key}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    digest = hmac.new(user.binance.api_secret.encode(), text.encode(), hashlib.sha256)
    return {**params, "signature": digest.hexdigest()}


def limit_order(side: str, quantity: str, price: str, **more: Any) -> dict[str, Any]:
    """The parameters of a limit order on BTCUSDT."""
    return {
        "symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": quantity,
        "price": price, **more,
    }  # fmt: skip


@contextmanager
def streams(exchange: Sandbox, target: str, **options: Any) -> Iterator[BinancePeer]:
    """A connection to market streams, which leaves pinging to the exchange."""
    with connect(exchange.binance_url + target, ping_interval=None, **options) as websocket:
        yield BinancePeer(websocket)


@contextmanager
def api(exchange: Sandbox, **options: Any) -> Iterator[BinancePeer]:
    """A connection to the request API."""
    with connect(exchange.binance_api_url, ping_interval=None, **options) as websocket:
        yield BinancePeer(websocket)
