"""Where Binance is.

Source: the protocol page, "Market streams" and "WebSocket API (request and reply)".
"""

from typing import Final
from urllib.parse import urlsplit

API_URL: Final = "wss://ws-api.binance.com:443/ws-api/v3"
STREAM_URL: Final = "wss://stream.binance.com:9443"

_STREAMS: Final = {
    "ws-api.binance.com": STREAM_URL,
    "ws-api.testnet.binance.vision": "wss://stream.testnet.binance.vision",
}


def streams_url(api_url: str) -> str:
    """Where the market streams of the exchange with this request API begin; the same host unless it is known."""
    parts = urlsplit(api_url)
    return _STREAMS.get(parts.hostname or "") or f"{parts.scheme}://{parts.netloc}"
