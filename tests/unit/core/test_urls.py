"""URLs and proxies: what is refused, what is named in messages, what websocket-client is told."""

import ssl
from urllib.parse import urlsplit

import pytest

from wsclient.core import proxies, urls
from wsclient.core.connect import Endpoint
from wsclient.errors import InvalidRequest, TransportError

HTTP = "http://user:pa%40ss@proxy.test:3128"


@pytest.mark.parametrize(
    "url",
    ["", "host", "http://host", "ws://", "ws:///v1", "ws://host:port", "ws://host:99999", "ws://ho st/",
     "ws://h/\r\nX: y", "ws://host/#part", None, 5, b"ws://host"],
)  # fmt: skip
def test_a_wrong_url_is_refused_without_io(url: object) -> None:
    with pytest.raises(InvalidRequest):
        Endpoint(url)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", None, True])
def test_a_wrong_timeout_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidRequest, match="socket_timeout"):
        Endpoint("ws://host", timeout)


def test_messages_name_a_url_without_its_secrets() -> None:
    url = "wss://user:secret@host.test:8443/v1?listenKey=secret"
    assert urls.safe(url) == "wss://host.test:8443/v1?…"
    assert "secret" not in repr(Endpoint(url, proxy="http://user:secret@proxy.test"))
    assert urls.safe("ws://[::1]:80/") == "ws://[::1]:80/"


def test_user_and_password_become_a_header_and_leave_the_address() -> None:
    parts = urls.split("ws://us%40er:pass@host.test/path?q=1")
    assert urls.plain(parts) == "ws://host.test/path?q=1"
    assert urls.authorization(parts) == {"Authorization": "Basic dXNAZXI6cGFzcw=="}
    assert urls.authorization(urls.split("ws://host.test")) == {}


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("ws://a.test/v1", "ws://b.test/v2", "ws://b.test/v2"),
        ("ws://a.test/v1", "http://b.test/v2", "ws://b.test/v2"),
        ("wss://a.test/v1", "https://b.test/v2", "wss://b.test/v2"),
        ("wss://a.test:1/v1", "/v2?x=1", "wss://a.test:1/v2?x=1"),
        ("ws://a.test/v1/x", "y", "ws://a.test/v1/y"),
        ("ws://a.test/v1", "wss://a.test/", "wss://a.test/"),
    ],
)
def test_a_redirect_leads_where_it_says(url: str, location: str, target: str) -> None:
    assert urls.redirected(url, location) == target


@pytest.mark.parametrize("location", ["ws://a.test/", "http://a.test/", "", "ftp://a.test/", "wss://"])
def test_a_redirect_never_leads_from_wss_to_ws_nor_nowhere(location: str) -> None:
    with pytest.raises(TransportError):
        urls.redirected("wss://a.test/v1", location)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("a.localhost", True),
     ("10.0.0.1", False), ("localhost.test", False), ("exchange.test", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_network(host: str, loopback: bool) -> None:
    assert urls.is_loopback(host) is loopback


@pytest.mark.parametrize("proxy", ["ftp://proxy.test", "http://", "http://proxy.test:x", "proxy.test:1080", "", 5])
def test_a_wrong_proxy_is_refused_without_io(proxy: str) -> None:
    with pytest.raises(InvalidRequest):
        Endpoint("ws://host", proxy=proxy)


def chosen(url: str, proxy: str | None = None) -> str | None:
    """The host of the proxy for a URL, None where there is none."""
    via = proxies.chosen(proxy, urls.split(url))
    return via.parts.hostname if via is not None else None


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_socks_proxy_is_passed_through_with_its_user_and_an_http_one_is_ours() -> None:
    told = proxies.options(
        proxies.chosen("socks5h://user:pa%40ss@proxy.test", urls.split("wss://exchange.test")), 5
    )
    assert told["http_proxy_host"] == "proxy.test"
    assert told["http_proxy_port"] == 1080
    assert told["http_proxy_auth"] == ("user", "pa@ss")
    assert told["proxy_type"] == "socks5h"
    for none in (None, proxies.Via(urlsplit(HTTP))):
        # websocket-client heeds the exception only beside a proxy's name
        assert proxies.options(none, 5)["http_no_proxy"] == ["*"]
        assert proxies.options(none, 5)["http_proxy_host"]


def test_what_is_no_ssl_context_is_refused_without_io() -> None:
    for wrong in ("cert.pem", True, ssl):
        with pytest.raises(InvalidRequest, match="ssl_context is"):
            Endpoint("wss://host", ssl_context=wrong)  # type: ignore[arg-type]


def test_a_loopback_host_never_gets_a_proxy() -> None:
    assert chosen("wss://exchange.test", HTTP) == "proxy.test"
    assert chosen("ws://127.0.0.1:80", HTTP) is None
    assert chosen("ws://localhost", HTTP) is None


def test_the_environment_names_a_proxy_for_each_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://plain.test:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure.test:2")
    assert chosen("ws://exchange.test") == "plain.test"
    assert chosen("wss://exchange.test") == "secure.test"
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("all_proxy", "socks5h://all.test")
    assert chosen("ws://exchange.test") == "all.test"


def test_no_proxy_excepts_hosts_and_their_subdomains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://secure.test:2")
    monkeypatch.setenv("no_proxy", "other.test, .exchange.test")
    for host, excepted in (("exchange.test", True), ("api.exchange.test", True), ("myexchange.test", False)):
        assert (chosen(f"wss://{host}") is None) is excepted
    monkeypatch.setenv("no_proxy", "*")
    assert chosen("wss://anything.test") is None
