"""Which proxy a URL is reached through: the user's, else the environment's, and none for a loopback host."""

import base64
import os
import socket
import time
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import InvalidRequest, TransportError
from . import urls
from .bounded import Abort, BoundedSocket

_PROXY_PORTS = {"http": 80, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}


class Via(NamedTuple):
    """A proxy, and the environment's variable that has named it."""

    parts: SplitResult
    variable: str | None = None

    def __str__(self) -> str:
        # without its user and password
        return f"the proxy {self.parts.hostname}:{_port(self.parts)}" + (
            f" (from {self.variable})" if self.variable else ""
        )


def split(proxy: str) -> SplitResult:
    """A proxy's URL taken apart; `InvalidRequest` where it is none."""
    wrong = InvalidRequest("proxy is a url such as http://host:3128 or socks5h://host:1080")
    if not isinstance(proxy, str) or "://" not in proxy:  # whether it speaks HTTP or SOCKS can't be guessed
        raise wrong
    try:
        parts = urlsplit(proxy)
        _ = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in _PROXY_PORTS:
        raise InvalidRequest(f"a proxy is one of {', '.join(_PROXY_PORTS)}, not {parts.scheme}")
    if not parts.hostname:
        raise InvalidRequest("the proxy's url names no host")
    return parts


def chosen(proxy: str | None, parts: SplitResult) -> Via | None:
    """The proxy for this URL, taken apart; None where there is none.

    proxy: the user's choice; None asks the environment
    """
    host = parts.hostname or ""
    if urls.is_loopback(host):
        return None
    if proxy is not None:
        return Via(split(proxy)) if proxy else None
    variable = _environment_proxy(host, parts.scheme == "wss")
    if variable is None:
        return None
    named = os.environ[variable]
    # people leave the scheme out there, and programs take that for HTTP
    return Via(split(named if "://" in named else f"http://{named}"), variable)


def options(via: Via | None, timeout: float) -> dict[str, Any]:
    """What websocket-client's `connect` is to be told: a SOCKS proxy, or none.

    timeout: seconds for the conversation with it
    """
    if via is None or via.parts.scheme == "http":
        # without a proxy's name websocket-client drops the exceptions too, and asks the environment by itself
        return {"http_proxy_host": "unused", "http_proxy_port": 1, "proxy_type": "http", "http_no_proxy": ["*"]}
    return {
        "http_proxy_host": via.parts.hostname,
        "http_proxy_port": _port(via.parts),
        "http_proxy_auth": _user(via.parts),
        "http_proxy_timeout": timeout,
        "proxy_type": via.parts.scheme,
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


def _environment_proxy(host: str, secure: bool) -> str | None:
    """The variable that names a proxy for this host."""
    none = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    excepted = [name.strip().lstrip(".") for name in none.split(",") if name.strip()]
    if "*" in excepted or any(host == name or host.endswith("." + name) for name in excepted):
        return None
    names = ("https_proxy" if secure else "http_proxy", "all_proxy")
    return next((cased for name in names for cased in (name, name.upper()) if os.environ.get(cased)), None)
