"""Who is told what: owners, watchers, both at once, and nobody twice."""

from collections.abc import Iterator

import pytest

from tests.integration.sandbox_peer import ETH, USDT, XBT, guest, member, named
from wsclient.sandbox import Sandbox
from wsclient.sandbox.market import Fees

PRICE = 90_000_000


@pytest.fixture
def exchange() -> Iterator[Sandbox]:
    with Sandbox(traders=0, fees=Fees(taker=300)) as exchange:
        yield exchange
    assert exchange.ledger.troubles == []


def test_the_owner_hears_of_an_order_with_its_tonce_and_a_watcher_without(exchange: Sandbox) -> None:
    with member(exchange) as owner, guest(exchange) as watcher, guest(exchange) as bystander:
        bystander.recv()
        watcher.recv()
        assert watcher.done("WatchOrders", base=XBT, counter=USDT, watch=True)["orders"] == []
        placed = owner.place(5000, PRICE, tonce=17)
        order = {
            "notice": "OrderOpened",
            "id": placed["id"],
            "base": XBT,
            "counter": USDT,
            "quantity": 5000,
            "price": PRICE,
            "time": placed["time"],
        }
        assert watcher.notice("OrderOpened") == order
        notices = owner.settled()
        assert [notice["notice"] for notice in notices] == ["BalanceChanged", "OrderOpened"]
        assert notices[0] == {
            "notice": "BalanceChanged",
            "asset": USDT,
            "balance": exchange.users[0].balances[USDT] - 45_000_000,
        }
        assert notices[1] == {**order, "tonce": 17}

        changed = owner.done("ModifyOrder", tonce=17, quantity_delta=-1000)
        assert changed["quantity"] == 4000
        assert watcher.notice("OrderModified") == {**order, "notice": "OrderModified", "quantity": 4000}
        assert owner.notice("OrderModified")["tonce"] == 17

        closed = owner.done("CancelOrder", id=placed["id"])
        told = watcher.notice("OrderClosed")
        assert told.pop("time_closed") >= placed["time"]
        assert told == {key: value for key, value in order.items() if key != "time"} | {
            "notice": "OrderClosed",
            "quantity": closed["quantity"],
        }
        assert [n["notice"] for n in owner.settled()] == ["OrderClosed", "BalanceChanged"]
        assert bystander.settled() == []
        assert watcher.settled() == []


def test_both_owners_and_watchers_hear_of_a_match_each_as_much_as_concerns_them(exchange: Sandbox) -> None:
    with member(exchange, 0) as buyer, member(exchange, 1) as seller, guest(exchange) as watcher:
        watcher.recv()
        watcher.done("WatchOrders", base=XBT, counter=USDT, watch=True)
        bid = buyer.place(5000, PRICE, tonce=7)["id"]
        ask = seller.place(-2000, PRICE)["id"]
        told = watcher.notice("OrdersMatched")
        common = {
            "notice": "OrdersMatched",
            "bid": bid,
            "bid_rem": 3000,
            "ask": ask,
            "ask_rem": 0,
            "base": XBT,
            "counter": USDT,
            "quantity": 2000,
            "price": PRICE,
            "total": 18_000_000,
            "time": told["time"],
            "taker_side": "ask",
        }
        assert told == common
        of_bid = {"bid_tonce": 7, "bid_base_fee": 0, "bid_counter_fee": 0, "taker": False}
        of_ask = {"ask_tonce": None, "ask_base_fee": 0, "ask_counter_fee": 5400, "taker": True}
        assert buyer.notice("OrdersMatched") == common | of_bid
        assert seller.notice("OrdersMatched") == common | of_ask
        assert named(buyer.settled(), "OrdersMatched", "OrderOpened") == []


def test_a_market_order_has_no_id_in_a_match(exchange: Sandbox) -> None:
    with member(exchange, 0) as buyer, member(exchange, 1) as seller:
        seller.place(-2000, PRICE)
        assert buyer.done("PlaceOrder", base=XBT, counter=USDT, quantity=2500) == {
            "error_code": 0,
            "remaining": 500,
            "tag": 1,
        }
        for match in (buyer.notice("OrdersMatched"), seller.notice("OrdersMatched")):
            assert "ask" in match
            assert not {"bid", "bid_rem"} & set(match)


def test_owner_of_both_sides_and_watcher_on_one_connection_is_told_once(exchange: Sandbox) -> None:
    with member(exchange) as peer:
        peer.done("WatchOrders", base=XBT, counter=USDT, watch=True)
        peer.place(5000, PRICE, tonce=1)
        peer.place(-5000, PRICE, tonce=2)
        notices = peer.settled()
        matches = named(notices, "OrdersMatched")
        assert len(matches) == 1
        assert matches[0]["bid_tonce"] == 1
        assert matches[0]["ask_tonce"] == 2
        assert matches[0]["taker"] is True
        assert matches[0]["bid_counter_fee"] == matches[0]["ask_counter_fee"] == 0
        assert len(named(notices, "OrderOpened")) == 2
        assert len(named(notices, "OrderClosed")) == 2


