"""Books and balances of a client, compared with the sandbox's own, through losses too."""

import queue
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Literal

import pytest

from tests.conftest import MakeClient
from tests.integration import sandbox_peer
from tests.integration.sandbox_peer import USDT, XBT, member
from tests.peers import PATIENCE, Peer, PeerServer
from wsclient import (
    AuthenticationError,
    ClientClosed,
    InvalidRequest,
    NotFound,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    Reconnect,
    StaleFeed,
    TransportError,
    WouldDeadlock,
    WSClient,
)
from wsclient.books import Level
from wsclient.coinflex.balances import Balances
from wsclient.coinflex.book import OrderBook
from wsclient.live import Live
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Delay, Drop, Gate, Mute
from wsclient.sandbox.market import Fees

PRICE = 90_000_000
SOON = Reconnect(tries=20, base=0.01, cap=0.05)


def eventually(live: Live, condition: Callable[[], bool]) -> None:
    """Waits for the change after which a condition holds."""
    changed = threading.Event()
    end = live.on_change(lambda _: changed.set())
    try:
        while not condition():
            assert changed.wait(PATIENCE), live
            changed.clear()
    finally:
        end()


def listed(exchange: Sandbox) -> list[tuple[int, int, int, int]]:
    """The sandbox's own book of XBT/USDT."""
    orders = exchange.run(lambda engine: engine.book(XBT, USDT))
    return [(order.id, order.quantity, order.price, order.time) for order in orders]


def held(account: sandbox_peer.Peer) -> dict[int, tuple[int, int]]:
    """What an account has, available and reserved, as the exchange says when it is asked."""
    rows = account.done("GetBalances")["balances"]
    return {row["asset"]: (row["balance"], row["reserved_balance"]) for row in rows if row["total_balance"]}


def shown(balances: Balances) -> dict[int, tuple[int, int]]:
    return {
        asset: (funds.available, funds.reserved)
        for asset, funds in balances.snapshot().funds.items()
        if any(funds)
    }


def log_in(client: WSClient, exchange: Sandbox, number: int = 0) -> WSClient:
    user = exchange.users[number]
    client.set_auth_data(user.id, user.cookie, user.passphrase)
    return client


@pytest.fixture
def charging(no_socket_left: None) -> Iterator[Sandbox]:
    """An exchange with fees, which are rounded."""
    with Sandbox(traders=0, fees=Fees(taker=300, maker=100, house=10**6)) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


def cut(client: WSClient, exchange: Sandbox) -> None:
    """Ends the client's connection."""
    exchange.faults.add(Drop(method="EstimateMarketOrder", when="before"))
    reply = client.EstimateMarketOrder(base=XBT, counter=USDT, quantity=1)
    with pytest.raises((OutcomeUnknown, NotSent)):
        reply.result(PATIENCE)


# -- books


def test_a_book_follows_the_market(exchange: Sandbox, make_client: MakeClient) -> None:
    with member(exchange, 0) as buyer, member(exchange, 1) as seller:
        buyer.place(5000, PRICE)
        book = make_client(exchange.url).order_book("XBT", USDT).wait(PATIENCE)
        assert [tuple(order) for order in book.orders] == listed(exchange)
        assert book.best_bid == Level(PRICE, 5000)
        assert book.best_ask is None
        seller.place(-2000, PRICE)
        seller.place(-7000, PRICE + 5000)
        eventually(book, lambda: book.best_ask is not None)
        assert [tuple(order) for order in book.orders] == listed(exchange)
        assert book.depth(1).bids == (Level(PRICE, 3000),)
        assert not book.stale


