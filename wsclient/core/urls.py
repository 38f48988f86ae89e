"""WebSocket URLs: checked, taken apart, and named in messages without their secrets."""

import base64
import ipaddress
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from ..errors import InvalidRequest, TransportError


def safe(url: str) -> str:
    """A URL for messages: without user, password and query, any of which may be secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the given url"
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}{port}{parts.path}" + ("?…" if parts.query else "")


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine, as far as it can be told without asking for it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split(url: str) -> SplitResult:
    """A WebSocket URL taken apart; `InvalidRequest` where it is none."""
    if not isinstance(url, str):
        raise InvalidRequest(f"the url is a str, not {type(url).__name__}")
    # urlsplit drops some of these silently; in a request line they would end it
    if any(ord(char) <= 32 or ord(char) == 127 for char in url):
        raise InvalidRequest("the url contains a space or a control character")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # without the reason, which may quote a part of a password
        raise InvalidRequest("the url's host or port can't be understood") from None
    if parts.scheme not in ("ws", "wss"):
        raise InvalidRequest("the url must begin with ws:// or wss://")
    if not parts.hostname:
        raise InvalidRequest("the url names no host")
    if parts.fragment:
        raise InvalidRequest("a WebSocket url has no #fragment (RFC 6455, section 3)")
    return parts


def plain(parts: SplitResult) -> str:
    """The URL without user and password, and with a path."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{host}{port}{parts.path or '/'}{query}"


def authorization(parts: SplitResult) -> dict[str, str]:
    """The header that a URL's user and password stand for (RFC 7617)."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def redirected(url: str, location: str) -> str:
    """Where a redirect leads; `TransportError` where that is nowhere, or from wss to ws."""
    if not location:
        raise TransportError(f"{safe(url)} redirected to nowhere")
    target = urljoin(url.replace("ws", "http", 1), location)
    for http, ws in (("https:", "wss:"), ("http:", "ws:")):
        if target.startswith(http):
            target = ws + target[len(http) :]
    try:
        scheme = split(target).scheme
    except InvalidRequest as error:
        raise TransportError(f"{safe(url)} redirected to nowhere: {error}") from None
    if url.startswith("wss:") and scheme != "wss":
        raise TransportError(f"{safe(url)} redirected from wss to ws, which is refused: {safe(target)}")
    return target
