"""No gap passes unreported: sequences over real sockets."""

import threading
from collections.abc import Iterator

import pytest

from tests.integration.coinbase_market import PRODUCT, Heard, feed, place
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import Reconnect
from wsclient.coinbase import Feed, Gap
from wsclient.sandbox import Sandbox
from wsclient.sandbox.coinbase import CoinbaseSettings
from wsclient.sandbox.faults import Drop
from wsclient.sandbox.noticefaults import Repeat, Skip

QUICK = Reconnect(base=0.01)


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    with Sandbox(traders=0, coinbase=CoinbaseSettings(heartbeat=0.05)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


def test_gaps_and_repeats_are_told_apart_and_reported(exchange: Sandbox) -> None:
    gaps: list[Gap] = []
    told = threading.Condition()

    def on_gap(_: Feed, gap: Gap) -> None:
        with told:
            gaps.append(gap)
            told.notify_all()

    heard = Heard()
    with feed(exchange, heard, on_gap=on_gap) as ours:
        ours.subscribe(["full"], [PRODUCT]).result(PATIENCE)
        place(exchange, 10_000)
        first = heard.next("open")[0]["sequence"]
        exchange.faults.add(Skip(kind="received", times=1), Repeat(kind="open", times=1))
        place(exchange, 10_000)
        with told:
            assert told.wait_for(lambda: len(gaps) == 2, PATIENCE)
    assert gaps == [
        Gap(PRODUCT, "gap", first + 1, first + 1),
        Gap(PRODUCT, "repeat", first + 2, first + 2),
    ]


def test_a_missing_last_message_is_found_by_heartbeats(exchange: Sandbox) -> None:
    gaps: list[Gap] = []
    told = threading.Event()

    def on_gap(_: Feed, gap: Gap) -> None:
        gaps.append(gap)
        told.set()

    heard = Heard()
    with feed(exchange, heard, on_gap=on_gap) as ours:
        ours.subscribe(["full", "heartbeat"], [PRODUCT]).result(PATIENCE)
        place(exchange, 10_000)
        last = heard.next("open")[0]["sequence"]
        exchange.faults.add(Skip(kind="received", times=1), Skip(kind="open", times=1))
        place(exchange, 10_000)
        assert told.wait(PATIENCE)
    assert gaps == [Gap(PRODUCT, "gap", last + 1, last + 2)]


def test_what_a_lost_connection_has_missed_is_a_gap(exchange: Sandbox) -> None:
    gaps: list[Gap] = []
    heard = Heard()
    with feed(exchange, heard, on_gap=lambda _, gap: gaps.append(gap), reconnect=QUICK) as ours:
        ours.subscribe(["full"], [PRODUCT]).result(PATIENCE)
        place(exchange, 10_000)
        last = heard.next("open")[0]["sequence"]
        refusal = Drop(method="subscribe", times=1)
        exchange.faults.add(refusal)
        exchange.cut_all()
        place(exchange, 10_000)
        heard.until(lambda: heard.opened == 2)
        place(exchange, 10_000)
        heard.until(lambda: heard.of("open")[-1]["sequence"] == last + 4)
    assert gaps == [Gap(PRODUCT, "gap", last + 1, last + 2)]


def test_after_the_exchange_began_to_count_again_a_gap_is_told_and_nothing_is_a_repeat(
    no_socket_left: None,
) -> None:
    settings = CoinbaseSettings(heartbeat=0.05)
    gaps: list[Gap] = []
    told = threading.Event()

    def on_gap(_: Feed, gap: Gap) -> None:
        gaps.append(gap)
        told.set()

    heard = Heard()
    patient = Reconnect(tries=1000, base=0.01, cap=0.02)
    with (
        Sandbox(traders=0, coinbase=settings) as exchange,
        feed(exchange, heard, on_gap=on_gap, reconnect=patient) as ours,
    ):
        ours.subscribe(["full"], [PRODUCT]).result(PATIENCE)
        for _ in range(20):
            place(exchange, 10_000)
        heard.next("open", count=20)
        exchange.stop()
        with Sandbox(traders=0, coinbase=settings, port=exchange.port) as anew:
            heard.until(lambda: len(heard.of("subscriptions")) == 2)
            place(anew, 10_000)
            first = heard.next("open", count=21)[20]["sequence"]
            anew.faults.add(Skip(kind="received", times=1))
            place(anew, 10_000)
            assert told.wait(PATIENCE)
            ours.stop()
    assert gaps == [Gap(PRODUCT, "gap", first + 1, first + 1)]


def test_products_that_nobody_asked_for_are_not_followed_whatever_is_said_to_be_subscribed_to(
    no_socket_left: None,
) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        products = [PRODUCT, *(f"X-{number}" for number in range(1000))]
        peer.send_text({"type": "subscriptions", "channels": [{"name": "full", "product_ids": products}]})
        for product in ("X-1", PRODUCT):
            for number in (1, 5):
                peer.send_text({"type": "received", "product_id": product, "sequence": number})
        peer.wait_for_end()

    gaps: list[Gap] = []
    told = threading.Event()

    def on_gap(_: Feed, gap: Gap) -> None:
        gaps.append(gap)
        told.set()

    with PeerServer(script) as server, Feed(f"ws://127.0.0.1:{server.port}", on_gap=on_gap) as ours:
        ours.subscribe(["full"], [PRODUCT]).result(PATIENCE)
        assert told.wait(PATIENCE)
        assert gaps == [Gap(PRODUCT, "gap", 2, 4)]
        assert list(ours._local._products) == [PRODUCT]


def test_messages_of_the_user_only_are_not_counted(exchange: Sandbox) -> None:
    gaps: list[Gap] = []
    heard = Heard()
    with feed(exchange, heard, user=1, on_gap=lambda _, gap: gaps.append(gap)) as ours:
        ours.subscribe(["user"], [PRODUCT]).result(PATIENCE)
        place(exchange, 10_000, user=1)
        place(exchange, 10_000, user=2)
        place(exchange, 10_000, user=1)
        heard.next("open", count=2)
        ours.subscribe(["full"], [PRODUCT]).result(PATIENCE)
        place(exchange, 10_000, user=2)
        heard.next("open", count=3)
    assert gaps == []
