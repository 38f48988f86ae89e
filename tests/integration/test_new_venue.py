"""What a new venue takes: one of under 60 lines, on the core alone, has all that is promised of any."""

import ast
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.peers import Peer, PeerServer, Recorder, take
from tests.venues import deribit
from tests.venues.deribit import Deribit
from wsclient.core.connection import State
from wsclient.errors import (
    AuthenticationError,
    CommandError,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    TransportError,
)
from wsclient.sinks import Shape, attach

pytestmark = pytest.mark.usefixtures("no_socket_left")

SOURCE = Path(deribit.__file__)
SECRET = "W0H6FJW4"
ACCOUNT = {"client_id": "fo7WAPRm4P", "client_secret": SECRET}
BOOK, TRADES, ORDERS = "book.BTC-PERPETUAL.100ms", "trades.BTC-PERPETUAL.100ms", "user.orders.any.any.raw"
ROUNDS = 150  # more than a server may demand without answering
TEST_REQUEST = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}


def answer(peer: Peer, method: str, result: Any = "ok") -> dict[str, Any]:
    """Answers the next request, which is to be of this method; returns its params."""
    request = peer.receive(method)
    peer.send_text({"jsonrpc": "2.0", "id": request["id"], "result": result, "usIn": 1, "usOut": 2})
    params: dict[str, Any] = request["params"]
    return params


def refuse(peer: Peer, method: str, error: Any) -> None:
    peer.send_text({"jsonrpc": "2.0", "id": peer.receive(method)["id"], "error": error})


def notify(peer: Peer, channel: str, data: Any) -> None:
    params = {"channel": channel, "data": data}
    peer.send_text({"jsonrpc": "2.0", "method": "subscription", "params": params})


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# -- how little it is


def test_it_has_less_than_sixty_lines_of_code() -> None:
    text = SOURCE.read_text(encoding="utf-8")
    code = {number for number, line in enumerate(text.splitlines(), 1) if line.strip()}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            code -= {*range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}
    assert 0 < len(code) < 60


def test_it_needs_the_core_and_the_errors_and_nothing_else_of_ours() -> None:
    modules = {
        node.module
        for node in ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("wsclient")
    }
    assert {module for module in modules if not module.startswith("wsclient.core.")} == {"wsclient"}
    assert "from wsclient import errors\n" in SOURCE.read_text(encoding="utf-8")


# -- calls


def test_nothing_happens_before_the_first_call_which_connects() -> None:
    def script(peer: Peer) -> dict[str, Any]:
        request = peer.receive()
        peer.send_text({"jsonrpc": "2.0", "id": request["id"], "result": 1550147385946})
        peer.wait_for_close()
        return request

    with PeerServer(script) as server:
        with closing(Deribit(server.url)) as client:
            assert (client.connection.state, server.connections) == (State.IDLE, 0)
            assert client.call("public/get_time") == 1550147385946
            assert (client.connection.state, server.connections) == (State.OPEN, 1)
        assert server.result() == {"jsonrpc": "2.0", "id": 1, "method": "public/get_time", "params": {}}


def test_answers_find_their_callers_in_whatever_order_they_come() -> None:
    def script(peer: Peer) -> None:
        for request in reversed([peer.receive("public/ticker") for _ in range(3)]):
            name = request["params"]["instrument_name"]
            peer.send_text({"jsonrpc": "2.0", "id": request["id"], "result": {"instrument_name": name}})
        peer.wait_for_close()

    names = ["BTC-PERPETUAL", "ETH-PERPETUAL", "SOL-PERPETUAL"]
    with PeerServer(script) as server, closing(Deribit(server.url)) as client:
        replies = [client.submit("public/ticker", instrument_name=name) for name in names]
        assert [reply.result(5)["instrument_name"] for reply in replies] == names


@pytest.mark.parametrize(
    ("code", "kind"),
    [(10004, NotFound), (10009, InsufficientFunds), (10028, RateLimited), (-32602, CommandError)],
)
def test_an_error_is_told_by_its_code(code: int, kind: type[CommandError]) -> None:
    def script(peer: Peer) -> None:
        refuse(peer, "public/ticker", {"code": code, "message": "no", "data": {"reason": "wrong format"}})
        answer(peer, "public/test")
        peer.wait_for_close()

    with PeerServer(script) as server, closing(Deribit(server.url)) as client:
        with pytest.raises(CommandError) as caught:
            client.call("public/ticker", instrument_name="?")
        assert type(caught.value) is kind
        assert (caught.value.code, caught.value.message) == (code, "no")
        assert caught.value.request["params"] == {"instrument_name": "?"}
        assert client.call("public/test") == "ok"


