"""Coinbase's language: subscriptions answered by all that is subscribed to, errors that name no call. Pure.

Source: protocol page, "subscribe", "Errors", "Authentication" and "Channels".
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from ..core.dialect import Dialect, Examined, Message, Subscription, Unnamed, Watching
from ..errors import (
    CommandError,
    InvalidRequest,
    NotAuthorized,
    TransportError,
    WrongCredentials,
    WSClientError,
)
from .channels import OF_PRODUCTS, WITHOUT_PRODUCTS, Key, keys, request, satisfies, wishes
from .signing import FIELDS, Token

KINDS: Final = frozenset(("subscribe", "unsubscribe"))
PRIVATE: Final = frozenset(("user",))
"""Channels that nobody gets without credentials."""

_TOO_SLOW: Final = frozenset(("ErrSlowConsume", "ErrSlowRead"))
_BATCH: Final = 200  # channels of a product that are asked for by one message

_CHANNELS: Final[Mapping[str, tuple[str, ...]]] = {
    "heartbeat": ("heartbeat",),
    "status": ("status",),
    "ticker": ("ticker", "ticker_batch"),
    "snapshot": ("level2", "level2_batch"),
    "l2update": ("level2", "level2_batch"),
    "last_match": ("matches",),
    "match": ("matches", "full", "user"),
    "auction": ("auctionfeed",),
    "rfq_match": ("rfq_matches",),
    **dict.fromkeys(("received", "open", "change", "done", "activate"), ("full", "user")),
}
"""The channels that a type of message comes on."""


class Coinbase(Dialect):
    """How the core asks Coinbase, and reads its answers. A watch is known by its `Key`.

    strict: whether a request has to be a subscribe or unsubscribe message
    """

    reply_mark = '"subscriptions"'
    alarm_mark = '"error"'

    def __init__(self, *, strict: bool = True) -> None:
        self._strict = strict

    def examine(self, request: Message) -> Examined:
        kind = request.get("type")
        if kind not in KINDS and self._strict:
            raise InvalidRequest(f"a message's type is 'subscribe' or 'unsubscribe', not {kind!r:.50}")
        if kind not in KINDS:
            return Examined(private=False, tag=None, late=True)
        asked = wishes(request)
        for channel, products in asked:
            if kind == "subscribe" and not products and channel in OF_PRODUCTS:
                raise InvalidRequest(f"subscribing to {channel} takes product_ids")
        keyed = kind == "subscribe" and "signature" not in request and any(c in PRIVATE for c, _ in asked)
        return Examined(private=False, tag=None, watching=True, late=True, keyed=keyed)

    def signed(self, request: Message, credentials: Any) -> Message:
        if credentials is None or request.get("type") != "subscribe" or "signature" in request:
            return request
        assert isinstance(credentials, Token)
        return {**request, **credentials()}

    def tagged(self, request: Message, tag: int) -> Message:
        return dict(request)  # nothing on the wire tells calls apart; see `answers`

    def read(self, message: Message) -> Unnamed | None:
        kind = message.get("type")
        if kind == "subscriptions":
            return Unnamed(ok=True)
        if kind == "error":
            return Unnamed(ok=False, stray=_too_slow(message))
        return None

    def answers(self, message: Message, request: Message) -> bool:
        return satisfies(message, request)

    def alarm(self, message: Message) -> WSClientError | None:
        told = _told(message)
        if _too_slow(message):
            return TransportError(f"the feed is about to drop this client, which reads too slowly: {told}")
        return CommandError(None, told, {})

    def news_of(self, message: Message) -> Hashable | None:
        kind = message.get("type")
        if kind == "ticker" or kind == "heartbeat" or kind == "status":
            return (kind, message.get("product_id"))
        return None

    def watching(self, request: Message) -> Watching:
        asked = wishes(request)
        if request["type"] == "subscribe":
            return Watching(begins=keys(asked))
        entirely = {channel for channel, products in asked if not products}
        ends = [key for key in keys(asked) if key.channel not in entirely]
        return Watching(ends=ends, leaves=lambda key: isinstance(key, Key) and key.channel in entirely)

    def watched(self, message: Message) -> Sequence[Hashable]:
        product = message.get("product_id") or ""
        kind = message.get("type")
        channels = _CHANNELS.get(kind, ()) if isinstance(kind, str) and isinstance(product, str) else ()
        return [Key(channel, "" if channel in WITHOUT_PRODUCTS else product) for channel in channels]

    def subscriptions(self, keys: Sequence[Any]) -> list[Subscription]:
        batches = [keys[at : at + _BATCH] for at in range(0, len(keys), _BATCH)]
        return [Subscription(request("subscribe", batch), batch) for batch in batches]

    def unsubscriptions(self, keys: Sequence[Any]) -> list[Message]:
        return [request("unsubscribe", keys)] if keys else []

    def refusal(self, message: Message, request: Message) -> CommandError:
        told = _told(message)
        public = {name: value for name, value in request.items() if name not in FIELDS}
        kind: type[CommandError] = CommandError
        if told.lower().startswith("authentication failed"):
            kind = WrongCredentials
        elif "authentication" in told.lower():
            kind = NotAuthorized
        return kind(None, told, public)


def _too_slow(message: Message) -> bool:
    told = message.get("message")
    return isinstance(told, str) and told in _TOO_SLOW


def _told(message: Message) -> str:
    parts = (message.get("message"), message.get("reason"))
    return ": ".join(part for part in parts if isinstance(part, str)) or "no reason given"
