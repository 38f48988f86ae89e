"""Checking a CoinFLEX login: ECDSA on secp224k1 in plain integers, written apart from the client's signing.

The sandbox must not share a mistake with the client that it tests, so nothing here knows the `ecdsa` package or
the client's code: only the constants of the curve are common. Points are stored as (x, y) and added as Jacobian
(X, Y, Z), which stands for (X/Z², Y/Z³) and needs no inversion on the way. `None` is the point at infinity.

Each point that is multiplied here will be multiplied again (the generator at every login, a user's key at each of
his own), so it gets a table of its multiples; a multiplication is then at most `WINDOWS` additions.

Sources: SEC 1 version 2, sections 2.2.1 and 4.1.4; protocol page, "Welcome and authentication".
"""

import base64
import binascii
import hashlib
from functools import lru_cache
from typing import Final, TypeAlias

from wsclient.coinflex.curve import GX, GY, NONCE_BYTES, NUMBER_BYTES, B, N, P

Point: TypeAlias = tuple[int, int]
Jacobian: TypeAlias = tuple[int, int, int]
Table: TypeAlias = tuple[tuple[Point, ...], ...]

WINDOW_BITS: Final = 4
WINDOWS: Final = -(-N.bit_length() // WINDOW_BITS)
USER_ID_LIMIT: Final = 1 << 64
"""A user's id travels as eight bytes, big-endian and without a sign."""


class MalformedLogin(ValueError):
    """A field of a login isn't what it should be: no base64, of another length, or out of range."""


# ---------------------------------------------------------------- reading the fields of Authenticate


def decode_nonce(field: object) -> bytes:
    """The 16 bytes of a nonce given in base64. Raises MalformedLogin for anything else."""
    return _decode(field, NONCE_BYTES, "a nonce")


def decode_number(field: object) -> int:
    """An r or s: base64 of exactly 28 big-endian bytes, within 1..n-1. Raises MalformedLogin for anything else."""
    number = int.from_bytes(_decode(field, NUMBER_BYTES, "a number of a signature"), "big")
    if not 1 <= number < N:
        raise MalformedLogin("a number of a signature is out of range")
    return number


def _decode(field: object, length: int, what: str) -> bytes:
    if not isinstance(field, str):
        raise MalformedLogin(f"{what} must be a string")
    try:
        octets = base64.b64decode(field.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise MalformedLogin(f"{what} isn't base64") from None
    # b64decode forgives padding in the middle and bits that are left over; writing it again shows both
    if len(octets) != length or base64.b64encode(octets).decode() != field:
        raise MalformedLogin(f"{what} must be the base64 of {length} bytes")
    return octets


# ---------------------------------------------------------------- keys and signatures


def derive_public_key(user_id: int, passphrase: str) -> Point:
    """The public key of a user: d·G, where d is SHA-224(user_id as 8 bytes || UTF-8 passphrase)."""
    seed = user_id.to_bytes(8, "big") + passphrase.encode("utf-8")
    private = int.from_bytes(hashlib.sha224(seed).digest(), "big") % N
    public = _affine(_multiply_add(private, _generator(), None))
    if public is None:
        raise ValueError("this passphrase gives the key zero; take another one")
    return public


def signed_message(user_id: int, server_nonce: bytes, client_nonce: bytes) -> bytes:
    """What a login signs: the user's id in 8 bytes, then the server's nonce, then the client's."""
    return user_id.to_bytes(8, "big") + server_nonce + client_nonce


def verify(public_key: Point, message: bytes, r: int, s: int) -> bool:
    """Whether (r, s) signs the SHA-224 digest of `message` for `public_key` (SEC 1, section 4.1.4)."""
    if not (1 <= r < N and 1 <= s < N) or not is_on_curve(public_key):
        return False
    digest = int.from_bytes(hashlib.sha224(message).digest(), "big")  # 224 bits: shorter than n, nothing to cut
    inverse = pow(s, -1, N)
    total = _multiply_add(digest * inverse % N, _generator(), None)
    point = _affine(_multiply_add(r * inverse % N, _table(public_key), total))
    return point is not None and point[0] % N == r


def is_on_curve(point: Point) -> bool:
    """Whether a point satisfies y² = x³ + 5. The curve's order is prime, so any such point may be a key."""
    x, y = point
    return 0 <= x < P and 0 <= y < P and (y * y - x * x * x - B) % P == 0


# ---------------------------------------------------------------- the curve


def _add(left: Jacobian | None, right: Point) -> Jacobian | None:
    """Their sum, the right one with Z = 1."""
    x2, y2 = right
    if left is None:
        return x2, y2, 1
    x1, y1, z1 = left
    z1z1 = z1 * z1 % P
    h = (x2 * z1z1 - x1) % P
    slope = (y2 * z1 * z1z1 - y1) % P
    if h == 0:
        return _double(left) if slope == 0 else None
    hh = h * h % P
    hhh = hh * h % P
    v = x1 * hh % P
    x3 = (slope * slope - hhh - 2 * v) % P
    return x3, (slope * (v - x3) - y1 * hhh) % P, z1 * h % P


def _double(point: Jacobian) -> Jacobian | None:
    """Twice a point, with a = 0 in the equation of the curve."""
    x, y, z = point
    if y == 0:
        return None
    yy = y * y % P
    s = 4 * x * yy % P
    m = 3 * x * x % P
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _affine(point: Jacobian | None) -> Point | None:
    if point is None:
        return None
    x, y, z = point
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P


def _multiply_add(factor: int, table: Table, start: Jacobian | None) -> Jacobian | None:
    """start + factor · the point that `table` was made of, with 0 <= factor < n."""
    total = start
    for multiples in table:
        digit = factor & ((1 << WINDOW_BITS) - 1)
        if digit:
            total = _add(total, multiples[digit - 1])
        factor >>= WINDOW_BITS
    return total


@lru_cache(maxsize=256)
def _table(point: Point) -> Table:
    """For each digit of a factor, from the lowest, the multiples 1..15 of the point at that digit's weight."""
    rows = []
    base = point
    for _ in range(WINDOWS):
        row = [base]
        for _ in range((1 << WINDOW_BITS) - 2):
            row.append(_plain_sum(row[-1], base))
        rows.append(tuple(row))
        base = _plain_sum(row[-1], base)
    return tuple(rows)


def _plain_sum(left: Point, right: Point) -> Point:
    total = _affine(_add((*left, 1), right))
    # the order of the point is a prime far above 16, so no two neighbours of a table cancel
    assert total is not None
    return total


def _generator() -> Table:
    return _table((GX, GY))