@pytest.mark.parametrize(
    "error", [None, "no", [], {}, {"code": "10004", "message": "no"}, {"code": 1, "message": 2}]
)
def test_an_error_that_says_nothing_is_one_all_the_same(error: Any) -> None:
    def script(peer: Peer) -> None:
        refuse(peer, "public/test", error)
        peer.wait_for_close()

    with (
        PeerServer(script) as server,
        closing(Deribit(server.url)) as client,
        pytest.raises(CommandError, match="no reason given"),
    ):
        client.call("public/test")


def test_an_answer_that_leaves_the_outcome_open_says_so() -> None:
    def script(peer: Peer) -> None:
        answer(peer, "public/auth")
        refuse(peer, "private/buy", {"code": 13888, "message": "timed_out"})
        peer.wait_for_close()

    with PeerServer(script) as server, closing(Deribit(server.url, ACCOUNT)) as client:
        with pytest.raises(OutcomeUnknown, match="timed out") as caught:
            client.call("private/buy", instrument_name="BTC-PERPETUAL", amount=10)
        assert caught.value.request is not None
        assert caught.value.request["params"]["amount"] == 10


def test_a_call_in_flight_at_a_cut_has_an_unknown_outcome_and_one_that_cant_leave_has_not() -> None:
    def script(peer: Peer) -> None:
        peer.receive("public/ticker")
        peer.abort()

    with PeerServer(script) as server:
        client = Deribit(server.url)
        with pytest.raises(OutcomeUnknown) as caught:
            client.call("public/ticker", instrument_name="BTC-PERPETUAL")
        assert caught.value.request is not None
        assert caught.value.request["params"] == {"instrument_name": "BTC-PERPETUAL"}
    with closing(client), pytest.raises(NotSent):
        client.call("public/test")


# -- the login


def test_the_first_private_call_logs_in_and_no_other_does() -> None:
    def script(peer: Peer) -> dict[str, Any]:
        answer(peer, "public/test")
        login = answer(peer, "public/auth", {"token_type": "bearer", "expires_in": 900})
        answer(peer, "private/get_positions", [])
        answer(peer, "private/get_positions", [1])
        peer.wait_for_close()
        return login

    with PeerServer(script) as server:
        with closing(Deribit(server.url, ACCOUNT)) as client:
            assert client.call("public/test") == "ok"
            assert client.call("private/get_positions") == []
            assert client.call("private/get_positions") == [1]
        assert server.result() == {"grant_type": "client_credentials", **ACCOUNT}


def test_a_private_call_without_credentials_and_a_login_by_hand_send_nothing() -> None:
    with PeerServer(lambda peer: None) as server:
        with closing(Deribit(server.url)) as client, pytest.raises(AuthenticationError):
            client.call("private/get_positions")
        with closing(Deribit(server.url, ACCOUNT)) as client, pytest.raises(InvalidRequest):
            client.call("public/auth", grant_type="client_credentials", **ACCOUNT)
        assert server.connections == 0


@pytest.mark.parametrize("code", [13004, 13888])
def test_a_login_that_fails_shows_no_secret_and_is_tried_again(code: int) -> None:
    def script(peer: Peer) -> None:
        refuse(peer, "public/auth", {"code": code, "message": "invalid_credentials"})
        answer(peer, "public/auth")
        answer(peer, "private/get_positions", [])
        peer.wait_for_close()

    with PeerServer(script) as server, closing(Deribit(server.url, ACCOUNT)) as client:
        with pytest.raises(AuthenticationError, match="invalid_credentials") as caught:
            client.call("private/get_positions")
        for error in chain(caught.value):
            assert SECRET not in f"{error!s} {error!r} {vars(error)}"
        refused = caught.value.__cause__
        assert code != 13004 or (
            isinstance(refused, CommandError) and refused.request == {"method": "public/auth"}
        )
        assert client.call("private/get_positions") == []
        assert server.connections == 1


# -- what is got back after a lost connection


