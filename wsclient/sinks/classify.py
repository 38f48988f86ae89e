"""What the messages of each venue are about: product, type and time, read without the venue's own code.

Plain functions of decoded JSON. They expect anything: what they don't know they leave None, and nothing makes them
raise, since exchanges add new messages without asking.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .contract import Classifier, Shape

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MILLISECONDS_END: Final = 10**14
"""A time since 1970 from here on is no count of milliseconds (that would be the year 5138) but of microseconds."""
_LATEST: Final = 2**62  # what every store can hold as an integer
_LONGEST: Final = 100  # characters; what is longer is no name
_NOTHING: Final = Shape()


def unknown(message: Any) -> Shape:
    """For a venue that nobody has described: everything is kept, nothing is told of it."""
    return _NOTHING


def coinflex(message: Any) -> Shape:
    """CoinFLEX: the notice's name, and base and counter by their codes ("63488/65282"); replies are "reply"."""
    return _coinflex(message, str)


def coinflex_named(names: Mapping[int, str]) -> Classifier:
    """The same, with markets by their names ("XBT/USDT"), as far as `names` (code -> name) knows them."""
    return lambda message: _coinflex(message, lambda code: names.get(code) or str(code))


def _coinflex(message: Any, name: Callable[[int], str]) -> Shape:
    if not isinstance(message, dict):
        return _NOTHING
    kind = _name(message.get("notice"))
    if kind is None and "error_code" in message:
        kind = "reply"
    base, counter = message.get("base"), message.get("counter")
    product = _name(f"{name(base)}/{name(counter)}") if type(base) is int and type(counter) is int else None
    return Shape(product, kind, _microseconds(message.get("time", message.get("time_closed"))))


def coinbase(message: Any) -> Shape:
    """Coinbase Exchange: `type`, `product_id` and `time`."""
    if not isinstance(message, dict):
        return _NOTHING
    return Shape(_name(message.get("product_id")), _name(message.get("type")), _iso(message.get("time")))


def binance(message: Any) -> Shape:
    """Binance: `s`, `e` and `E`, also inside the wrapper of combined streams and of user data.

    Messages without `e` are named after their stream ("depth5", "bookTicker") where a wrapper tells it; replies
    are "reply" or "error". A list of events (`!ticker@arr`) has the type of its first and no product.
    """
    stream = None
    if isinstance(message, dict):
        if "data" in message and isinstance(message.get("stream"), str):
            stream, message = message["stream"], message["data"]
        elif "subscriptionId" in message and "event" in message:
            message = message["event"]
    if isinstance(message, list):
        first = message[0] if message and isinstance(message[0], dict) else {}
        return Shape(None, _name(first.get("e")), _milliseconds(first.get("E")))
    if not isinstance(message, dict):
        return _NOTHING
    product, kind = _name(message.get("s")), _name(message.get("e"))
    if stream is not None:
        symbol, _, rest = stream.partition("@")
        kind = kind or _name(rest.partition("@")[0])
        product = product or (None if symbol.startswith("!") else _name(symbol.upper()))
    elif kind is None:
        if message.keys() >= {"u", "s", "b", "B", "a", "A"}:
            kind = "bookTicker"
        elif "error" in message or message.keys() >= {"code", "msg"}:
            kind = "error"
        elif "id" in message and ("result" in message or "status" in message):
            kind = "reply"
    return Shape(product, kind, _milliseconds(message.get("E")))


CLASSIFIERS: Final[dict[str, Classifier]] = {"coinflex": coinflex, "coinbase": coinbase, "binance": binance}
"""By the venue's name."""


def _name(value: Any) -> str | None:
    """A text that may serve as a name in any store."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        return None
    # half of a surrogate pair, which JSON can spell and no store takes
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        return None
    return value


def _microseconds(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < _LATEST else None


def _milliseconds(value: Any) -> int | None:
    if type(value) is not int or not 0 <= value < _LATEST:
        return None
    return value if value >= _MILLISECONDS_END else value * 1000


def _iso(value: Any) -> int | None:
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return (time - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None
