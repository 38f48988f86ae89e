"""The caller's own mistakes: refused at once, with an err_handler or without, before anything is done or sent."""

import decimal
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import MakeClient, event_threads, open_sockets
from tests.peers import Peer, PeerServer, Recorder
from wsclient import Assets, AuthenticationError, ClientClosed, InvalidRequest, State, WSClient, from_wire, to_wire
from wsclient.sandbox import Sandbox

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}
Do = Callable[[WSClient], object]


def deep() -> list[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


MISTAKES: dict[str, Do] = {
    "an id that is a string": lambda c: c.CancelOrder(id="17"),  # type: ignore[arg-type]
    "an id that is a bool": lambda c: c.CancelOrder(id=True),
    "an id that is a float": lambda c: c.ModifyOrder(id=17.0, quantity_delta=1),  # type: ignore[arg-type]
    "neither id nor tonce": lambda c: c.CancelOrder(),
    "id and tonce": lambda c: c.CancelOrder(id=1, tonce=2),
    "id and tonce to modify": lambda c: c.ModifyOrder(id=1, tonce=2, quantity_delta=1),
    "a float quantity": lambda c: c.PlaceOrder(**PAIR, quantity=1.5, price=1),  # type: ignore[arg-type]
    "a float price": lambda c: c.PlaceOrder(**PAIR, quantity=1, price=1.5),  # type: ignore[arg-type]
    "a Decimal quantity": lambda c: c.PlaceOrder(**PAIR, quantity=Decimal(1), price=1),  # type: ignore[arg-type]
    "a quantity that is a string": lambda c: c.EstimateMarketOrder(**PAIR, quantity="1"),  # type: ignore[arg-type]
    "a NaN quantity": lambda c: c.EstimateMarketOrder(**PAIR, quantity=float("nan")),  # type: ignore[arg-type]
    "a quantity that is a bool": lambda c: c.EstimateMarketOrder(**PAIR, quantity=True),
    "a quantity of zero": lambda c: c.EstimateMarketOrder(**PAIR, quantity=0),
    "a tonce of zero": lambda c: c.PlaceOrder(**PAIR, quantity=1, price=1, tonce=0),
    "a price of zero": lambda c: c.PlaceOrder(**PAIR, quantity=1, price=0),
    "a negative price": lambda c: c.PlaceOrder(**PAIR, quantity=1, price=-1),
    "quantity with total": lambda c: c.PlaceOrder(**PAIR, quantity=1, total=1),
    "quantity with total to estimate": lambda c: c.EstimateMarketOrder(**PAIR, quantity=1, total=1),
    "neither quantity nor total": lambda c: c.PlaceOrder(**PAIR, price=1),
    "neither to estimate": lambda c: c.EstimateMarketOrder(**PAIR),
    "total with a price": lambda c: c.PlaceOrder(**PAIR, total=1, price=1),
    "persist of another kind": lambda c: c.PlaceOrder(**PAIR, quantity=1, persist="perhaps"),  # type: ignore[arg-type]
    "post_only that is a number": lambda c: c.PlaceOrder(**PAIR, quantity=1, price=1, post_only=1),  # type: ignore[arg-type]
    "watch that is a string": lambda c: c.WatchOrders(**PAIR, watch="yes"),  # type: ignore[arg-type]
    "an unknown asset": lambda c: c.GetTradeVolume(asset="GOLD"),
    "an unknown base": lambda c: c.WatchTicker(base="GOLD", counter="USDT", watch=True),
    "an asset that is a float": lambda c: c.GetTradeVolume(asset=1.0),  # type: ignore[arg-type]
    "an asset that is None": lambda c: c.GetTradeVolume(asset=None),  # type: ignore[arg-type]
    "the tag 0": lambda c: c.GetBalances(tag=0),
    "a tag that is a string": lambda c: c.GetBalances(tag="1"),  # type: ignore[arg-type]
    "a tag that is a float": lambda c: c.GetBalances(tag=1.0),  # type: ignore[arg-type]
    "a tag that is a bool": lambda c: c.GetBalances(tag=True),
    "a tag too large": lambda c: c.GetBalances(tag=2**63),
    "a tag too small": lambda c: c.send({"method": "GetBalances", "tag": -(2**63) - 1}),
    "Authenticate by hand": lambda c: c.send({"method": "Authenticate", "user_id": 1}),
    "no method": lambda c: c.send({"tag": 1}),
    "a method that is None": lambda c: c.send({"method": None}),
    "a method that is a list": lambda c: c.send({"method": ["GetBalances"]}),
    "a message that is a string": lambda c: c.send('{"method": "GetBalances"}'),  # type: ignore[arg-type]
    "a message that is a list": lambda c: c.send([{"method": "GetBalances"}]),  # type: ignore[arg-type]
    "a message that is None": lambda c: c.send(None),  # type: ignore[arg-type]
    "NaN in a message": lambda c: c.send({"method": "WatchTicker", "base": float("nan")}),
    "infinity deep in a message": lambda c: c.send({"method": "WatchTicker", "x": [{"y": float("-inf")}]}),
    "bytes in a message": lambda c: c.send({"method": "WatchTicker", "base": b"XBT"}),
    "a Decimal in a message": lambda c: c.send({"method": "WatchTicker", "base": Decimal(1)}),
    "a message without end": lambda c: c.send({"method": "WatchTicker", "x": deep()}),
    "a key that is a tuple": lambda c: c.send({"method": "WatchTicker", (1, 2): 3}),  # type: ignore[dict-item]
    "an unknown method to call": lambda c: c.call("GetEverything"),
    "a private name to call": lambda c: c.call("_command"),
    "stop to call": lambda c: c.call("stop"),
    "a method to call that is no name": lambda c: c.call(None),  # type: ignore[arg-type]
    "a user id that is a string": lambda c: c.set_auth_data("1", "c", "p"),  # type: ignore[arg-type]
    "a user id that is a bool": lambda c: c.set_auth_data(True, "c", "p"),
    "a negative user id": lambda c: c.set_auth_data(-1, "c", "p"),
    "a user id too large": lambda c: c.set_auth_data(2**64, "c", "p"),
    "a cookie that is bytes": lambda c: c.set_auth_data(1, b"c", "p"),  # type: ignore[arg-type]
    "an empty cookie": lambda c: c.set_auth_data(1, "", "p"),
    "a passphrase that is None": lambda c: c.set_auth_data(1, "c", None),  # type: ignore[arg-type]
    "a passphrase that is no text": lambda c: c.set_auth_data(1, "c", "p\udc80"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_a_mistake_is_refused_at_once_and_nothing_is_done(
    make_client: MakeClient, mistake: Do, handled: bool
) -> None:
    told = Recorder()
    sockets = open_sockets()
    # a port that nobody listens on would be told as another error
    client = make_client("ws://127.0.0.1:9", **told.handlers(errors=handled))
    client.set_auth_data(1, "Y29va2ll", "passphrase")
    with pytest.raises(InvalidRequest) as caught:
        mistake(client)
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, ConnectionError)
    assert client.state is State.IDLE
    assert event_threads() == []
    assert open_sockets() == sockets
    assert told.all_errors() == []


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_leaves_an_open_connection_and_its_tags_as_they_were(
    exchange: Sandbox, make_client: MakeClient, mistake: Do
) -> None:
    told = Recorder()
    user = exchange.users[0]
    client = make_client(exchange.url, **told.handlers())
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    client.GetBalances().result(5)
    before = len(exchange.ledger.commands())
    with pytest.raises(InvalidRequest):
        mistake(client)
    reply = client.GetBalances(tag=1)  # taken by the login, and free again
    assert reply.result(5)["tag"] == 1
    assert len(exchange.ledger.commands()) == before + 1
    assert told.all_errors() == []


MISSPELT: dict[str, Do] = {
    "a misspelt keyword": lambda c: c.PlaceOrder(**PAIR, quantitiy=1, price=1),  # type: ignore[call-arg]
    "a missing keyword": lambda c: c.WatchTicker(base="XBT", watch=True),  # type: ignore[call-arg]
    "a position": lambda c: c.CancelOrder(17),  # type: ignore[call-arg]
    "a misspelt keyword to call": lambda c: c.call("CancelOrder", ide=17),
}


@pytest.mark.parametrize("mistake", MISSPELT.values(), ids=MISSPELT.keys())
def test_a_misspelt_keyword_is_a_type_error(make_client: MakeClient, mistake: Do) -> None:
    told = Recorder()
    client = make_client("ws://127.0.0.1:9", **told.handlers())
    with pytest.raises(TypeError):
        mistake(client)
    assert told.all_errors() == []
    assert client.state is State.IDLE


# -- tags


@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_a_tag_in_use_is_refused_and_the_call_that_has_it_goes_on(make_client: MakeClient, handled: bool) -> None:
    asked = threading.Event()

    def script(peer: Peer) -> None:
        first = peer.receive()
        assert asked.wait(5)
        peer.reply(first, last=1)
        second = peer.receive()
        assert second["tag"] == 17
        peer.reply(second, last=2)
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(errors=handled))
        reply = client.WatchTicker(**PAIR, watch=True, tag=17)
        with pytest.raises(InvalidRequest, match="17"):
            client.WatchTicker(**PAIR, watch=True, tag=17)
        asked.set()
        assert reply.result(5)["last"] == 1
        assert client.WatchTicker(**PAIR, watch=True, tag=17).result(5)["last"] == 2
        client.stop()
    assert told.all_errors() == []


def test_our_tags_step_around_those_of_the_caller(make_client: MakeClient) -> None:
    def script(peer: Peer) -> list[int]:
        calls = [peer.receive() for _ in range(5)]
        for call in calls:
            peer.reply(call)
        peer.wait_for_close()
        return [call["tag"] for call in calls]

    with PeerServer(script) as server:
        client = make_client(server.url)
        chosen: list[int | None] = [2, None, None, 5, None]
        for reply in [client.WatchTicker(**PAIR, watch=True, tag=tag) for tag in chosen]:
            reply.result(5)
        client.stop()
        assert server.result() == [2, 1, 3, 5, 4]


@pytest.mark.parametrize("tag", [-1, 2**63 - 1, -(2**63)])
def test_any_other_tag_of_64_bits_is_the_callers_to_choose(make_client: MakeClient, tag: int) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.wait_for_close()

    with PeerServer(script) as server:
        reply = make_client(server.url).send({"method": "WatchTicker", "tag": tag})
        assert reply.result(5)["tag"] == tag


def test_the_callers_message_is_not_changed(make_client: MakeClient, exchange: Sandbox) -> None:
    message = {"method": "WatchTicker", "base": Assets["XBT"], "counter": Assets["USDT"], "watch": True}
    kept = dict(message)
    reply = make_client(exchange.url).send(message)
    assert reply.result(5)["error_code"] == 0
    assert message == kept
    assert reply.request == {**kept, "tag": 1}


# -- the constructor

BAD_ARGUMENTS: dict[str, dict[str, Any]] = {
    "http": {"url": "http://127.0.0.1/"},
    "no scheme": {"url": "127.0.0.1:80"},
    "no host": {"url": "ws:///v1"},
    "no url": {"url": ""},
    "a url that is None": {"url": None},
    "a url that is bytes": {"url": b"ws://127.0.0.1/"},
    "a port that is no number": {"url": "ws://127.0.0.1:http/"},
    "a port too large": {"url": "ws://127.0.0.1:65536/"},
    "a newline in the url": {"url": "ws://127.0.0.1/\r\nX: y"},
    "a space in the url": {"url": "ws://127.0.0.1/a b"},
    "a fragment": {"url": "ws://127.0.0.1/#here"},
    "half an IPv6 address": {"url": "ws://[::1/"},
    "a msg_handler that is no function": {"msg_handler": "show"},
    "an err_handler that is no function": {"err_handler": 17},
    "a close_handler that is no function": {"close_handler": []},
    "a negative timeout": {"socket_timeout": -1},
    "no timeout at all": {"socket_timeout": None},
    "a timeout of 0": {"socket_timeout": 0},
    "a timeout of NaN": {"socket_timeout": float("nan")},
    "an endless timeout": {"socket_timeout": float("inf")},
    "a timeout that is a string": {"socket_timeout": "5"},
    "a timeout that is a bool": {"socket_timeout": True},
    "a ping_interval of 0": {"ping_interval": 0},
    "a max_message_size of 0": {"max_message_size": 0},
    "a max_message_size that is a float": {"max_message_size": 1e6},
    "a proxy of another kind": {"proxy": "ftp://proxy:21"},
    "a proxy without a host": {"proxy": "http://:3128"},
    "a proxy that is no string": {"proxy": 3128},
    "a proxy whose port is no number": {"proxy": "http://proxy:port"},
}


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys())
def test_a_bad_argument_is_refused_by_the_constructor(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        WSClient(**{"url": "ws://127.0.0.1:9", **arguments})


def test_a_misspelt_argument_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        WSClient("ws://127.0.0.1:9", message_handler=print)  # type: ignore[call-arg]


def test_a_timeout_of_a_handler_can_be_an_int_or_a_float() -> None:
    for seconds in (1, 0.5, 3600):
        assert WSClient("ws://127.0.0.1:9", socket_timeout=seconds).state is State.IDLE


# -- no credentials


@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_a_private_call_without_credentials_fails_and_sends_nothing(
    make_client: MakeClient, exchange: Sandbox, handled: bool
) -> None:
    told = Recorder()
    client = make_client(exchange.url, **told.handlers(errors=handled))
    if handled:
        error = client.GetBalances().exception(5)
        assert isinstance(error, AuthenticationError)
        assert told.all_errors() == [error]
    else:
        with pytest.raises(AuthenticationError):
            client.GetBalances()
    with pytest.raises(AuthenticationError):
        client.authenticate()
    assert client.state is State.IDLE
    assert exchange.ledger.connections == []


def test_a_mistake_on_a_stopped_client_is_still_the_clients_end(make_client: MakeClient) -> None:
    client = make_client("ws://127.0.0.1:9")
    client.stop()
    with pytest.raises(ClientClosed):
        client.send({"method": "GetBalances"})


def test_decimal_contexts_do_not_change_amounts() -> None:
    with decimal.localcontext() as context:
        context.prec = 3
        assert to_wire(Decimal("123456.7891")) == 1234567891
        assert from_wire(1234567891) == Decimal("123456.7891")