def test_the_login_the_heartbeat_and_the_channels_come_back_in_this_order() -> None:
    def first(peer: Peer) -> None:
        answer(peer, "public/set_heartbeat")
        answer(peer, "public/set_heartbeat")
        answer(peer, "public/subscribe", [BOOK, TRADES])
        answer(peer, "public/auth")
        answer(peer, "private/subscribe", [ORDERS])
        answer(peer, "public/unsubscribe", [TRADES])
        peer.abort()

    def second(peer: Peer) -> list[dict[str, Any]]:
        restored = [
            answer(peer, "public/auth"),
            answer(peer, "public/set_heartbeat"),
            answer(peer, "private/subscribe", [BOOK, ORDERS]),
        ]
        notify(peer, ORDERS, {"order_id": "ETH-1"})
        peer.wait_for_close()
        return restored

    told = Recorder()
    handlers = {
        "message": lambda client, text: told.messages.put(text),
        "open": lambda client: told.opened.put(None),
    }
    with PeerServer([first, second]) as server:
        with closing(Deribit(server.url, ACCOUNT, **handlers)) as client:
            client.call("public/set_heartbeat", interval=60)
            client.call("public/set_heartbeat", interval=10)
            client.call("public/subscribe", channels=[BOOK, TRADES])
            client.call("private/subscribe", channels=[ORDERS])
            client.call("public/unsubscribe", channels=[TRADES])
            while ORDERS not in (text := told.message()) or '"data"' not in text:
                pass
            assert json.loads(text)["params"] == {"channel": ORDERS, "data": {"order_id": "ETH-1"}}
            assert told.opened.qsize() == 2
        assert server.result() is None
        assert server.result() == [
            {"grant_type": "client_credentials", **ACCOUNT},
            {"interval": 10},
            {"channels": [BOOK, ORDERS]},
        ]


@pytest.mark.parametrize(
    ("ends", "left"),
    [("public/unsubscribe_all", "public/set_heartbeat"), ("public/disable_heartbeat", "public/subscribe")],
)
def test_what_was_ended_as_a_whole_does_not_come_back(ends: str, left: str) -> None:
    def first(peer: Peer) -> None:
        answer(peer, "public/set_heartbeat")
        answer(peer, "public/subscribe", [BOOK, TRADES])
        answer(peer, ends)
        peer.abort()

    def second(peer: Peer) -> None:
        answer(peer, left)
        answer(peer, "public/test")
        peer.wait_for_close()

    told = Recorder()
    with (
        PeerServer([first, second]) as server,
        closing(Deribit(server.url, open=lambda client: told.opened.put(None))) as client,
    ):
        client.call("public/set_heartbeat", interval=10)
        client.call("public/subscribe", channels=[BOOK, TRADES])
        client.call(ends)
        take(told.opened)
        take(told.opened)
        assert client.call("public/test") == "ok"


def test_channels_that_need_a_login_that_is_refused_now_are_told_and_the_others_come_back() -> None:
    def first(peer: Peer) -> None:
        answer(peer, "public/auth")
        answer(peer, "private/subscribe", [BOOK, ORDERS])
        peer.abort()

    def second(peer: Peer) -> None:
        forbidden = {"code": 13009, "message": "unauthorized"}
        refuse(peer, "public/auth", {"code": 13004, "message": "invalid_credentials"})
        refuse(peer, "private/subscribe", forbidden)
        assert answer(peer, "public/subscribe", [BOOK]) == {"channels": [BOOK]}
        refuse(peer, "private/subscribe", forbidden)
        notify(peer, BOOK, {})
        peer.wait_for_close()

    told = Recorder()
    handlers = {
        "message": lambda client, text: told.messages.put(text),
        "error": lambda client, error: told.errors.put(error),
    }
    with PeerServer([first, second]) as server, closing(Deribit(server.url, ACCOUNT, **handlers)) as client:
        client.call("private/subscribe", channels=[BOOK, ORDERS])
        while '"data"' not in told.message():
            pass
        lost, login, channel = told.all_errors()
        assert isinstance(lost, TransportError)
        assert isinstance(login, AuthenticationError)
        assert isinstance(channel, CommandError)
        assert channel.request["params"] == {"channels": [ORDERS]}
        assert client.connection.keeps(BOOK)
        assert not client.connection.keeps(ORDERS)


# -- what the server demands


