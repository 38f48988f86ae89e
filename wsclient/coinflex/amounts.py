"""Amounts and assets as people write them, and as the wire has them.

Source: the protocol page, "Transport": every quantity, price and total is an integer, scaled by 10000.
"""

from decimal import Decimal, InvalidOperation

from ..errors import InvalidRequest
from .assets import SCALE, Assets

_PLACES = 4
_SHOWN = 6


def to_wire(amount: Decimal | int | str) -> int:
    """A decimal amount or price as the wire's integer: `to_wire(Decimal("1.5"))` is 15000.

    Raises `InvalidRequest` for a float, which can't hold most decimals, for what is no finite number, and for more
    than four decimals.
    """
    if isinstance(amount, (bool, float)) or not isinstance(amount, (Decimal, int, str)):
        raise InvalidRequest(f"an amount is a Decimal, an int or a str, not {type(amount).__name__}: {amount!r}")
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise InvalidRequest(f"{amount!r} is no number") from None
    if not value.is_finite():
        raise InvalidRequest(f"{amount!r} is not finite")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    # with integers, since a Decimal's arithmetic would round what is longer than its context
    shift = exponent + _PLACES
    if value.adjusted() > 30:
        raise InvalidRequest(f"{amount!r} is larger than any amount")
    wire: int
    whole = int("".join(map(str, digits)))
    if shift >= 0:
        wire = whole * 10**shift
    else:
        wire, rest = divmod(whole, 10 ** min(-shift, len(digits) + 1))
        if rest:
            raise InvalidRequest(f"{amount!r} has more than four decimals, the finest that the exchange knows")
    return -wire if sign else wire


def from_wire(amount: int) -> Decimal:
    """The wire's integer as a decimal amount or price: `from_wire(15000)` is `Decimal("1.5000")`."""
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise InvalidRequest(f"an amount on the wire is an int, not {type(amount).__name__}: {amount!r}")
    sign = int(amount < 0)
    return Decimal((sign, tuple(map(int, str(abs(amount)))), -_PLACES))


def asset_code(asset: int | str) -> int:
    """An asset's code, from the code itself or from a name in `Assets`."""
    if type(asset) is int:
        return asset
    if isinstance(asset, str):
        code = Assets.get(asset)
        if code is None:
            raise InvalidRequest(f"unknown asset {asset!r}; there are {_some()}")
        return code
    if isinstance(asset, bool) or not isinstance(asset, int):
        raise InvalidRequest(f"an asset is a code or a name, not {type(asset).__name__}: {asset!r}")
    return asset


def _some() -> str:
    return f"{', '.join(list(Assets)[:_SHOWN])} and {len(Assets) - _SHOWN} others, the keys of wsclient.Assets"


__all__ = ["SCALE", "asset_code", "from_wire", "to_wire"]
