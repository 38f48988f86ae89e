"""API keys: what is signed, and which signatures are good."""

import base64

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from wsclient.sandbox.binance_keys import KEY_LENGTH, HmacKey, Key, keys_of, signed_text
from wsclient.sandbox.users import ready_made

# the example that Binance publishes for its signatures
PARAMS = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01000000",
    "price": "52000.00",
    "recvWindow": 100,
    "timestamp": 1645423376532,
    "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
}
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
SIGNATURE = "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
KEYS = keys_of(1001, "a secret")


def test_the_published_example_is_verified() -> None:
    key = HmacKey(str(PARAMS["apiKey"]), SECRET)
    text = signed_text({**PARAMS, "signature": "anything"})
    assert text.startswith(
        b"apiKey=vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A&price=52000.00&"
    )
    assert key.verifies(SIGNATURE, text)
    assert key.verifies(SIGNATURE.upper(), text)
    assert not key.verifies(SIGNATURE, text + b"0")
    assert not key.verifies("0" + SIGNATURE[1:], text)


def test_flags_are_signed_as_json_writes_them() -> None:
    assert signed_text({"b": True, "a": False, "c": 5}) == b"a=false&b=true&c=5"


def test_an_ed25519_key_verifies_what_its_private_half_signed() -> None:
    private = serialization.load_pem_private_key(KEYS.ed25519.private_key.encode(), None)
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    signature = base64.b64encode(private.sign(b"text")).decode()
    assert KEYS.ed25519.verifies(signature, b"text")
    assert not KEYS.ed25519.verifies(signature, b"texts")
    assert not KEYS.ed25519.verifies(signature[::-1], b"text")


def test_an_rsa_key_verifies_what_its_private_half_signed() -> None:
    private = serialization.load_pem_private_key(KEYS.rsa.private_key.encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    signature = base64.b64encode(private.sign(b"text", padding.PKCS1v15(), hashes.SHA256())).decode()
    assert KEYS.rsa.verifies(signature, b"text")
    assert not KEYS.rsa.verifies(signature, b"texts")
    assert KEYS.rsa.private_key == KEYS.rsa.private_key


@pytest.mark.parametrize("key", KEYS.all, ids=lambda key: key.kind)
@pytest.mark.parametrize("signature", ["", "é", "\ud800", "====", "AAAA", "0" * 10_000])
def test_nonsense_is_no_signature(key: Key, signature: str) -> None:
    assert not key.verifies(signature, b"text")


def test_keys_come_from_the_account_and_differ_between_accounts() -> None:
    again, other = keys_of(1001, "a secret"), keys_of(1002, "a secret")
    assert again.hmac == KEYS.hmac
    assert again.ed25519.private_key == KEYS.ed25519.private_key
    names = {key.api_key for keys in (KEYS, other) for key in keys.all}
    assert len(names) == 6
    assert all(len(name) == KEY_LENGTH and name.isalnum() for name in names)


def test_no_key_shows_its_secret() -> None:
    user = ready_made(1, seed=0)[0]
    shown = repr(user) + repr(user.binance_keys)
    assert user.binance.api_secret not in shown
    assert "PRIVATE" not in shown
