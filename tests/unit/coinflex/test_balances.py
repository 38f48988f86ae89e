"""An account's balances: what is told, what follows from its orders, and equality with the engine's own."""

from random import Random
from typing import Any

import pytest

from tests.peers import PATIENCE
from tests.unit.coinflex.feed import BASE, COUNTER, ME, OTHER, Exchange, Line
from wsclient.coinflex.balances import Balances, Funds
from wsclient.errors import InvalidRequest, ProtocolError
from wsclient.sandbox.engine import Engine, Fees

Message = dict[str, Any]


def funds(*rows: tuple[int, int, int]) -> Message:
    keys = ("asset", "balance", "reserved_balance", "total_balance")
    return {"balances": [dict(zip(keys, (*row, row[1] + row[2]), strict=True)) for row in rows]}


def order(id: int, quantity: int, price: int, **more: Any) -> Message:
    return {
        "id": id,
        "tonce": None,
        "base": BASE,
        "counter": COUNTER,
        "quantity": quantity,
        "price": price,
        **more,
    }


def opened(id: int, quantity: int, price: int) -> Message:
    return {"notice": "OrderOpened", **order(id, quantity, price)}


def changed(asset: int, balance: int) -> Message:
    return {"notice": "BalanceChanged", "asset": asset, "balance": balance}


def matched(**sides: int | None) -> Message:
    return {"notice": "OrdersMatched", "base": BASE, "counter": COUNTER, "quantity": 1, "price": 1, **sides}


def whole(*orders: Message) -> Balances:
    balances = Balances()
    balances.asked()
    balances.answered(funds((BASE, 1000, 0), (COUNTER, 2000, 0)))
    balances.asked()  # for the other half
    balances.answered({"orders": list(orders)})
    return balances


def test_balances_are_whole_when_both_snapshots_have_come() -> None:
    balances = Balances()
    balances.asked()
    balances.answered({"orders": [order(1, -300, 15_000), order(2, 7, 15_000)]})
    assert balances.stale
    assert balances["XBT"] == (0, 0)
    balances.answered(funds((BASE, 1000, 300), (COUNTER, 2000, 11)))
    assert not balances.stale
    assert balances["XBT"] == Funds(available=1000, reserved=300)
    assert balances["XBT"].total == 1300
    assert balances[COUNTER].reserved == 11  # 7 * 1.5, rounded up


def test_an_asset_that_the_account_never_had_has_nothing_and_an_unknown_name_is_refused() -> None:
    balances = whole()
    assert balances["ETH"] == Funds(0, 0)
    assert balances.snapshot()["ETH"] == Funds(0, 0)
    assert OTHER not in balances.snapshot()
    assert sorted(balances) == sorted(balances.snapshot()) == sorted((BASE, COUNTER))
    with pytest.raises(InvalidRequest):
        balances["XBTT"]


def test_what_is_available_is_what_was_told_last() -> None:
    balances = whole()
    balances.notice(changed(BASE, 900))
    balances.notice(changed(OTHER, 5))
    assert balances["XBT"].available == 900
    assert balances["ETH"].available == 5


def test_what_is_reserved_follows_the_accounts_own_orders() -> None:
    balances = whole()
    balances.notice(opened(1, 100, 20_001))
    assert balances["USDT"].reserved == 201
    balances.notice({**opened(1, 50, 20_000), "notice": "OrderModified"})
    assert balances["USDT"].reserved == 100
    balances.notice(matched(bid=1, bid_tonce=None, bid_rem=10, ask=77, ask_rem=0))
    assert balances["USDT"].reserved == 20
    balances.notice({"notice": "OrderClosed", "id": 1})
    assert balances["USDT"].reserved == 0
    balances.notice(opened(2, -40, 20_000))
    assert (balances["XBT"].reserved, balances["USDT"].reserved) == (40, 0)
    balances.notice(matched(bid=None, ask=2, ask_tonce=None, ask_rem=15))
    assert balances["XBT"].reserved == 15


def test_the_orders_of_others_reserve_nothing_here() -> None:
    balances = whole(order(1, -10, 1))
    version = balances.version
    foreign = opened(2, -40, 20_000)
    del foreign["tonce"]  # which only the owner is told
    for notice in (foreign, matched(bid=5, bid_rem=1), {"notice": "OrderClosed", "id": 9}, {"notice": "Welcome"}):
        balances.notice(notice)
    assert balances.version == version
    assert balances["XBT"].reserved == 10


