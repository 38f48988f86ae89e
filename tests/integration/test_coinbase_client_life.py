"""What users of WebsocketClient had to add: it recovers, can be closed at any time, and its methods may raise."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import event_threads
from tests.integration.coinbase_market import Heard
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import CommandError, InvalidRequest, NotAuthorized, NotSent, Reconnect, TransportError
from wsclient.coinbase import WebsocketClient
from wsclient.sandbox import Sandbox
from wsclient.sandbox.coinbase import CoinbaseSettings
from wsclient.sandbox.faults import Garbage


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, coinbase=CoinbaseSettings(heartbeat=0.05)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


class Noted(WebsocketClient):
    """Notes what its methods are called with."""

    def __init__(self, url: str, **options: Any) -> None:
        options.setdefault("products", ["BTC-USD"])
        options.setdefault("channels", ["heartbeat"])
        options.setdefault("reconnect", Reconnect(tries=3, base=0.01))
        super().__init__(url, **options)
        self.heard = Heard()
        self.data: list[Any] = []

    def on_open(self) -> None:
        self.heard.on_open(self)

    def on_message(self, msg: dict[str, Any]) -> None:
        with self.heard.changed:
            self.heard.messages.append(msg)
            self.heard.changed.notify_all()

    def on_close(self) -> None:
        self.heard.on_close(self)

    def on_error(self, e: Exception, data: Any = None) -> None:
        self.data.append(data)
        self.heard.on_error(self, e)


def test_a_lost_connection_is_got_back_and_is_no_error(exchange: Sandbox) -> None:
    client = Noted(exchange.coinbase_url)
    client.start()
    client.heard.next("heartbeat")
    exchange.cut_all()
    client.heard.until(lambda: len(client.heard.of("subscriptions")) == 2)
    assert client.heard.errors
    assert client.error is None
    assert (client.heard.opened, client.heard.closed) == (1, 0)
    client.close()
    assert (client.heard.opened, client.heard.closed) == (1, 1)


def test_what_cannot_be_had_back_is_an_error_and_closes_once(exchange: Sandbox) -> None:
    client = Noted(exchange.coinbase_url)
    client.start()
    client.heard.next("heartbeat")
    exchange.stop()
    client.heard.until(lambda: client.heard.closed)
    assert client.error is client.heard.errors[-1]
    client.close()
    assert client.heard.closed == 1


def test_an_orderly_end_is_an_error_too_where_nothing_is_got_back(exchange: Sandbox) -> None:
    client = Noted(exchange.coinbase_url, reconnect=False)
    client.start()
    client.heard.next("heartbeat")
    exchange.stop()
    client.heard.until(lambda: client.heard.closed)
    assert isinstance(client.error, ConnectionError)
    client.close()


def test_a_first_connection_that_fails_is_told_and_not_raised() -> None:
    client = Noted("ws://127.0.0.1:1")
    client.start()
    client.heard.until(lambda: client.heard.closed)
    assert isinstance(client.error, ConnectionError)
    assert not isinstance(client.error, NotSent)
    client.close()
    assert client.heard.closed == 1


def test_a_refused_subscription_is_an_error(exchange: Sandbox) -> None:
    client = Noted(exchange.coinbase_url, products=["NO-SUCH"])
    client.start()
    client.heard.until(lambda: client.heard.errors)
    assert isinstance(client.error, CommandError)
    assert client.heard.of("error")
    client.close()
    other = Noted(exchange.coinbase_url, channels=["level2"])
    other.start()
    other.heard.until(lambda: other.heard.errors)
    assert isinstance(other.error, NotAuthorized)
    other.close()


@pytest.mark.parametrize("delisted", [{"BTC-USD"}, {"BTC-USD", "ETH-USD"}])
def test_what_is_refused_when_it_is_restored_is_an_error_once_nothing_is_left(
    no_socket_left: None, delisted: set[str]
) -> None:
    def shown(products: list[str]) -> dict[str, Any]:
        return {"type": "subscriptions", "channels": [{"name": "ticker", "product_ids": products}]}

    def first(peer: Peer) -> None:
        peer.send_text(shown(peer.receive()["product_ids"]))
        peer.close()

    def second(peer: Peer) -> None:
        while True:
            asked = peer.receive()["channels"][0]["product_ids"]
            if delisted.isdisjoint(asked):
                peer.send_text(shown(asked))
                peer.send_text({"type": "ticker", "product_id": asked[0]})
            else:
                peer.send_text(
                    {"type": "error", "message": "Failed to subscribe", "reason": f"{asked[0]} is delisted"}
                )

    products = ["BTC-USD", "ETH-USD"]
    with PeerServer([first, second]) as server:
        client = Noted(f"ws://127.0.0.1:{server.port}", channels=["ticker"], products=products)
        client.start()
        if delisted == set(products):
            client.heard.until(lambda: client.error is not None)
            assert "ETH-USD is delisted" in str(client.error)
        else:
            client.heard.next("ticker")
            assert client.error is None
        client.close()
    refusals = [error for error in client.heard.errors if isinstance(error, CommandError)]
    assert len(refusals) == len(delisted)


def test_it_can_be_closed_before_it_starts_and_started_after_it_was_closed(exchange: Sandbox) -> None:
    client = Noted(exchange.coinbase_url)
    client.close()
    assert client.heard.closed == 0
    for number in (1, 2):
        client.start()
        client.start()
        client.heard.until(lambda number=number: len(client.heard.of("subscriptions")) == number)  # type: ignore[misc]
        client.close()
    assert (client.heard.opened, client.heard.closed) == (2, 2)
    assert len(exchange.ledger.connections) == 2


def test_it_can_be_closed_by_what_it_calls(exchange: Sandbox) -> None:
    class Once(Noted):
        def on_message(self, msg: dict[str, Any]) -> None:
            super().on_message(msg)
            self.close()

    client = Once(exchange.coinbase_url)
    client.start()
    client.heard.until(lambda: client.heard.closed)
    assert len(client.heard.messages) == 1
    client.close()
    assert client.heard.closed == 1


def test_closed_by_on_open_it_begins_nothing(exchange: Sandbox) -> None:
    class Closing(Noted):
        def on_open(self) -> None:
            super().on_open()
            self.close()

    client = Closing(exchange.coinbase_url)
    client.start()
    assert not event_threads()
    assert not exchange.ledger.connections
    client.close()
    assert (client.heard.opened, client.heard.closed) == (1, 0)


def test_closed_by_another_thread_while_it_starts_it_begins_nothing_though_it_is_started_anew(
    exchange: Sandbox,
) -> None:
    opening, go_on = threading.Event(), threading.Event()

    class Slow(Noted):
        def on_open(self) -> None:
            super().on_open()
            if not opening.is_set():
                opening.set()
                assert go_on.wait(PATIENCE)

    client = Slow(exchange.coinbase_url)
    starting = threading.Thread(target=client.start)
    starting.start()
    assert opening.wait(PATIENCE)
    client.close()
    client.start()
    client.heard.next("heartbeat")
    go_on.set()
    starting.join(PATIENCE)
    assert len(event_threads()) == 1
    client.heard.next("heartbeat")
    client.close()
    assert len(exchange.ledger.connections) == 1
    assert (client.heard.opened, client.heard.closed) == (2, 1)


def test_after_a_failed_start_it_can_be_started_again(no_socket_left: None) -> None:
    exchange = Sandbox(traders=0, coinbase=CoinbaseSettings(heartbeat=0.05)).start()
    exchange.stop()
    client = Noted(exchange.coinbase_url)
    client.start()
    client.heard.until(lambda: client.heard.closed)
    assert isinstance(client.error, TransportError)
    with Sandbox(traders=0, coinbase=CoinbaseSettings(heartbeat=0.05)) as exchange:
        client.url = exchange.coinbase_url
        client.start()
        client.heard.next("heartbeat")
        assert client.error is None
        client.close()
    assert (client.heard.opened, client.heard.closed) == (2, 2)


def test_it_can_be_started_again_by_what_is_told_that_it_has_failed(exchange: Sandbox) -> None:
    class Again(Noted):
        def on_error(self, e: Exception, data: Any = None) -> None:
            self.channels = ["heartbeat"]
            self.start()
            super().on_error(e, data)

    client = Again(exchange.coinbase_url, channels=["no such channel"])
    client.start()
    client.heard.next("heartbeat")
    client.heard.until(lambda: client.heard.errors)
    assert client.error is None
    assert (client.heard.opened, client.heard.closed) == (2, 1)
    client.close()
    assert (client.heard.opened, client.heard.closed) == (2, 2)


def test_many_threads_may_close_it_at_once(exchange: Sandbox) -> None:
    client = Noted(exchange.coinbase_url)
    client.start()
    closing = [threading.Thread(target=client.close) for _ in range(8)]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert client.heard.closed == 1


def test_a_method_that_raises_changes_nothing_else(exchange: Sandbox) -> None:
    class Raising(Noted):
        def on_message(self, msg: dict[str, Any]) -> None:
            super().on_message(msg)
            raise ValueError(msg["type"])

        def on_error(self, e: Exception, data: Any = None) -> None:
            super().on_error(e, data)
            raise KeyError("on_error itself")

        def on_close(self) -> None:
            super().on_close()
            raise ValueError("on_close")

    client = Raising(exchange.coinbase_url)
    client.start()
    client.heard.next("heartbeat", count=3)
    client.heard.until(lambda: len(client.heard.errors) >= 3)
    assert all(isinstance(error, ValueError) for error in client.heard.errors)
    assert client.error is None
    client.close()
    assert client.heard.closed == 1


def test_what_on_open_sets_is_used_and_what_it_raises_is_raised(exchange: Sandbox) -> None:
    class Late(Noted):
        def on_open(self) -> None:
            super().on_open()
            self.url = exchange.coinbase_url
            self.products = "ETH-USD"

    client = Late("ws://127.0.0.1:1")
    client.start()
    assert client.heard.next("heartbeat")[0]["product_id"] == "ETH-USD"
    client.close()

    class Failing(Noted):
        def on_open(self) -> None:
            raise RuntimeError("not today")

    failing = Failing(exchange.coinbase_url)
    with pytest.raises(RuntimeError):
        failing.start()
    failing.close()
    assert failing.heard.closed == 0
    with pytest.raises(InvalidRequest):
        Noted(exchange.coinbase_url, auth=True).start()
    with pytest.raises(InvalidRequest):
        Noted(exchange.coinbase_url, channels=[]).start()


def test_a_text_that_is_no_json_is_told_with_what_it_was(exchange: Sandbox) -> None:
    exchange.faults.add(Garbage(payload="{no json", instead=False, times=1))
    client = Noted(exchange.coinbase_url)
    client.start()
    client.heard.next("heartbeat")
    assert client.data == ["{no json"]
    assert client.error is None
    client.close()


class Collection:
    """As `pymongo`'s, it has no truth value."""

    def __bool__(self) -> bool:
        raise NotImplementedError("Collection objects do not implement truth value testing")


def test_a_collection_is_never_asked_for_its_truth(exchange: Sandbox) -> None:
    client = Noted(exchange.coinbase_url, mongo_collection=Collection())
    with pytest.raises(AttributeError):  # it is no real collection
        client.start()
    client.close()