def test_notices_that_overtake_the_snapshot_are_not_lost(exchange: Sandbox, make_client: MakeClient) -> None:
    gate = Gate()
    exchange.faults.add(Delay(gate=gate, method="WatchOrders"))
    client = make_client(exchange.url)
    with member(exchange, 0) as buyer:
        first = buyer.place(5000, PRICE)["id"]
        book = client.order_book(XBT, USDT)
        exchange.ledger.wait_for(lambda ledger: ledger.executed("WatchOrders"))
        buyer.done("CancelOrder", id=first)
        second = buyer.place(6000, PRICE)["id"]
        # what comes to this client after those notices
        client.EstimateMarketOrder(base=XBT, counter=USDT, quantity=1).result(PATIENCE)
        assert book.stale
        gate.open()
        assert [order.id for order in book.wait(PATIENCE).orders] == [second]


def test_a_book_is_stale_from_a_loss_until_it_is_whole_again(exchange: Sandbox, make_client: MakeClient) -> None:
    client = make_client(exchange.url, err_handler=lambda client, error: None, reconnect=SOON)
    seen: list[bool] = []
    with member(exchange, 0) as buyer:
        first = buyer.place(5000, PRICE)["id"]
        book = client.order_book(XBT, USDT).wait(PATIENCE)
        book.on_change(lambda book: seen.append(book.stale))
        gate = Gate()
        exchange.faults.add(Delay(gate=gate, method="WatchOrders"))
        cut(client, exchange)
        exchange.ledger.wait_for(lambda ledger: len(ledger.executed("WatchOrders")) == 2)
        assert book.stale
        assert [order.id for order in book.orders] == [first]
        with pytest.raises(TimeoutError):
            book.wait(0.01)
        buyer.done("CancelOrder", id=first)
        gate.open()
        assert book.wait(PATIENCE).orders == ()
    assert seen[0]
    assert not seen[-1]


@pytest.mark.parametrize("when", ["before", "executed"])
def test_a_book_whose_first_request_was_lost_with_the_connection_heals_too(
    exchange: Sandbox, make_client: MakeClient, when: Literal["before", "executed"]
) -> None:
    exchange.faults.add(Drop(method="WatchOrders", when=when))
    client = make_client(exchange.url, err_handler=lambda client, error: None, reconnect=SOON)
    with member(exchange, 0) as buyer:
        buyer.place(5000, PRICE)
        book = client.order_book(XBT, USDT).wait(PATIENCE)
        assert [tuple(order) for order in book.orders] == listed(exchange)


@pytest.mark.parametrize("method", ["GetBalances", "GetOrders"])
def test_balances_whose_first_request_was_lost_with_the_connection_heal_too(
    exchange: Sandbox, make_client: MakeClient, method: str
) -> None:
    exchange.faults.add(Drop(method=method, when="executed"))
    client = make_client(exchange.url, err_handler=lambda client, error: None, reconnect=SOON)
    balances = log_in(client, exchange).balances().wait(PATIENCE)
    with member(exchange) as account:
        assert shown(balances) == held(account)


def test_without_reconnecting_a_lost_book_has_failed_until_it_is_asked_for(
    exchange: Sandbox, make_client: MakeClient
) -> None:
    client = make_client(exchange.url, err_handler=lambda client, error: None, reconnect=None)
    book = client.order_book(XBT, USDT).wait(PATIENCE)
    cut(client, exchange)
    with pytest.raises(TransportError):
        book.wait(PATIENCE)
    exchange.faults.add(Drop(method="WatchOrders", when="executed"))
    with pytest.raises(TransportError):
        client.order_book(XBT, USDT).wait(PATIENCE)
    assert client.order_book(XBT, USDT).wait(PATIENCE) is book


def test_a_book_is_shared_and_its_watch_is_not_ended_behind_its_back(
    exchange: Sandbox, make_client: MakeClient
) -> None:
    client = make_client(exchange.url)
    book = client.order_book("XBT", "USDT").wait(PATIENCE)
    assert client.order_book(XBT, USDT) is book
    assert client.order_book("ETH", "USDT").wait(PATIENCE) is not book
    with pytest.raises(InvalidRequest, match="OrderBook XBT/USDT"):
        client.WatchOrders(base=XBT, counter=USDT, watch=False)
    assert len(exchange.ledger.executed("WatchOrders")) == 2


