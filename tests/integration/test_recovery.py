"""After a lost connection: what is got back, in which order, how often it is tried, and how it ends."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.peers import Peer, PeerServer, Recorder
from wsclient import (
    AuthenticationError,
    NotFound,
    NotSent,
    OutcomeUnknown,
    Reconnect,
    StaleFeed,
    TransportError,
    WSClient,
)
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Delay, Drop, Gate, Mute, Unfed

AT_ONCE = Reconnect(base=0)
XBT_USDT: dict[str, Any] = {"base": "XBT", "counter": "USDT"}


class Moments:
    """What happens to a client, in order, and a way to wait for the next of a kind."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.all: list[tuple[str, Any]] = []

    def handlers(self) -> dict[str, Any]:
        def told(kind: str) -> Callable[..., None]:
            return lambda client, *args: self.tell(kind, *args)

        return {
            "open_handler": told("open"),
            "close_handler": told("close"),
            "err_handler": told("error"),
        }

    def tell(self, kind: str, *args: Any) -> None:
        self.all.append((kind, args[0] if args else None))
        self._queue.put(self.all[-1])

    def next(self, kind: str) -> Any:
        while True:
            found, value = self._queue.get(timeout=10)
            if found == kind:
                return value

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.all]


def logged_in(client: WSClient, exchange: Sandbox, number: int = 0) -> WSClient:
    user = exchange.users[number]
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    client.authenticate()
    return client


def cut(client: WSClient, exchange: Sandbox) -> None:
    """The exchange ends the connection, having run nothing."""
    exchange.faults.add(Drop(method="EstimateMarketOrder"))
    with pytest.raises((OutcomeUnknown, NotSent)):
        client.call("EstimateMarketOrder", **XBT_USDT, quantity=1)


def methods(exchange: Sandbox) -> list[str]:
    return [command.method for command in exchange.ledger.commands() if command.method is not None]


# -- what is got back


def test_the_login_comes_back_first_then_every_watch_then_open_handler(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    told = Moments()
    client = logged_in(make_client(exchange.url, **told.handlers(), reconnect=AT_ONCE), exchange)
    client.WatchTicker(**XBT_USDT, watch=True).result(5)
    client.WatchOrders(**XBT_USDT, watch=True).result(5)
    told.next("open")
    cut(client, exchange)
    told.next("open")
    assert methods(exchange)[-3:] == ["Authenticate", "WatchTicker", "WatchOrders"]
    assert told.kinds() == ["open", "error", "close", "open"]
    texts: queue.Queue[str] = queue.Queue()
    client.tap(texts.put)
    client.PlaceOrder(**XBT_USDT, quantity=10000, price=90_000_000).result(5)
    assert "OrderOpened" in "".join(texts.get(timeout=5) for _ in range(3))


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, None])
def test_a_connection_is_got_back_whatever_ended_it(make_client: MakeClient, code: int | None) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"), last=peer.number)
        if peer.number == 0:
            peer.abort() if code is None else peer.close(code)
        else:
            peer.wait_for_close()

    told = Moments()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), reconnect=AT_ONCE)
        client.WatchTicker(**XBT_USDT, watch=True).result(5)
        told.next("open")
        told.next("open")
        assert server.connections == 2
        client.stop()


def test_with_nothing_to_keep_only_the_next_call_connects(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("EstimateMarketOrder"))
        peer.close(1001)

    told = Moments()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), reconnect=AT_ONCE)
        for number in (1, 2):
            client.EstimateMarketOrder(**XBT_USDT, quantity=1).result(5)
            told.next("close")
            assert server.connections == number
        assert client.state.value == "idle"


def test_a_watch_that_was_ended_is_not_got_back(make_client: MakeClient, exchange: Sandbox) -> None:
    told = Moments()
    client = make_client(exchange.url, **told.handlers(), reconnect=AT_ONCE)
    for watch in (True, False):
        client.WatchTicker(**XBT_USDT, watch=watch).result(5)
    client.WatchOrders(**XBT_USDT, watch=True).result(5)
    told.next("open")
    cut(client, exchange)
    told.next("open")
    assert methods(exchange)[-1] == "WatchOrders"
    assert methods(exchange).count("WatchTicker") == 2


