"""Connections that end, one way or another: every trade is told once and in order, over few connections."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from tests.integration.binance_market import MARKETS, managers, trade, trading
from tests.peers import PATIENCE
from wsclient import Reconnect
from wsclient.binance import BinanceSocketManager, Client, OrderBook, Renewal
from wsclient.binance.socket import PlainSocket
from wsclient.sandbox import Sandbox
from wsclient.sandbox.binance_limits import BinanceSettings
from wsclient.sandbox.ledger import Ledger
from wsclient.sandbox.noticefaults import Break
from wsclient.sandbox.wirefaults import Storm

Make = Callable[..., BinanceSocketManager]

ROUNDS = int(os.environ.get("WSCLIENT_BINANCE_ROUNDS", "6"))
"""How often the streams of the large test lose a connection."""

TRADES = [f"{symbol.lower()}@trade" for symbol in MARKETS]


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    """With all its limits, the one of messages most of all."""
    with Sandbox(traders=0) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


@pytest.fixture
def make(exchange: Sandbox) -> Iterator[Make]:
    yield from managers(exchange)


class Ids:
    """Collects the ids of trades, by symbol."""

    def __init__(self, socket: PlainSocket) -> None:
        self._socket = socket
        self.seen: dict[str, list[int]] = {symbol: [] for symbol in MARKETS}

    def read_to(self, exchange: Sandbox) -> None:
        """Up to the exchange's last trades."""
        last = {symbol: exchange.binance.last_trade_id(symbol) for symbol in MARKETS}
        while any(self.seen[symbol][-1:] < [last[symbol]] for symbol in MARKETS):
            message = self._socket.recv(PATIENCE)["data"]
            if message["e"] == "trade":
                self.seen[message["s"]].append(message["t"])

    def check(self) -> None:
        for symbol, ids in self.seen.items():
            assert ids == list(range(1, len(ids) + 1)), symbol


def one_trade_each(exchange: Sandbox) -> None:
    for symbol in MARKETS:
        trade(exchange, symbol)


def test_a_connection_is_replaced_before_its_day_is_over(exchange: Sandbox, make: Make) -> None:
    bm = make(renewal=Renewal(after=0.5, overlap=0.2))
    with bm.multiplex_socket(TRADES) as socket, trading(exchange):
        ids = Ids(socket)
        one_trade_each(exchange)
        ids.read_to(exchange)
        exchange.ledger.wait_for(lambda ledger: len(ledger.connections) >= 4)
        one_trade_each(exchange)
        ids.read_to(exchange)
        ids.check()
    assert bm.missed == 0
    assert not exchange.ledger.commands("trades.recent")


def test_an_announced_end_is_met_by_a_connection_that_overlaps(exchange: Sandbox, make: Make) -> None:
    bm = make(renewal=Renewal(overlap=0.2))
    with bm.multiplex_socket(TRADES) as socket, trading(exchange):
        ids = Ids(socket)
        one_trade_each(exchange)
        ids.read_to(exchange)
        exchange.binance.announce_shutdown(grace=3)
        exchange.ledger.wait_for(lambda ledger: ledger.closures)
        one_trade_each(exchange)
        ids.read_to(exchange)
        ids.check()
    assert len(exchange.ledger.connections) == 2
    assert not exchange.ledger.commands("trades.recent")


def test_an_end_sooner_than_the_overlap_is_met_all_the_same(exchange: Sandbox, make: Make) -> None:
    bm = make(renewal=Renewal(overlap=60))
    with bm.multiplex_socket(TRADES) as socket, trading(exchange):
        ids = Ids(socket)
        one_trade_each(exchange)
        ids.read_to(exchange)
        exchange.binance.announce_shutdown(grace=1)
        exchange.ledger.wait_for(lambda ledger: ledger.closures)
        one_trade_each(exchange)
        ids.read_to(exchange)
        ids.check()
    assert len(exchange.ledger.connections) == 2


def test_pings_answered_while_subscribing_keep_below_the_limit_of_messages(no_socket_left: None) -> None:
    """A sixth message in any second, Pongs counted, would end the connection."""
    names = [f"s{number}usdt@trade" for number in range(1023)]
    with (
        Sandbox(traders=0, binance=BinanceSettings(ping_interval=0.9)) as exchange,
        BinanceSocketManager(url=exchange.binance_url) as bm,
        bm.multiplex_socket([*names, "bnbbtc@trade"]) as socket,
    ):
        trade(exchange)
        assert socket.recv(PATIENCE)["data"]["t"] == 1
        assert len(exchange.ledger.executed("SUBSCRIBE")) == 6
        assert not exchange.ledger.closures


