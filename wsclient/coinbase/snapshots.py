"""Order book snapshots over REST.

Source: protocol page, "The `full` channel": snapshot over REST, `/products/<id>/book?level=3`.
"""

import json
import time
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..errors import CommandError, InvalidRequest, NotFound, ProtocolError, TransportError, WSClientError
from ..live import Message

if TYPE_CHECKING:
    from urllib.error import HTTPError

Source = Callable[[str], Message]
"""Gives a product's level 3 book: {"bids": [[price, size, order id], …], "asks": …, "sequence"}; it may block."""

_RESTS: Final = {
    "exchange.coinbase.com": "https://api.exchange.coinbase.com",
    "sandbox.exchange.coinbase.com": "https://api-public.sandbox.exchange.coinbase.com",
}
_LARGEST: Final = 256 * 1024 * 1024  # bytes of a page
_CHUNK: Final = 1 << 16


def rest_url_of(url: str) -> str | None:
    """Where the REST API of a feed is; None for a feed that isn't Coinbase's own."""
    host = urllib.parse.urlsplit(url).hostname or ""
    return _RESTS.get(host.partition(".")[2])


class RestSource:
    """Fetches books from a REST API, with the standard library.

    url: where its paths begin, https:// or http://
    timeout: seconds that a page may take as a whole
    """

    def __init__(self, url: str, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        if not isinstance(url, str) or urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise InvalidRequest("rest_url is an http:// or https:// URL")
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._clock = clock

    def __call__(self, product_id: str) -> Message:
        """Raises `CommandError` where asking again is of no use (no such product), else `TransportError`."""
        # they take as long to import as all the rest, and most feeds need no snapshot
        import http.client
        import urllib.error
        import urllib.request

        path = f"/products/{urllib.parse.quote(product_id, safe='')}/book?level=3"
        request = urllib.request.Request(self._url + path, headers={"User-Agent": "wsclient"})
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                page = self._read(response)
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error, product_id) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise TransportError(f"no snapshot of {product_id}: {error}") from error
        try:
            book = json.loads(page)
        except ValueError as error:
            raise TransportError(f"no snapshot of {product_id}: what came isn't JSON") from error
        if not isinstance(book, dict) or "bids" not in book:
            raise TransportError(f"no snapshot of {product_id}: what came is no book")
        return book

    def _read(self, response: Any) -> bytes:
        until = self._clock() + self._timeout
        page = bytearray()
        while chunk := response.read1(_CHUNK):
            page += chunk
            if self._clock() > until:
                raise TimeoutError(f"the page took longer than {self._timeout:g} s")
            if len(page) > _LARGEST:
                raise ValueError("the page is too large")
        return bytes(page)


def _refused(error: "HTTPError", product_id: str) -> WSClientError:
    request = {"type": "snapshot", "product_id": product_id}
    if error.code == 404:
        return NotFound(404, f"there is no book of {product_id}", request)
    if 400 <= error.code < 500 and error.code not in (408, 425, 429):
        return CommandError(error.code, str(error.reason), request)
    return TransportError(f"no snapshot of {product_id}: {error.code} {error.reason}")


def fetched(source: Source, product_id: str) -> Message | Exception:
    """What comes of asking for a book: that, or whatever the source raised."""
    try:
        book = source(product_id)
        if not isinstance(book, dict):
            raise ProtocolError(f"a snapshot is a dict, not {type(book).__name__}")
    except Exception as error:  # the user's own function, perhaps: its outcome, not swallowed
        return error
    return book
