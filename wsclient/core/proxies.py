"""Which proxy a URL is reached through: the user's, else the environment's, and none for a loopback host."""

import base64
import os
import socket
import time
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import InvalidRequest, TransportError
from . import urls
from .bounded import Abort, BoundedSocket

_PROXY_PORTS = {"http": 80, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}


def split(proxy: str) -> SplitResult:
    """A proxy's URL taken apart; `InvalidRequest` where it is none."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        _ = parts.port
    except (TypeError, ValueError):
        raise InvalidRequest("proxy is a url such as http://host:3128 or socks5h://host:1080") from None
    if parts.scheme not in _PROXY_PORTS:
        raise InvalidRequest(f"a proxy is one of {', '.join(_PROXY_PORTS)}, not {parts.scheme}")
    if not parts.hostname:
        raise InvalidRequest("the proxy's url names no host")
    return parts


def chosen(proxy: str | None, parts: SplitResult) -> SplitResult | None:
    """The proxy for this URL, taken apart; None where there is none.

    proxy: the user's choice; None asks the environment
    """
    host = parts.hostname or ""
    if urls.is_loopback(host):
        return None
    if proxy is None:
        proxy = _environment_proxy(host, parts.scheme == "wss")
    return split(proxy) if proxy else None


def options(via: SplitResult | None, timeout: float) -> dict[str, Any]:
    """What websocket-client's `connect` is to be told: a SOCKS proxy, or none.

    timeout: seconds for the conversation with it
    """
    if via is None or via.scheme == "http":
        # without a proxy's name websocket-client drops the exceptions too, and asks the environment by itself
        return {"http_proxy_host": "unused", "http_proxy_port": 1, "proxy_type": "http", "http_no_proxy": ["*"]}
    return {
        "http_proxy_host": via.hostname,
        "http_proxy_port": _port(via),
        "http_proxy_auth": _user(via),
        "http_proxy_timeout": timeout,
        "proxy_type": via.scheme,
        # it was asked above; asked again, websocket-client would hold the environment's list against our choice
        "http_no_proxy": ["-"],
    }


def tunnel(via: SplitResult, parts: SplitResult, timeout: float, abort: Abort) -> socket.socket:
    """A connection to the URL's host through an HTTP proxy (CONNECT: RFC 9110, section 9.3.6).

    timeout: seconds for TCP, and again for the proxy's answer as a whole
    """
    sock = socket.create_connection((via.hostname, _port(via)), timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        abort.watch(sock)
        bounded = BoundedSocket(sock, time.monotonic() + timeout)
        bounded.send(_connect_request(via, parts))
        answer = b""
        while not answer.endswith((b"\r\n\r\n", b"\n\n")):
            byte = bounded.recv(1)  # not one more: what follows is the host's
            if not byte:
                raise TransportError("the proxy closed the connection")
            answer += byte
        status = answer.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or status[1] != b"200":
            raise TransportError(f"the proxy refused: {answer[:60].splitlines()[0].decode(errors='replace')}")
    except BaseException:
        sock.close()
        raise
    return sock


def _connect_request(via: SplitResult, parts: SplitResult) -> bytes:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    target = f"{host}:{parts.port or (443 if parts.scheme == 'wss' else 80)}"
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    user = _user(via)
    if user is not None:
        request += "Proxy-Authorization: Basic " + base64.b64encode(":".join(user).encode()).decode() + "\r\n"
    return (request + "\r\n").encode()


def _port(via: SplitResult) -> int:
    return via.port or _PROXY_PORTS[via.scheme]


def _user(via: SplitResult) -> tuple[str, str] | None:
    return (unquote(via.username), unquote(via.password or "")) if via.username else None


def _environment_proxy(host: str, secure: bool) -> str:
    get = _either_case
    excepted = [name.strip().lstrip(".") for name in get("no_proxy").split(",") if name.strip()]
    if "*" in excepted or any(host == name or host.endswith("." + name) for name in excepted):
        return ""
    return get("https_proxy" if secure else "http_proxy") or get("all_proxy")


def _either_case(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper()) or ""
