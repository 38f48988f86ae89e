"""What subscribe and unsubscribe messages ask for, and what a `subscriptions` message shows. Pure.

Source: protocol page, "subscribe", "Names may come back under an alias" and "Channels".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ..core.dialect import Message
from ..errors import InvalidRequest

WITHOUT_PRODUCTS: Final = frozenset(("status", "rfq_matches"))
"""Channels that aren't of any product."""

OF_PRODUCTS: Final = frozenset(
    ("heartbeat", "ticker", "ticker_batch", "level2", "level2_batch", "matches", "full", "auctionfeed")
)
"""Channels that can't be subscribed to without products. What isn't known here, the exchange is asked about."""

COUNTED: Final = frozenset(("received", "open", "match", "change", "done"))
"""The messages of the full channel: each is one number in its product's sequence."""

Channel = str | Mapping[str, Any]
"""A channel by its name, or with products of its own: {"name": …, "product_ids": […]}."""

_BATCHED: Final = re.compile(r"(.+)_(?:batch|\d+)")


class Wish(NamedTuple):
    """A channel by its canonical name, and the products meant; without products all of it."""

    channel: str
    products: tuple[str, ...]


class Key(NamedTuple):
    """One thing to be subscribed to; the product is empty for a channel without products."""

    channel: str
    product: str

    def __str__(self) -> str:
        return f"{self.channel} of {self.product}" if self.product else self.channel


def canonical(name: str) -> str:
    """One name for a channel and its aliases: `level2_50` is `level2_batch`, `ticker_1000` is `ticker_batch`.

    Any number counts as an alias of "batch", since it is the server's choice.
    """
    batched = _BATCHED.fullmatch(name)
    return name if batched is None else f"{batched[1]}_batch"


def wishes(request: Message) -> list[Wish]:
    """What a subscribe or unsubscribe message asks for: root products apply to each channel, besides its own.

    Raises `InvalidRequest` for what isn't one.
    """
    channels = request.get("channels")
    if isinstance(channels, str) or not isinstance(channels, Sequence) or not channels:
        raise InvalidRequest(f"channels is a list of at least one channel, not {channels!r:.50}")
    root = _products(request.get("product_ids"))
    asked: dict[str, tuple[str, ...]] = {}
    for channel in channels:
        own: tuple[str, ...] = ()
        name = channel
        if isinstance(channel, Mapping):
            name, own = channel.get("name"), _products(channel.get("product_ids"))
        if not isinstance(name, str) or not name:
            raise InvalidRequest(f"a channel is a name, or a dict with a name, not {channel!r:.50}")
        name = canonical(name)
        products = () if name in WITHOUT_PRODUCTS else (*root, *own)
        asked[name] = tuple(dict.fromkeys((*asked.get(name, ()), *products)))
    return [Wish(name, products) for name, products in asked.items()]


def _products(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InvalidRequest(f"product_ids is a list of product ids, not {given!r:.50}")
    for product in given:
        if not isinstance(product, str) or not product:
            raise InvalidRequest(f"a product id is a str such as 'BTC-USD', not {product!r:.50}")
    return tuple(given)


def keys(wished: Iterable[Wish]) -> list[Key]:
    """Each channel of each product."""
    return [Key(channel, product) for channel, products in wished for product in (products or ("",))]


def shown(message: Message) -> dict[str, frozenset[str]]:
    """What a `subscriptions` message lists, by canonical channel. What can't be read isn't listed."""
    listed: dict[str, frozenset[str]] = {}
    channels = message.get("channels")
    for channel in channels if isinstance(channels, list) else ():
        fields = channel if isinstance(channel, dict) else {"name": channel}
        name, products = fields.get("name"), fields.get("product_ids")
        if isinstance(name, str):
            found = (one for one in (products if isinstance(products, list) else ()) if isinstance(one, str))
            listed[canonical(name)] = listed.get(canonical(name), frozenset()) | frozenset(found)
    return listed


def satisfies(message: Message, request: Message) -> bool:
    """Whether a `subscriptions` message shows what a request has asked for."""
    listed = shown(message)
    try:
        asked = wishes(request)
    except InvalidRequest:
        return True  # nothing of ours: whatever comes is its answer
    if request.get("type") == "subscribe":
        return all(name in listed and listed[name].issuperset(products) for name, products in asked)
    return all(_left(listed.get(name), name, products) for name, products in asked)


def _left(listed: frozenset[str] | None, name: str, products: tuple[str, ...]) -> bool:
    if listed is None:
        return True
    if products:
        return listed.isdisjoint(products)
    return not listed and name not in WITHOUT_PRODUCTS


def request(kind: str, asked: Iterable[Key]) -> Message:
    """One message that subscribes to all of these, or unsubscribes from them."""
    products: dict[str, list[str]] = {}
    for channel, product in asked:
        of_channel = products.setdefault(channel, [])
        if product:
            of_channel.append(product)
    channels: list[Any] = [
        {"name": name, "product_ids": listed} if listed else name for name, listed in products.items()
    ]
    return {"type": kind, "channels": channels}


def get_default_message() -> Message:
    """The message that a socket may begin with: the ticker of BTC-USD."""
    return {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["ticker"]}


def get_message(value: Message | None = None) -> Message:
    """The given message, or the default one."""
    return value if value else get_default_message()
