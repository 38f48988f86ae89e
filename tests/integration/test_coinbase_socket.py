"""Document 000: Token and Stream, against the sandbox."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import event_threads
from tests.integration.coinbase_market import PRICE, place, trade
from tests.peers import PATIENCE
from wsclient import NotSent
from wsclient.coinbase.socket import Stream, Token, get_default_message, get_message
from wsclient.sandbox import Sandbox


def test_a_stream_is_connected_sent_to_received_from_and_disconnected(exchange: Sandbox) -> None:
    stream = Stream(url=exchange.coinbase_url)
    assert not stream.connected
    assert stream.connect() is True
    assert stream.connected
    stream.send(get_default_message())
    assert stream.receive() == {
        "type": "subscriptions",
        "channels": [{"name": "ticker", "product_ids": ["BTC-USD"]}],
    }
    trade(exchange)
    trade(exchange, PRICE + 100)
    assert [stream.receive()["price"] for _ in range(2)] == ["9000.00", "9001.00"]
    assert stream.disconnect() is True
    assert stream.connected is False
    assert stream.receive() == {}


def test_a_token_authenticates_the_stream(exchange: Sandbox) -> None:
    key = exchange.users[1].coinbase
    token = Token(key.key, key.secret, key.passphrase)
    assert set(token()) == {"key", "passphrase", "timestamp", "signature"}
    assert isinstance(token.signature("message"), bytes)
    stream = Stream(auth=token, url=exchange.coinbase_url)
    stream.connect()
    value = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["user", "level2"]}
    stream.send(get_message(value))
    assert {stream.receive()["type"] for _ in range(2)} == {"subscriptions", "snapshot"}
    place(exchange, 10_000, user=1)
    told = [stream.receive() for _ in range(3)]
    assert [message["type"] for message in told] == ["received", "open", "l2update"]
    assert "user_id" in told[0]
    stream.disconnect()


def test_a_stream_without_a_token_is_told_what_needs_one(exchange: Sandbox) -> None:
    stream = Stream(url=exchange.coinbase_url)
    stream.connect()
    stream.send({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2"]})
    assert stream.receive()["type"] == "error"
    key = exchange.users[0].coinbase
    token = Token(key.key, key.secret, key.passphrase)
    stream.send({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2"], **token()})
    assert stream.receive()["type"] == "subscriptions"
    stream.disconnect()


def test_polling_ends_with_the_connection_after_what_it_has_brought(exchange: Sandbox) -> None:
    stream = Stream(url=exchange.coinbase_url)
    stream.connect()
    stream.send({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]})
    assert stream.receive()["type"] == "subscriptions"
    pinging = threading.Thread(target=stream.ping)
    pinging.start()
    for number in range(100):
        trade(exchange, PRICE + number * 100)
    prices = []
    while stream.connected:
        response = stream.receive()
        if not response:
            break
        prices.append(response["price"])
        if len(prices) == 100:
            exchange.cut_all()
    assert prices == [f"{9000 + number}.00" for number in range(100)]
    assert stream.receive() == {}
    pinging.join(PATIENCE)
    assert not pinging.is_alive()
    assert stream.disconnect() is True
    assert stream.connect() is True  # it may be used again
    stream.disconnect()


def test_a_stream_that_cannot_connect_says_so() -> None:
    stream = Stream(url="ws://127.0.0.1:1")
    assert stream.connect() is False
    assert stream.connected is False
    assert stream.receive() == {}
    assert stream.disconnect() is True
    assert Stream().url == "wss://ws-feed.exchange.coinbase.com"


def test_a_message_that_is_sent_as_the_connection_ends_opens_no_other(
    exchange: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(url=exchange.coinbase_url, trace=True)
    stream.connect()

    class Cutting(io.StringIO):
        def write(self, text: str) -> int:
            if text.startswith("> "):  # it has been seen that there is a connection, and nothing has been sent
                exchange.cut_all()
                stream.ping()
            return len(text)

    monkeypatch.setattr("sys.stderr", Cutting())
    with pytest.raises(NotSent):
        stream.send(get_default_message())
    assert not stream.connected
    assert stream.receive() == {}
    stream.disconnect()
    assert len(exchange.ledger.connections) == 1
    assert not event_threads()


def test_threads_that_connect_at_once_share_one_connection(exchange: Sandbox) -> None:
    stream = Stream(url=exchange.coinbase_url)
    barrier = threading.Barrier(4)

    def connect() -> bool:
        barrier.wait(PATIENCE)
        return stream.connect()

    for rounds in range(1, 6):
        with ThreadPoolExecutor(4) as pool:
            assert all(connected.result(PATIENCE) for connected in [pool.submit(connect) for _ in range(4)])
        assert len(exchange.ledger.connections) == rounds
        stream.disconnect()
        assert not event_threads()


def test_a_stream_that_was_lost_connects_anew_and_has_nothing_of_before(exchange: Sandbox) -> None:
    stream = Stream(url=exchange.coinbase_url)
    stream.connect()
    stream.send(get_default_message())
    assert stream.receive()["type"] == "subscriptions"
    trade(exchange)
    exchange.cut_all()
    stream.ping()
    assert stream.connect()
    stream.send({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]})
    assert stream.receive()["type"] == "subscriptions"
    stream.disconnect()


def test_a_traced_stream_prints_what_it_says_but_no_secret(
    exchange: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    key = exchange.users[1].coinbase
    stream = Stream(Token(key.key, key.secret, key.passphrase), exchange.coinbase_url, trace=True)
    stream.connect()
    stream.send({**get_default_message(), **Token(key.key, key.secret, key.passphrase)()})
    stream.receive()
    stream.disconnect()
    traced = capfd.readouterr().err
    assert "subscriptions" in traced
    assert '> {"type": "subscribe"' in traced
    assert key.passphrase not in traced
    assert key.key not in traced
