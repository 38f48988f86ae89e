"""API keys: what a user signs with, and how the exchange finds out that it did.

The signed text is every parameter but the signature, sorted by name, as `name=value` joined by `&`. HMAC keys give
a hexadecimal HMAC-SHA256 of it, the two private kinds a base64 signature that the public key verifies. Those two
need the `cryptography` package (the extra `binance`), imported when the first of them is used.

Source: protocol page, section "WebSocket API (request and reply)", paragraph "Signing".
"""

import base64
import binascii
import hashlib
import hmac
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

RSA_BITS: Final = 2048
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
KEY_LENGTH: Final = 64

Kind: TypeAlias = Literal["hmac", "ed25519", "rsa"]


def signed_text(params: Mapping[str, object]) -> bytes:
    """What is signed of a request's parameters."""
    return "&".join(f"{name}={_written(params[name])}" for name in sorted(params) if name != "signature").encode(
        "utf-8", "surrogatepass"
    )


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Key(Protocol):
    """One API key, as the exchange sees it."""

    @property
    def kind(self) -> Kind:
        """How it signs."""

    @property
    def api_key(self) -> str:
        """Its public name."""

    def verifies(self, signature: str, text: bytes) -> bool:
        """Whether `signature` is this key's for `text`; whatever it is, never an exception."""


@dataclass(frozen=True, slots=True)
class HmacKey:
    """A key with a shared secret."""

    api_key: str
    api_secret: str = field(repr=False)

    @property
    def kind(self) -> Kind:
        """How it signs."""
        return "hmac"

    def verifies(self, signature: str, text: bytes) -> bool:
        """Compare; upper and lower case are the same here."""
        expected = hmac.new(self.api_secret.encode(), text, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), signature.lower().encode("utf-8", "replace"))


class Ed25519Key:
    """A key whose private half comes from the seed."""

    kind: Final[Kind] = "ed25519"

    def __init__(self, api_key: str, secret: bytes) -> None:
        self.api_key: Final = api_key
        self._secret = secret

    def __repr__(self) -> str:
        return f"Ed25519Key(api_key={self.api_key!r})"

    def _key(self) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._secret)

    @property
    def private_key(self) -> str:
        """The private key in PEM (PKCS #8, not encrypted)."""
        return _pem(self._key())

    def verifies(self, signature: str, text: bytes) -> bool:
        """Ask the public key."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key().public_key().verify(_decoded(signature), text)
        except (InvalidSignature, ValueError):
            return False
        return True


class RsaKey:
    """A key whose private half is made when it is first looked at: nobody's RSA keys come from a seed."""

    kind: Final[Kind] = "rsa"

    def __init__(self, api_key: str) -> None:
        self.api_key: Final = api_key
        self._lock = threading.Lock()
        self._made: RSAPrivateKey | None = None

    def __repr__(self) -> str:
        return f"RsaKey(api_key={self.api_key!r})"

    def _key(self) -> "RSAPrivateKey":
        from cryptography.hazmat.primitives.asymmetric import rsa

        with self._lock:
            if self._made is None:
                self._made = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
            return self._made

    @property
    def private_key(self) -> str:
        """The private key in PEM (PKCS #8, not encrypted)."""
        return _pem(self._key())

    def verifies(self, signature: str, text: bytes) -> bool:
        """Ask the public key: PKCS #1 v1.5 with SHA-256."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        try:
            self._key().public_key().verify(_decoded(signature), text, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Keys:
    """The three API keys of one user."""

    hmac: HmacKey
    ed25519: Ed25519Key
    rsa: RsaKey

    @property
    def all(self) -> tuple[Key, ...]:
        """Each of them."""
        return self.hmac, self.ed25519, self.rsa


def keys_of(user: int, secret: str) -> Keys:
    """The keys of a user, from a secret of the user's: the same ones every time, but for the RSA key's halves."""

    def derive(purpose: str, size: int) -> bytes:
        return hashlib.shake_256(f"wsclient sandbox binance {purpose} {user} {secret}".encode()).digest(size)

    def name(purpose: str) -> str:
        return "".join(_ALPHABET[octet % len(_ALPHABET)] for octet in derive(purpose, KEY_LENGTH))

    return Keys(
        HmacKey(name("hmac key"), name("hmac secret")),
        Ed25519Key(name("ed25519 key"), derive("ed25519 secret", 32)),
        RsaKey(name("rsa key")),
    )


def _pem(key: "Ed25519PrivateKey | RSAPrivateKey") -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except binascii.Error as error:
        raise ValueError("this is no base64") from error
