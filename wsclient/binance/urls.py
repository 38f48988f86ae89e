"""Where Binance is.

Source: the protocol page, "Market streams" and "WebSocket API (request and reply)".
"""

from typing import Final
from urllib.parse import urlsplit

from ..errors import InvalidRequest

API_URL: Final = "wss://ws-api.binance.com:443/ws-api/v3"
STREAM_URL: Final = "wss://stream.binance.com:9443"

_STREAMS: Final = {
    "ws-api.binance.com": STREAM_URL,
    "ws-api.testnet.binance.vision": "wss://stream.testnet.binance.vision",
}

_MARKET_DATA: Final = "data-stream.binance.vision"


def streams_base(url: str) -> str:
    """Where market streams begin, of a url that may go on with `/ws` or `/stream`, as people give it.

    Raises `InvalidRequest` for the address of single streams, and for the request API's.
    """
    if not isinstance(url, str):
        raise InvalidRequest(f"the url is a str, not {type(url).__name__}")
    base = url.rstrip("/")
    for end in ("/ws", "/stream"):
        base = base.removesuffix(end).rstrip("/")
    if "?" in base or "/ws/" in base:
        raise InvalidRequest("the url of market streams ends before /ws or /stream, and names no stream")
    if "/ws-api" in base:
        raise InvalidRequest("this is the request API's url; market streams have another, see `stream_url`")
    return base


def streams_url(api_url: str) -> str:
    """Where the market streams of the exchange with this request API begin; the same host unless it is known."""
    parts = urlsplit(api_url)
    return _STREAMS.get(parts.hostname or "") or f"{parts.scheme}://{parts.netloc}"


def api_url(stream_url: str) -> str:
    """Where the request API of the exchange with these market streams is; the same host unless it is known."""
    for host, known in _STREAMS.items():
        if urlsplit(known).hostname == urlsplit(stream_url).hostname:
            return API_URL if known == STREAM_URL else f"wss://{host}/ws-api/v3"
    if urlsplit(stream_url).hostname == _MARKET_DATA:
        return API_URL
    parts = urlsplit(stream_url)
    return f"{parts.scheme}://{parts.netloc}/ws-api/v3"
