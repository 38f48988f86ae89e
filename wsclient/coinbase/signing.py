"""Coinbase keys, and how subscribe messages are signed with them.

Source: protocol page, "Authentication": base64( HMAC-SHA256( base64-decoded secret, timestamp + "GET" +
"/users/self/verify" ) ), with the timestamp in seconds as text.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any, Final

from ..errors import InvalidRequest

FIELDS: Final = frozenset(("key", "passphrase", "signature", "timestamp"))
"""The fields that authenticate a subscribe message."""

_SIGNED: Final = "GET/users/self/verify"


class Token:
    """An API key, which signs what it is asked to. Calling it gives the fields that authenticate a message.

    key, secret, passphrase: as Coinbase gave them; the secret is base64
    clock: seconds since the Unix epoch; for tests

    Raises `InvalidRequest` for wrong types, and for a secret that isn't base64.
    """

    __slots__ = ("_clock", "_key", "_passphrase", "_secret")

    def __init__(self, key: str, secret: str, passphrase: str, *, clock: Callable[[], float] = time.time) -> None:
        for name, value in (("key", key), ("secret", secret), ("passphrase", passphrase)):
            if not isinstance(value, str):
                raise InvalidRequest(f"{name} is a str, not {type(value).__name__}")
            if not value:
                raise InvalidRequest(f"{name} is empty")
        try:
            self._secret = base64.b64decode(secret, validate=True)
        except (ValueError, binascii.Error):
            raise InvalidRequest("the secret isn't base64") from None
        self._key = key
        self._passphrase = passphrase
        self._clock = clock

    def __call__(self) -> dict[str, str]:
        """The fields that authenticate a message sent now: key, passphrase, timestamp and signature."""
        timestamp = f"{self._clock():.6f}"
        signature = self.signature(timestamp + _SIGNED).decode()
        return {
            "key": self._key,
            "passphrase": self._passphrase,
            "timestamp": timestamp,
            "signature": signature,
        }

    def signature(self, message: str) -> bytes:
        """The message's HMAC-SHA256 under the secret, in base64."""
        return base64.b64encode(hmac.digest(self._secret, message.encode(), hashlib.sha256))

    def __repr__(self) -> str:
        return "<Token>"

    def __reduce__(self) -> Any:
        raise TypeError("a Token holds a secret and can't be pickled")


def token(auth: Any, key: str | None, secret: str | None, passphrase: str | None) -> Token | None:
    """A client's credentials, given as one `Token` or in three parts; None for none.

    Raises `InvalidRequest` for both at once, or for a part of them.
    """
    parts = (key, secret, passphrase)
    if auth is not None:
        if not isinstance(auth, Token):
            raise InvalidRequest(f"auth is a Token, not {type(auth).__name__}")
        if parts != (None, None, None):
            raise InvalidRequest("give either auth or key, secret and passphrase")
        return auth
    if parts == (None, None, None):
        return None
    if key is None or secret is None or passphrase is None:
        raise InvalidRequest("a key needs its secret and its passphrase")
    return Token(key, secret, passphrase)
