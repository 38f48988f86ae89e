"""Order book snapshots over REST, fetched on a thread of their own, since the event thread may not wait.

Source: protocol page, "The `full` channel": snapshot over REST, `/products/<id>/book?level=3`.
"""

import json
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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


class _Wanted(NamedTuple):
    due: float
    ticket: int


class Snapshots:
    """Fetches one snapshot after the other. Its thread lives while there is something to fetch.

    source: what fetches one; whatever it raises is told as its outcome
    deliver: called on this thread with (product id, ticket, outcome)
    """

    def __init__(
        self,
        source: Source,
        deliver: Callable[[str, int, Message | Exception], object],
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._deliver = deliver
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._changed = threading.Condition(self._lock)
        self._wanted: dict[str, _Wanted] = {}  # by product
        self._thread: threading.Thread | None = None
        self._stopped = False

    def ask(self, product_id: str, ticket: int, delay: float = 0.0) -> None:
        """Has a snapshot fetched that is begun after this, `delay` seconds from now."""
        with self._lock:
            if self._stopped:
                return
            self._wanted[product_id] = _Wanted(self._clock() + delay, ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def forget(self, product_id: str) -> None:
        """Nobody needs this one any more."""
        with self._lock:
            self._wanted.pop(product_id, None)
            self._changed.notify_all()

    def stop(self, timeout: float) -> None:
        """Fetches nothing more, and waits until the thread has ended, so many seconds at most."""
        with self._lock:
            self._stopped = True
            self._wanted.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            product_id, ticket = job
            outcome: Message | Exception
            try:
                outcome = self._source(product_id)
                if not isinstance(outcome, dict):
                    raise ProtocolError(f"a snapshot is a dict, not {type(outcome).__name__}")
            except Exception as error:  # the user's own function, perhaps: its outcome, not swallowed
                outcome = error
            self._deliver(product_id, ticket, outcome)

    def _next(self) -> tuple[str, int] | None:
        """What is to be fetched now; waits until it is due. None when nothing is left, and the thread ends."""
        with self._lock:
            while self._wanted:
                product_id = min(self._wanted, key=lambda one: self._wanted[one].due)
                wanted = self._wanted[product_id]
                left = wanted.due - self._clock()
                if left <= 0:
                    del self._wanted[product_id]
                    return product_id, wanted.ticket
                self._changed.wait(left)
            self._thread = None
            return None