def test_a_watch_that_cannot_be_got_back_is_reported_and_the_others_go_on(make_client: MakeClient) -> None:
    asked: list[list[str]] = [[], [], []]

    def script(peer: Peer) -> None:
        for _ in range(1 if peer.number == 2 else 2):
            request = peer.receive()
            asked[peer.number].append(request["method"])
            refused = peer.number == 1 and request["method"] == "WatchTicker"
            peer.reply(request, error_code=1 if refused else 0, error_msg="no more")
        if peer.number < 2:
            peer.close(1001)
        else:
            peer.wait_for_close()

    told = Moments()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), reconnect=AT_ONCE)
        client.WatchTicker(**XBT_USDT, watch=True)
        client.WatchOrders(**XBT_USDT, watch=True)
        for _ in range(3):
            told.next("open")
        client.stop()
    assert [type(error) for kind, error in told.all if kind == "error"] == [NotFound]
    assert asked == [["WatchTicker", "WatchOrders"], ["WatchTicker", "WatchOrders"], ["WatchOrders"]]


def test_a_login_that_is_refused_on_the_way_back_is_reported_and_the_watches_go_on(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    told = Moments()
    client = logged_in(make_client(exchange.url, **told.handlers(), reconnect=AT_ONCE), exchange)
    client.WatchTicker(**XBT_USDT, watch=True).result(5)
    told.next("open")
    user = exchange.users[0]
    client.set_auth_data(user.id, user.cookie, "a wrong passphrase")
    cut(client, exchange)
    told.next("open")
    assert isinstance(told.all[-2][1], AuthenticationError)
    assert methods(exchange)[-2:] == ["Authenticate", "WatchTicker"]
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    assert client.GetBalances().result(5)["balances"]  # the next private call tries again


def test_calls_made_meanwhile_go_out_when_all_is_back(make_client: MakeClient, exchange: Sandbox) -> None:
    told = Moments()
    client = logged_in(make_client(exchange.url, **told.handlers(), reconnect=AT_ONCE), exchange)
    gate = Gate()
    client.WatchTicker(**XBT_USDT, watch=True).result(5)
    exchange.faults.add(Delay(method="WatchTicker", gate=gate))
    cut(client, exchange)
    exchange.ledger.wait_for(lambda ledger: len(ledger.commands("WatchTicker")) == 2)
    replies: queue.Queue[Any] = queue.Queue()
    asked = threading.Thread(target=lambda: replies.put(client.GetOrders().result(10)))
    asked.start()
    assert client.state.value == "connecting"
    assert "GetOrders" not in methods(exchange)
    gate.open()
    assert replies.get(timeout=10)["orders"] == []
    asked.join()
    assert methods(exchange)[-1] == "GetOrders"


# -- how often it is tried


def test_it_gives_up_after_so_many_tries_waits_in_between_and_the_next_call_starts_afresh(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        if 0 < peer.number <= 3:
            peer.abort()
            return
        peer.upgrade()
        peer.reply(peer.receive("WatchTicker"))
        if peer.number == 0:
            peer.abort()
        else:
            peer.reply(peer.receive("EstimateMarketOrder"))
            peer.wait_for_close()

    asked: list[float] = []

    def draw() -> float:
        asked.append(len(asked))
        return 0.0

    told = Moments()
    with PeerServer(script, handshake=False) as server:
        client = make_client(server.url, **told.handlers(), reconnect=Reconnect(3, 0.5, 1.0, draw))
        client.WatchTicker(**XBT_USDT, watch=True).result(5)
        lost = told.next("error")
        gave_up = told.next("error")
        assert isinstance(lost, TransportError)
        assert isinstance(gave_up, TransportError)
        assert "gave up" in str(gave_up)
        assert "3 tries" in str(gave_up)
        assert gave_up.__cause__ is not None
        assert len(asked) == 3
        assert server.connections == 4
        client.EstimateMarketOrder(**XBT_USDT, quantity=1).result(5)  # and the watch is there again
        assert server.connections == 5


def test_a_connection_that_ends_before_it_proved_healthy_counts_as_a_try(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"))
        peer.close(1011)  # after restoring, and before anything else

    told = Moments()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), reconnect=Reconnect(tries=4, base=0))
        client.WatchTicker(**XBT_USDT, watch=True).result(5)
        while "gave up" not in str(told.next("error")):
            pass
        assert server.connections == 5


def test_a_message_beyond_restoring_proves_it_healthy(make_client: MakeClient) -> None:
    last = 12

    def script(peer: Peer) -> None:
        for _ in range(2):
            request = peer.receive()
            if request["method"] == "WatchTicker":
                peer.reply(request)
        if peer.number < last:
            peer.send_text({"notice": "TickerChanged", "last": 1})
            peer.close(1011)
        else:
            peer.wait_for_close()

    def on_open(client: WSClient) -> None:
        client.EstimateMarketOrder(**XBT_USDT, quantity=1)
        told.tell("open")

    told = Moments()
    with PeerServer(script) as server:
        handlers = {**told.handlers(), "open_handler": on_open}
        client = make_client(server.url, **handlers, reconnect=Reconnect(tries=2, base=0))
        client.WatchTicker(**XBT_USDT, watch=True)
        for _ in range(last + 1):
            told.next("open")
        assert server.connections == last + 1
        assert not [error for kind, error in told.all if kind == "error" and "gave up" in str(error)]


def test_those_who_wait_are_told_when_it_gives_up(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        if peer.number == 0:
            peer.upgrade()
            peer.reply(peer.receive("WatchTicker"))
        peer.abort()

    pausing, resume = threading.Event(), threading.Event()

    def draw() -> float:
        pausing.set()
        resume.wait(10)
        return 0.0

    told = Moments()
    with PeerServer(script, handshake=False) as server:
        client = make_client(server.url, **told.handlers(), reconnect=Reconnect(2, 0.1, 1, draw))
        client.WatchTicker(**XBT_USDT, watch=True).result(5)
        assert pausing.wait(10)
        outcomes: queue.Queue[Any] = queue.Queue()
        callers = [
            threading.Thread(
                target=lambda: outcomes.put(client.EstimateMarketOrder(**XBT_USDT, quantity=1).exception(10))
            )
            for _ in range(4)
        ]
        for caller in callers:
            caller.start()
        resume.set()
        for _ in callers:
            error = outcomes.get(timeout=10)
            assert isinstance(error, NotSent)
        for caller in callers:
            caller.join()


def test_stop_ends_a_pause_between_tries_at_once(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"))
        peer.close(1001)

    told = Moments()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), reconnect=Reconnect(5, 3600, 3600, lambda: 1.0))
        client.WatchTicker(**XBT_USDT, watch=True).result(5)
        told.next("close")
        client.stop()
        assert client.state.value == "stopped"
        assert server.connections == 1


def test_a_call_with_a_timeout_does_not_wait_for_the_recovery_longer(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.receive("WatchTicker"))
        peer.close(1001)

    told = Moments()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), reconnect=Reconnect(5, 3600, 3600, lambda: 1.0))
        client.WatchTicker(**XBT_USDT, watch=True).result(5)
        told.next("close")
        with pytest.raises(NotSent):
            client.call("EstimateMarketOrder", timeout=0.05, **XBT_USDT, quantity=1)


