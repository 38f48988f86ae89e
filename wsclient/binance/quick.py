"""JSON the quickest way that is installed: orjson's, of the extra `wsclient[binance]`, or else the usual one."""

from collections.abc import Callable
from typing import Any

from ..core.codec import Codec, codec


def quick_codec(
    loads: Callable[[str], Any] | None = None, dumps: Callable[[dict[str, Any]], str | bytes] | None = None
) -> Codec:
    """The user's functions; the quickest where there is none."""
    if loads is None or dumps is None:
        try:
            import orjson
        except ImportError:
            pass
        else:
            loads, dumps = loads or orjson.loads, dumps or orjson.dumps
    return codec(loads, dumps)
