"""CoinFLEX's language: tags, error codes, the Welcome and the login, watches and tonces. Pure.

Source: the protocol page.
"""

import base64
import binascii
import secrets
from collections.abc import Generator, Hashable, Mapping, Sequence
from typing import Any, Final

from ..core.dialect import (
    Answer,
    Dialect,
    Examined,
    Greeting,
    Message,
    Outcome,
    Subscription,
    Watching,
    tag_of,
)
from ..errors import (
    BadRequest,
    CommandError,
    Conflict,
    InsufficientFunds,
    InvalidRequest,
    NotAuthorized,
    NotFound,
    ProtocolError,
    RateLimited,
    TonceOutOfSequence,
    TooManyOrders,
    WouldMatch,
)
from .assets import Assets
from .curve import NONCE_BYTES
from .limits import COSTS
from .signing import Credentials, encoded
from .tonces import AUTO, Again, Rule, Tonces, can_settle, settle

_PUBLIC: Final = Examined(private=False, tag=None)
_PRIVATE: Final = Examined(private=True, tag=None)
WATCHES: Final = frozenset(("WatchOrders", "WatchTicker"))
PUBLIC: Final = WATCHES | {"EstimateMarketOrder"}

BALANCES: Final = ("GetBalances",)
"""The watch of the account's balances, whose notices come to whoever is logged in."""

OWN_ORDERS: Final = ("GetOrders",)
"""The watch of the account's orders, whose notices come likewise."""


def orders_of(base: int, counter: int) -> Hashable:
    """The watch of a market's order book."""
    return ("WatchOrders", base, counter)


ERRORS: Final[dict[int, type[CommandError]]] = {
    1: NotFound,
    2: Conflict,
    3: TonceOutOfSequence,
    4: InsufficientFunds,
    5: TooManyOrders,
    6: RateLimited,
    7: NotAuthorized,
    8: BadRequest,
    9: WouldMatch,
}


