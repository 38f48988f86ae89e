"""CoinFLEX's login signature: ECDSA on secp224k1.

private key: SHA-224(user_id as 8 bytes big-endian + UTF-8 passphrase), read as a 224-bit big-endian integer
message: user_id (8 bytes) + server nonce (16) + client nonce (16); its SHA-224 digest is signed

Source: the protocol page, "Welcome and authentication"; curve: SEC 2, section 2.6.1.
"""

import base64
import hashlib
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidRequest
from . import curve

if TYPE_CHECKING:
    from ecdsa.ecdsa import Private_key

MAX_USER_ID: Final = 2**64 - 1


class Credentials:
    """Who logs in. The passphrase is turned into a key at once and not kept.

    user_id: the account's number
    cookie: the account's API key, base64 as the exchange gave it
    """

    __slots__ = ("_key", "_signer", "cookie", "user_id")

    def __init__(self, user_id: int, cookie: str, passphrase: str) -> None:
        if isinstance(user_id, bool) or not isinstance(user_id, int):
            raise InvalidRequest(f"user_id is an int, not {type(user_id).__name__}")
        if not 0 <= user_id <= MAX_USER_ID:
            raise InvalidRequest("user_id must fit 64 bits")
        for name, value in (("cookie", cookie), ("passphrase", passphrase)):
            if not isinstance(value, str):
                raise InvalidRequest(f"{name} is a str, not {type(value).__name__}")
        if not cookie:
            raise InvalidRequest("the cookie is empty")
        self.user_id = user_id
        self.cookie = cookie
        self._key = private_key(user_id, passphrase)
        self._signer: Private_key | None = None

    def sign(self, server_nonce: bytes, client_nonce: bytes) -> tuple[int, int]:
        """The signature (r, s) over both nonces, each number below 2**224."""
        if self._signer is None:
            self._signer = signer(self._key)
        return sign(self._signer, login_digest(self.user_id, server_nonce, client_nonce))

    def __repr__(self) -> str:
        return f"Credentials(user_id={self.user_id}, …)"

    def __reduce__(self) -> Any:
        raise TypeError("credentials can't be pickled: they hold a private key")


def private_key(user_id: int, passphrase: str) -> int:
    """The account's private key, 224 bits."""
    try:
        text = passphrase.encode()
    except UnicodeEncodeError:  # it would carry the passphrase along
        raise InvalidRequest("the passphrase can't be written as UTF-8") from None
    secret = user_id.to_bytes(8, "big") + text
    return int.from_bytes(hashlib.sha224(secret).digest(), "big")


def login_digest(user_id: int, server_nonce: bytes, client_nonce: bytes) -> bytes:
    """What a login signs: 28 bytes."""
    return hashlib.sha224(user_id.to_bytes(8, "big") + server_nonce + client_nonce).digest()


def signer(key: int) -> "Private_key":
    """The private key as `ecdsa` takes it, which is imported here: who never logs in needn't wait for it."""
    from ecdsa.ecdsa import Private_key, Public_key

    generator = _generator()
    # Signing takes nothing of the public key but the curve; computing its point would cost as much as a signature.
    return Private_key(Public_key(generator, generator, verify=False), key)


def sign(key: "Private_key", digest: bytes) -> tuple[int, int]:
    """Signs a digest; a number of more than 28 bytes can't be sent, so that it is signed again then."""
    limit = 1 << (8 * curve.NUMBER_BYTES)
    while True:
        # a nonce of our own: it must be uniform over the whole order, and secret
        signature = key.sign(int.from_bytes(digest, "big"), 1 + secrets.randbelow(curve.N - 1))
        if signature.r < limit and signature.s < limit:
            return int(signature.r), int(signature.s)


def encoded(number: int) -> str:
    """A signature's number as the wire has it: base64 of exactly 28 bytes, big-endian."""
    return base64.b64encode(number.to_bytes(curve.NUMBER_BYTES, "big")).decode()


@lru_cache(maxsize=1)
def _generator() -> Any:
    """The curve's generator."""
    from ecdsa.ellipticcurve import CurveFp, PointJacobi

    field = CurveFp(curve.P, curve.A, curve.B, 1)
    # Jacobi coordinates, and a table made once for the generator: plain points are many times slower
    return PointJacobi(field, curve.GX, curve.GY, 1, curve.N, generator=True)