def test_without_reconnecting_nothing_is_got_back(make_client: MakeClient, exchange: Sandbox) -> None:
    told = Moments()
    client = make_client(exchange.url, **told.handlers(), reconnect=None)
    client.WatchTicker(**XBT_USDT, watch=True).result(5)
    cut(client, exchange)
    told.next("close")
    client.EstimateMarketOrder(**XBT_USDT, quantity=1).result(5)
    assert methods(exchange).count("WatchTicker") == 1


# -- feeds that go quiet


def test_a_quiet_watch_is_reported_and_renewed(make_client: MakeClient, exchange: Sandbox) -> None:
    told = Moments()
    client = make_client(exchange.url, **told.handlers(), reconnect=AT_ONCE)
    client.WatchTicker(**XBT_USDT, watch=True, stale_after=0.05).result(5)
    assert isinstance(told.next("error"), StaleFeed)
    exchange.ledger.wait_for(lambda ledger: len(ledger.commands("WatchTicker")) >= 3)
    assert methods(exchange)[:3] == ["WatchTicker"] * 3  # begun, ended, begun


def test_a_peer_that_answers_pings_but_not_a_renewed_watch_is_replaced(
    make_client: MakeClient, exchange: Sandbox
) -> None:
    told = Moments()
    client = make_client(exchange.url, **told.handlers(), reconnect=AT_ONCE, socket_timeout=0.3)
    exchange.faults.add(Unfed(method="WatchTicker"))
    client.WatchTicker(**XBT_USDT, watch=True, stale_after=0.05).result(5)
    exchange.faults.add(Mute(method="WatchTicker", times=2))
    told.next("open")
    errors = [told.next("error"), told.next("error")]
    assert all(isinstance(error, StaleFeed) for error in errors)
    told.next("open")


