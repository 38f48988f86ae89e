"""A process that is forked while a client is connected, as multiprocessing does by default on Linux."""

import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import Peer, PeerServer
from wsclient import ClientClosed, WSClient
from wsclient.sandbox import Sandbox

PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def in_a_child(do: Callable[[], object]) -> object:
    """What a function returns or raises in a forked process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told: object = do()
        except BaseException as error:
            told = error
        os.write(write, pickle.dumps(told))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pickle.loads(pipe.read())
    os.waitpid(child, 0)
    return told


@pytest.mark.parametrize("handled", [True, False])
def test_a_forked_process_cannot_use_its_parents_connection(
    make_client: MakeClient, exchange: Sandbox, handled: bool
) -> None:
    client = make_client(exchange.url, msg_handler=(lambda client, text: None) if handled else None)
    client.call("EstimateMarketOrder", **PAIR, quantity=1)

    def use(client: WSClient = client) -> object:
        try:
            client.EstimateMarketOrder(**PAIR, quantity=1)
        except ClientClosed as error:
            client.stop()  # which sends nothing, and waits for nobody
            return error
        return None

    for _ in range(2):
        assert isinstance(told := in_a_child(use), ClientClosed), told
        assert "another process" in str(told)
        assert client.call("EstimateMarketOrder", 5, **PAIR, quantity=1)["error_code"] == 0
    assert len(exchange.ledger.commands("EstimateMarketOrder")) == 3
    assert len(exchange.ledger.connections) == 1


def test_a_reply_of_the_parents_is_not_waited_for(make_client: MakeClient) -> None:
    """Its bytes come on a socket that both have."""

    def script(peer: Peer) -> None:
        call = peer.receive()
        peer.wait_for(0xA)  # until the child has tried
        peer.reply(call)
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url)
        reply = client.EstimateMarketOrder(**PAIR, quantity=1)
        assert isinstance(in_a_child(lambda: reply.result(1)), ClientClosed)
        client._connection._life._running._transport.send(0xA, b"")  # type: ignore[union-attr]
        assert reply.result(5)["error_code"] == 0
        client.stop()


def test_a_forked_process_makes_clients_of_its_own(make_client: MakeClient, exchange: Sandbox) -> None:
    make_client(exchange.url).call("EstimateMarketOrder", **PAIR, quantity=1)

    def trade() -> object:
        with WSClient(exchange.url) as own:
            return own.call("EstimateMarketOrder", 5, **PAIR, quantity=1)["error_code"]

    assert in_a_child(trade) == 0
