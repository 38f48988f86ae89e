"""Names of market streams: which are known, and which can't be meant.

The exchange takes any name, and says nothing on one that it doesn't know. So what is surely misspelt is refused
here; what may be a stream that came later passes, with a warning.

Source: the protocol page, "Market streams".
"""

import logging
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from ..errors import InvalidRequest
from . import enums

logger = logging.getLogger("wsclient")

INTERVALS: Final = tuple(value for name, value in vars(enums).items() if name.startswith("KLINE_INTERVAL_"))
_PLAIN: Final = ("trade", "aggTrade", "bookTicker", "avgPrice", "ticker", "miniTicker", "depth")
_WINDOWS: Final = ("1h", "4h", "1d")
_KNOWN: Final = re.compile(
    r"trade|aggTrade|bookTicker|avgPrice|ticker|miniTicker"
    rf"|kline_({'|'.join(INTERVALS)})(@\+08:00)?"
    rf"|ticker_({'|'.join(_WINDOWS)})"
    r"|depth(5|10|20)?(@1000?ms)?"
)
_KNOWN_OF_ALL: Final = re.compile(rf"!(ticker|miniTicker|ticker_({'|'.join(_WINDOWS)}))@arr(@\d+ms)?")
_BOUND: Final[dict[str, Iterable[str]]] = {"kline_": INTERVALS, "ticker_": _WINDOWS, "depth": ("5", "10", "20")}
"""What may follow these words."""


def lower(symbol: Any) -> str:
    """A symbol as names of streams have it; `InvalidRequest` for what can be none."""
    if not isinstance(symbol, str) or not symbol.isalnum():
        raise InvalidRequest(f'a symbol is a str like "BTCUSDT", not {symbol!r}')
    return symbol.lower()


def interval(text: Any) -> str:
    """The length of a candle; `InvalidRequest` for one that there isn't."""
    if text not in INTERVALS:
        raise InvalidRequest(f"a candle's interval is one of {', '.join(INTERVALS)}, not {text!r}")
    assert isinstance(text, str)
    return text


def checked(name: Any) -> str:
    """The name of a stream; `InvalidRequest` for what surely is none, a warning for one that isn't known."""
    if not isinstance(name, str) or not name or '"' in name or "\\" in name:
        raise InvalidRequest(f"{name!r} is no name of a stream")
    symbol, at, kind = name.partition("@")
    if at and not name.startswith("!"):
        if symbol != symbol.lower():
            raise InvalidRequest(f"symbols in names of streams are lowercase: {symbol.lower()}@{kind}, not {name}")
        lower(symbol)
        if _KNOWN.fullmatch(kind):
            return name
        _refuse(kind, name)
    elif _KNOWN_OF_ALL.fullmatch(name):
        return name
    near = get_close_matches(kind, _PLAIN, 1) if at and not name.startswith("!") else []
    meant = f": is {symbol}@{near[0]} meant?" if near else ""
    logger.warning("no stream is known by the name %s%s", name, meant)
    return name


def _refuse(kind: str, name: str) -> None:
    for known in _PLAIN:
        if kind != known and kind.lower() == known.lower():
            raise InvalidRequest(f"the stream is called {known}, not {kind}")
    for word, values in _BOUND.items():
        value = kind.removeprefix(word).partition("@")[0]
        if kind.startswith(word) and value and value not in values:
            raise InvalidRequest(f"a stream {word}… is one of {', '.join(word + v for v in values)}, not {name}")
