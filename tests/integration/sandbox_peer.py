"""A client of the sandbox that shares no code with wsclient: `websockets` for the wire, `ecdsa` for the login."""

import base64
import hashlib
import itertools
import json
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import ecdsa
from ecdsa.curves import Curve
from ecdsa.ellipticcurve import CurveFp, PointJacobi
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from wsclient.coinflex import curve
from wsclient.coinflex.assets import Assets
from wsclient.sandbox import Sandbox
from wsclient.sandbox.users import User

XBT, USDT, ETH = Assets["XBT"], Assets["USDT"], Assets["ETH"]
DEADLINE = 5.0

_field = CurveFp(curve.P, curve.A, curve.B, 1)
SECP224K1 = Curve(
    "SECP224k1",
    _field,
    PointJacobi(_field, curve.GX, curve.GY, 1, curve.N, generator=True),
    curve.OID,
)


def encoded(number: int) -> str:
    return base64.b64encode(number.to_bytes(28, "big")).decode()


def login(user: User, server_nonce: str, **changes: Any) -> dict[str, Any]:
    """The fields of an Authenticate that succeeds, but for the changes."""
    client_nonce = secrets.token_bytes(16)
    number = user.id.to_bytes(8, "big")
    secret = int.from_bytes(hashlib.sha224(number + user.passphrase.encode()).digest(), "big")
    key = ecdsa.SigningKey.from_secret_exponent(secret, SECP224K1, hashfunc=hashlib.sha224)
    message = number + base64.b64decode(server_nonce) + client_nonce
    while True:
        r, s = key.sign(message, sigencode=lambda r, s, order: (r, s))
        if max(r, s) < 1 << 224:
            break
    return {
        "method": "Authenticate",
        "user_id": user.id,
        "cookie": user.cookie,
        "nonce": base64.b64encode(client_nonce).decode(),
        "signature": [encoded(r), encoded(s)],
        **changes,
    }


class Peer:
    """One connection. Notices that come while a reply is waited for are kept in `notices`."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.notices: list[dict[str, Any]] = []
        self._tags = itertools.count(1)

    def recv(self, timeout: float = DEADLINE) -> dict[str, Any]:
        message = json.loads(self.websocket.recv(timeout=timeout))
        assert isinstance(message, dict)
        return message

    def send(self, message: object) -> None:
        self.websocket.send(json.dumps(message))

    def ask(self, method: str, **fields: Any) -> int:
        tag = next(self._tags)
        self.send({"method": method, "tag": tag, **fields})
        return tag

    def reply(self, tag: int) -> dict[str, Any]:
        """The reply to `tag`; notices before it are kept, other replies are an error."""
        end = time.monotonic() + DEADLINE
        while True:
            message = self.recv(timeout=end - time.monotonic())
            if "notice" in message:
                self.notices.append(message)
            else:
                assert message.get("tag") == tag, message
                return message

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        return self.reply(self.ask(method, **fields))

    def done(self, method: str, **fields: Any) -> dict[str, Any]:
        """Call, and insist on success."""
        reply = self.call(method, **fields)
        assert reply["error_code"] == 0, reply
        return reply

    def notice(self, name: str) -> dict[str, Any]:
        """The next notice of a name; what comes before it is dropped."""
        end = time.monotonic() + DEADLINE
        while True:
            message = self.notices.pop(0) if self.notices else self.recv(timeout=end - time.monotonic())
            if message.get("notice") == name:
                return message

    def settled(self) -> list[dict[str, Any]]:
        """All notices up to now: what a later reply comes behind. Ends with them taken."""
        self.done("EstimateMarketOrder", base=XBT, counter=USDT, quantity=1)
        notices, self.notices = self.notices, []
        return notices

    def ended(self) -> ConnectionClosed:
        """How the connection ends; what is said before that is kept in `notices`."""
        try:
            while True:
                self.notices.append(self.recv())
        except ConnectionClosed as closed:
            return closed

    def log_in(self, user: User) -> Self:
        welcome = self.recv()
        assert welcome["notice"] == "Welcome"
        self.send(login(user, welcome["nonce"]))
        assert self.recv() == {"error_code": 0}
        return self

    def place(self, quantity: int, price: int | None = None, **fields: Any) -> dict[str, Any]:
        if price is not None:
            fields["price"] = price
        return self.done("PlaceOrder", base=XBT, counter=USDT, quantity=quantity, **fields)


@contextmanager
def guest(exchange: Sandbox, **options: Any) -> Iterator[Peer]:
    """A connection that has not read its Welcome."""
    with connect(exchange.url, **options) as websocket:
        yield Peer(websocket)


@contextmanager
def member(exchange: Sandbox, user: User | int = 0) -> Iterator[Peer]:
    """A connection that has logged in as a user (or as the one of this number among the ready-made ones)."""
    with connect(exchange.url) as websocket:
        yield Peer(websocket).log_in(exchange.users[user] if isinstance(user, int) else user)


def named(notices: Iterable[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [notice for notice in notices if notice["notice"] in names]
