"""From a URL to an open socket: name, proxy, TCP, TLS, redirects and opening handshake, by websocket-client.

What it leaves open is closed here: each step ends in time as a whole, also when the peer sends a byte now and
then; a response has a bounded size; credentials never go from wss to ws; and each failure is one `TransportError`
(or `ProtocolError`) with a sentence.
"""

import base64
import hashlib
import math
import secrets
import socket
import ssl
import time
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import SplitResult

import websocket

from ..errors import InvalidRequest, ProtocolError, TransportError
from ..extras import how_to_install
from . import deflate, proxies, urls
from .bounded import Abort, BoundedSocket

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


def check_seconds(name: str, seconds: float) -> None:
    """Raises `InvalidRequest` for what is no length of time."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidRequest(f"{name} is a number of seconds, not {seconds!r}")
    if not (seconds > 0 and math.isfinite(seconds)):
        raise InvalidRequest(f"{name} must be positive and finite, not {seconds!r}")


@dataclass(frozen=True)
class Endpoint:
    """Where to connect and how; checked when made, without I/O.

    url: ws:// or wss://; user and password in it become a Basic Authorization header
    timeout: seconds for each step: TCP, TLS, opening handshake
    insecure_ssl: accept any certificate and host name
    ssl_context: use this one instead of the cached default
    proxy: http://, socks4(a):// or socks5(h)://, with user and password where it wants them; without it the
        environment is asked (`https_proxy` or `http_proxy`, then `all_proxy`, but for `no_proxy`), and never for
        a loopback host
    """

    url: str = field(repr=False)
    timeout: float = 5.0
    insecure_ssl: bool = False
    ssl_context: ssl.SSLContext | None = None
    proxy: str | None = field(default=None, repr=False)
    compression: str | None = None

    def __post_init__(self) -> None:
        urls.split(self.url)
        if self.proxy is not None:
            proxies.split(self.proxy)
        check_seconds("socket_timeout", self.timeout)
        if self.ssl_context is not None and not isinstance(self.ssl_context, ssl.SSLContext):
            raise InvalidRequest(f"ssl_context is an ssl.SSLContext, not {type(self.ssl_context).__name__}")
        if self.compression not in (None, "deflate"):
            raise InvalidRequest(f'compression is None or "deflate", not {self.compression!r}')

    @cached_property
    def safe_url(self) -> str:
        """The URL for messages: without user, password and query."""
        return urls.safe(self.url)

    @property
    def secure(self) -> bool:
        return urls.split(self.url).scheme == "wss"

    @property
    def loopback(self) -> bool:
        return urls.is_loopback(urls.split(self.url).hostname or "")

    def __repr__(self) -> str:
        return f"Endpoint({self.safe_url!r})"


class Opened(NamedTuple):
    """An open connection: its socket, and what was agreed on for compressing, if that was."""

    socket: socket.socket
    compression: deflate.Parameters | None


def open_socket(endpoint: Endpoint, abort: Abort) -> Opened:
    """Connects and shakes hands. Raises `TransportError` or `ProtocolError`; leaves no socket behind then."""
    url = endpoint.url
    for _ in range(_MAX_REDIRECTS + 1):
        if abort.wanted:
            raise TransportError(f"connecting to {urls.safe(url)} was given up")
        answer = _attempt(endpoint, url, abort)
        if not isinstance(answer, str):
            return answer
        url = urls.redirected(url, answer)
    raise TransportError(f"{endpoint.safe_url} redirected more than {_MAX_REDIRECTS} times")


def _attempt(endpoint: Endpoint, url: str, abort: Abort) -> Opened | str:
    """The open socket, or where the server sends us instead."""
    parts = urls.split(url)
    ws = _WebSocket(endpoint.timeout, abort, _tls_options(endpoint, parts))
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    headers = {"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
    if endpoint.compression:
        headers["Sec-WebSocket-Extensions"] = deflate.OFFER
    if url == endpoint.url:  # a redirect's target isn't told who we are
        headers |= urls.authorization(parts)
    via = proxies.chosen(endpoint.proxy, parts)
    try:
        ws.connect(  # type: ignore[no-untyped-call]
            urls.plain(parts),
            timeout=endpoint.timeout,
            redirect_limit=0,
            suppress_origin=True,
            header=headers,
            socket=_tunnelled(endpoint, parts, via, abort),
            **proxies.options(via, endpoint.timeout),
        )
        agreed = _check_response(ws.getheaders() or {}, key, endpoint.compression is not None)
    except Exception as error:  # whatever a resolver, a proxy or TLS raises: told as one error, not swallowed
        ws.discard()
        response = ws.handshake_response
        if response is not None and response.status in _REDIRECTS:
            return str(response.headers.get("location") or "")
        raise _translated(error, urls.safe(url), endpoint.timeout, via) from error
    bounded = ws.sock
    assert isinstance(bounded, BoundedSocket)
    return Opened(bounded.released(), agreed)


def _tunnelled(
    endpoint: Endpoint, parts: SplitResult, via: proxies.Via | None, abort: Abort
) -> socket.socket | None:
    """The connection through an HTTP proxy, where there is one.

    websocket-client could make it too, but nobody else could end it there, and a proxy that drips would hold us.
    """
    if via is None or via.parts.scheme != "http":
        return None
    sock = proxies.tunnel(via.parts, parts, endpoint.timeout, abort)
    if parts.scheme != "wss":
        return sock
    try:
        sock.settimeout(endpoint.timeout)
        context: ssl.SSLContext = _tls_options(endpoint, parts)["context"]
        return context.wrap_socket(sock, server_hostname=parts.hostname)
    except BaseException:
        sock.close()
        raise


def _check_response(headers: dict[str, str], key: str, compressing: bool) -> deflate.Parameters | None:
    """What websocket-client leaves open of RFC 6455, section 4.1: it folds the case of the accepted key, and lets
    the server choose what wasn't offered. Returns what was agreed on for compressing."""
    expected = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
    if headers.get("sec-websocket-accept") != expected:
        raise ProtocolError("the server accepted another handshake than ours")
    if headers.get("sec-websocket-protocol"):
        raise ProtocolError("the server chose a subprotocol, but none was offered")
    extensions = headers.get("sec-websocket-extensions")
    if not extensions:
        return None
    if not compressing:
        raise ProtocolError(f"the server chose the extension {extensions!r:.50}, but none was offered")
    return deflate.agreed(extensions)


