"""Coinbase keys: what a user signs with, and how the exchange checks it, with no code of the client's.

Source: protocol page, "Authentication": base64( HMAC-SHA256( base64-decoded secret, timestamp + "GET" +
"/users/self/verify" ) ).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SIGNED_PATH: Final = "GET/users/self/verify"
FIELDS: Final = frozenset({"key", "passphrase", "signature", "timestamp"})
"""The fields of a subscribe message that authenticate it: the ledger keeps none of them."""


@dataclass(frozen=True, slots=True)
class CoinbaseKey:
    """One user's API key: `key`, the `secret` in base64, and the `passphrase` chosen with it."""

    key: str
    secret: str = field(repr=False)
    passphrase: str = field(repr=False)


class BadLogin(Exception):
    """A subscribe message that authenticates wrongly; its text is the reason that the feed gives."""


def derive_key(user_id: int, passphrase: str) -> CoinbaseKey:
    """The key of a sandbox's user: it follows from the account's own secret, and so from the seed."""

    def draw(purpose: str) -> bytes:
        return hashlib.sha512(f"wsclient sandbox coinbase {purpose} {user_id} {passphrase}".encode()).digest()

    return CoinbaseKey(
        key=draw("key").hex()[:32],
        secret=base64.b64encode(draw("secret")).decode(),
        passphrase=draw("passphrase").hex()[:12],
    )


class Keyring:
    """The keys of all users. `tolerance` is how many seconds a timestamp may differ from the exchange's clock."""

    def __init__(self, keys: Mapping[int, CoinbaseKey], *, tolerance: float) -> None:
        self._keys = {key.key: (user, key) for user, key in keys.items()}
        self._tolerance = tolerance

    def check(self, message: Mapping[str, Any], now: int) -> int | None:
        """Who signed a message at `now` (microseconds); None if it isn't signed at all. Raises BadLogin."""
        if not any(message.get(name) for name in FIELDS):
            return None
        texts = {name: message.get(name) for name in FIELDS}
        user, key = self._keys.get(str(texts["key"]), (None, None))
        if user is None or key is None:
            raise BadLogin("Invalid API Key")
        stamp = texts["timestamp"]
        stamp = str(stamp) if isinstance(stamp, str | int | float) and not isinstance(stamp, bool) else ""
        try:
            age = abs(float(stamp) - now / 1_000_000)
        except ValueError:
            raise BadLogin("invalid timestamp") from None
        if not age <= self._tolerance:  # that is not a number, either
            raise BadLogin("request timestamp expired")
        secret = base64.b64decode(key.secret)
        expected = hmac.new(secret, (stamp + SIGNED_PATH).encode("utf-8", "replace"), hashlib.sha256).digest()
        if not hmac.compare_digest(_decoded(texts["signature"]), expected):
            raise BadLogin("invalid signature")
        given = texts["passphrase"]
        if not isinstance(given, str) or not hmac.compare_digest(
            given.encode("utf-8", "replace"), key.passphrase.encode()
        ):
            raise BadLogin("Invalid Passphrase")
        return user


def _decoded(signature: object) -> bytes:
    try:
        return base64.b64decode(str(signature).encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return b""