def test_a_market_in_which_nothing_happens_moves_to_the_next_connection_too(exchange: Sandbox, make: Make) -> None:
    with make(renewal=Renewal(overlap=0.1)).trade_socket("BNBBTC") as socket:
        exchange.binance.announce_shutdown(grace=60)
        exchange.ledger.wait_for(lambda ledger: ledger.closures)
        trade(exchange)
        assert socket.recv(PATIENCE)["t"] == 1


def test_what_is_wanted_or_left_during_an_overlap_is_followed(exchange: Sandbox, make: Make) -> None:
    bm = make(renewal=Renewal(overlap=1))
    with bm.trade_socket("BNBBTC") as first, bm.trade_socket("BTCUSDT"):
        exchange.binance.announce_shutdown(grace=60)
        exchange.ledger.wait_for(lambda ledger: len(ledger.executed("SUBSCRIBE")) == 3)
        with bm.trade_socket("NEOBTC") as second:
            bm.trade_socket("BTCUSDT").__exit__(None, None, None)
            one_trade_each(exchange)
            assert (first.recv(PATIENCE)["t"], second.recv(PATIENCE)["t"]) == (1, 1)
            exchange.ledger.wait_for(lambda ledger: ledger.closures)
            one_trade_each(exchange)
            assert (first.recv(PATIENCE)["t"], second.recv(PATIENCE)["t"]) == (2, 2)


@pytest.mark.parametrize("end", ["cut", "day"])
def test_trades_missed_without_warning_are_fetched(exchange: Sandbox, make: Make, end: str) -> None:
    bm = make()
    with bm.multiplex_socket(TRADES) as socket:
        ids = Ids(socket)
        one_trade_each(exchange)
        ids.read_to(exchange)
        if end == "cut":
            exchange.faults.add(Break(kind="trade", product="BNBBTC"))
        else:
            exchange.binance.end_day()
        for _ in range(20):
            one_trade_each(exchange)
        exchange.ledger.wait_for(lambda ledger: len(ledger.executed("SUBSCRIBE")) == 2)
        one_trade_each(exchange)
        ids.read_to(exchange)
        ids.check()
    assert bm.missed == 0


@pytest.mark.parametrize(("kind", "count"), [("trade", 20), ("trade", 2500), ("aggTrade", 20), ("aggTrade", 2500)])
def test_however_many_trades_were_missed_they_are_fetched(
    exchange: Sandbox, make: Make, kind: str, count: int
) -> None:
    traded = threading.Event()

    def chance() -> float:
        assert traded.wait(60)  # before it connects again
        return 0.0

    bm = make(reconnect=Reconnect(random=chance), max_queue_size=10_000)
    socket = bm.trade_socket("BNBBTC") if kind == "trade" else bm.aggtrade_socket("BNBBTC")
    with socket as plain:
        trade(exchange, count=3)
        number = "t" if kind == "trade" else "a"
        assert [plain.recv(PATIENCE)[number] for _ in range(3)] == [1, 2, 3]
        exchange.cut_all()
        trade(exchange, count=count)
        traded.set()
        exchange.ledger.wait_for(lambda ledger: len(ledger.executed("SUBSCRIBE")) == 2)
        trade(exchange)
        messages = [plain.recv(PATIENCE) for _ in range(count + 1)]
        assert [message[number] for message in messages] == list(range(4, count + 5))
        fields = {frozenset(message) for message in messages}
        assert len(fields) == 1  # what was fetched is told as what has come
    assert bm.missed == 0


def test_after_an_exchange_was_reset_its_new_numbers_count(no_socket_left: None) -> None:
    with Sandbox(traders=0) as exchange:
        bm = BinanceSocketManager(url=exchange.binance_url, reconnect=Reconnect(tries=1000, base=0.01, cap=0.05))
        socket = bm.trade_socket("BNBBTC")
        plain = socket.__enter__()
        book = bm.order_book("BNBBTC").wait(PATIENCE)
        trade(exchange, count=20)
        assert [plain.recv(PATIENCE)["t"] for _ in range(20)][-1] == 20
        wait_for_update(book, exchange.binance.depth("BNBBTC")["lastUpdateId"])
        port = exchange.port
    with Sandbox(traders=0, port=port) as exchange, bm:
        exchange.ledger.wait_for(lambda ledger: ledger.executed("SUBSCRIBE"))
        trade(exchange, count=5)
        assert [plain.recv(PATIENCE)["t"] for _ in range(5)] == [1, 2, 3, 4, 5]
        wait_for_update(book, exchange.binance.depth("BNBBTC")["lastUpdateId"])
        trade(exchange)
        wait_for_update(book, exchange.binance.depth("BNBBTC")["lastUpdateId"])


