"""Servers that break the protocol, RFC 6455's or CoinFLEX's, or just say nothing: each with its one outcome.

What a test promises is in the design's section 4. Silence and slowness before the connection is open are in
`test_connecting.py`.
"""

import json
import socket
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import BINARY, CLOSE, NONCE, PING, PONG, TEXT, Peer, PeerServer, Recorder, encode
from wsclient import (
    AuthenticationError,
    BadRequest,
    CommandError,
    NotFound,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    TransportError,
    WSClient,
)

WATCH: dict[str, Any] = {"base": "XBT", "counter": "USDT", "watch": True}


def logged_in(client: WSClient) -> WSClient:
    client.set_auth_data(7, "Y29va2ll", "the passphrase")
    return client


def watch(client: WSClient) -> Any:
    return client.WatchTicker(**WATCH)


# -- the Welcome


def never_greets(peer: Peer) -> None:
    peer.wait_for_end()


def test_a_welcome_that_never_comes_fails_the_private_call_in_time(make_client: MakeClient) -> None:
    with PeerServer(never_greets) as server:
        client = logged_in(make_client(server.url, socket_timeout=0.3))
        with pytest.raises(AuthenticationError) as caught:
            client.GetBalances()
        assert isinstance(caught.value.__cause__, TransportError)
        assert "greeting" in str(caught.value)
        assert server.connections == 1


def test_a_welcome_that_never_comes_is_told_once_to_the_error_handler(make_client: MakeClient) -> None:
    told = Recorder()
    with PeerServer(never_greets) as server:
        client = logged_in(make_client(server.url, **told.handlers(), socket_timeout=0.3))
        reply = client.GetBalances()
        assert isinstance(reply.exception(5), AuthenticationError)
        assert told.closing() == (None, None)
        client.stop()
    assert len(told.all_errors()) == 1


