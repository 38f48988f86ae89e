"""A client of the sandbox's Coinbase dialect that shares no code with it: `websockets`, `hmac`, `http.client`."""

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from wsclient.sandbox import Sandbox
from wsclient.sandbox.users import User

DEADLINE = 5.0


def signed(user: User, **changes: Any) -> dict[str, Any]:
    """The fields that authenticate a subscribe message, but for the changes."""
    key, stamp = user.coinbase, str(time.time())
    mac = hmac.new(base64.b64decode(key.secret), f"{stamp}GET/users/self/verify".encode(), hashlib.sha256)
    signature = base64.b64encode(mac.digest()).decode()
    fields = {"key": key.key, "passphrase": key.passphrase, "timestamp": stamp, "signature": signature}
    return {**fields, **changes}


class FeedPeer:
    """One connection to the feed."""

    def __init__(self, exchange: Sandbox, websocket: ClientConnection) -> None:
        self.exchange = exchange
        self.websocket = websocket

    @property
    def session(self) -> int:
        """The number that the sandbox gave this connection, if it is the youngest one of its path."""
        return self.exchange.ledger.connections[-1].session

    def send(self, message: object) -> None:
        self.websocket.send(json.dumps(message))

    def recv(self, timeout: float = DEADLINE) -> dict[str, Any]:
        message = json.loads(self.websocket.recv(timeout=timeout))
        assert isinstance(message, dict)
        return message

    def until(self, *types: str) -> list[dict[str, Any]]:
        """Messages up to the first of one of these types, that one included."""
        end, messages = time.monotonic() + DEADLINE, []
        while True:
            messages.append(self.recv(timeout=max(end - time.monotonic(), 0.001)))
            if messages[-1]["type"] in types:
                return messages

    def next(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types; what comes before it is dropped."""
        return self.until(*types)[-1]

    def subscribe(self, *channels: Any, user: int | None = None, **more: Any) -> dict[str, Any]:
        """Subscribe, as a user if given, and give the answer."""
        login = signed(self.exchange.users[user]) if user is not None else {}
        self.send({"type": "subscribe", "channels": list(channels), **login, **more})
        return self.next("subscriptions", "error")

    def settled(self) -> list[dict[str, Any]]:
        """All messages up to now: what comes before the answer to a message that asks for nothing."""
        self.send({"type": "unsubscribe", "channels": ["auctionfeed"]})
        return self.until("subscriptions")[:-1]

    def ended(self) -> tuple[list[dict[str, Any]], ConnectionClosed]:
        """What is said until the connection ends, and how that ends."""
        messages = []
        try:
            while True:
                messages.append(self.recv())
        except ConnectionClosed as closed:
            return messages, closed


@contextmanager
def feed(exchange: Sandbox, url: str | None = None, **options: Any) -> Iterator[FeedPeer]:
    """A connection that has not subscribed.

    It takes in whatever comes, as a `websockets` client can't end a connection while its queue is full.
    """
    with connect(url or exchange.coinbase_url, **{"max_size": None, "max_queue": None, **options}) as websocket:
        yield FeedPeer(exchange, websocket)


def get(exchange: Sandbox, target: str) -> tuple[int, Any]:
    """Get a page: its status, and its JSON."""
    address = urlsplit(exchange.coinbase_rest_url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=DEADLINE)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        assert response.headers["Content-Type"].startswith("application/json")
        return response.status, json.loads(response.read())
    finally:
        connection.close()
