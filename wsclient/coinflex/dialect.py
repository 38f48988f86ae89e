"""CoinFLEX's language: tags, error codes, the Welcome and the login. Pure.

Source: the protocol page, "Transport" and "Welcome and authentication".
"""

import base64
import binascii
import secrets
from typing import Any, Final

from ..core.dialect import Answer, Dialect, Greeting, Message
from ..errors import (
    AuthenticationError,
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
from .curve import NONCE_BYTES
from .signing import Credentials, encoded

PUBLIC: Final = frozenset(("EstimateMarketOrder", "WatchOrders", "WatchTicker"))

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
    """How the core asks CoinFLEX, and reads its answers."""

    reply_mark = '"tag"'
    greeting_mark = '"Welcome"'

    def examine(self, request: Message) -> tuple[bool, int | None]:
        if not isinstance(request, dict):
            raise InvalidRequest(f"a message is a dict, not {type(request).__name__}")
        method = request.get("method")
        if not isinstance(method, str):
            raise InvalidRequest("a message needs its method, a str")
        if method == "Authenticate":
            raise InvalidRequest("the client logs in by itself: set_auth_data(), then any private call")
        tag = request.get("tag")
        return method not in PUBLIC, None if tag is None else _checked(tag)

    def tagged(self, request: Message, tag: int) -> Message:
        return {**request, "tag": tag}

    def read(self, message: Message) -> Answer | Greeting | None:
        if "notice" in message:
            if message["notice"] == "Welcome":
                return Greeting(_nonce(message.get("nonce")))
            return None
        tag = message.get("tag")
        if tag is None:
            return None
        if type(tag) is not int:
            raise ProtocolError(f"a reply whose tag is no integer: {tag!r:.50}")
        code = message.get("error_code")
        return Answer(tag, type(code) is int and code == 0)

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

    def login_refused(self, error: CommandError) -> AuthenticationError:
        public = {name: error.request.get(name) for name in ("method", "user_id")}
        refused = AuthenticationError(f"the login was refused: {error.message} (error {error.code})")
        refused.__cause__ = type(error)(error.code, error.message, public)
        return refused


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