def test_every_connection_of_an_owner_is_told(exchange: Sandbox) -> None:
    with member(exchange) as one, member(exchange) as other, member(exchange, 1) as stranger:
        placed = one.place(5000, PRICE, tonce=3)["id"]
        for peer in (one, other):
            assert peer.notice("OrderOpened")["id"] == placed
        assert named(stranger.settled(), "OrderOpened", "BalanceChanged") == []


def test_watching_twice_and_leaving_twice_are_errors(exchange: Sandbox) -> None:
    with guest(exchange) as peer:
        peer.recv()
        for method in ("WatchOrders", "WatchTicker"):
            pair = {"base": XBT, "counter": USDT}
            assert peer.call(method, **pair, watch=False)["error_code"] == 1
            assert peer.call(method, **pair, watch=True)["error_code"] == 0
            assert peer.call(method, **pair, watch=True)["error_code"] == 2
            assert peer.call(method, **pair, watch=False)["error_code"] == 0
            assert peer.call(method, **pair, watch=False)["error_code"] == 1
            assert peer.call(method, base=USDT, counter=XBT, watch=True)["error_code"] == 1
            assert peer.call(method, **pair)["error_code"] == 8
            assert peer.call(method, **pair, watch=1)["error_code"] == 8
            assert peer.call(method, base="XBT", counter=USDT, watch=True)["error_code"] == 8


def test_who_has_left_is_told_nothing_more(exchange: Sandbox) -> None:
    with member(exchange) as owner, guest(exchange) as watcher:
        watcher.recv()
        for method in ("WatchOrders", "WatchTicker"):
            watcher.done(method, base=XBT, counter=USDT, watch=True)
            watcher.done(method, base=XBT, counter=USDT, watch=False)
        owner.place(5000, PRICE)
        assert watcher.settled() == []


def test_a_ticker_is_told_whole_and_then_by_its_changes(exchange: Sandbox) -> None:
    with member(exchange) as owner, guest(exchange) as watcher:
        watcher.recv()
        empty = {"last": None, "bid": None, "ask": None, "low": None, "high": None, "volume": 0}
        reply = watcher.done("WatchTicker", base=XBT, counter=USDT, watch=True)
        assert {name: reply[name] for name in empty} == empty
        owner.place(5000, PRICE)
        head = {"notice": "TickerChanged", "base": XBT, "counter": USDT}
        assert watcher.notice("TickerChanged") == head | {"bid": PRICE}
        owner.done("PlaceOrder", base=XBT, counter=USDT, quantity=-5000)
        changed = head | {"last": PRICE, "bid": None, "low": PRICE, "high": PRICE, "volume": 5000}
        assert watcher.notice("TickerChanged") == changed


def test_a_snapshot_and_the_notices_after_it_make_the_book(exchange: Sandbox) -> None:
    with member(exchange) as owner, guest(exchange) as watcher:
        watcher.recv()
        for step in range(5):
            owner.place(1000 + step, PRICE - step * 10_000)
        reply = watcher.done("WatchOrders", base=XBT, counter=USDT, watch=True)
        book = {order["id"]: order for order in reply["orders"]}
        owner.place(-1500, PRICE - 30_000)
        owner.done("CancelOrder", id=max(book))
        owner.place(300, PRICE)
        for notice in watcher.settled():
            if notice["notice"] == "OrderOpened":
                book[notice["id"]] = notice
            elif notice["notice"] == "OrderClosed":
                book.pop(notice["id"])
            elif notice["notice"] == "OrdersMatched":
                book[notice["bid"]]["quantity"] = notice["bid_rem"]
                book[notice["ask"]]["quantity"] = -notice["ask_rem"]
        orders = exchange.run(lambda engine: engine.book(XBT, USDT))
        assert {id: order["quantity"] for id, order in book.items()} == {o.id: o.quantity for o in orders}


def test_a_volume_is_told_to_its_owner_and_can_be_asked_for(exchange: Sandbox) -> None:
    with member(exchange, 0) as buyer, member(exchange, 1) as seller:
        buyer.place(2000, PRICE)
        seller.place(-2000, PRICE)
        assert buyer.notice("TradeVolumeChanged") == {"notice": "TradeVolumeChanged", "asset": XBT, "volume": 2000}
        assert buyer.done("GetTradeVolume", asset=XBT)["volume"] == 2000
        assert buyer.done("GetTradeVolume", asset=ETH)["volume"] == 0


def test_orders_that_do_not_persist_end_with_their_connection_and_the_others_stay(exchange: Sandbox) -> None:
    with guest(exchange) as watcher:
        watcher.recv()
        watcher.done("WatchOrders", base=XBT, counter=USDT, watch=True)
        with member(exchange) as owner:
            short = owner.place(5000, PRICE, persist=False)["id"]
            long = owner.place(6000, PRICE)["id"]
        assert watcher.notice("OrderClosed")["id"] == short
        assert [o.id for o in exchange.run(lambda engine: engine.book(XBT, USDT))] == [long]
