"""The login check against the published vector and against signatures of the `ecdsa` package."""

import base64
import hashlib

import ecdsa
import pytest
from ecdsa.curves import Curve
from ecdsa.ellipticcurve import CurveFp, PointJacobi
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.coinflex import curve
from wsclient.sandbox import auth

VECTOR_KEY = 0xB89EA7FCD22CC059C2673DC24FF40B978307464686560D0AD7561B83
VECTOR_R = 0x3FB77A9D7B5B2A68209E76F6872078C5791340D5989854ADA3AB735E
VECTOR_S = 0x34B843412F18A910F18A7D4CE1D3597860E6345B22BF7894CF67780A
VECTOR_MESSAGE = auth.signed_message(
    1, auth.decode_nonce("azRzAi5rm1ry/l0drnz1vw=="), auth.decode_nonce("8IyYyvH9gujOqYJdv/BP0A==")
)

_field = CurveFp(curve.P, curve.A, curve.B, 1)
_generator = PointJacobi(_field, curve.GX, curve.GY, 1, curve.N, generator=True)
SECP224K1 = Curve("SECP224k1", _field, _generator, curve.OID)


def key_of(secret: int) -> ecdsa.SigningKey:
    return ecdsa.SigningKey.from_secret_exponent(secret, SECP224K1, hashfunc=hashlib.sha224)


def point_of(key: ecdsa.SigningKey) -> auth.Point:
    point = key.verifying_key.pubkey.point
    return int(point.x()), int(point.y())


def test_the_published_vector_verifies() -> None:
    public = auth.derive_public_key(1, "opensesame")
    assert public == point_of(key_of(VECTOR_KEY))
    assert auth.verify(public, VECTOR_MESSAGE, VECTOR_R, VECTOR_S)


def test_the_published_vector_verifies_for_nothing_else() -> None:
    public = auth.derive_public_key(1, "opensesame")
    assert not auth.verify(auth.derive_public_key(1, "opensesama"), VECTOR_MESSAGE, VECTOR_R, VECTOR_S)
    assert not auth.verify(auth.derive_public_key(2, "opensesame"), VECTOR_MESSAGE, VECTOR_R, VECTOR_S)
    assert not auth.verify(public, VECTOR_MESSAGE + b"\0", VECTOR_R, VECTOR_S)
    for r, s in ((VECTOR_R + 1, VECTOR_S), (VECTOR_R, VECTOR_S + 1), (VECTOR_S, VECTOR_R)):
        assert not auth.verify(public, VECTOR_MESSAGE, r, s)


@pytest.mark.parametrize("wrong", [0, curve.N, curve.N + VECTOR_R, -VECTOR_R])
def test_numbers_out_of_range_never_verify(wrong: int) -> None:
    public = auth.derive_public_key(1, "opensesame")
    assert not auth.verify(public, VECTOR_MESSAGE, wrong, VECTOR_S)
    assert not auth.verify(public, VECTOR_MESSAGE, VECTOR_R, wrong)


def test_a_point_off_the_curve_is_no_key() -> None:
    assert auth.is_on_curve((curve.GX, curve.GY))
    assert not auth.is_on_curve((curve.GX, curve.GY + 1))
    assert not auth.is_on_curve((0, 0))
    assert not auth.verify((1, 1), VECTOR_MESSAGE, VECTOR_R, VECTOR_S)


@settings(max_examples=25, deadline=None)
@given(secret=st.integers(1, curve.N - 1), message=st.binary(max_size=60), other=st.binary(max_size=60))
def test_signatures_of_another_implementation_verify(secret: int, message: bytes, other: bytes) -> None:
    key = key_of(secret)
    public = point_of(key)
    r, s = key.sign(message, sigencode=lambda r, s, order: (r, s))
    assert auth.verify(public, message, r, s)
    assert auth.verify(public, other, r, s) == (message == other)


@pytest.mark.parametrize("secret", [1, 2, 15, 16, 17, 255, 256, curve.N - 1, curve.N - 2])
def test_multiples_of_the_generator_are_those_of_another_implementation(secret: int) -> None:
    key = key_of(secret)
    assert auth.verify(point_of(key), b"edge", *key.sign(b"edge", sigencode=lambda r, s, order: (r, s)))


def test_a_key_depends_on_user_and_passphrase_in_utf_8() -> None:
    secret = hashlib.sha224((1 << 63).to_bytes(8, "big") + "Löwe 🦁".encode()).digest()
    expected = point_of(key_of(int.from_bytes(secret, "big")))
    assert auth.derive_public_key(1 << 63, "Löwe 🦁") == expected


def written(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def test_fields_are_read_strictly() -> None:
    assert auth.decode_nonce(written(bytes(range(16)))) == bytes(range(16))
    assert auth.decode_number(written((5).to_bytes(28, "big"))) == 5
    assert auth.decode_number(written(b"\xff" * 28)) == 2**224 - 1


@pytest.mark.parametrize(
    "field",
    [
        None,
        5,
        b"AAAA",
        "",
        "AAAA",
        written(bytes(15)),
        written(bytes(17)),
        written(bytes(16)).rstrip("="),
        written(bytes(16)) + "=",
        written(bytes(16)) + "\n",
        " " + written(bytes(16)),
        written(bytes(16))[:-3] + "B==",
        written(b"\xff" * 16).replace("/", "_"),
        "ä" * 24,
    ],
)
def test_anything_but_the_base64_of_16_bytes_is_no_nonce(field: object) -> None:
    with pytest.raises(auth.MalformedLogin):
        auth.decode_nonce(field)


@pytest.mark.parametrize("octets", [bytes(28), bytes(27), bytes(29), b"\1" * 27, b"\1" * 29, b""])
def test_anything_but_28_bytes_above_zero_is_no_number(octets: bytes) -> None:
    with pytest.raises(auth.MalformedLogin):
        auth.decode_number(written(octets))