def test_in_a_storm_no_trade_is_lost_and_books_stay_exact(no_socket_left: None) -> None:
    """Every connection is cut at a random byte, or goes silent; connecting, subscribing and snapshots included."""
    settings = BinanceSettings(connections=None, request_weight=None)
    with Sandbox(traders=0, binance=settings) as exchange:
        client = Client(url=exchange.binance_api_url, socket_timeout=1.0, err_handler=lambda client, error: None)
        bm = BinanceSocketManager(
            client,
            reconnect=Reconnect(tries=1000, base=0.01, cap=0.05),
            renewal=Renewal(after=1.0, overlap=0.1),
            socket_timeout=1.0,
            ping_interval=1.0,
            max_queue_size=100_000,
        )
        with client, bm, bm.multiplex_socket(TRADES) as socket:
            ids = Ids(socket)
            books = [bm.order_book(symbol).wait(PATIENCE) for symbol in MARKETS]
            one_trade_each(exchange)
            ids.read_to(exchange)
            storm = Storm(seed=3, reach=30_000)
            exchange.faults.add(storm)
            exchange.binance.end_day()
            with trading(exchange):
                cut = len(exchange.ledger.connections) + 18
                exchange.ledger.wait_for(lambda ledger: len(ledger.connections) >= cut, 60)
            exchange.faults.clear()
            one_trade_each(exchange)
            ids.read_to(exchange)
            ids.check()
            assert bm.missed == 0
            for book in books:
                truth = exchange.binance.depth(book.symbol)
                wait_for_update(book, truth["lastUpdateId"])
                for side, levels in (("bids", book.depth().bids), ("asks", book.depth().asks)):
                    assert [(level.price, level.quantity) for level in levels] == [
                        (Decimal(price), Decimal(quantity)) for price, quantity in truth[side]
                    ]


def wait_for_update(book: OrderBook, number: int) -> None:
    """Until a book in whose market nothing happens any more is whole, and has come so far."""
    changed = threading.Event()
    remove = book.on_change(lambda book: changed.set())
    while book.wait(PATIENCE).update_id < number:
        assert changed.wait(PATIENCE)
        changed.clear()
    remove()
    assert book.update_id == number


def wait_for_closures(exchange: Sandbox, count: int) -> None:
    exchange.ledger.wait_for(lambda ledger: len(ledger.closures) >= count)


@pytest.mark.timeout(180)
def test_two_thousand_streams_on_two_connections_survive_cuts_and_ends(exchange: Sandbox, make: Make) -> None:
    """They are cut, forced to end, and announced to end, again and again; no trade is lost or told twice."""
    names = [f"s{number}usdt@trade" for number in range(1997)]
    bm = make(renewal=Renewal(overlap=0.2), max_queue_size=100_000)
    chance = random.Random(4)
    with bm.multiplex_socket([*names[:1000], *TRADES, *names[1000:]]) as socket:
        # the exchange has confirmed all, and allows 1024 on each
        assert len(exchange.ledger.connections) == 2
        ids = Ids(socket)
        with trading(exchange):
            for number in range(ROUNDS):
                one_trade_each(exchange)
                ids.read_to(exchange)
                ended = len(exchange.ledger.closures) + 1
                if number % 3 == 0:
                    exchange.faults.add(Break(when=chance.choice(("before", "after"))))
                elif number % 3 == 1:
                    exchange.binance.end_day([chance.choice(exchange.binance.sessions)])
                else:
                    exchange.binance.announce_shutdown(grace=chance.choice((0.3, 6)))
                wait_for_closures(exchange, ended)
        one_trade_each(exchange)
        ids.read_to(exchange)
        ids.check()
        exchange.ledger.wait_for(_on_two_connections)
    assert min(map(len, ids.seen.values())) > 10 * ROUNDS
    assert bm.missed == 0
    assert socket.dropped == 0


def _on_two_connections(ledger: Ledger) -> bool:
    """And one of the request API, perhaps."""
    asked = {command.session for command in ledger.commands("trades.recent")}
    ended = {closure.session for closure in ledger.closures}
    return len(ledger.connections) - len(ended) - len(asked - ended) == 2