def test_a_public_call_needs_no_welcome(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"), last=1)
        peer.wait_for_close()

    with PeerServer(script) as server:
        assert watch(make_client(server.url)).result(5)["last"] == 1


@pytest.mark.parametrize(
    "welcome",
    [
        {"notice": "Welcome"},
        {"notice": "Welcome", "nonce": None},
        {"notice": "Welcome", "nonce": 16},
        {"notice": "Welcome", "nonce": ["a"]},
        {"notice": "Welcome", "nonce": "c2hvcnQ="},
        {"notice": "Welcome", "nonce": NONCE + "AAAA"},
        {"notice": "Welcome", "nonce": "!" + NONCE[1:]},
        {"notice": "Welcome", "nonce": "ü" * 24},
    ],
    ids=["no nonce", "null", "a number", "a list", "short", "long", "not base64", "not ASCII"],
)
def test_a_welcome_without_a_proper_nonce_is_a_protocol_error(
    make_client: MakeClient, welcome: dict[str, Any]
) -> None:
    def script(peer: Peer) -> int | None:
        peer.send_text(welcome)
        return peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = logged_in(make_client(server.url, **told.handlers()))
        error = client.GetBalances().exception(5)
        # a connection that ends before the login has begun is made again, three times at most
        if server.connections < 3:
            assert isinstance(error, AuthenticationError)
            assert isinstance(error.__cause__, ProtocolError)
        assert isinstance(error, (AuthenticationError, NotSent))
        assert server.result() == 1002
        client.stop()
    errors = [error for error in told.all_errors() if not isinstance(error, NotSent)]
    assert len(errors) == server.connections
    assert all(isinstance(error, ProtocolError) for error in errors)


@pytest.mark.parametrize("credentials", [True, False], ids=["with credentials", "without"])
def test_a_second_welcome_before_the_login_is_a_protocol_error(make_client: MakeClient, credentials: bool) -> None:
    def script(peer: Peer) -> int | None:
        call = peer.receive("WatchTicker")
        peer.welcome()
        peer.welcome()
        code = peer.wait_for_close()
        assert call["tag"] == 1
        return code

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        if credentials:
            logged_in(client)
        error = watch(client).exception(5)
        assert isinstance(error, OutcomeUnknown)
        assert isinstance(error.__cause__, ProtocolError)
        assert server.result() == 1002
    assert isinstance(told.error(), ProtocolError)
    assert told.closing() == (None, None)


def test_a_second_welcome_after_the_login_is_an_ordinary_notice(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.log_in()
        call = peer.receive("GetBalances")
        peer.send_text({"notice": "Welcome"})
        peer.welcome("c2hvcnQ=")
        peer.reply(call, balances=[])
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = logged_in(make_client(server.url, **told.handlers()))
        assert client.GetBalances().result(5)["balances"] == []
        client.stop()
    texts = [told.message() for _ in range(5)]
    assert [json.loads(text).get("notice") for text in texts] == ["Welcome", None, "Welcome", "Welcome", None]
    assert told.all_errors() == []


# -- the login


def test_a_refused_login_keeps_the_connection_and_the_next_private_call_tries_again(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        peer.welcome()
        peer.reply(peer.receive("Authenticate"), error_code=7, error_msg="wrong cookie")
        peer.reply(peer.receive("Authenticate"))
        peer.reply(peer.receive("GetBalances"), balances=[])
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = logged_in(make_client(server.url, **told.handlers()))
        error = client.GetBalances().exception(5)
        assert isinstance(error, AuthenticationError)
        assert "wrong cookie" in str(error)
        assert isinstance(error.__cause__, CommandError)
        assert error.__cause__.code == 7
        assert client.GetBalances().result(5)["balances"] == []
        client.stop()
        assert server.connections == 1
    assert len(told.all_errors()) == 1


def test_a_refused_login_is_raised_where_there_is_no_error_handler(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.welcome()
        peer.reply(peer.receive("Authenticate"), error_code=1, error_msg="no such user")
        peer.reply(peer.receive("WatchTicker"), last=3)
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = logged_in(make_client(server.url))
        with pytest.raises(AuthenticationError, match="no such user") as caught:
            client.GetBalances()
        assert isinstance(caught.value, ConnectionError)
        assert watch(client).result(5)["last"] == 3
        assert server.connections == 1


def test_a_login_that_is_never_answered_ends_in_time_and_gives_the_connection_up(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        peer.welcome()
        peer.receive("Authenticate")
        peer.wait_for_end()

    told = Recorder()
    with PeerServer(script) as server:
        client = logged_in(make_client(server.url, **told.handlers(), socket_timeout=0.3))
        error = client.GetBalances().exception(5)
        assert isinstance(error, AuthenticationError)
        assert isinstance(error.__cause__, TransportError)
        server.result()
    assert told.closing() == (None, None)
    client.stop()
    assert len(told.all_errors()) == 1


@pytest.mark.parametrize("code", [1000, 1001, 1008, 4000, None, "no Close frame"])
def test_a_close_in_the_middle_of_the_login_is_told_once(make_client: MakeClient, code: int | str | None) -> None:
    def script(peer: Peer) -> None:
        peer.welcome()
        peer.receive("Authenticate")
        if isinstance(code, str):
            peer.end()
        else:
            peer.close(code, "" if code is None else "because")

    told = Recorder()
    with PeerServer(script) as server:
        client = logged_in(make_client(server.url, **told.handlers()))
        error = client.GetBalances().exception(5)
        assert isinstance(error, AuthenticationError)
        assert isinstance(error.__cause__, TransportError)
        if isinstance(code, str):
            assert told.closing() == (None, None)
        else:
            assert told.closing() == ((1005, "") if code is None else (code, "because"))
        client.stop()
    assert len(told.all_errors()) == 1


def test_a_private_call_gets_through_where_the_connection_ended_before_its_login(
    make_client: MakeClient,
) -> None:
    def first(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"))
        peer.close(1000)

    def second(peer: Peer) -> None:
        peer.log_in()
        peer.reply(peer.receive("GetBalances"), balances=[])
        peer.wait_for_close()

    told = Recorder()
    with PeerServer([first, second]) as server:
        client = logged_in(make_client(server.url, **told.handlers(), reconnect=None))
        watch(client).result(5)
        told.closing()
        assert client.GetBalances().result(5)["balances"] == []
        assert server.connections == 2
        client.stop()
    assert told.all_errors() == []


# -- the end in the middle of a call


@pytest.mark.parametrize("code", [1000, 1001, 1008, 4000, None, "no Close frame", "a reset"])
def test_a_call_in_flight_when_the_server_closes_ends_unknown_and_is_told_once(
    make_client: MakeClient, code: int | str | None
) -> None:
    def script(peer: Peer) -> None:
        peer.receive("WatchTicker")
        if code == "a reset":
            peer.abort()
        elif isinstance(code, str):
            peer.end()
        else:
            peer.close(code)

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        error = watch(client).exception(5)
        assert isinstance(error, OutcomeUnknown)
        assert isinstance(error.__cause__, TransportError)
        if isinstance(code, str):
            assert told.closing() == (None, None)
        else:
            assert told.closing() == (1005 if code is None else code, "")
        client.stop()
    assert len(told.all_errors()) == 1


@pytest.mark.parametrize("code", [1000, 1001])
def test_an_orderly_close_with_nothing_in_flight_is_no_error(make_client: MakeClient, code: int) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"))
        peer.close(code)

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        watch(client).result(5)
        assert told.closing() == (code, "")
        client.stop()
    assert told.all_errors() == []


def test_a_call_after_the_connection_ended_connects_again(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"), last=peer.number)
        peer.close(1000)

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(
            server.url, **told.handlers(), reconnect=None
        )  # with it, the watch is got back by itself
        for number in range(3):
            assert watch(client).result(5)["last"] == number
            told.closing()
        assert server.connections == 3


def test_the_end_without_an_error_handler_fails_what_is_pending_and_is_logged(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    def script(peer: Peer) -> None:
        for _ in range(3):
            peer.receive("WatchTicker")
        peer.close(1008, "go away")

    with PeerServer(script) as server:
        client = make_client(server.url)
        replies = [watch(client) for _ in range(3)]
        errors = [reply.exception(5) for reply in replies]
        client.stop()
    assert all(isinstance(error, OutcomeUnknown) for error in errors)
    assert len({id(error) for error in errors}) == 3
    logged = [record for record in caplog.records if record.name == "wsclient"]
    assert len(logged) == 1
    assert "go away" in logged[0].getMessage()


def test_a_frame_cut_in_the_middle_is_a_lost_connection(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive("WatchTicker")
        whole = encode(TEXT, json.dumps({"tag": call["tag"], "error_code": 0}).encode())
        peer.raw(whole[: len(whole) // 2])
        peer.end()

    with PeerServer(script) as server:
        client = make_client(server.url)
        error = watch(client).exception(5)
    assert isinstance(error, OutcomeUnknown)
    assert isinstance(error.__cause__, TransportError)


def test_a_reset_after_the_close_frames_does_not_change_what_the_close_said(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"))
        peer.close_frame(1000, "done")
        peer.wait_for_close()
        peer.abort()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        watch(client).result(5)
        assert told.closing() == (1000, "done")
        client.stop()
    assert told.all_errors() == []


def test_a_reset_after_a_broken_frame_does_not_change_what_was_wrong(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.receive("WatchTicker")
        peer.frame(0x3, b"")
        peer.wait_for_close()
        peer.abort()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        error = watch(client).exception(5)
    assert isinstance(error, OutcomeUnknown)
    assert isinstance(error.__cause__, ProtocolError)
    assert isinstance(told.error(), ProtocolError)


# -- replies that nobody asked for, or in a shape that nobody expects


@pytest.mark.parametrize("tag", [99, -1, 10**30, 0], ids=["unknown", "negative", "huge", "zero"])
def test_a_reply_to_a_tag_that_nobody_asked_for_is_told_and_changes_nothing(
    make_client: MakeClient, tag: int
) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive("WatchTicker")
        peer.reply(tag)
        peer.reply(call, last=5)
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        assert watch(client).result(5)["last"] == 5
        client.stop()
        assert server.connections == 1
    errors = told.all_errors()
    assert [type(error) for error in errors] == [ProtocolError]
    assert json.loads(told.message())["tag"] == tag


def test_a_reply_to_an_unknown_tag_is_logged_where_there_is_no_error_handler(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive("WatchTicker")
        peer.reply(99)
        peer.reply(call)
        peer.wait_for_close()

    with PeerServer(script) as server:
        watch(make_client(server.url)).result(5)
    assert [record.levelname for record in caplog.records if "tag 99" in record.getMessage()] == ["ERROR"]


def test_a_reply_without_a_tag_is_handed_over_as_it_is(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive("WatchTicker")
        peer.send_text({"error_code": 8, "error_msg": "what?"})
        peer.reply(call, last=5)
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        assert watch(client).result(5)["last"] == 5
        assert json.loads(told.message())["error_msg"] == "what?"
        client.stop()
    assert told.all_errors() == []


def test_a_second_reply_to_the_same_tag_does_not_reach_anybody_elses_call(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        first, second = peer.receive(), peer.receive()
        peer.reply(first, last=1)
        peer.reply(first, last=2)
        peer.reply(second, last=3)
        peer.reply(second, last=4)
        third = peer.receive()
        peer.reply(third, last=5)
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        first, second = watch(client), watch(client)
        assert (first.result(5)["last"], second.result(5)["last"]) == (1, 3)
        assert watch(client).result(5)["last"] == 5
        client.stop()
        assert server.connections == 1
    assert all(isinstance(error, ProtocolError) for error in told.all_errors())
    assert [json.loads(told.message())["last"] for _ in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("tag", ["1", 1.0, True, [1], {"a": 1}, ""], ids=repr)
def test_a_reply_whose_tag_is_no_integer_is_a_protocol_error_that_ends_the_connection(
    make_client: MakeClient, tag: object
) -> None:
    def script(peer: Peer) -> int | None:
        peer.receive("WatchTicker")
        peer.send_text({"error_code": 0, "tag": tag})
        return peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        error = watch(client).exception(5)
        assert isinstance(error, OutcomeUnknown)
        assert isinstance(error.__cause__, ProtocolError)
        assert server.result() == 1002
        client.stop()
    assert [type(error) for error in told.all_errors()] == [ProtocolError]


@pytest.mark.parametrize("code", ["0", None, 0.0, False, [0], 17, -1, 10**30], ids=repr)
def test_an_error_code_that_says_nothing_known_is_a_plain_command_error(
    make_client: MakeClient, code: object
) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"), error_code=code, error_msg="hm")
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        error = watch(client).exception(5)
        assert type(error) is CommandError
        assert error.code == code
        assert error.message == "hm"
        assert error.request["method"] == "WatchTicker"
        client.stop()
        assert server.connections == 1
    assert told.all_errors() == []


def test_a_reply_without_an_error_code_is_a_plain_command_error(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.send_text({"tag": peer.receive()["tag"]})
        peer.wait_for_close()

    with PeerServer(script) as server:
        error = watch(make_client(server.url)).exception(5)
    assert type(error) is CommandError
    assert error.code is None


def test_an_error_reply_belongs_to_its_call_alone(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        first, second = peer.receive(), peer.receive()
        peer.reply(second, error_code=8, error_msg=["not", "a", "text"])
        peer.reply(first, error_code=1)
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        first, second = watch(client), watch(client)
        assert isinstance(first.exception(5), NotFound)
        assert isinstance(second.exception(5), BadRequest)
        client.stop()
    assert told.all_errors() == []


# -- what is no message at all

GARBAGE = {
    "not JSON": "tag: 1",
    "nearly JSON": '{"tag":1,"error_code":0',
    "an array": '[{"tag":1,"error_code":0}]',
    "a string": '"\\"tag\\""',
    "nested": "[" * 200_000 + '"tag"' + "]" * 200_000,
    "an endless number": '{"tag":' + "9" * 5000 + "}",
    "empty": "",
}


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_text_that_is_no_json_object_is_an_error_or_is_handed_over_but_loses_nothing(
    make_client: MakeClient, text: str
) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive()
        peer.send_text(text)
        peer.reply(call, last=5)
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        reply = watch(client)
        error = reply.exception(5)
        if error is None:
            assert reply.result()["last"] == 5
            client.stop()
            assert told.all_errors() == []
        else:
            assert isinstance(error, OutcomeUnknown)
            assert isinstance(error.__cause__, ProtocolError)
            client.stop()
            assert [type(error) for error in told.all_errors()] == [ProtocolError]
        assert told.message() == text


@pytest.mark.parametrize("text", ['{"Welcome":', '["Welcome"]', '"Welcome"'])
def test_a_greeting_that_is_no_json_object_ends_the_login(make_client: MakeClient, text: str) -> None:
    def script(peer: Peer) -> int | None:
        peer.send_text(text)
        return peer.wait_for_close()

    with PeerServer(script) as server:
        client = logged_in(make_client(server.url))
        with pytest.raises((AuthenticationError, NotSent)) as caught:
            client.GetBalances()
        if server.connections < 3:
            assert isinstance(caught.value, AuthenticationError)
            assert isinstance(caught.value.__cause__, ProtocolError)
        assert server.result() == 1002


def test_a_binary_message_is_told_and_dropped_and_the_connection_goes_on(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive()
        peer.send_bytes(b'{"tag":1,"error_code":0}')
        peer.reply(call, last=5)
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        assert watch(client).result(5)["last"] == 5
        client.stop()
        assert server.connections == 1
    assert [type(error) for error in told.all_errors()] == [ProtocolError]
    assert len(told.messages.queue) == 1


# -- what is no WebSocket frame

BROKEN = {
    "bad UTF-8": (encode(TEXT, b'{"tag":1,"x":"\xff"}'), 1007),
    "a surrogate in UTF-8": (encode(TEXT, b"\xed\xa0\x80"), 1007),
    "bad UTF-8 in a fragment": (encode(TEXT, b"\xc3", fin=False) + encode(0, b"("), 1007),
    "a masked frame": (encode(TEXT, b"{}", masked=True), 1002),
    "a reserved bit": (encode(TEXT, b"{}", rsv=4), 1002),
    "a reserved bit on a Ping": (encode(PING, b"", rsv=1), 1002),
    "a reserved opcode": (encode(0x3, b""), 1002),
    "a reserved control opcode": (encode(0xB, b""), 1002),
    "a continuation of nothing": (encode(0x0, b"x"), 1002),
    "a message inside a message": (encode(TEXT, b"x", fin=False) + encode(TEXT, b"y"), 1002),
    "a fragmented Ping": (encode(PING, b"", fin=False), 1002),
    "a large Ping": (encode(PING, bytes(126)), 1002),
    "9 exabytes": (encode(TEXT, b"", length=2**63 - 1), 1009),
    "18 exabytes": (encode(TEXT, b"", length=2**64 - 1), 1002),
    "9 exabytes of binary": (encode(BINARY, b"", length=2**63 - 1), 1009),
    "an oversized message": (encode(TEXT, b"x" * 1001), 1009),
    "an oversized sum of fragments": (encode(TEXT, b"x" * 600, fin=False) + encode(0, b"x" * 600), 1009),
    "a Close of one byte": (encode(CLOSE, b"\x03"), 1002),
    "a Close with code 1005": (encode(CLOSE, b"\x03\xed"), 1002),
    "a Close with code 999": (encode(CLOSE, b"\x03\xe7"), 1002),
    "a Close whose reason is no UTF-8": (encode(CLOSE, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize(("frame", "code"), BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_a_broken_frame_fails_the_connection_with_its_code_and_is_told_once(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, frame: bytes, code: int, handled: bool
) -> None:
    def script(peer: Peer) -> int | None:
        peer.receive()
        peer.raw(frame)
        return peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, max_message_size=1000, **told.handlers(errors=handled))
        error = watch(client).exception(5)
        assert isinstance(error, OutcomeUnknown)
        assert isinstance(error.__cause__, ProtocolError)
        assert error.__cause__.close_code == code
        assert server.result() == code
        assert told.closing() == (None, None)
        client.stop()
    if handled:
        assert [type(error) for error in told.all_errors()] == [ProtocolError]
    assert len([record for record in caplog.records if record.name == "wsclient"]) == (0 if handled else 1)


def test_a_message_of_the_largest_size_is_no_error(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive()
        text = json.dumps({"tag": call["tag"], "error_code": 0, "pad": ""})
        peer.send_text(text.replace('""', '"' + "x" * (1000 - len(text)) + '"'))
        peer.wait_for_close()

    with PeerServer(script) as server:
        assert watch(make_client(server.url, max_message_size=1000)).result(5)["error_code"] == 0


def test_fragments_with_control_frames_between_them_are_one_message(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive()
        payload = json.dumps({"tag": call["tag"], "error_code": 0, "name": "ü"}, ensure_ascii=False).encode()
        cut = payload.index(b"\xc3") + 1  # inside the character
        peer.frame(TEXT, payload[:cut], fin=False)
        peer.ping(b"are you there?")
        assert peer.wait_for(PONG).payload == b"are you there?"
        peer.frame(0, b"", fin=False)
        peer.frame(0, payload[cut:])
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers())
        assert watch(client).result(5)["name"] == "ü"
        client.stop()
    assert told.pings.get_nowait() == b"are you there?"
    assert told.all_errors() == []


def test_bytes_that_come_one_by_one_are_the_same_message(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        call = peer.receive()
        for byte in encode(TEXT, json.dumps({"tag": call["tag"], "error_code": 0}).encode()):
            peer.raw(bytes((byte,)))
        peer.wait_for_close()

    with PeerServer(script) as server:
        assert watch(make_client(server.url)).result(5)["error_code"] == 0


def test_a_ping_flood_by_a_peer_that_never_reads_ends_the_connection(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        pings = encode(PING, bytes(125)) * 500
        while True:  # until the client has given up
            peer.raw(pings)

    told = Recorder()
    with PeerServer(script, receive_buffer=4096) as server:
        client = make_client(server.url, err_handler=lambda client, error: told.errors.put(error))
        error = watch(client).exception(20)
        assert isinstance(error, OutcomeUnknown)
        assert isinstance(error.__cause__, TransportError)
    client.stop()
    assert [type(error) for error in told.all_errors()] == [TransportError]


def test_a_server_that_resets_at_once_gives_one_honest_error(make_client: MakeClient) -> None:
    told = Recorder()
    with PeerServer(lambda peer: peer.abort()) as server:
        client = make_client(server.url, **told.handlers())
        error = watch(client).exception(10)
        assert isinstance(error, (NotSent, OutcomeUnknown))
        client.stop()
    assert told.all_errors()


@pytest.mark.parametrize("code", [1000, 1008])
def test_a_server_that_closes_at_once_gives_one_honest_error(make_client: MakeClient, code: int) -> None:
    told = Recorder()
    with PeerServer(lambda peer: peer.close(code)) as server:
        client = make_client(server.url, **told.handlers())
        error = watch(client).exception(10)
        assert isinstance(error, (NotSent, OutcomeUnknown))
        client.stop()
    assert told.all_errors()


def test_a_peer_that_closes_its_half_is_answered_by_the_end(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.socket.shutdown(socket.SHUT_WR)
        peer.wait_for_end()

    with PeerServer(script) as server:
        error = watch(make_client(server.url)).exception(5)
        assert isinstance(error, OutcomeUnknown)
        server.result()
