"""Keys: what is signed, and that nothing shows a secret."""

import base64
import hashlib
import hmac
import pickle
import sys

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from wsclient.binance.signing import Credentials, credentials, payload
from wsclient.errors import InvalidRequest

PARAMS = {"symbol": "BTCUSDT", "apiKey": "name", "timestamp": 1660801715830, "omit": True, "note": "é"}
SIGNED = "apiKey=name&note=é&omit=true&symbol=BTCUSDT&timestamp=1660801715830".encode()


def pem(key: "ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey", password: bytes | None = None) -> bytes:
    guard = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, guard)


def made(*args: object) -> Credentials:
    known = credentials(*args, *(None,) * (4 - len(args)))  # type: ignore[arg-type]
    assert known is not None
    return known


def test_all_parameters_are_signed_sorted_by_name_in_utf8() -> None:
    assert payload(PARAMS) == SIGNED


def test_an_hmac_key_signs_as_the_exchanges_documentation_shows() -> None:
    """The example of a signed order.place that Binance's own documentation gives."""
    known = made(
        "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
        "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
    )
    order = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "newOrderRespType": "ACK",
        "recvWindow": 100,
        "timestamp": 1645423376532,
        "apiKey": known.api_key,
    }
    assert known.sign(order) == "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"
    assert not known.logs_on


def test_an_hmac_signature_is_that_of_the_standard_library() -> None:
    assert made("name", "secret").sign(PARAMS) == hmac.new(b"secret", SIGNED, hashlib.sha256).hexdigest()


def test_an_ed25519_key_signs_and_can_log_a_session_on() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    known = made("name", None, pem(key).decode())
    key.public_key().verify(base64.b64decode(known.sign(PARAMS)), SIGNED)
    assert known.logs_on


def test_an_rsa_key_signs_also_when_a_password_guards_it() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    known = made("name", None, pem(key, b"word"), "word")
    signature = base64.b64decode(known.sign(PARAMS))
    key.public_key().verify(signature, SIGNED, padding.PKCS1v15(), hashes.SHA256())
    assert not known.logs_on


@pytest.mark.parametrize(
    "args",
    [
        (None, "secret", None, None),
        ("name", None, None, None),
        ("name", "secret", "key", None),
        ("", "secret", None, None),
        ("name", "", None, None),
        ("name", b"secret", None, None),
        (7, "secret", None, None),
        ("name", None, "SECRET-TEXT that is no PEM", None),
        ("name", None, 7, None),
        ("name", None, "key", 7),
    ],
)
def test_what_is_no_key_is_refused_without_being_quoted(args: tuple[object, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        credentials(*args)  # type: ignore[arg-type]
    assert "SECRET-TEXT" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_client_without_a_key_needs_none() -> None:
    assert credentials(None, None, None, None) is None


def test_neither_repr_nor_pickle_gives_a_secret_away() -> None:
    known = made("api-key-name", "secret")
    assert "secret" not in repr(known)
    with pytest.raises(TypeError):
        pickle.dumps(known)


def test_without_cryptography_a_private_key_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
    with pytest.raises(InvalidRequest, match="binance"):
        credentials("name", None, "key", None)