class CoinFLEX(Dialect):
    """How the core asks CoinFLEX, and reads its answers.

    A watch is known by the method that begins it, the base and the counter.

    tonces: which of the two rules the exchange has, see `settle`
    """

    reply_mark = '"tag"'
    greeting_mark = '"Welcome"'
    notice_mark = '"notice"'

    def __init__(self, tonces: Rule = "increasing", numbers: Tonces | None = None) -> None:
        self._rule = tonces
        self._tonces = Tonces() if numbers is None else numbers

    def examine(self, request: Message) -> Examined:
        method = request.get("method")
        if not isinstance(method, str):
            raise InvalidRequest("a message needs its method, a str")
        if method == "Authenticate":
            raise InvalidRequest("the client logs in by itself: set_auth_data(), then any private call")
        tag = request.get("tag")
        tag = None if tag is None else _checked(tag)
        late = (method == "PlaceOrder" and "tonce" in request) or method == "CancelAllOrders"
        if tag is None and not late and method not in WATCHES:
            return _PUBLIC if method in PUBLIC else _PRIVATE  # the usual case, made once
        return Examined(method not in PUBLIC, tag, method in WATCHES, late)

    def completed(self, request: Message, credentials: Any) -> Message:
        if request["method"] == "CancelAllOrders":
            self._tonces.reset()
            return request
        tonce = request["tonce"]
        if tonce is AUTO:
            return {**request, "tonce": self._tonces.next()}
        if type(tonce) is Again:
            self._tonces.seen(tonce)
            return {**request, "tonce": int(tonce)}
        if type(tonce) is int:
            self._tonces.seen(tonce)
        return request

    def unanswered(self, request: Message) -> None:
        if request["method"] == "CancelAllOrders":
            self._tonces.doubt()

    def account(self, credentials: Any) -> Hashable:
        return None if credentials is None else credentials.user_id

    def tagged(self, request: Message, tag: int) -> Message:
        return {**request, "tag": tag}

    def read(self, message: Message) -> Answer | Greeting | None:
        if "notice" in message:
            if message["notice"] == "Welcome":
                return Greeting(_nonce(message.get("nonce")))
            return None
        tag = tag_of(message, "tag")
        if tag is None:
            return None
        code = message.get("error_code")
        return Answer(tag, type(code) is int and code == 0)

    def costs(self, request: Message) -> Mapping[str, int] | None:
        return COSTS.get(request["method"])

    def news_of(self, message: Message) -> Hashable | None:
        kind = message.get("notice")
        if kind == "TickerChanged":
            # it has only what changed, and so is superseded only by one that has the same
            return (kind, message.get("base"), message.get("counter"), frozenset(message))
        if kind in ("BalanceChanged", "TradeVolumeChanged"):
            return (kind, message.get("asset"))
        return None  # each notice of an order changes the book

    def watching(self, request: Message) -> Watching:
        market = _market(request)
        if market is None:
            raise InvalidRequest(f"base and counter are codes, not {request.get('base')!r:.50}")
        keys = [(request["method"], *market)]
        return Watching(begins=keys) if request.get("watch") else Watching(ends=keys)

    def watched(self, message: Message) -> Sequence[Hashable]:
        kind = message.get("notice")
        if kind is None:
            return ()
        if type(kind) is not str:
            raise ProtocolError(f"a notice whose kind is no text: {kind!r:.50}")
        if kind == "BalanceChanged":
            return (BALANCES,)
        if kind in _OF_ORDERS:
            book = ("WatchOrders", *_told_market(message))  # see `orders_of`
            return (book,) if _OWNERS.isdisjoint(message) else (book, OWN_ORDERS)
        if kind == "TickerChanged":
            return (("WatchTicker", *_told_market(message)),)
        return ()

    def subscriptions(self, keys: Sequence[Any]) -> list[Subscription]:
        return [Subscription(_watch(key, True), [key]) for key in keys]

    def unsubscriptions(self, keys: Sequence[Any]) -> list[Message]:
        return [_watch(key, False) for key in keys if key not in _ACCOUNTS]

    def watch_title(self, key: Any) -> str:
        if key in _ACCOUNTS:
            return "the account's balances" if key == BALANCES else "the account's orders"
        names = {code: name for name, code in Assets.items()}
        method, base, counter = key
        return f"{method} {names.get(base, base)}/{names.get(counter, counter)}"

    def watches_already(self, refused: CommandError) -> bool:
        return isinstance(refused, Conflict)

    def can_settle(self, request: Message) -> bool:
        return can_settle(request)

    def settle(self, requests: Sequence[Message]) -> Generator[Message, Outcome, list[Outcome]]:
        return settle(requests, self._rule, self._tonces)

    def refusal(self, message: Message, request: Message) -> CommandError:
        code = message.get("error_code")
        kind = ERRORS.get(code, CommandError) if type(code) is int else CommandError
        return kind(code, str(message.get("error_msg", "no reason given")), request)

    def login(self, credentials: Any, greeting: Greeting | None) -> Message:
        assert isinstance(credentials, Credentials)
        assert greeting is not None
        nonce = secrets.token_bytes(NONCE_BYTES)
        signature = credentials.sign(greeting.challenge, nonce)
        return {
            "method": "Authenticate",
            "user_id": credentials.user_id,
            "cookie": credentials.cookie,
            "nonce": base64.b64encode(nonce).decode(),
            "signature": [encoded(number) for number in signature],
        }


_ACCOUNTS: Final = frozenset((BALANCES, OWN_ORDERS))
_OF_ORDERS: Final = frozenset(("OrderOpened", "OrderModified", "OrdersMatched", "OrderClosed"))
_OWNERS: Final = frozenset(("tonce", "bid_tonce", "ask_tonce"))  # the fields that only an order's owner is told


def _market(message: Message) -> tuple[Hashable, Hashable] | None:
    """The base and the counter, whatever they are; None where they can't be a part of a watch's key."""
    market = message.get("base"), message.get("counter")
    try:
        hash(market)
    except TypeError:
        return None
    return market


def _told_market(notice: Message) -> tuple[Hashable, Hashable]:
    market = _market(notice)
    if market is None:
        raise ProtocolError(f"{notice['notice']} of no market: {notice.get('base')!r:.50}")
    return market


def _watch(key: Sequence[Any], watch: bool) -> Message:
    if key in _ACCOUNTS:
        return {"method": key[0]}
    method, base, counter = key
    return {"method": method, "base": base, "counter": counter, "watch": watch}


def _nonce(text: Any) -> bytes:
    try:
        nonce = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ProtocolError("a Welcome without a nonce in base64") from None
    if len(nonce) != NONCE_BYTES:
        raise ProtocolError(f"a Welcome whose nonce has {len(nonce)} bytes, not {NONCE_BYTES}")
    return nonce


def _checked(tag: Any) -> int:
    if isinstance(tag, bool) or not isinstance(tag, int):
        raise InvalidRequest(f"a tag is an int, not {type(tag).__name__}")
    if tag == 0:
        raise InvalidRequest("the tag 0 isn't echoed, so that its reply could never be found")
    if not -(2**63) <= tag < 2**63:
        raise InvalidRequest("a tag must fit 64 bits")
    return tag
