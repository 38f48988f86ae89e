"""The login signature against the protocol page's vector."""

import base64
import pickle

import pytest
from ecdsa.ecdsa import Public_key, Signature
from ecdsa.ellipticcurve import CurveFp, PointJacobi

from wsclient import InvalidRequest
from wsclient.coinflex import curve, signing
from wsclient.coinflex.signing import Credentials

USER, PASSPHRASE = 1, "opensesame"
SERVER_NONCE = base64.b64decode("azRzAi5rm1ry/l0drnz1vw==")
CLIENT_NONCE = base64.b64decode("8IyYyvH9gujOqYJdv/BP0A==")
KEY = 0xB89EA7FCD22CC059C2673DC24FF40B978307464686560D0AD7561B83
R = 0x3FB77A9D7B5B2A68209E76F6872078C5791340D5989854ADA3AB735E
S = 0x34B843412F18A910F18A7D4CE1D3597860E6345B22BF7894CF67780A


def verifies(r: int, s: int, digest: bytes, key: int = KEY) -> bool:
    """By the ecdsa package, on its own picture of the curve."""
    field = CurveFp(curve.P, curve.A, curve.B, 1)
    generator = PointJacobi(field, curve.GX, curve.GY, 1, curve.N)
    public = Public_key(generator, generator * key)
    return bool(public.verifies(int.from_bytes(digest, "big"), Signature(r, s)))


def test_the_published_vector_has_this_private_key_and_verifies() -> None:
    assert signing.private_key(USER, PASSPHRASE) == KEY
    digest = signing.login_digest(USER, SERVER_NONCE, CLIENT_NONCE)
    assert verifies(R, S, digest)
    assert not verifies(R, S + 1, digest)
    assert not verifies(R, S, signing.login_digest(USER, CLIENT_NONCE, SERVER_NONCE))


def test_our_signatures_verify_and_are_never_the_same_twice() -> None:
    who = Credentials(USER, "cookie", PASSPHRASE)
    digest = signing.login_digest(USER, SERVER_NONCE, CLIENT_NONCE)
    signatures = {who.sign(SERVER_NONCE, CLIENT_NONCE) for _ in range(20)}
    assert len(signatures) == 20
    assert all(verifies(r, s, digest) for r, s in signatures)


def test_a_number_that_needs_29_bytes_is_signed_again() -> None:
    class Stub:
        """Signs as the curve may do once in 2**112 times, then as it does."""

        def __init__(self) -> None:
            self.numbers = [(1 << 224, 1), (1, curve.N - 1), (5, 6)]

        def sign(self, number: int, nonce: int) -> Signature:
            return Signature(*self.numbers.pop(0))

    assert signing.sign(Stub(), b"") == (5, 6)


def test_a_number_has_28_bytes_on_the_wire_whatever_its_size() -> None:
    assert base64.b64decode(signing.encoded(1)) == bytes(27) + b"\x01"


@pytest.mark.parametrize(
    ("user_id", "cookie", "passphrase"),
    [("1", "c", "p"), (True, "c", "p"), (1.0, "c", "p"), (-1, "c", "p"), (2**64, "c", "p"), (1, b"c", "p"),
     (1, "", "p"), (1, None, "p"), (1, "c", None), (1, "c", b"p")],
)  # fmt: skip
def test_wrong_credentials_are_refused_at_once(user_id: int, cookie: str, passphrase: str) -> None:
    with pytest.raises(InvalidRequest):
        Credentials(user_id, cookie, passphrase)


def test_credentials_show_no_secret_and_cannot_be_pickled() -> None:
    who = Credentials(USER, "the cookie", PASSPHRASE)
    assert repr(who) == "Credentials(user_id=1, …)"
    assert PASSPHRASE not in str([getattr(who, name) for name in ("cookie", "user_id", "_key", "_signer")])
    with pytest.raises(TypeError):
        pickle.dumps(who)
