"""API keys: what signs a request.

All parameters but the signature, sorted by name and joined as `name=value&name=value` in UTF-8, are signed: with
HMAC-SHA256 (hexadecimal), Ed25519, or RSA with PKCS #1 v1.5 and SHA-256 (both base64). The last two need the
`cryptography` package, the extra `wsclient[binance]`, which is imported only for them.

Source: the protocol page, "WebSocket API (request and reply)", the paragraph "Signing".
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidRequest
from ..extras import how_to_install


class Credentials:
    """An API key, and what signs with it.

    logs_on: whether a session can log on with it, so that requests need no signature (Ed25519)
    """

    __slots__ = ("_sign", "account", "api_key", "logs_on")

    def __init__(self, api_key: str, sign: Callable[[bytes], str], *, logs_on: bool = False) -> None:
        self.api_key = api_key
        self.account = hashlib.sha256(api_key.encode()).hexdigest()  # kept with errors, which may travel
        self.logs_on = logs_on
        self._sign = sign

    def sign(self, params: Mapping[str, Any]) -> str:
        """The signature of these parameters."""
        return self._sign(payload(params))

    def __repr__(self) -> str:
        return "Credentials(…)"

    def __reduce__(self) -> Any:
        raise TypeError("credentials can't be pickled: they hold a secret")


def payload(params: Mapping[str, Any]) -> bytes:
    """What is signed of these parameters."""
    return "&".join(
        [
            f"{name}={value if value.__class__ is not bool else _flag(value)}"
            for name, value in sorted(params.items())
        ]
    ).encode()


def _flag(value: Any) -> str:
    """A flag as it is signed: like JSON's."""
    return "true" if value else "false"


def credentials(
    api_key: str | None,
    api_secret: str | None,
    private_key: str | bytes | None,
    private_key_pass: str | bytes | None,
) -> Credentials | None:
    """What a client was given; None for a client without a key. Raises `InvalidRequest` for what is no key."""
    if api_key is None:
        if api_secret is not None or private_key is not None:
            raise InvalidRequest("a secret or private key needs its api_key")
        return None
    if not isinstance(api_key, str) or not api_key or not api_key.isascii():
        raise InvalidRequest("api_key is a str as the exchange gave it")
    if (api_secret is None) == (private_key is None):
        raise InvalidRequest("an api_key goes with its api_secret, or with a private_key")
    if private_key is not None:
        return _private(api_key, private_key, private_key_pass)
    if not isinstance(api_secret, str) or not api_secret or not api_secret.isascii():
        raise InvalidRequest("api_secret is a str as the exchange gave it")
    begun = hmac.new(api_secret.encode(), digestmod="sha256")

    def sign(text: bytes) -> str:
        # a copy, since `hmac.digest` would let go of the interpreter's lock, in the middle of sending
        signature = begun.copy()
        signature.update(text)
        return signature.hexdigest()

    return Credentials(api_key, sign)


def _private(api_key: str, pem: str | bytes, password: str | bytes | None) -> Credentials:
    if not isinstance(pem, str | bytes) or not isinstance(password, str | bytes | None):
        raise InvalidRequest("private_key is the text of a PEM file, private_key_pass its password")
    try:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise InvalidRequest(
            f"a private_key needs the package cryptography: {how_to_install('binance')}"
        ) from None
    try:
        text = pem.encode() if isinstance(pem, str) else pem
        key = load_pem_private_key(text, password.encode() if isinstance(password, str) else password)
    except Exception:  # whatever it was; its words may quote the key
        raise InvalidRequest("private_key isn't a private key in PEM, or needs another password") from None
    if isinstance(key, Ed25519PrivateKey):
        ed25519 = key
        return Credentials(api_key, lambda text: _base64(ed25519.sign(text)), logs_on=True)
    if isinstance(key, RSAPrivateKey):
        rsa, how, digest = key, padding.PKCS1v15(), hashes.SHA256()
        return Credentials(api_key, lambda text: _base64(rsa.sign(text, how, digest)))
    raise InvalidRequest("private_key is neither an Ed25519 nor an RSA key")


def _base64(signature: bytes) -> str:
    return base64.b64encode(signature).decode()