def test_notices_before_the_snapshots_are_held() -> None:
    balances = Balances()
    balances.asked()
    balances.answered(funds((BASE, 1000, 0)))
    balances.notice(changed(BASE, 700))
    balances.asked()
    balances.notice(opened(1, -300, 1))
    assert balances["XBT"] == (0, 0)
    balances.answered({"orders": []})
    assert balances["XBT"] == Funds(700, 300)


def test_after_a_loss_both_snapshots_are_needed_again() -> None:
    balances = Balances()
    balances.asked()
    balances.answered(funds((BASE, 1, 0)))
    balances.lost()
    balances.lost()
    balances.asked()
    balances.answered({"orders": []})
    assert balances.stale
    balances.answered(funds((BASE, 2, 0)))
    assert balances["XBT"].available == 2
    balances.lost()
    balances.notice(changed(BASE, 3))
    assert balances.stale
    assert balances.snapshot().stale
    assert balances["XBT"].available == 2  # as it was known last


def test_a_snapshot_stays_what_it_was_and_is_made_once_for_a_version() -> None:
    balances = whole()
    before = balances.snapshot()
    assert balances.snapshot() is before
    balances.notice(changed(BASE, 900))
    assert before["XBT"].available == 1000
    assert balances.snapshot()["XBT"].available == 900
    assert balances.snapshot().version > before.version
    with pytest.raises(TypeError):
        before.funds[BASE] = Funds(1, 1)  # type: ignore[index]


def test_the_repr_tells_no_amounts() -> None:
    assert repr(Balances()) == "<Balances of 0 assets, stale>"
    assert repr(whole()) == "<Balances of 2 assets, whole>"


@pytest.mark.parametrize(
    "answer",
    [
        {"balances": None},
        {"balances": [1]},
        {"balances": [{"asset": 1}]},
        {"balances": [{"asset": "1", "balance": 2}]},
    ],
)
def test_a_snapshot_that_makes_no_sense_is_a_protocol_error(answer: Message) -> None:
    balances = Balances()
    balances.asked()
    balances.answered({"orders": []})
    with pytest.raises(ProtocolError):
        balances.answered(answer)
    assert balances.stale
    with pytest.raises(ProtocolError):
        balances.wait(PATIENCE)


@pytest.mark.parametrize("notice", [changed(BASE, 1) | {"balance": 1.5}, opened(1, 2, 3) | {"price": None}])
def test_a_notice_that_makes_no_sense_is_a_protocol_error(notice: Message) -> None:
    balances = whole()
    with pytest.raises(ProtocolError):
        balances.notice(notice)
    assert balances.stale


# -- equality with the exchange


def owned(engine: Engine) -> dict[int, tuple[int, int]]:
    return {row.asset: (row.available, row.reserved) for row in engine.balances(ME)}


def assert_equal(balances: Balances, truth: dict[int, tuple[int, int]]) -> None:
    shown = {asset: (funds.available, funds.reserved) for asset, funds in balances.snapshot().funds.items()}
    assert {a: f for a, f in shown.items() if any(f)} == {a: f for a, f in truth.items() if any(f)}


@pytest.mark.parametrize("fees", [None, Fees(maker=2_000, taker=30_000, house=99)], ids=["no fees", "fees"])
@pytest.mark.parametrize("seed", range(2))
def test_balances_are_the_exchanges_after_every_command_and_through_losses(seed: int, fees: Fees | None) -> None:
    random = Random(seed)
    exchange = Exchange(random, fees=fees)
    line = Line(exchange, lambda: owned(exchange.engine), owner=ME)
    balances = Balances()
    compared = losses = held = 0

    def compare() -> None:
        nonlocal compared
        # once nothing is to come any more of what was before the snapshots
        if not balances.stale and line.told >= line.snapshot and line.truth is not None:
            assert_equal(balances, line.truth)
            compared += 1

    while compared < 5_000:
        chance = random.random()
        if chance < 0.002 or not losses:
            line.connect()
            balances.lost()
            balances.asked()
            line.ask_for_balances()
            losses += 1
        elif chance < 0.35:
            line.act()
        elif line.requests and chance < 0.39:
            line.run_request()
        elif line.replies and chance < 0.43:
            line.deliver_reply(balances)
            if balances.stale:
                balances.asked()
        elif line.notices:
            held += balances.stale
            line.deliver_notice(balances)
            compare()
    assert losses > 10
    assert held > 100
    while line.requests:
        line.run_request()
    while line.replies:
        line.deliver_reply(balances)
    while line.notices:
        line.deliver_notice(balances)
    assert not balances.stale
    assert_equal(balances, owned(exchange.engine))
