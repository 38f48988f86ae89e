"""How subscribe messages are signed, and that a token keeps its secret."""

import base64
import hashlib
import hmac
import pickle

import pytest

from wsclient import InvalidRequest
from wsclient.coinbase import Token
from wsclient.coinbase.signing import token

SECRET = base64.b64encode(b"a secret of some length").decode()


def test_the_fields_are_those_of_the_documents_example() -> None:
    fields = Token("a key", SECRET, "a phrase", clock=lambda: 1_700_000_000.25)()
    # as document 002 computes it
    message = "1700000000.250000GET/users/self/verify"
    digest = hmac.new(base64.b64decode(SECRET), message.encode("utf-8"), digestmod=hashlib.sha256).digest()
    assert fields == {
        "key": "a key",
        "passphrase": "a phrase",
        "timestamp": "1700000000.250000",
        "signature": base64.b64encode(digest).decode().rstrip("\n"),
    }


def test_any_message_can_be_signed() -> None:
    signature = Token("a key", SECRET, "a phrase").signature("some message")
    assert isinstance(signature, bytes)
    expected = hmac.new(b"a secret of some length", b"some message", hashlib.sha256).digest()
    assert base64.b64decode(signature) == expected


def test_a_token_tells_nothing_of_itself() -> None:
    secretive = Token("a key", SECRET, "a phrase")
    assert repr(secretive) == str(secretive) == "<Token>"
    with pytest.raises(TypeError):
        pickle.dumps(secretive)


@pytest.mark.parametrize(
    "parts", [("", SECRET, "p"), ("k", "", "p"), ("k", SECRET, ""), ("k", "not base64!", "p")]
)
def test_what_is_no_key_is_refused_without_quoting_it(parts: tuple[str, str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Token(*parts)
    assert "not base64!" not in str(caught.value)
    with pytest.raises(InvalidRequest):
        Token("k", b"bytes", "p")  # type: ignore[arg-type]


def test_credentials_are_given_whole_and_once() -> None:
    known = Token("k", SECRET, "p")
    assert token(None, None, None, None) is None
    assert token(known, None, None, None) is known
    assert isinstance(token(None, "k", SECRET, "p"), Token)
    with pytest.raises(InvalidRequest):
        token(None, "k", SECRET, None)
    with pytest.raises(InvalidRequest):
        token(known, "k", SECRET, "p")
    with pytest.raises(InvalidRequest):
        token("k", None, None, None)
