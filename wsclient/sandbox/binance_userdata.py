"""User data streams: who is told of an account's affairs, and how.

Two ways lead here: subscriptions of the request API, numbered by connection, and listenKeys, which are streams
like the market's with a name that only their owner knows. The protocol page names no methods for the latter; the
sandbox has `userDataStream.start`, `.ping` and `.stop`, which take the apiKey alone, as Binance's spot API had
until 2026. Cross and isolated margin have keys of their own there, and the sandbox's one account behind all.

Source: protocol page, section "WebSocket API (request and reply)", paragraph "User data".
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from wsclient.sandbox.binance_errors import (
    BAD_LISTEN_KEY,
    NOT_SUBSCRIBED,
    SUBSCRIBED,
    TOO_MANY_SUBSCRIPTIONS,
    BinanceError,
)
from wsclient.sandbox.binance_streams import Hub
from wsclient.sandbox.venue import Say, encode

MOST_SUBSCRIPTIONS: Final = 1000
MOST_NUMBERS: Final = 65_535
"""How many subscriptions a connection may ever have."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One user's events on one connection of the request API."""

    number: int
    user: int
    by_logon: bool


@dataclass(slots=True)
class _Subscriber:
    active: dict[int, Subscription] = field(default_factory=dict)
    next_number: int = 0


@dataclass(slots=True)
class _ListenKey:
    name: str
    user: int
    purpose: str
    expires: int


class UserData:
    """Everybody who is told of an account's affairs. Times are microseconds."""

    def __init__(self, hub: Hub, *, valid_for: int, seed: str = "") -> None:
        self._hub = hub
        self._valid_for = valid_for
        self._seed = seed
        self._sessions: dict[int, _Subscriber] = {}
        self._by_user: dict[int, dict[int, Subscription]] = {}
        self._keys: dict[str, _ListenKey] = {}
        self._made = 0

    # ------------------------------------------------------------ subscriptions

    def subscriptions(self, session: int) -> list[Subscription]:
        """The active subscriptions of a connection."""
        subscriber = self._sessions.get(session)
        return list(subscriber.active.values()) if subscriber else []

    def subscribe(self, session: int, user: int, *, by_logon: bool) -> int:
        """Begin to tell a connection of an account, once; the subscription's number."""
        subscriber = self._sessions.setdefault(session, _Subscriber())
        if session in self._by_user.get(user, {}):
            raise BinanceError(SUBSCRIBED, "User Data Stream subscription already active.")
        if len(subscriber.active) >= MOST_SUBSCRIPTIONS or subscriber.next_number >= MOST_NUMBERS:
            raise BinanceError(TOO_MANY_SUBSCRIPTIONS, "Maximum subscription ID reached for this connection.")
        subscription = Subscription(subscriber.next_number, user, by_logon)
        subscriber.next_number += 1
        subscriber.active[subscription.number] = subscription
        self._by_user.setdefault(user, {})[session] = subscription
        return subscription.number

    def unsubscribe(self, session: int, number: int | None, now: int) -> Iterator[Say]:
        """End one subscription of a connection, or all; error -2036 if there is none. Each is told its end."""
        active = self._sessions.get(session, _Subscriber()).active
        ended = list(active.values()) if number is None else [active[number]] if number in active else []
        if not ended:
            raise BinanceError(NOT_SUBSCRIBED, "User Data Stream subscription not active.")
        return self._terminate(session, ended, now)

    def log_out(self, session: int, now: int) -> Iterator[Say]:
        """End the subscription that came with the logon, if there is one, and tell it so."""
        return self._terminate(session, [s for s in self.subscriptions(session) if s.by_logon], now)

    def terminate(self, user: int, now: int) -> Iterator[Say]:
        """End every subscription of a user."""
        for session, subscription in list(self._by_user.get(user, {}).items()):
            yield from self._terminate(session, [subscription], now)

    def close(self, session: int) -> None:
        """A connection has ended."""
        for subscription in self.subscriptions(session):
            self._remove(session, subscription)
        self._sessions.pop(session, None)

    def _terminate(self, session: int, ended: list[Subscription], now: int) -> Iterator[Say]:
        for subscription in ended:
            self._remove(session, subscription)
        return (
            _say(session, subscription, {"e": "eventStreamTerminated", "E": now // 1000}) for subscription in ended
        )

    def _remove(self, session: int, subscription: Subscription) -> None:
        del self._sessions[session].active[subscription.number]
        of_user = self._by_user[subscription.user]
        del of_user[session]
        if not of_user:
            del self._by_user[subscription.user]

    # ------------------------------------------------------------ listenKeys

    def start(self, user: int, purpose: str, now: int) -> str:
        """The listenKey of an account for a purpose; one that there is already is prolonged."""
        for key in self._keys.values():
            if (key.user, key.purpose) == (user, purpose):
                key.expires = now + self._valid_for
                return key.name
        self._made += 1
        digest = hashlib.sha256(f"wsclient sandbox listenKey {self._seed} {user} {self._made}".encode())
        name = digest.hexdigest()
        self._keys[name] = _ListenKey(name, user, purpose, now + self._valid_for)
        return name

    def ping(self, user: int, name: object, now: int) -> None:
        """Prolong a listenKey."""
        self._key(user, name).expires = now + self._valid_for

    def stop(self, user: int, name: object) -> None:
        """Give a listenKey back: its streams fall silent."""
        del self._keys[self._key(user, name).name]

    def expire(self, now: int, name: str | None = None) -> Iterator[Say]:
        """End the listenKeys whose time is over, or the one that is named, and say so on their streams."""
        for key in [key for key in self._keys.values() if key.expires <= now or key.name == name]:
            del self._keys[key.name]
            yield from self._hub.tell(key.name, {"e": "listenKeyExpired", "E": now // 1000, "listenKey": key.name})

    def _key(self, user: int, name: object) -> _ListenKey:
        key = self._keys.get(name) if isinstance(name, str) else None
        if key is None or key.user != user:
            raise BinanceError(BAD_LISTEN_KEY, "This listenKey does not exist.")
        return key

    # ------------------------------------------------------------ telling

    def listens(self, user: int) -> bool:
        """Whether anybody is to be told of an account."""
        return user in self._by_user or any(key.user == user for key in self._keys.values())

    def tell(self, user: int, event: dict[str, Any]) -> Iterator[Say]:
        """Tell everybody concerned of an event of an account."""
        for session, subscription in self._by_user.get(user, {}).items():
            yield _say(session, subscription, event)
        for key in self._keys.values():
            if key.user == user:
                yield from self._hub.tell(key.name, event)


def _say(session: int, subscription: Subscription, event: dict[str, Any]) -> Say:
    return Say(encode({"subscriptionId": subscription.number, "event": event}), (session,))