def test_notices_keep_a_watch_fresh(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        request = peer.receive("WatchTicker")
        peer.reply(request)
        for _ in range(50):
            peer.send_text({"notice": "TickerChanged", "base": request["base"], "counter": request["counter"]})
        peer.reply(peer.receive("EstimateMarketOrder"))
        peer.wait_for_close()

    told = Recorder()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), reconnect=AT_ONCE)
        client.WatchTicker(**XBT_USDT, watch=True, stale_after=60).result(5)
        client.EstimateMarketOrder(**XBT_USDT, quantity=1).result(5)
        client.stop()
    assert told.all_errors() == []


def test_a_connection_that_was_never_opened_to_its_callers_is_not_told_closed(make_client: MakeClient) -> None:
    """stop() meets one that is still being restored, whose last answer comes during the closing handshake."""

    def script(peer: Peer) -> None:
        asked = peer.receive("WatchTicker")
        if peer.number == 0:
            peer.reply(asked)
            peer.close(1001)
            return
        restoring.set()
        peer.wait_for_close()
        peer.reply(asked)
        peer.close_frame()
        peer.wait_for_end()

    restoring = threading.Event()
    told = Moments()
    with PeerServer(script) as server:
        client = make_client(server.url, **told.handlers(), reconnect=AT_ONCE)
        client.WatchTicker(**XBT_USDT, watch=True).result(5)
        assert restoring.wait(10)
        client.stop()
    kinds = [kind for kind, _ in told.all]
    assert kinds.count("open") == kinds.count("close") == 1


@pytest.mark.parametrize("while_it", ["restores", "closes"])
def test_a_watch_that_is_due_is_no_reason_to_spin_while_nothing_is_renewed(
    make_client: MakeClient, while_it: str
) -> None:
    def script(peer: Peer) -> None:
        asked = peer.receive("WatchTicker")
        if while_it == "closes":
            peer.reply(asked)
            peer.wait_for_test()
        elif peer.number == 0:
            peer.reply(asked)
            peer.close(1001)
        else:
            peer.wait_for_end()

    used: queue.Queue[float] = queue.Queue()
    handlers: dict[str, Any] = {
        # both on the event thread
        "err_handler": lambda client, error: used.put(time.thread_time()),
        "close_handler": lambda client, code, reason: used.put(time.thread_time()),
    }
    mute = 0.8  # seconds
    timeout = mute if while_it == "restores" else 2 * mute  # stop() leaves the peer half of it
    once = Reconnect(tries=1, base=0)
    with PeerServer(script) as server:
        client = make_client(server.url, **handlers, reconnect=once, socket_timeout=timeout)
        client.WatchTicker(**XBT_USDT, watch=True, stale_after=0.05).result(5)
        if while_it == "restores":
            before = used.get(timeout=5)
            after = used.get(timeout=5)
        else:
            before = 0.0
            client.stop()
            after = used.get(timeout=5)
        client.stop()
    assert after - before < mute / 3
