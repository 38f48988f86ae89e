"""JSON, by the standard library or by one that the user brings."""

import json
import json.encoder
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

from ..errors import InvalidRequest
from .dialect import Message, title


def _encoder() -> Callable[[Message], str]:
    """As json.dumps, made once: most messages are small, and what it does besides writing is most of its time."""
    encoder = json.JSONEncoder(allow_nan=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    # no table of what is being written: what contains itself ends in a RecursionError
    pieces = make(None, encoder.default, encode_basestring_ascii, None, ": ", ", ", False, False, False)
    return lambda message: "".join(pieces(message, 0))


_dumps = _encoder()
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def _loads(text: str) -> Any:
    """As json.loads; faster where nothing stands around the value, as is usual."""
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (ValueError, StopIteration):
        pass  # it may have white space before it
    return json.loads(text)


@dataclass(frozen=True, slots=True)
class Codec:
    """How messages become texts and texts become messages.

    loads: raises `ValueError` for what isn't JSON
    dumps: gives str or bytes; raises `TypeError` or `ValueError` for what can't be JSON
    """

    loads: Callable[[str], Any] = _loads
    dumps: Callable[[Message], str | bytes] = _dumps

    def __post_init__(self) -> None:
        for name in ("loads", "dumps"):
            if not callable(getattr(self, name)):
                raise InvalidRequest(f"json_{name} must be callable")

    def encoded(self, request: Message) -> bytes:
        """The request as UTF-8 JSON; `InvalidRequest` where it can't be one."""
        try:
            text = self.dumps(request)
            return text.encode() if isinstance(text, str) else text
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidRequest(f"{title(request)} can't be written as JSON: {error}") from None


def codec(loads: Callable[[str], Any] | None, dumps: Callable[[Message], str | bytes] | None) -> Codec:
    """The user's functions, or the standard library's where there is none."""
    return Codec(_loads if loads is None else loads, _dumps if dumps is None else dumps)
