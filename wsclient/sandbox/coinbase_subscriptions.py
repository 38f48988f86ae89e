"""Who has subscribed to what on Coinbase's feed: reading a subscribe message, and keeping what came of it.

Source: protocol page, "subscribe", "unsubscribe", "Errors" and "Channels". The reasons of errors are worded as the
live feed words them, as far as that is known.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

Verb: TypeAlias = Literal["subscribe", "unsubscribe"]

ALIASES: Final = {"level2_batch": "level2_50", "ticker_batch": "ticker_1000"}
"""What some channels are called in a `subscriptions` message; both names are understood."""
SILENT: Final = frozenset({"auctionfeed", "rfq_matches"})
"""Channels of the real feed on which nothing is ever said here: no auctions, no requests for quotes."""
CHANNELS: Final = SILENT | {
    "heartbeat",
    "status",
    "ticker",
    "ticker_1000",
    "level2",
    "level2_50",
    "matches",
    "full",
    "user",
}
WITHOUT_PRODUCTS: Final = frozenset({"status", "rfq_matches"})
LOGIN_FOR_DATA: Final = frozenset({"level2", "full"})
"""Channels that the live feed gives to nobody unknown, although nothing in them is private."""

DATA_NEEDS_LOGIN: Final = (
    "level2, level3, and full channels now require authentication. "
    "https://docs.cdp.coinbase.com/exchange/docs/websocket-auth"
)

Listeners: TypeAlias = Mapping[int, int | None]
"""Sessions, each with the user as whom it listens, or None."""
NOBODY: Final[Listeners] = {}


class FeedError(Exception):
    """A message of a client is answered with an `error`, and has changed nothing."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason)
        self.message = message
        self.reason = reason


def failure(verb: Verb, reason: str) -> FeedError:
    """The error with which a subscribe or unsubscribe message is refused."""
    return FeedError(f"Failed to {verb}", reason)


@dataclass(frozen=True, slots=True)
class Wish:
    """A channel by the name that it goes by, and the products meant; none mean all, and only when leaving it."""

    channel: str
    products: tuple[str, ...]


def read_wishes(verb: Verb, message: Mapping[str, Any], known: Collection[str]) -> list[Wish]:
    """The channels of a message, each with the products at its root and its own. Raises FeedError."""
    channels = message.get("channels")
    if not isinstance(channels, list) or not channels:
        raise failure(verb, "No channels provided")
    root = _products(verb, message.get("product_ids"), known)
    wishes = []
    for channel in channels:
        fields = channel if isinstance(channel, dict) else {"name": channel}
        name = fields.get("name")
        name = ALIASES.get(name, name) if isinstance(name, str) else name
        if not isinstance(name, str) or name not in CHANNELS:
            raise failure(verb, f"{_shown(name)} is not a valid channel")
        products = tuple(dict.fromkeys((*root, *_products(verb, fields.get("product_ids"), known))))
        if name in WITHOUT_PRODUCTS:
            products = ("",)
        elif verb == "subscribe" and not products:
            raise failure(verb, f"You need to specify at least one product ID for channel {name}")
        wishes.append(Wish(name, products))
    return wishes


def _products(verb: Verb, given: object, known: Collection[str]) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise failure(verb, f"{_shown(given)} is not a valid product")
    for product in given:
        if not isinstance(product, str) or product not in known:
            raise failure(verb, f"{_shown(product)} is not a valid product")
    return given


def _shown(name: object) -> str:
    """What somebody sent, as an error may repeat it."""
    return (name if isinstance(name, str) else str(name))[:64]


@dataclass(slots=True)
class Subscriber:
    """One session's subscriptions: channels as they were joined, each product with the user as whom it listens.

    Whoever has joined a product's channel without authenticating stays there unknown until it has left.
    """

    session: int
    channels: dict[str, dict[str, int | None]] = field(default_factory=dict)

    def listing(self) -> dict[str, Any]:
        """The `subscriptions` message."""
        return {
            "type": "subscriptions",
            "channels": [
                {"name": name, "product_ids": [product for product in products if product]}
                for name, products in self.channels.items()
            ],
        }


class Subscriptions:
    """All sessions' subscriptions, found by channel and product."""

    def __init__(self) -> None:
        self._listeners: dict[tuple[str, str], dict[int, int | None]] = {}

    def of(self, channel: str, product: str = "") -> Listeners:
        """Who listens to a product's channel (for a channel without products: to the channel)."""
        return self._listeners.get((channel, product), NOBODY)

    def join(self, subscriber: Subscriber, wishes: list[Wish], user: int | None) -> list[tuple[str, str]]:
        """Subscribe; the channels and products that were not subscribed to before."""
        new = []
        for wish in wishes:
            for product in wish.products:
                joined = subscriber.channels.setdefault(wish.channel, {})
                if product not in joined:
                    joined[product] = user
                    self._listeners.setdefault((wish.channel, product), {})[subscriber.session] = user
                    new.append((wish.channel, product))
        return new

    def leave(self, subscriber: Subscriber, wishes: list[Wish]) -> None:
        """Unsubscribe; what was not subscribed to is left alone."""
        for wish in wishes:
            joined = subscriber.channels.get(wish.channel, {})
            for product in wish.products or tuple(joined):
                if product in joined:
                    del joined[product]
                    self._remove(wish.channel, product, subscriber.session)
            if not joined:
                subscriber.channels.pop(wish.channel, None)

    def forget(self, subscriber: Subscriber) -> None:
        """A session has ended."""
        for channel, products in subscriber.channels.items():
            for product in products:
                self._remove(channel, product, subscriber.session)
        subscriber.channels.clear()

    def _remove(self, channel: str, product: str, session: int) -> None:
        listeners = self._listeners[channel, product]
        del listeners[session]
        if not listeners:
            del self._listeners[channel, product]
