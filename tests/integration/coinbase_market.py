"""Our own feed of a sandbox: who trades there, and how to wait for what it says."""

import json
import threading
from collections.abc import Callable
from typing import Any

from tests.peers import PATIENCE
from wsclient import Assets
from wsclient.coinbase import Feed, Token
from wsclient.sandbox import Sandbox
from wsclient.sandbox.assets import USD

XBT = Assets["XBT"]
PRODUCT = "BTC-USD"
PRICE = 900_000  # cents


def token_of(exchange: Sandbox, user: int = 0) -> Token:
    key = exchange.users[user].coinbase
    return Token(key.key, key.secret, key.passphrase)


def place(exchange: Sandbox, quantity: int, price: int | None = PRICE, user: int = 1) -> int | None:
    """Place an order for BTC-USD; what it opens or trades is told before this returns."""
    owner = exchange.users[user].id
    return exchange.run(
        lambda engine: engine.place(owner, base=XBT, counter=USD, quantity=quantity, price=price).id
    )


def trade(exchange: Sandbox, price: int = PRICE) -> None:
    """One order meets another one."""
    place(exchange, -10_000, price, user=1)
    place(exchange, 10_000, price, user=2)


class Heard:
    """What a feed has said, and what went wrong: handlers, and ways to wait for it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.messages: list[dict[str, Any]] = []
        self.errors: list[Exception] = []
        self.opened = 0
        self.closed = 0

    def on_text(self, client: object, text: str) -> None:
        self._note(lambda: self.messages.append(json.loads(text)))

    def on_error(self, client: object, error: Exception) -> None:
        self._note(lambda: self.errors.append(error))

    def on_open(self, client: object) -> None:
        def note() -> None:
            self.opened += 1

        self._note(note)

    def on_close(self, client: object, *_: object) -> None:
        def note() -> None:
            self.closed += 1

        self._note(note)

    def of(self, *types: str) -> list[dict[str, Any]]:
        return [message for message in list(self.messages) if message.get("type") in types]

    def until(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), (self.messages[-5:], self.errors)

    def next(self, *types: str, count: int = 1) -> list[dict[str, Any]]:
        """The first so many messages of these types."""
        self.until(lambda: len(self.of(*types)) >= count)
        return self.of(*types)[:count]

    def _note(self, note: Callable[[], object]) -> None:
        with self.changed:
            note()
            self.changed.notify_all()


class Printed:
    """What examples print, since that is how they tell what they do."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.lines: list[str] = []

    def __call__(self, *values: object, **_: object) -> None:
        with self._changed:
            self.lines += " ".join(map(str, values)).splitlines() or [""]
            self._changed.notify_all()

    def until(self, condition: Callable[[list[str]], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.lines), PATIENCE), self.lines

    def line(self, start: str) -> str:
        self.until(lambda lines: any(line.startswith(start) for line in lines))
        return next(line for line in self.lines if line.startswith(start))


def feed(exchange: Sandbox, heard: Heard | None = None, *, user: int | None = 0, **options: Any) -> Feed:
    """A feed of the sandbox's that is signed as a user."""
    if heard is not None:
        options = {
            "msg_handler": heard.on_text,
            "err_handler": heard.on_error,
            "open_handler": heard.on_open,
            "close_handler": heard.on_close,
            **options,
        }
    options.setdefault("url", exchange.coinbase_url)
    options.setdefault("rest_url", exchange.coinbase_rest_url)
    if user is not None:
        options.setdefault("auth", token_of(exchange, user))
    return Feed(**options)
