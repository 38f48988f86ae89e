"""The CoinFLEX dialect without a socket: reading, running, and who is told."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.coinflex.assets import Assets
from wsclient.sandbox.coinflex import MAX_SHOWN, CoinflexVenue
from wsclient.sandbox.coinflex_notices import Audience, render
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import BalanceChanged, Event, Fill, OrderClosed, OrderOpened, OrdersMatched
from wsclient.sandbox.listings import coinflex_markets
from wsclient.sandbox.users import ready_made

BTC, USD = Assets["XBT"], Assets["USDT"]
BUYER, SELLER, WATCHER, STRANGER = 1, 2, 3, 4


@pytest.fixture
def venue() -> CoinflexVenue:
    users = ready_made(2, seed=0)
    engine = Engine(coinflex_markets())
    for user in users:
        engine.add_user(user.id, user.balances)
    return CoinflexVenue(engine, users, clock=lambda: 0, nonces=bytes)


def ask(venue: CoinflexVenue, session: int, **fields: Any) -> dict[str, Any]:
    return venue.execute(session, venue.read(json.dumps(fields)))


def test_a_connection_is_greeted_with_its_nonce(venue: CoinflexVenue) -> None:
    assert venue.open(1) == {"notice": "Welcome", "nonce": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert venue.user(1) is None
    venue.close(1)
    venue.close(1)
    assert venue.user(1) is None


def test_a_request_is_shown_without_its_secrets(venue: CoinflexVenue) -> None:
    text = (
        '{"method": "Authenticate", "user_id": 5, "cookie": "c", "nonce": "n", "signature": ["r", "s"], "tag": 4}'
    )
    request = venue.read(text)
    assert request.shown == {"method": "Authenticate", "user_id": 5, "tag": 4}
    assert "cookie" not in repr(request)
    assert (request.method, request.tag, request.refusal) == ("Authenticate", 4, None)


def test_long_requests_are_not_shown(venue: CoinflexVenue) -> None:
    request = venue.read(json.dumps({"method": "GetOrders", "filler": "x" * MAX_SHOWN}))
    assert set(request.shown) == {"length"}
    assert request.refusal is None


def test_null_says_the_same_as_nothing(venue: CoinflexVenue) -> None:
    venue.open(1)
    estimate = ask(venue, 1, method="EstimateMarketOrder", base=BTC, counter=USD, quantity=5, total=None, tag=None)
    assert estimate == {"error_code": 0, "quantity": 0, "total": 0}


def test_an_error_reply_carries_code_text_and_tag(venue: CoinflexVenue) -> None:
    venue.open(1)
    reply = ask(venue, 1, method="WatchOrders", base=BTC, counter=BTC, watch=True, tag=9)
    assert set(reply) == {"error_code", "error_msg", "tag"}
    assert (reply["error_code"], reply["tag"]) == (1, 9)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("base", "counter", "watch", "quantity", "total", "user_id", "cookie", "nonce", "signature", "tag")
METHODS = (
    "Authenticate",
    "WatchOrders",
    "WatchTicker",
    "EstimateMarketOrder",
    "PlaceOrder",
    "GetBalances",
    "Nothing",
)


@given(st.text() | json_values.map(lambda value: json.dumps(value)))
def test_reading_never_raises_and_nonsense_is_refused(text: str) -> None:
    venue = CoinflexVenue(Engine([]), [], clock=lambda: 0)
    venue.open(1)
    reply = venue.execute(1, venue.read(text))
    assert reply["error_code"] in (7, 8)


@given(st.sampled_from(METHODS), st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_running_never_raises_whatever_the_fields_hold(method: str, fields: dict[str, Any]) -> None:
    users = ready_made(1, seed=0)
    venue = CoinflexVenue(Engine(coinflex_markets()), users, clock=lambda: 0)
    venue.open(1)
    reply = venue.execute(1, venue.read(json.dumps({"method": method, **fields})))
    assert reply["error_code"] in range(10)
    json.dumps(reply)


# ---------------------------------------------------------------- who is told


def audience() -> Audience:
    everybody = Audience()
    everybody.add_owner(100, BUYER)
    everybody.add_owner(200, SELLER)
    everybody.books.add((BTC, USD), WATCHER)
    return everybody


def told(event: Event, to: Audience) -> Iterator[tuple[dict[str, Any], set[int]]]:
    for text, sessions in render([event], to):
        assert len(sessions) == len(set(sessions)) > 0
        yield json.loads(text), set(sessions)


def match(bid: Fill, ask: Fill) -> OrdersMatched:
    return OrdersMatched(BTC, USD, 10, 20, 30, 40, "bid", bid, ask)


def test_an_order_is_told_to_owner_and_watchers_in_two_wordings() -> None:
    opened = OrderOpened(100, 5, 6, BTC, USD, 7, 8, 9)
    wordings = list(told(opened, audience()))
    assert [sessions for _, sessions in wordings] == [{WATCHER}, {BUYER}]
    assert [message.get("tonce", "absent") for message, _ in wordings] == ["absent", 6]


def test_a_closed_order_tells_when_it_was_closed() -> None:
    [(message, _), _] = told(OrderClosed(100, 5, None, BTC, USD, 0, 8, 9), audience())
    assert message["time_closed"] == 9
    assert "time" not in message


def test_a_match_is_told_in_as_many_wordings_as_there_are_kinds_of_listeners() -> None:
    event = match(Fill(100, 5, 6, 7, 0, 1), Fill(200, None, 9, None, 0, 2))
    wordings = {tuple(sessions): message for message, sessions in told(event, audience())}
    assert set(wordings) == {(BUYER,), (SELLER,), (WATCHER,)}
    assert set(wordings[BUYER,]) - set(wordings[WATCHER,]) == {
        "bid_tonce",
        "bid_base_fee",
        "bid_counter_fee",
        "taker",
    }
    assert wordings[BUYER,]["taker"] is True
    assert wordings[SELLER,]["taker"] is False
    assert wordings[SELLER,]["ask_tonce"] == 9
    assert "ask" not in wordings[SELLER,]
    assert "ask_rem" not in wordings[SELLER,]
    assert wordings[WATCHER,]["taker_side"] == "bid"


def test_who_is_owner_of_both_sides_and_watcher_is_told_once_and_all() -> None:
    everybody = audience()
    everybody.books.add((BTC, USD), BUYER)
    event = match(Fill(100, 5, 6, 7), Fill(100, 8, None, 9))
    wordings = {tuple(sessions): message for message, sessions in told(event, everybody)}
    assert set(wordings) == {(BUYER,), (WATCHER,)}
    assert wordings[BUYER,]["bid_tonce"] == 6
    assert wordings[BUYER,]["ask_tonce"] is None
    assert wordings[BUYER,]["taker"] is True


def test_what_nobody_hears_is_not_even_written() -> None:
    events: list[Event] = [
        BalanceChanged(300, BTC, 5),
        OrderOpened(300, 5, 6, BTC + 1, USD, 7, 8, 9),
        match(Fill(300, 1, 1, 1), Fill(301, 1, 1, 1)),
    ]
    assert list(render(events, Audience())) == []


def test_who_has_gone_is_forgotten() -> None:
    everybody = audience()
    everybody.forget(BUYER, 100, [], [])
    everybody.forget(WATCHER, None, [(BTC, USD)], [(BTC, USD)])
    everybody.forget(STRANGER, 300, [(1, 2)], [])
    assert list(told(OrderOpened(100, 5, 6, BTC, USD, 7, 8, 9), everybody)) == []
