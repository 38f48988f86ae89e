"""Which proxy a URL is reached through: the user's, else the environment's, and none for a loopback host."""

import os
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import InvalidRequest
from . import urls

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


def options(proxy: str | None, parts: SplitResult, timeout: float) -> dict[str, Any]:
    """What websocket-client's `connect` is to be told about proxies for this URL.

    proxy: the user's choice; None asks the environment
    timeout: seconds for the conversation with a SOCKS proxy
    """
    host = parts.hostname or ""
    # without a proxy's name websocket-client drops the exceptions too, and asks the environment by itself
    none = {"http_proxy_host": "unused", "http_proxy_port": 1, "proxy_type": "http", "http_no_proxy": ["*"]}
    if urls.is_loopback(host):
        return none
    if proxy is None:
        proxy = _environment_proxy(host, parts.scheme == "wss")
    if not proxy:
        return none
    via = split(proxy)
    auth = (unquote(via.username), unquote(via.password or "")) if via.username else None
    return {
        "http_proxy_host": via.hostname,
        "http_proxy_port": via.port or _PROXY_PORTS[via.scheme],
        "http_proxy_auth": auth,
        "http_proxy_timeout": timeout,
        "proxy_type": via.scheme,
        # it was asked above; asked again, websocket-client would hold the environment's list against our choice
        "http_no_proxy": ["-"],
    }


def _environment_proxy(host: str, secure: bool) -> str:
    get = _either_case
    excepted = [name.strip().lstrip(".") for name in get("no_proxy").split(",") if name.strip()]
    if "*" in excepted or any(host == name or host.endswith("." + name) for name in excepted):
        return ""
    return get("https_proxy" if secure else "http_proxy") or get("all_proxy")


def _either_case(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper()) or ""
