"""Many threads on one client: one connection, one login, every reply with its caller, no two messages mixed.

The large run takes its size from the environment: WSCLIENT_TEST_THREADS (default 16) threads with
WSCLIENT_TEST_CALLS (default 200) calls each. The design promises 64 x 1000, which takes some twenty seconds.
"""

import asyncio
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from typing import Any

import pytest

from tests.conftest import MakeClient, event_threads, open_sockets
from tests.peers import PING, PONG, TEXT, Peer, PeerServer, Recorder, Stopwatch, take
from wsclient import (
    Assets,
    AuthenticationError,
    CommandError,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    ProtocolError,
    Reply,
    State,
    TransportError,
    WSClient,
)
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Delay, Gate, Mute, Reorder

THREADS = int(os.environ.get("WSCLIENT_TEST_THREADS", "16"))
CALLS = int(os.environ.get("WSCLIENT_TEST_CALLS", "200"))
PAIR: dict[str, Any] = {"base": "XBT", "counter": "USDT"}


def watch(client: WSClient) -> Reply[Any]:
    return client.WatchTicker(**PAIR, watch=True)


def logged_in(client: WSClient, exchange: Sandbox) -> WSClient:
    user = exchange.users[0]
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    return client


def at_once(count: int, function: Callable[[int], Any]) -> list[Any]:
    """What the function returns or raises in so many threads that begin at the same moment."""
    together = threading.Barrier(count)

    def run(number: int) -> Any:
        together.wait(10)
        try:
            return function(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


# -- nothing before the first call


def test_nothing_happens_before_the_first_call(make_client: MakeClient, exchange: Sandbox) -> None:
    threads, sockets = set(threading.enumerate()), open_sockets()
    client = logged_in(make_client(exchange.url), exchange)
    assert client.state is State.IDLE
    assert repr(client)
    assert set(threading.enumerate()) == threads
    assert open_sockets() == sockets
    assert exchange.ledger.connections == []


def test_the_first_call_connects_and_the_first_private_one_logs_in(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = logged_in(make_client(exchange.url), exchange)
    watch(client).result(5)
    assert client.state is State.OPEN
    assert len(event_threads()) == 1
    assert exchange.ledger.authentications == []
    client.GetBalances().result(5)
    client.authenticate()
    assert len(exchange.ledger.authentications) == 1
    assert len(exchange.ledger.connections) == 1


def test_authenticate_connects_and_logs_in_once(make_client: MakeClient, exchange: Sandbox) -> None:
    client = logged_in(make_client(exchange.url), exchange)
    client.authenticate()
    client.authenticate()
    assert [entry.code for entry in exchange.ledger.authentications] == [0]


# -- the first call


@pytest.mark.parametrize("private", [True, False], ids=["private", "public"])
def test_64_threads_making_the_first_call_at_once_give_one_connection_and_one_login(
    make_client: MakeClient, exchange: Sandbox, private: bool
) -> None:
    client = logged_in(make_client(exchange.url, socket_timeout=10), exchange)

    def call(number: int) -> Any:
        if private:
            return client.GetBalances().result(20)["error_code"]
        return client.EstimateMarketOrder(**PAIR, quantity=number + 1).result(20)["error_code"]

    assert at_once(64, call) == [0] * 64
    assert len(exchange.ledger.connections) == 1
    assert len(exchange.ledger.authentications) == (1 if private else 0)
    assert len(event_threads()) == 1


def test_64_threads_with_public_private_and_explicit_logins_give_one_of_each(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = logged_in(make_client(exchange.url, socket_timeout=10), exchange)

    def call(number: int) -> Any:
        if number % 3 == 0:
            return client.authenticate()
        if number % 3 == 1:
            return client.GetOrders().result(20) and None
        return client.EstimateMarketOrder(**PAIR, quantity=1).result(20) and None

    assert at_once(64, call) == [None] * 64
    assert len(exchange.ledger.connections) == 1
    assert len(exchange.ledger.authentications) == 1


@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_64_threads_waiting_for_a_login_that_is_refused_are_all_told_in_errors_of_their_own(
    make_client: MakeClient, handled: bool
) -> None:
    told = Recorder()
    all_in = threading.Barrier(65)
    tries = []

    def script(peer: Peer) -> None:
        peer.receive("WatchTicker")
        all_in.wait(10)
        peer.welcome()
        while True:
            peer.reply(peer.receive("Authenticate"), error_code=7, error_msg="no")
            tries.append(1)

    def call(number: int) -> BaseException | None:
        all_in.wait(10)
        try:
            return client.GetBalances().exception(20)
        except AuthenticationError as error:
            return error

    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(errors=handled), socket_timeout=10)
        client.set_auth_data(1, "Y29va2ll", "passphrase")
        watch(client)
        with ThreadPoolExecutor(64) as pool:
            errors = list(pool.map(call, range(64)))
        assert server.connections == 1
    assert all(isinstance(error, AuthenticationError) for error in errors)
    assert len({id(error) for error in errors}) == 64
    assert 1 <= len(tries) <= 64
    if handled:
        assert len([error for error in told.all_errors() if isinstance(error, AuthenticationError)]) == len(tries)


# -- every reply with its caller


def test_many_threads_with_many_calls_each_get_their_own_replies_from_a_server_that_reorders_them(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    exchange.faults.add(Reorder(method="EstimateMarketOrder", window=8, linger=0.002))
    exchange.faults.add(Reorder(method="CancelOrder", window=5, order="reversed", linger=0.002))
    client = logged_in(make_client(exchange.url, socket_timeout=30), exchange)
    client.PlaceOrder(**PAIR, quantity=-(10**9), price=50_000_000).result(10)

    def call(thread: int) -> int:
        right = 0
        for number in range(CALLS):
            mine = thread * CALLS + number + 1
            if number % 2:
                estimate = client.EstimateMarketOrder(**PAIR, quantity=mine)
                reply = estimate.result(30)
                right += reply["quantity"] == mine and estimate.tag == reply["tag"]
            else:
                error = client.CancelOrder(id=10**9 + mine).exception(30)
                right += isinstance(error, NotFound) and error.request["id"] == 10**9 + mine
        return right

    assert at_once(THREADS, call) == [CALLS] * THREADS
    assert len(exchange.ledger.connections) == 1
    assert len(exchange.ledger.authentications) == 1


def test_calls_pipelined_by_one_thread_find_their_replies_in_any_order(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        calls = [peer.receive() for _ in range(500)]
        for call in sorted(calls, key=lambda call: call["quantity"] * 7919 % 500):
            peer.reply(call, quantity=call["quantity"])
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url)
        replies = [client.EstimateMarketOrder(**PAIR, quantity=number + 1) for number in range(500)]
        assert [reply.result(10)["quantity"] for reply in replies] == list(range(1, 501))


def test_two_clients_know_nothing_of_each_other(make_client: MakeClient, exchange: Sandbox) -> None:
    one, two = (make_client(exchange.url) for _ in range(2))
    assert watch(one).tag == watch(two).tag == 1
    watch(one).exception(5)
    one.stop()
    assert isinstance(watch(two).exception(5), CommandError)
    assert len(exchange.ledger.connections) == 2


# -- sending


@pytest.mark.parametrize("slow", [True, False], ids=["a slow peer", "a fast one"])
def test_sends_of_many_threads_never_interleave(make_client: MakeClient, slow: bool) -> None:
    sizes = [1, 100, 125, 126, 127, 4000, 65_535, 65_536, 300_000]
    threads, rounds = 16, 4
    expected = threads * rounds * len(sizes)

    def script(peer: Peer) -> int:
        seen = set()
        for count in range(expected):
            message = peer.receive()  # this checks the frame
            filling = message["filling"]
            assert filling == chr(97 + message["thread"]) * message["size"], "messages were mixed"
            seen.add((message["thread"], message["round"], message["size"]))
            peer.reply(message)
            if slow and count % 20 == 0:
                peer.ping(b"still there?")
        peer.wait_for_close()
        return len(seen)

    with PeerServer(script, receive_buffer=8192 if slow else None) as server:
        client = make_client(server.url, socket_timeout=10)

        def send(thread: int) -> int:
            replies = [
                client.send(
                    {"method": "WatchTicker", "thread": thread, "round": number, "size": size}
                    | {"filling": chr(97 + thread) * size}
                )
                for number in range(rounds)
                for size in sizes
            ]
            return sum(reply.result(30)["error_code"] == 0 for reply in replies)

        assert at_once(threads, send) == [rounds * len(sizes)] * threads
        client.stop()
        assert server.result() == expected


def test_a_ping_while_a_large_message_is_being_sent_does_not_end_the_connection(make_client: MakeClient) -> None:
    size = 6 * 1024 * 1024

    def script(peer: Peer) -> int:
        head = peer._take(2)
        assert head[0] == 0x80 | TEXT
        peer.ping(b"in between")
        assert answered.wait(10), "the Ping was not even read"
        length = int.from_bytes(peer._take(8), "big")
        peer._take(4 + length)
        assert peer.wait_for(PONG).payload == b"in between"
        peer.reply(1)
        peer.wait_for_close()
        return length

    answered = threading.Event()
    with PeerServer(script, receive_buffer=8192) as server:
        client = make_client(
            server.url, socket_timeout=10, ping_handler=lambda client, payload: answered.set(), msg_handler=print
        )
        # a second thread's message waits in the outbox behind the large one
        message = {"method": "WatchTicker", "filling": "x" * size}
        sender = threading.Thread(target=lambda: client.send(message))
        sender.start()
        assert answered.wait(10)
        sender.join(20)
        client.stop()
        assert server.result() > size


def test_a_ping_while_much_waits_to_be_sent_does_not_end_the_connection(make_client: MakeClient) -> None:
    count, size = 12, 300_000

    def script(peer: Peer) -> None:
        peer._buffer = peer.socket.recv(2)  # the first message has begun
        assert all_there.wait(10)
        peer.ping(b"in between")
        assert answered.wait(10), "the Ping was not even read"
        calls = [peer.receive() for _ in range(count)]
        if all(frame.opcode != PONG for frame in peer.frames):
            peer.wait_for(PONG)
        for call in calls:
            peer.reply(call)
        peer.wait_for_close()

    told = Recorder()
    answered, all_there = threading.Event(), threading.Event()
    with PeerServer(script, receive_buffer=8192) as server:
        handlers = {**told.handlers(), "ping_handler": lambda client, payload: answered.set()}
        client = make_client(server.url, socket_timeout=10, **handlers)
        message = {"method": "WatchTicker", "filling": "x" * size}
        with ThreadPoolExecutor(count) as pool:
            sent = [pool.submit(client.send, message) for _ in range(count)]
            # as many as fit have been left to the one that writes; it waits for the peer to read
            wait(sent, timeout=10, return_when=FIRST_COMPLETED)
            all_there.set()
            for one in sent:
                assert one.result(20).result(20)["error_code"] == 0
        client.stop()
        assert server.connections == 1
    assert told.all_errors() == []


@pytest.mark.parametrize("handled", [True, False])
def test_a_reply_that_is_there_counts_though_the_rest_of_its_request_could_not_be_sent(
    make_client: MakeClient, handled: bool
) -> None:
    """The event thread comes to it only after the sender has given up."""

    def script(peer: Peer) -> None:
        peer._buffer = peer.socket.recv(2)  # the request has begun
        peer.send_text({"notice": "TickerChanged"})
        peer.reply(1)
        peer.wait_for_test()

    busy = threading.Event()

    def on_message(client: WSClient, text: str) -> None:
        assert busy.wait(10)

    told = Recorder()
    handlers = {**told.handlers(errors=handled), "msg_handler": on_message}
    with PeerServer(script, receive_buffer=8192) as server:
        client = make_client(server.url, socket_timeout=0.5, **handlers)
        reply = client.send({"method": "WatchTicker", "filling": "x" * 8_000_000})
        assert not reply.done()
        busy.set()
        assert reply.result(10)["error_code"] == 0
    assert not [error for error in told.all_errors() if isinstance(error, ProtocolError)]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no such timers here")
def test_an_interrupt_in_the_middle_of_a_send_leaves_no_half_frame_that_others_continue(
    make_client: MakeClient,
) -> None:
    """Ctrl-C in the main thread, while it waits for a peer that doesn't read."""

    class Interrupt(BaseException):
        pass

    def interrupt(*arguments: object) -> None:
        raise Interrupt

    def script(peer: Peer) -> None:
        peer.wait_for_test()

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with PeerServer(script, receive_buffer=4096) as server:
            client = make_client(server.url, socket_timeout=2)
            watch(client)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(Interrupt):
                client.send({"method": "WatchTicker", "filling": "x" * 8_000_000})
            with Stopwatch() as stopping:
                client.stop()
            assert event_threads() == []
            assert stopping.seconds < 2.5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_a_peer_that_stops_reading_costs_the_senders_socket_timeout_and_no_more(make_client: MakeClient) -> None:
    told = Recorder()
    with PeerServer(lambda peer: peer.wait_for_test(), receive_buffer=4096) as server:
        client = make_client(server.url, **told.handlers(), socket_timeout=0.5)
        with Stopwatch() as sending:
            error = client.send({"method": "WatchTicker", "filling": "x" * 8_000_000}).exception(5)
        assert isinstance(error, OutcomeUnknown)  # a part of it has left
        assert sending.seconds < 3
        assert told.closing() == (None, None)
        client.stop()
    assert [type(error) for error in told.all_errors()] == [TransportError]


# -- Replies are futures


def test_replies_can_be_awaited_and_wrapped(make_client: MakeClient, exchange: Sandbox) -> None:
    client = logged_in(make_client(exchange.url), exchange)

    async def ask() -> list[Any]:
        one = await client.GetBalances()
        two = await asyncio.wrap_future(client.GetOrders())
        three = await asyncio.gather(*(_estimate(client, number) for number in range(1, 20)))
        with pytest.raises(NotFound):
            await client.CancelOrder(id=1)
        return [one["error_code"], two["error_code"], len(three)]

    assert asyncio.run(ask()) == [0, 0, 19]


async def _estimate(client: WSClient, number: int) -> Any:
    return await client.EstimateMarketOrder(**PAIR, quantity=number)


def test_a_cancelled_task_leaves_its_call_pending_and_the_client_whole(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    gate = Gate()
    exchange.faults.add(Delay(method="WatchTicker", gate=gate))
    client = make_client(exchange.url)
    reply = watch(client)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(reply), 0.05)

    asyncio.run(give_up())
    assert not reply.done()
    gate.open()
    assert reply.result(5)["error_code"] == 0


def test_as_completed_and_wait_take_replies_before_and_after_their_outcome(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = make_client(exchange.url)
    replies = {client.EstimateMarketOrder(**PAIR, quantity=number + 1) for number in range(50)}
    for _ in range(2):
        assert set(as_completed(replies, timeout=10)) == replies
        assert wait(replies, timeout=10).not_done == set()


def test_a_reply_that_left_cannot_be_cancelled(make_client: MakeClient, exchange: Sandbox) -> None:
    gate = Gate()
    exchange.faults.add(Delay(gate=gate))
    reply = watch(make_client(exchange.url))
    assert not reply.cancel()
    assert not reply.cancelled()
    gate.open()
    assert reply.result(5)["error_code"] == 0
    assert not reply.cancel()


def test_a_timeout_leaves_the_call_pending_and_its_reply_still_arrives(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    gate = Gate()
    exchange.faults.add(Delay(gate=gate))
    client = make_client(exchange.url)
    reply = watch(client)
    for timeout in (0, 0.05):
        with pytest.raises(TimeoutError):
            reply.result(timeout)
        with pytest.raises(TimeoutError):
            reply.exception(timeout)
    assert not reply.done()
    with pytest.raises(InvalidRequest):  # the tag is still taken
        client.WatchTicker(**PAIR, watch=True, tag=reply.tag)
    gate.open()
    assert reply.result(5)["error_code"] == 0


def test_call_waits_for_its_outcome_and_times_out_where_asked_to(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = logged_in(make_client(exchange.url), exchange)
    assert client.call("GetBalances")["balances"]
    with pytest.raises(NotFound):
        client.call("CancelOrder", id=1)
    exchange.faults.add(Mute(method="GetOrders"))
    with pytest.raises(TimeoutError):
        client.call("GetOrders", timeout=0.1)
    assert client.call("GetTradeVolume", asset=Assets["XBT"])["volume"] == 0


def test_many_threads_can_wait_for_one_reply(make_client: MakeClient, exchange: Sandbox) -> None:
    gate = Gate()
    exchange.faults.add(Delay(gate=gate))
    reply = watch(make_client(exchange.url))
    callbacks: queue.Queue[Any] = queue.Queue()

    def join(number: int) -> Any:
        reply.add_done_callback(callbacks.put)
        if number == 19:
            gate.open()
        return reply.result(10)["error_code"]

    assert at_once(20, join) == [0] * 20
    assert [take(callbacks) for _ in range(20)] == [reply] * 20


def test_a_waiter_who_gives_up_takes_nothing_from_another_one_of_the_same_reply(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    gate = Gate()
    exchange.faults.add(Delay(gate=gate))
    client = make_client(exchange.url)
    reply = watch(client)
    with ThreadPoolExecutor(4) as pool:
        patient = [pool.submit(reply.result, 10) for _ in range(3)]
        for _ in range(5):
            with pytest.raises(TimeoutError):
                reply.result(0.02)
        gate.open()
        assert [one.result(10)["error_code"] for one in patient] == [0] * 3
    assert client.EstimateMarketOrder(**PAIR, quantity=1).result(5)["error_code"] == 0


def test_a_callback_added_while_the_reply_arrives_is_called_once(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    client = make_client(exchange.url)
    called: queue.Queue[Any] = queue.Queue()
    for number in range(300):
        reply = client.EstimateMarketOrder(**PAIR, quantity=number + 1)
        reply.add_done_callback(called.put)
        reply.add_done_callback(called.put)
        assert take(called) is take(called) is reply
        assert called.empty()


# -- keeping the line alive


def test_a_ping_is_sent_when_idle_and_a_pong_keeps_the_line_alive(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        for _ in range(4):
            payload = peer.wait_for(PING).payload
            peer.frame(PONG, payload)
        peer.reply(peer.receive())
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), ping_interval=0.1, socket_timeout=2)
        watch(client).result(5)
        for _ in range(4):
            take(told.pongs)
        watch(client).result(5)
        client.stop()
        assert server.connections == 1
    assert told.all_errors() == []


@pytest.mark.parametrize("handled", [True, False], ids=["with err_handler", "without"])
def test_no_pong_is_the_end_of_the_connection_in_time(make_client: MakeClient, handled: bool) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.wait_for_end()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(errors=handled), ping_interval=0.2, socket_timeout=0.4)
        with Stopwatch() as silence:
            error = watch(client).exception(5)
        assert isinstance(error, OutcomeUnknown)
        assert isinstance(error.__cause__, TransportError)
        assert 0.5 < silence.seconds < 2
        assert told.closing() == (None, None)
        client.stop()
    assert len(told.all_errors()) == (1 if handled else 0)


def test_a_caller_who_waits_himself_is_told_of_a_dead_line_too(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive())
        peer.receive()
        peer.wait_for_end()

    with PeerServer(script) as server:
        client = make_client(server.url, ping_interval=0.2, socket_timeout=0.4)
        watch(client).result(5)
        with Stopwatch() as silence, pytest.raises(OutcomeUnknown):
            client.call("WatchTicker", **PAIR, watch=True)
        assert silence.seconds < 2


def test_any_data_counts_as_life(make_client: MakeClient) -> None:
    def script(peer: Peer) -> int:
        peer.reply(peer.receive())
        until = time.monotonic() + 1.0
        while time.monotonic() < until:  # no Pong among it
            peer.send_text({"notice": "TickerChanged"})
            peer._ending.wait(0.05)
        peer.reply(peer.receive())
        peer.wait_for_close()
        return len([frame for frame in peer.frames if frame.opcode == PING])

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), ping_interval=0.5, socket_timeout=0.4)
        watch(client).result(5)
        watch(client).result(5)
        client.stop()
        assert server.result() == 0
        assert server.connections == 1
    assert told.all_errors() == []