class _WebSocket(websocket.WebSocket):
    """websocket-client's connection, whose socket is bounded from the moment that it has one."""

    def __init__(self, timeout: float, abort: Abort, sslopt: dict[str, Any]) -> None:
        self._timeout = timeout
        self._abort = abort
        self._bounded: BoundedSocket | None = None
        super().__init__(sslopt=sslopt, enable_multithread=False)

    @property  # type: ignore[override]
    def sock(self) -> "BoundedSocket | None":
        return self._bounded

    @sock.setter
    def sock(self, sock: socket.socket | None) -> None:
        # TCP and TLS are done when this is set; the opening handshake's time begins now.
        if sock is None:
            self._bounded = None
            return
        self._abort.watch(sock)
        self._bounded = BoundedSocket(sock, time.monotonic() + self._timeout)

    def discard(self) -> None:
        """Closes what there is. The library's own shutdown() looks for a real socket's private parts first."""
        if self._bounded is not None:
            self._bounded.close()
            self._bounded = None


def _tls_options(endpoint: Endpoint, parts: SplitResult) -> dict[str, Any]:
    if parts.scheme != "wss":
        return {}
    return {"context": endpoint.ssl_context or _context(endpoint.insecure_ssl)}


@lru_cache(maxsize=2)
def _context(insecure: bool) -> ssl.SSLContext:
    """Loading the system's certificates takes tens of milliseconds: done once for all clients."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _translated(
    error: Exception, url: str, timeout: float, via: proxies.Via | None
) -> TransportError | ProtocolError:
    """One sentence for what went wrong, told once, here at the edge."""
    if via is not None:
        if via.parts.scheme != "http" and find_spec("python_socks") is None:
            return TransportError(f"SOCKS proxies need the package python-socks: {how_to_install('socks')}")
        url = f"{url} through {via}"
    if isinstance(error, (TransportError, ProtocolError)):
        return type(error)(f"{url}: {error}")
    if isinstance(error, websocket.WebSocketBadStatusException):
        return TransportError(f"{url} is no WebSocket endpoint: it answered HTTP {error.status_code}")
    if isinstance(error, (websocket.WebSocketTimeoutException, TimeoutError)):
        return TransportError(f"{url} didn't answer within {timeout:g} s")
    if isinstance(error, (websocket.WebSocketAddressException, socket.gaierror)):
        return TransportError(
            f"{url}: a host's name can't be resolved" if via else f"{url}: the host's name can't be resolved"
        )
    if isinstance(error, websocket.WebSocketProxyException):
        return TransportError(f"{url}: the proxy failed: {error}")
    if isinstance(error, websocket.WebSocketConnectionClosedException):
        return TransportError(f"{url} closed the connection during the opening handshake")
    if isinstance(error, ssl.SSLCertVerificationError):
        return TransportError(
            f"{url}: its certificate isn't trusted: {error.verify_message} (insecure_ssl=True accepts any)"
        )
    if isinstance(error, ssl.SSLError):
        return TransportError(f"{url}: TLS failed: {error.reason or error}")
    if isinstance(error, OSError):
        return TransportError(f"{url}: {error.strerror or error}")
    if isinstance(error, websocket.WebSocketException):
        return ProtocolError(f"{url} broke the opening handshake: {error}")
    return TransportError(f"can't connect to {url}: {error}")
