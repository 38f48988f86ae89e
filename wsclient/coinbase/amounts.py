"""Prices and sizes: decimal strings on the wire, `Decimal` for whoever calculates with them. Never floats.

Source: protocol page, "Prices and sizes are decimal strings".
"""

from typing import Any, Final

from ..decimals import number
from ..errors import InvalidRequest, ProtocolError

_FIELDS: Final = frozenset(
    (
        "price", "size", "remaining_size", "old_size", "new_size", "old_price", "new_price", "funds", "old_funds",
        "new_funds", "stop_price", "limit_price", "last_size", "best_bid", "best_bid_size", "best_ask",
        "best_ask_size", "open_24h", "volume_24h", "low_24h", "high_24h", "volume_30d", "fee", "taker_fee_rate",
        "maker_fee_rate",
    )
)  # fmt: skip


def with_decimals(message: dict[str, Any]) -> dict[str, Any]:
    """A copy of a decoded message of the feed in which prices and sizes are `Decimal`.

    message: of any type; what isn't known to be a price or size stays as it is, as does an empty text

    Raises `ProtocolError` for a price or size that is none, `InvalidRequest` for a text that isn't decoded.
    """
    if not isinstance(message, dict):
        raise InvalidRequest(f"with_decimals() takes a decoded message, json.loads(text), not {message!r:.50}")
    copied = {name: _number(value) if name in _FIELDS else value for name, value in message.items()}
    try:
        for side in ("bids", "asks"):
            if isinstance(rows := message.get(side), list):
                copied[side] = [[number(price), number(size), *rest] for price, size, *rest in rows]
        if isinstance(changes := message.get("changes"), list):
            copied["changes"] = [[side, number(price), number(size)] for side, price, size in changes]
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"levels that can't be read: {error}") from None
    return copied


def _number(value: Any) -> Any:
    return number(value) if isinstance(value, str) and value else value