@pytest.mark.parametrize("handled", [False, True])
def test_a_test_request_is_answered_whether_anybody_listens_or_not(handled: bool) -> None:
    def script(peer: Peer) -> None:
        answer(peer, "public/set_heartbeat")
        for _ in range(ROUNDS):
            peer.send_text({**TEST_REQUEST, "params": {"type": "heartbeat"}})
            peer.send_text(TEST_REQUEST)
            assert answer(peer, "public/test", {"version": "1.2.26"}) == {}
        peer.close()

    told = Recorder()
    handler = (lambda client, text: told.messages.put(text)) if handled else None
    with PeerServer(script) as server, closing(Deribit(server.url, message=handler)) as client:
        client.call("public/set_heartbeat", interval=10)
        assert server.result() is None  # all were answered, else the server tells as it is left
    texts = [told.message() for _ in range(1 + 3 * ROUNDS)] if handled else []
    assert sum('"test_request"' in text for text in texts) == (ROUNDS if handled else 0)


def test_a_test_request_is_answered_while_a_caller_waits_and_while_subscriptions_are_brought_back() -> None:
    def first(peer: Peer) -> None:
        call = peer.receive("public/get_time")
        peer.send_text(TEST_REQUEST)
        answer(peer, "public/test")
        peer.send_text({"jsonrpc": "2.0", "id": call["id"], "result": 1})
        answer(peer, "public/subscribe", [BOOK])
        peer.abort()

    def second(peer: Peer) -> None:
        restoring = peer.receive("public/subscribe")
        peer.send_text(TEST_REQUEST)
        answer(peer, "public/test")
        peer.send_text({"jsonrpc": "2.0", "id": restoring["id"], "result": [BOOK]})

    with PeerServer([first, second]) as server, closing(Deribit(server.url)) as client:
        assert client.call("public/get_time") == 1
        client.call("public/subscribe", channels=[BOOK])
        assert [server.result(), server.result()] == [None, None]


def test_a_refusal_of_what_the_server_demanded_itself_is_told() -> None:
    def script(peer: Peer) -> None:
        answer(peer, "public/set_heartbeat")
        peer.send_text(TEST_REQUEST)
        refuse(peer, "public/test", {"code": 10028, "message": "too_many_requests"})
        peer.wait_for_close()

    told = Recorder()
    with (
        PeerServer(script) as server,
        closing(Deribit(server.url, error=lambda client, error: told.errors.put(error))) as client,
    ):
        client.call("public/set_heartbeat", interval=10)
        assert isinstance(told.error(), RateLimited)


def test_a_server_that_demands_for_ever_and_answers_nothing_is_left() -> None:
    def script(peer: Peer) -> int | None:
        answer(peer, "public/set_heartbeat")
        for _ in range(1000):
            peer.send_text(TEST_REQUEST)
        return peer.wait_for_close()

    told = Recorder()
    with (
        PeerServer(script) as server,
        closing(Deribit(server.url, error=lambda client, error: told.errors.put(error))) as client,
    ):
        client.call("public/set_heartbeat", interval=10)
        error = told.error()
        assert isinstance(error, ProtocolError)
        assert "owes 100 answers" in str(error)
        assert take(server.said) == 1002  # the code of the Close frame
        assert client.connection.stats().pending == 0


# -- sinks


def test_what_it_says_can_be_kept(tmp_path: Path) -> None:
    def classify(message: Any) -> Shape:
        channel = message["params"]["channel"].split(".") if "params" in message else [None, None]
        return Shape(product=channel[1], type=channel[0] or "reply")

    def script(peer: Peer) -> None:
        answer(peer, "public/subscribe", [TRADES])
        notify(peer, TRADES, [{"trade_id": "48079573"}])
        answer(peer, "public/test")
        peer.wait_for_close()

    with (
        PeerServer(script) as server,
        closing(Deribit(server.url)) as client,
        attach(client, f"jsonl:{tmp_path}/market.jsonl", classify=classify),
    ):
        client.call("public/subscribe", channels=[TRADES])
        client.call("public/test")
    kept = [json.loads(line) for line in (tmp_path / "market.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["venue"] for line in kept} == {"deribit"}
    assert [(line.get("product"), line["type"]) for line in kept] == [
        (None, "reply"),
        ("BTC-PERPETUAL", "trades"),
        (None, "reply"),
    ]