def test_threads_that_ask_at_once_share_one_book_and_one_watch(exchange: Sandbox, make_client: MakeClient) -> None:
    client = log_in(make_client(exchange.url), exchange)
    start = threading.Barrier(8)
    got: list[tuple[OrderBook, Balances]] = []

    def ask() -> None:
        start.wait(PATIENCE)
        got.append((client.order_book(XBT, USDT).wait(PATIENCE), client.balances().wait(PATIENCE)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(got) == 8
    assert all(pair == got[0] for pair in got)
    for method in ("WatchOrders", "GetBalances", "GetOrders"):
        assert len(exchange.ledger.executed(method)) == 1


def test_a_closed_book_ends_its_watch_and_a_new_one_begins_its_own(
    exchange: Sandbox, make_client: MakeClient
) -> None:
    client = make_client(exchange.url)
    for _ in range(20):
        book = client.order_book(XBT, USDT).wait(PATIENCE)
        book.close()
        assert book.stale
        with pytest.raises(ClientClosed):
            book.wait()
    closed_at_once = client.order_book(XBT, USDT)
    closed_at_once.close()
    again = client.order_book(XBT, USDT).wait(PATIENCE)
    assert again is not closed_at_once
    with member(exchange, 0) as buyer:
        buyer.place(5000, PRICE)
        eventually(again, lambda: again.best_bid is not None)


def test_a_book_takes_over_a_watch_of_the_users_own(exchange: Sandbox, make_client: MakeClient) -> None:
    client = make_client(exchange.url)
    client.WatchOrders(base=XBT, counter=USDT, watch=True).result(PATIENCE)
    with member(exchange, 0) as buyer:
        buyer.place(5000, PRICE)
        book = client.order_book(XBT, USDT).wait(PATIENCE)
        assert [tuple(order) for order in book.orders] == listed(exchange)


def test_the_users_own_watch_outlives_a_book_that_has_shared_it(
    exchange: Sandbox, make_client: MakeClient
) -> None:
    told: queue.Queue[str] = queue.Queue()
    client = make_client(exchange.url, msg_handler=lambda client, text: told.put(text))
    client.WatchOrders(base=XBT, counter=USDT, watch=True).result(PATIENCE)
    client.order_book(XBT, USDT).wait(PATIENCE).close()
    client.EstimateMarketOrder(base=XBT, counter=USDT, quantity=1).result(PATIENCE)
    with member(exchange, 0) as buyer:
        buyer.place(5000, PRICE)
    while "OrderOpened" not in told.get(timeout=PATIENCE):
        pass


def test_that_there_is_no_such_market_is_told_to_who_waits(exchange: Sandbox, make_client: MakeClient) -> None:
    book = make_client(exchange.url).order_book(XBT, XBT)
    for _ in range(2):
        with pytest.raises(NotFound):
            book.wait(PATIENCE)
    assert isinstance(book.failure, NotFound)


def test_a_book_that_could_not_be_had_is_tried_again_when_it_is_asked_for(
    exchange: Sandbox, make_client: MakeClient
) -> None:
    exchange.stop()
    client = make_client(exchange.url)
    with pytest.raises(NotSent):
        client.order_book(XBT, USDT)
    exchange.start()
    book = client.order_book(XBT, USDT).wait(PATIENCE)
    assert client.order_book(XBT, USDT) is book


def test_balances_of_which_a_half_could_not_be_had_are_tried_again_as_a_whole(
    charging: Sandbox, make_client: MakeClient
) -> None:
    client = make_client(charging.url, err_handler=lambda client, error: None, reconnect=None)
    log_in(client, charging)
    charging.faults.add(Drop(method="GetBalances"))
    balances = client.balances()
    with pytest.raises(TransportError):
        balances.wait(PATIENCE)
    assert client.balances() is balances
    assert not balances.wait(PATIENCE).stale


def test_half_of_what_failed_does_not_make_it_wait_for_ever() -> None:
    """One of two watches failed while the other one was just being asked for."""
    balances = Balances()
    assert balances.claim()
    balances.asked()
    balances.failed(NotSent("the first"))
    balances.asked()
    with pytest.raises(NotSent, match="the first"):
        balances.wait(PATIENCE)
    assert balances.claim()


def test_who_waits_for_a_book_is_told_when_recovery_gives_up(exchange: Sandbox, make_client: MakeClient) -> None:
    few = Reconnect(tries=2, base=0.01, cap=0.01)
    client = make_client(exchange.url, err_handler=lambda client, error: None, reconnect=few)
    book = client.order_book(XBT, USDT).wait(PATIENCE)
    exchange.stop()
    eventually(book, lambda: book.stale)
    with pytest.raises(TransportError, match="gave up"):
        book.wait(PATIENCE)
    exchange.start()
    assert client.order_book(XBT, USDT) is book
    assert not book.wait(PATIENCE).stale


def test_a_call_after_recovery_gave_up_brings_the_books_back(exchange: Sandbox, make_client: MakeClient) -> None:
    few = Reconnect(tries=2, base=0.01, cap=0.01)
    client = make_client(exchange.url, err_handler=lambda client, error: None, reconnect=few)
    book = client.order_book(XBT, USDT).wait(PATIENCE)
    exchange.stop()
    eventually(book, lambda: book.stale)
    with pytest.raises(TransportError, match="gave up"):
        book.wait(PATIENCE)
    exchange.start()
    client.EstimateMarketOrder(base=XBT, counter=USDT, quantity=1).result(PATIENCE)
    assert not book.wait(PATIENCE).stale


@pytest.mark.parametrize("when", ["asked", "lost"])
def test_stopping_the_client_ends_who_waits(exchange: Sandbox, make_client: MakeClient, when: str) -> None:
    seldom = Reconnect(base=1000, cap=1000, random=lambda: 1.0)
    client = make_client(exchange.url, err_handler=lambda client, error: None, reconnect=seldom)
    if when == "asked":
        exchange.faults.add(Mute(method="WatchOrders"))
        book = client.order_book(XBT, USDT)
        exchange.ledger.wait_for(lambda ledger: ledger.executed("WatchOrders"))
    else:
        book = client.order_book(XBT, USDT).wait(PATIENCE)
        exchange.stop()
        eventually(book, lambda: book.stale)
    told: list[BaseException] = []

    def wait() -> None:
        try:
            book.wait(PATIENCE)
        except (OutcomeUnknown, ClientClosed) as error:
            told.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    client.stop()
    waiter.join(PATIENCE)
    assert len(told) == 1
    with pytest.raises(ClientClosed):
        book.wait()
    with pytest.raises(ClientClosed):
        client.order_book(XBT, USDT)


def test_a_handler_gets_a_book_without_waiting(exchange: Sandbox, make_client: MakeClient) -> None:
    books: list[OrderBook] = []
    refused: list[WouldDeadlock] = []
    opened = threading.Event()

    def on_open(client: WSClient) -> None:
        books.append(client.order_book(XBT, USDT))
        try:
            books[0].wait(PATIENCE)
        except WouldDeadlock as error:
            refused.append(error)
        opened.set()

    client = make_client(exchange.url, open_handler=on_open)
    client.EstimateMarketOrder(base=XBT, counter=USDT, quantity=1).result(PATIENCE)
    assert opened.wait(PATIENCE)
    assert len(refused) == 1
    assert not books[0].wait(PATIENCE).stale


def test_a_quiet_book_is_renewed(exchange: Sandbox, make_client: MakeClient) -> None:
    told: list[Exception] = []
    client = make_client(exchange.url, err_handler=lambda client, error: told.append(error))
    book = client.order_book(XBT, USDT, stale_after=0.05).wait(PATIENCE)
    exchange.ledger.wait_for(lambda ledger: len(ledger.executed("WatchOrders")) >= 5)  # and ended twice
    with member(exchange, 0) as buyer:
        buyer.place(5000, PRICE)
        eventually(book, lambda: not book.stale and book.best_bid is not None)
    assert {type(error) for error in told} == {StaleFeed}
    assert "nothing came of WatchOrders XBT/USDT for 0.05 s" in str(told[0])


# -- balances


def test_balances_follow_the_account(charging: Sandbox, make_client: MakeClient) -> None:
    client = log_in(make_client(charging.url), charging)
    balances = client.balances().wait(PATIENCE)
    assert client.balances() is balances
    before = balances["XBT"]
    with member(charging, 0) as elsewhere, member(charging, 1) as other:
        assert shown(balances) == held(elsewhere)
        elsewhere.place(-5000, PRICE)
        eventually(balances, lambda: balances["XBT"].reserved == 5000)
        assert balances["XBT"].total == before.total
        other.place(2001, PRICE)
        eventually(balances, lambda: balances["XBT"].reserved < 5000)
        eventually(balances, lambda: shown(balances) == held(elsewhere))
        assert before.total - balances["XBT"].total == 5000 - balances["XBT"].reserved
        assert balances.snapshot()["XBT"] == balances["XBT"]


def test_balances_need_credentials(charging: Sandbox, make_client: MakeClient) -> None:
    client = make_client(charging.url)
    with pytest.raises(AuthenticationError):
        client.balances()
    log_in(client, charging)
    with member(charging) as elsewhere:
        assert shown(client.balances().wait(PATIENCE)) == held(elsewhere)


def test_books_and_balances_are_equal_to_the_exchanges_after_each_of_many_losses(
    charging: Sandbox, make_client: MakeClient
) -> None:
    random = Random(4)
    client = log_in(make_client(charging.url, err_handler=lambda client, error: None, reconnect=SOON), charging)
    book = client.order_book(XBT, USDT).wait(PATIENCE)
    balances = client.balances().wait(PATIENCE)
    with member(charging, 0) as me, member(charging, 1) as other:
        for number in range(25):
            for _ in range(12):
                peer = random.choice((me, other))
                peer.place(random.choice((1, -1)) * random.randint(1, 5000), PRICE + 5000 * random.randint(-3, 3))
                if number % 5 == 0:
                    peer.call("CancelAllOrders")
            if number % 3:
                cut(client, charging)
            eventually(
                book, lambda: not book.stale and [tuple(order) for order in book.orders] == listed(charging)
            )
            eventually(balances, lambda: not balances.stale and shown(balances) == held(me))


# -- with a peer that keeps to a script


def row(id: int, quantity: int, price: int) -> dict[str, int]:
    return {"id": id, "quantity": quantity, "price": price, "time": id}


def told(kind: str, *order: int) -> dict[str, Any]:
    return {"notice": kind, **row(*order), "base": XBT, "counter": USDT}


def test_what_is_still_told_of_a_renewed_watch_is_not_taken_for_news(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.welcome()
        peer.reply(peer.receive("WatchOrders"), orders=[row(1, 10, 100)])
        ending = peer.receive("WatchOrders")
        assert ending["watch"] is False
        peer.send_text(told("OrderOpened", 2, 20, 100))  # and closed again before the watch begins anew
        peer.reply(ending)
        beginning = peer.receive("WatchOrders")
        assert beginning["watch"] is True
        peer.send_text(told("OrderOpened", 3, 30, 100))
        peer.reply(beginning, orders=[])
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url, err_handler=lambda client, error: None)
        book = client.order_book(XBT, USDT, stale_after=0.1)
        eventually(book, lambda: not book.stale and [order.id for order in book.orders] == [3])
        client.stop()


def test_a_book_of_which_all_that_was_told_has_gone_asks_for_more(make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.welcome()
        peer.reply(peer.receive("WatchOrders"), orders=[row(id, 10, 100) for id in range(1, 1001)])
        for id in range(1, 1001):
            peer.send_text(told("OrderClosed", id, 10, 100))
        peer.reply(peer.receive("WatchOrders"))
        peer.reply(peer.receive("WatchOrders"), orders=[row(2000, 10, 90)])
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(server.url)
        book = client.order_book(XBT, USDT)
        eventually(book, lambda: [order.id for order in book.orders] == [2000])
        assert not book.stale
        client.stop()


def test_a_notice_that_makes_no_sense_costs_the_connection_and_the_book_heals(make_client: MakeClient) -> None:
    told_errors: list[Exception] = []

    def script(peer: Peer) -> None:
        peer.welcome()
        peer.reply(peer.receive("WatchOrders"), orders=[])
        if not peer.number:
            peer.send_text({**told("OrderOpened", 1, 10, 100), "price": "100"})
        else:
            peer.send_text(told("OrderOpened", 1, 10, 100))
        peer.wait_for_close()

    with PeerServer(script) as server:
        client = make_client(
            server.url, err_handler=lambda client, error: told_errors.append(error), reconnect=SOON
        )
        book = client.order_book(XBT, USDT)
        eventually(book, lambda: not book.stale and len(book) == 1)
        client.stop()
    assert [type(error) for error in told_errors] == [ProtocolError]


def test_a_book_that_is_closed_before_its_answer_costs_nothing_when_the_client_is_stopped(
    make_client: MakeClient,
) -> None:
    """Its answer, which comes during the closing handshake, would have the watch ended on the event thread."""

    def script(peer: Peer) -> None:
        asked = peer.receive("WatchOrders")
        watched.set()
        peer.wait_for_close()
        peer.reply(asked, orders=[])
        peer.close_frame()
        peer.wait_for_end()

    told: list[Exception] = []
    watched = threading.Event()
    with PeerServer(script) as server:
        client = make_client(server.url, err_handler=lambda client, error: told.append(error))
        book = client.order_book(XBT, USDT)
        assert watched.wait(PATIENCE)
        book.close()
        client.stop()
    assert told == []


def test_a_book_that_is_closed_while_it_is_brought_back_is_ended_and_the_others_come_back(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        asked = peer.receive("WatchOrders")
        if peer.number == 1:
            restoring.set()
            assert closed.wait(PATIENCE)
        peer.reply(asked, orders=[])
        peer.reply(peer.receive("WatchTicker"))
        if peer.number == 0:
            peer.close(1001)
        else:
            ended = peer.receive("WatchOrders")
            assert ended["watch"] is False
            peer.reply(ended)
            peer.reply(peer.receive("EstimateMarketOrder"))
            peer.wait_for_close()

    told: list[Exception] = []
    restoring, closed = threading.Event(), threading.Event()
    with PeerServer(script) as server:
        client = make_client(
            server.url, err_handler=lambda client, error: told.append(error), reconnect=Reconnect(base=0)
        )
        book = client.order_book(XBT, USDT).wait(PATIENCE)
        client.WatchTicker(base=XBT, counter=USDT, watch=True).result(PATIENCE)
        assert restoring.wait(PATIENCE)
        book.close()
        closed.set()
        client.EstimateMarketOrder(base=XBT, counter=USDT, quantity=1).result(PATIENCE)
        client.stop()
    assert told == []


def test_a_book_that_is_asked_for_while_a_closed_one_waits_for_its_answer_begins_after_that_has_ended(
    make_client: MakeClient,
) -> None:
    def script(peer: Peer) -> None:
        first = peer.receive("WatchOrders")
        watched.set()
        assert asked_again.wait(PATIENCE)
        peer.reply(first, orders=[row(1, 5000, PRICE)])
        ended = peer.receive("WatchOrders")
        assert ended["watch"] is False
        peer.reply(ended)
        peer.reply(peer.receive("WatchOrders"), orders=[row(2, 5000, PRICE)])
        peer.wait_for_close()

    watched, asked_again = threading.Event(), threading.Event()
    with PeerServer(script) as server:
        client = make_client(server.url)
        book = client.order_book(XBT, USDT)
        assert watched.wait(PATIENCE)
        book.close()
        again = client.order_book(XBT, USDT)
        asked_again.set()
        assert [order.id for order in again.wait(PATIENCE).orders] == [2]
        client.stop()
