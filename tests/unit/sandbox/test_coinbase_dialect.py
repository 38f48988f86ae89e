"""Coinbase's feed without a socket: subscribing, signing, and what is told to whom, and when."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.sandbox.assets import CODES
from wsclient.sandbox.coinbase import CoinbaseSettings, CoinbaseVenue
from wsclient.sandbox.coinbase_messages import order_id
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.listings import binance_markets, coinbase_markets, coinflex_markets
from wsclient.sandbox.users import User, ready_made
from wsclient.sandbox.venue import HangUp, Say

XBT, USD, USDT, ETH = (CODES[name] for name in ("XBT", "USD", "USDT", "ETH"))
SECOND = 1_000_000
START = 1_600_000_000 * SECOND
COIN = 10**8
NEEDS_LOGIN = "level2, level3, and full channels now require authentication."


class Feed:
    """A venue with an engine under it, two users and a clock by hand."""

    def __init__(self, *, limited: bool = False, **settings: Any) -> None:
        self.now = START
        self.users: tuple[User, ...] = ready_made(2, seed=3)
        markets = (*coinflex_markets(), *coinbase_markets(), *binance_markets())
        self.engine = Engine(markets, clock=lambda: self.now)
        for user in self.users:
            self.engine.add_user(user.id, user.holdings(self.engine.decimals))
        self.venue = CoinbaseVenue(
            self.engine,
            self.users,
            clock=lambda: self.now,
            settings=CoinbaseSettings(**settings),
            limited=limited,
        )
        self.venue.open(1)

    def send(self, session: int = 1, **message: Any) -> dict[str, Any]:
        """Send a message and give the answer."""
        return self.venue.execute(session, self.venue.read(json.dumps(message)))

    def subscribe(self, *channels: Any, session: int = 1, **more: Any) -> dict[str, Any]:
        return self.send(session, type="subscribe", channels=list(channels), **more)

    def join(self, *channels: Any, session: int = 1, user: int = 0, **more: Any) -> None:
        """Subscribe as a user, which has to succeed, and drop what the channels open with."""
        answer = self.subscribe(*channels, session=session, **{**self.signed(user), **more})
        assert answer["type"] == "subscriptions", answer
        self.venue.actions()

    def signed(self, user: int = 0, **changes: Any) -> dict[str, Any]:
        """The fields that authenticate a message, but for the changes."""
        key = self.users[user].coinbase
        stamp = changes.get("timestamp", str(self.now / SECOND))
        mac = hmac.new(base64.b64decode(key.secret), f"{stamp}GET/users/self/verify".encode(), hashlib.sha256)
        signature = base64.b64encode(mac.digest()).decode()
        fields = {"key": key.key, "passphrase": key.passphrase, "timestamp": stamp, "signature": signature}
        return {**fields, **changes}

    def place(self, user: int, quantity: int, price: int | None, **more: Any) -> int | None:
        pair = {"base": XBT, "counter": USD, **more}
        return self.engine.place(self.users[user].id, quantity=quantity, price=price, **pair).id

    def told(self, session: int = 1) -> list[dict[str, Any]]:
        """What has been said to a session since the last time: of events, and of the clock."""
        texts = [text for text, to in self.venue.notices(self.engine.take_events()) if session in to]
        texts += [say.text for say in self.venue.actions() if isinstance(say, Say) and session in say.sessions]
        return [json.loads(text) for text in texts]

    def types(self, session: int = 1) -> list[str]:
        return [message["type"] for message in self.told(session)]

    def beat(self, seconds: float) -> list[dict[str, Any]]:
        """Let time pass, and give what session 1 is told then."""
        self.now += round(seconds * SECOND)
        self.venue.beat()
        return self.told()


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def open_feed() -> Feed:
    return Feed(require_auth=False)


# ---------------------------------------------------------------- subscribing


def test_products_have_coinbases_names_and_the_documents_markets_are_there(feed: Feed) -> None:
    page = feed.venue.page("/products")
    assert page is not None
    products = {product["id"]: product for product in json.loads(page.body)}
    assert {"BTC-USD", "ETH-USD", "ETH-EUR", "ETH-BTC", "BTC-USDT", "BNB-BTC"} < set(products)
    assert products["BTC-USD"]["base_increment"] == "0.00000001"
    assert products["BTC-USD"]["quote_increment"] == "0.01"
    assert products["ETH-BTC"]["quote_increment"] == "0.00001"
    assert products["BTC-USDT"]["base_increment"] == "0.0001"
    assert products["BTC-USDT"]["quote_increment"] == "1.0000"


def test_products_at_the_root_count_for_every_channel_and_a_channels_own_are_added(feed: Feed) -> None:
    answer = feed.subscribe(
        "level2",
        "heartbeat",
        {"name": "ticker", "product_ids": ["ETH-BTC", "ETH-USD"]},
        product_ids=["ETH-USD", "ETH-EUR"],
        **feed.signed(),
    )
    assert answer == {
        "type": "subscriptions",
        "channels": [
            {"name": "level2", "product_ids": ["ETH-USD", "ETH-EUR"]},
            {"name": "heartbeat", "product_ids": ["ETH-USD", "ETH-EUR"]},
            {"name": "ticker", "product_ids": ["ETH-USD", "ETH-EUR", "ETH-BTC"]},
        ],
    }


def test_the_answer_lists_all_subscriptions_and_names_two_channels_by_their_alias(feed: Feed) -> None:
    feed.subscribe("heartbeat", product_ids=["BTC-USD"])
    answer = feed.subscribe("level2_batch", "ticker_batch", {"name": "status"}, product_ids=["ETH-USD"])
    assert [(row["name"], row["product_ids"]) for row in answer["channels"]] == [
        ("heartbeat", ["BTC-USD"]),
        ("level2_50", ["ETH-USD"]),
        ("ticker_1000", ["ETH-USD"]),
        ("status", []),
    ]
    answer = feed.send(type="unsubscribe", channels=["level2_batch"], product_ids=["ETH-USD"])
    assert [row["name"] for row in answer["channels"]] == ["heartbeat", "ticker_1000", "status"]
    answer = feed.send(type="unsubscribe", channels=["ticker_1000", "status"])
    assert [row["name"] for row in answer["channels"]] == ["heartbeat"]


def test_unsubscribing_without_products_leaves_a_channel_and_with_them_only_those(feed: Feed) -> None:
    feed.subscribe("heartbeat", "matches", product_ids=["BTC-USD", "ETH-USD"])
    answer = feed.send(type="unsubscribe", channels=["heartbeat"], product_ids=["ETH-USD", "ETH-EUR"])
    assert answer["channels"][0] == {"name": "heartbeat", "product_ids": ["BTC-USD"]}
    answer = feed.send(type="unsubscribe", channels=["heartbeat"])
    assert answer["channels"] == [{"name": "matches", "product_ids": ["BTC-USD", "ETH-USD"]}]
    assert feed.send(type="unsubscribe", channels=["matches"])["channels"] == []
    assert feed.beat(5) == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"product_ids": ["BTC-USD"]}, "No channels provided"),
        ({"channels": []}, "No channels provided"),
        ({"channels": "ticker"}, "No channels provided"),
        ({"channels": ["tickers"], "product_ids": ["BTC-USD"]}, "tickers is not a valid channel"),
        ({"channels": [7]}, "7 is not a valid channel"),
        ({"channels": [{"product_ids": ["BTC-USD"]}]}, "None is not a valid channel"),
        ({"channels": ["ticker"], "product_ids": ["ETH-XYZ"]}, "ETH-XYZ is not a valid product"),
        ({"channels": ["ticker"], "product_ids": ["BTC-USD", ["x"]]}, "['x'] is not a valid product"),
        ({"channels": [{"name": "ticker", "product_ids": "BTC-USD"}]}, "BTC-USD is not a valid product"),
        ({"channels": ["ticker"]}, "You need to specify at least one product ID for channel ticker"),
    ],
)
def test_a_wrong_subscription_is_refused_whole(feed: Feed, message: dict[str, Any], reason: str) -> None:
    error = feed.send(type="subscribe", **message)
    assert error == {"type": "error", "message": "Failed to subscribe", "reason": reason}
    assert feed.venue.code(error) == 1
    assert feed.subscribe("heartbeat", product_ids=["BTC-USD"])["channels"] == [
        {"name": "heartbeat", "product_ids": ["BTC-USD"]}
    ]


def test_a_wrong_unsubscription_is_refused_in_its_own_words(feed: Feed) -> None:
    assert feed.send(type="unsubscribe", channels=["x"])["message"] == "Failed to unsubscribe"


FUZZED = Feed()
NAMES = ["type", "channels", "product_ids", "name", "key", "timestamp", "signature"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["subscribe", "ticker", "BTC-USD"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
)


@given(st.text() | json_values.map(json.dumps))
def test_whatever_is_sent_is_answered(text: str) -> None:
    answer = FUZZED.venue.execute(1, FUZZED.venue.read(text))
    assert answer["type"] in ("error", "subscriptions")
    assert json.dumps(answer)


def test_texts_that_are_no_message_are_refused(feed: Feed) -> None:
    for text in ("", "{", "[]", "7", '{"type": "subscribe", "x": "' + "x" * 70_000 + '"}'):
        request = feed.venue.read(text)
        assert request.method is None
        assert feed.venue.execute(1, request)["message"] == "Malformed JSON"
    assert feed.send(type="order")["message"] == "Unknown message type"
    assert feed.send(channels=[])["message"] == "Unknown message type"


def test_the_ledger_is_shown_no_part_of_a_login(feed: Feed) -> None:
    fields = {"type": "subscribe", "channels": ["user"], **feed.signed()}
    request = feed.venue.read(json.dumps(fields))
    assert request.shown == {"type": "subscribe", "channels": ["user"]}
    assert feed.users[0].coinbase.secret not in repr(feed.users[0].coinbase)
    assert feed.users[0].coinbase.passphrase not in repr(feed.users[0].coinbase)


# ---------------------------------------------------------------- authenticating


@pytest.mark.parametrize("channel", ["level2", "full", "user"])
def test_some_channels_need_a_login(feed: Feed, channel: str) -> None:
    error = feed.subscribe("ticker", channel, product_ids=["BTC-USD"])
    assert error["message"] == "Failed to subscribe"
    assert error["reason"].startswith("user channel requires authentication" if channel == "user" else NEEDS_LOGIN)
    assert feed.venue.user(1) is None
    assert feed.subscribe(channel, product_ids=["BTC-USD"], **feed.signed(1))["type"] == "subscriptions"
    assert feed.venue.user(1) == feed.users[1].id


def test_without_require_auth_only_the_user_channel_does(open_feed: Feed) -> None:
    assert open_feed.subscribe("level2", "full", product_ids=["BTC-USD"])["type"] == "subscriptions"
    assert open_feed.subscribe("user", product_ids=["BTC-USD"])["type"] == "error"


def test_the_direct_feed_is_for_users_only(feed: Feed) -> None:
    assert feed.venue.serves("/coinbase-direct")
    feed.venue.open(2, "/coinbase-direct?x=1")
    assert feed.subscribe("ticker", session=2, product_ids=["BTC-USD"])["type"] == "error"
    assert feed.subscribe("ticker", session=2, product_ids=["BTC-USD"], **feed.signed())["type"] == "subscriptions"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": "nobody's"}, "Invalid API Key"),
        ({"key": None}, "Invalid API Key"),
        ({"signature": base64.b64encode(b"x" * 32).decode()}, "invalid signature"),
        ({"signature": "not base64 é"}, "invalid signature"),
        ({"signature": 5}, "invalid signature"),
        ({"passphrase": "another"}, "Invalid Passphrase"),
        ({"passphrase": None}, "Invalid Passphrase"),
        ({"timestamp": str(START / SECOND - 31)}, "request timestamp expired"),
        ({"timestamp": str(START / SECOND + 31)}, "request timestamp expired"),
        ({"timestamp": "nan"}, "request timestamp expired"),
        ({"timestamp": "today"}, "invalid timestamp"),
        ({"timestamp": None}, "invalid timestamp"),
    ],
)
def test_a_wrong_login_is_refused_and_subscribes_to_nothing(
    feed: Feed, changes: dict[str, Any], reason: str
) -> None:
    error = feed.subscribe("ticker", product_ids=["BTC-USD"], **feed.signed(**changes))
    assert error == {"type": "error", "message": "Authentication Failed", "reason": reason}
    assert feed.venue.user(1) is None
    assert feed.send(type="unsubscribe", channels=["ticker"])["channels"] == []


def test_a_timestamp_may_be_a_little_off_and_have_a_fraction(feed: Feed) -> None:
    for stamp in (str(START / SECOND - 29.5), str(START // SECOND), f"{START / SECOND:.3f}"):
        assert feed.subscribe("user", product_ids=["BTC-USD"], **feed.signed(timestamp=stamp))["type"] != "error"


def test_the_keys_of_one_seed_are_the_same_and_each_users_own() -> None:
    one, other = ready_made(2, seed=3), ready_made(2, seed=3)
    assert [user.coinbase for user in one] == [user.coinbase for user in other]
    assert one[0].coinbase.key != one[1].coinbase.key
    assert one[0].coinbase != ready_made(1, seed=4)[0].coinbase
    assert len(base64.b64decode(one[0].coinbase.secret, validate=True)) == 64


# ---------------------------------------------------------------- the full channel


def test_an_order_is_received_and_opened_and_done(feed: Feed) -> None:
    feed.join("full", product_ids=["BTC-USD"], user=1)
    number = feed.place(0, COIN // 2, 900_001)
    assert number is not None
    received, opened = feed.told()
    assert received == {
        "type": "received",
        "order_id": order_id(number),
        "side": "buy",
        "order_type": "limit",
        "size": "0.50000000",
        "price": "9000.01",
        "time": "2020-09-13T12:26:40.000000Z",
        "product_id": "BTC-USD",
        "sequence": 1001,
    }
    assert (opened["type"], opened["remaining_size"], opened["price"]) == ("open", "0.50000000", "9000.01")
    feed.engine.cancel(feed.users[0].id, id=number)
    (done,) = feed.told()
    assert (done["type"], done["reason"], done["remaining_size"]) == ("done", "canceled", "0.50000000")
    assert (opened["sequence"], done["sequence"]) == (1002, 1003)


def test_an_order_that_trades_at_once_is_matched_before_it_opens(feed: Feed) -> None:
    feed.join("full", product_ids=["BTC-USD"], user=1)
    maker = feed.place(0, -COIN, 900_000)
    feed.told()
    taker = feed.place(0, 3 * COIN, 900_100)
    assert maker is not None
    assert taker is not None
    told = feed.told()
    assert [message["type"] for message in told] == ["received", "match", "done", "open"]
    _, match, done, opened = told
    assert (match["maker_order_id"], match["taker_order_id"]) == (order_id(maker), order_id(taker))
    assert (match["side"], match["size"], match["price"]) == ("sell", "1.00000000", "9000.00")
    assert (done["order_id"], done["reason"], done["remaining_size"]) == (order_id(maker), "filled", "0.00000000")
    assert (opened["order_id"], opened["remaining_size"]) == (order_id(taker), "2.00000000")


def test_an_order_that_is_traded_whole_or_killed_never_opens(feed: Feed) -> None:
    feed.join("full", product_ids=["BTC-USD"])
    feed.place(0, -COIN, 900_000)
    feed.told()
    feed.place(1, COIN // 2, 900_000)
    told = feed.told()
    assert [message["type"] for message in told] == ["received", "match", "done"]
    assert (told[2]["side"], told[2]["reason"]) == ("buy", "filled")
    feed.place(1, COIN, 900_000, persist="fill_or_kill")
    told = feed.told()
    assert [message["type"] for message in told] == ["received", "match", "done", "done"]
    assert [message["reason"] for message in told[2:]] == ["filled", "canceled"]
    assert told[3]["remaining_size"] == "0.50000000"


def test_a_market_order_is_received_without_a_price(feed: Feed) -> None:
    feed.join("full", product_ids=["BTC-USD"])
    for price in (900_000, 900_100):
        feed.place(0, -COIN, price)
    feed.told()
    feed.place(1, 3 * COIN // 2, None)
    told = feed.told()
    assert [message["type"] for message in told] == ["received", "match", "done", "match", "done"]
    received, first, _, second, done = told
    assert (received["order_type"], received["size"], "price" in received) == ("market", "1.50000000", False)
    assert first["taker_order_id"] == second["taker_order_id"] == done["order_id"] == received["order_id"]
    assert (done["side"], done["reason"], "price" in done) == ("buy", "filled", False)
    assert [first["trade_id"], second["trade_id"]] == [1, 2]


def test_a_change_tells_old_and_new(feed: Feed) -> None:
    feed.join("full", product_ids=["BTC-USD"])
    number = feed.place(0, COIN, 900_000)
    feed.told()
    feed.engine.modify(feed.users[0].id, id=number, quantity_delta=COIN)
    (change,) = feed.told()
    assert (change["type"], change["old_size"], change["new_size"]) == ("change", "1.00000000", "2.00000000")
    assert (change["price"], change["reason"]) == ("9000.00", "modify_order")
    feed.engine.modify(feed.users[0].id, id=number, price=910_000)
    (change,) = feed.told()
    assert (change["old_price"], change["new_price"]) == ("9000.00", "9100.00")


def test_a_change_that_trades_is_told_as_its_matches_and_what_is_left(feed: Feed) -> None:
    feed.join("full", product_ids=["BTC-USD"])
    feed.place(0, -COIN, 910_000)
    number = feed.place(1, 3 * COIN, 900_000)
    feed.told()
    feed.engine.modify(feed.users[1].id, id=number, price=910_000)
    told = feed.told()
    assert [message["type"] for message in told] == ["match", "done", "change"]
    assert (told[2]["old_size"], told[2]["new_size"]) == ("3.00000000", "2.00000000")


def test_every_message_of_a_product_has_the_next_number_whoever_listens(feed: Feed) -> None:
    feed.place(0, COIN, 900_000)
    feed.told()
    feed.join("full", product_ids=["BTC-USD", "BTC-USDT"])
    feed.place(0, COIN, 900_000)
    feed.place(0, 10_000, 90_000_000, counter=USDT)
    feed.place(0, COIN, 900_000)
    told = feed.told()
    assert [(m["product_id"], m["sequence"]) for m in told if m["product_id"] == "BTC-USD"] == [
        ("BTC-USD", number) for number in range(1003, 1007)
    ]
    assert [m["sequence"] for m in told if m["product_id"] == "BTC-USDT"] == [1001, 1002]


# ---------------------------------------------------------------- who is told


def test_the_owner_is_told_whose_order_it_is_and_nobody_else(feed: Feed) -> None:
    feed.venue.open(2)
    feed.join("full", product_ids=["BTC-USD"], user=0)
    feed.join("full", product_ids=["BTC-USD"], session=2, user=1)
    feed.place(0, -COIN, 900_000)
    events = list(feed.venue.notices(feed.engine.take_events()))
    mine = [json.loads(text) for text, sessions in events if 1 in sessions]
    others = [json.loads(text) for text, sessions in events if 2 in sessions]
    assert [message["sequence"] for message in mine] == [message["sequence"] for message in others]
    assert all(int(message["user_id"], 16) == feed.users[0].id for message in mine)
    assert not any("user_id" in message for message in others)


def test_both_sides_of_a_match_learn_their_own_part(feed: Feed) -> None:
    feed.venue.open(2)
    feed.join("user", product_ids=["BTC-USD"], user=0)
    feed.join("user", product_ids=["BTC-USD"], session=2, user=1)
    feed.place(0, -2 * COIN, 900_000)
    feed.told()
    feed.place(1, COIN, 900_000)
    events = list(feed.venue.notices(feed.engine.take_events()))
    maker = [json.loads(text) for text, sessions in events if 1 in sessions]
    taker = [json.loads(text) for text, sessions in events if 2 in sessions]
    assert [message["type"] for message in maker] == ["match"]
    assert [message["type"] for message in taker] == ["received", "match", "done"]
    assert "maker_user_id" in maker[0]
    assert "taker_user_id" not in maker[0]
    assert "taker_profile_id" in taker[1]
    assert "maker_profile_id" not in taker[1]


def test_the_user_channel_tells_nothing_of_others(feed: Feed) -> None:
    feed.join("user", product_ids=["BTC-USD"], user=0)
    feed.place(1, COIN, 900_000)
    assert feed.told() == []


def test_a_session_is_told_once_however_many_channels_would_tell_it(feed: Feed) -> None:
    feed.join("full", "user", "matches", product_ids=["BTC-USD"], user=0)
    feed.place(0, -COIN, 900_000)
    feed.place(1, COIN, 900_000)
    assert feed.types() == ["received", "open", "received", "match", "done", "done"]


def test_who_joined_unknown_stays_unknown_until_it_has_left(open_feed: Feed) -> None:
    feed = open_feed
    feed.subscribe("full", product_ids=["BTC-USD"])
    feed.subscribe("full", product_ids=["BTC-USD"], **feed.signed())
    feed.place(0, COIN, 900_000)
    assert not any("user_id" in message for message in feed.told())
    feed.send(type="unsubscribe", channels=["full"])
    feed.subscribe("full", product_ids=["BTC-USD"], **feed.signed())
    feed.place(0, COIN, 900_000)
    assert all("user_id" in message for message in feed.told())


def test_an_ended_session_is_told_nothing_more(feed: Feed) -> None:
    feed.join("full", "heartbeat", "status", product_ids=["BTC-USD"])
    feed.venue.close(1)
    feed.venue.close(1)
    feed.place(0, COIN, 900_000)
    assert list(feed.venue.notices(feed.engine.take_events())) == []
    assert feed.beat(10) == []


# ---------------------------------------------------------------- the other channels


def test_matches_opens_with_the_last_match_if_there_was_any(feed: Feed) -> None:
    feed.subscribe("matches", product_ids=["BTC-USD"])
    assert feed.told() == []
    feed.place(0, -COIN, 900_000)
    feed.place(1, COIN // 2, 900_000)
    (match,) = feed.told()
    assert match["type"] == "match"
    feed.venue.open(2)
    feed.subscribe("matches", session=2, product_ids=["BTC-USD"])
    assert feed.told(2) == [{**match, "type": "last_match"}]


def test_level2_opens_with_every_level_and_goes_on_with_absolute_sizes(feed: Feed) -> None:
    for price in (900_000, 900_000, 890_000):
        feed.place(0, COIN, price)
    feed.place(0, -COIN, 910_000)
    feed.told()
    feed.subscribe("level2", product_ids=["BTC-USD"], **feed.signed())
    (snapshot,) = feed.told()
    assert snapshot == {
        "type": "snapshot",
        "product_id": "BTC-USD",
        "bids": [["9000.00", "2.00000000"], ["8900.00", "1.00000000"]],
        "asks": [["9100.00", "1.00000000"]],
    }
    feed.place(1, -COIN, 900_000)
    (update,) = feed.told()
    assert update["changes"] == [["buy", "9000.00", "1.00000000"]]
    feed.place(1, -COIN, 900_000)
    (update,) = feed.told()
    assert update["changes"] == [["buy", "9000.00", "0.00000000"]]
    assert set(update) == {"type", "product_id", "changes", "time"}


def test_level2_batch_gathers_what_has_changed_for_its_time(feed: Feed) -> None:
    feed.venue.beat()
    feed.subscribe("level2_batch", product_ids=["BTC-USD"])
    feed.told()
    for price in (900_000, 890_000, 900_000):
        feed.place(0, COIN, price)
    assert feed.told() == []
    (update,) = feed.beat(0.05)
    assert sorted(update["changes"]) == [["buy", "8900.00", "1.00000000"], ["buy", "9000.00", "2.00000000"]]
    assert feed.beat(0.05) == []


def test_a_ticker_comes_with_every_command_that_trades(feed: Feed) -> None:
    feed.subscribe("ticker", product_ids=["BTC-USD"])
    for price in (900_000, 900_100, 910_000):
        feed.place(0, -COIN, price)
    feed.place(0, COIN, 890_000)
    assert feed.told() == []
    feed.now += SECOND
    feed.place(1, 3 * COIN // 2, 900_100)
    (ticker,) = feed.told()
    assert ticker == {
        "type": "ticker",
        "sequence": 1008 + 5,
        "product_id": "BTC-USD",
        "price": "9001.00",
        "open_24h": "9000.00",
        "volume_24h": "1.50000000",
        "low_24h": "9000.00",
        "high_24h": "9001.00",
        "volume_30d": "1.50000000",
        "best_bid": "8900.00",
        "best_bid_size": "1.00000000",
        "best_ask": "9001.00",
        "best_ask_size": "0.50000000",
        "side": "buy",
        "time": ticker["time"],
        "trade_id": 2,
        "last_size": "0.50000000",
    }
    feed.venue.open(2)
    feed.subscribe("ticker", session=2, product_ids=["BTC-USD"])
    assert feed.told(2) == [ticker]


def test_ticker_batch_comes_every_five_seconds_if_there_was_a_trade(feed: Feed) -> None:
    feed.venue.beat()
    feed.subscribe("ticker_batch", product_ids=["BTC-USD"])
    feed.place(0, -COIN, 900_000)
    assert feed.beat(5) == []
    feed.place(1, COIN // 2, 900_000)
    assert feed.beat(4) == []
    assert [message["type"] for message in feed.beat(1)] == ["ticker"]
    assert feed.beat(5) == []


def test_a_heartbeat_comes_every_second_with_the_sequence_as_it_stands(feed: Feed) -> None:
    feed.venue.beat()
    feed.subscribe("heartbeat", product_ids=["BTC-USD", "ETH-USD"])
    assert feed.beat(0.5) == []
    feed.place(0, -COIN, 900_000)
    feed.place(1, COIN, 900_000)
    assert feed.told() == []
    told = feed.beat(0.5)
    assert told == [
        {
            "type": "heartbeat",
            "sequence": 1006,
            "last_trade_id": 1,
            "product_id": "BTC-USD",
            "time": "2020-09-13T12:26:41.000000Z",
        },
        {
            "type": "heartbeat",
            "sequence": 1000,
            "last_trade_id": 0,
            "product_id": "ETH-USD",
            "time": "2020-09-13T12:26:41.000000Z",
        },
    ]
    assert len(feed.beat(1)) == 2
    assert len(feed.beat(60)) == 2, "nothing is made up for"


def test_status_tells_products_and_currencies_at_once_and_again(feed: Feed) -> None:
    feed.venue.beat()
    feed.subscribe("status")
    (status,) = feed.told()
    assert {"BTC-USD", "ETH-BTC"} < {product["id"] for product in status["products"]}
    assert {"BTC", "USD", "EUR"} < {currency["id"] for currency in status["currencies"]}
    assert feed.beat(5) == [status]


# ---------------------------------------------------------------- time and limits


def test_who_has_not_subscribed_in_time_is_hung_up(feed: Feed) -> None:
    feed.venue.open(2)
    feed.subscribe("status", session=2)
    feed.subscribe("nothing")
    feed.venue.actions()
    feed.now += 4_999_999
    feed.venue.beat()
    assert not [action for action in feed.venue.actions() if isinstance(action, HangUp)]
    feed.now += 1
    for _ in range(2):
        feed.venue.beat()
    gone = [action.session for action in feed.venue.actions() if isinstance(action, HangUp)]
    assert gone == [1]


def test_who_sends_too_much_is_told_and_hung_up_where_limits_apply() -> None:
    feed = Feed(limited=True)
    for _ in range(100):
        assert feed.subscribe("heartbeat", product_ids=["BTC-USD"])["type"] == "subscriptions"
    assert feed.subscribe("heartbeat", product_ids=["BTC-USD"]) == {"type": "error", "message": "ErrSlowRead"}
    assert [type(action) for action in feed.venue.actions()] == [HangUp]


# ---------------------------------------------------------------- pages


def page(feed: Feed, target: str) -> tuple[int, Any]:
    answer = feed.venue.page(target)
    assert answer is not None
    return answer.status, json.loads(answer.body)


def test_a_book_has_three_levels(feed: Feed) -> None:
    numbers = [feed.place(0, size * COIN, price) for size, price in ((1, 900_000), (2, 900_000), (3, 890_000))]
    feed.place(0, -COIN, 910_000)
    feed.told()
    status, best = page(feed, "/products/BTC-USD/book")
    assert status == 200
    assert best["bids"] == [["9000.00", "3.00000000", 2]]
    assert best["asks"] == [["9100.00", "1.00000000", 1]]
    assert best["sequence"] == 1008
    _, levels = page(feed, "/products/BTC-USD/book?level=2")
    assert levels["bids"] == [["9000.00", "3.00000000", 2], ["8900.00", "3.00000000", 1]]
    _, orders = page(feed, "/products/BTC-USD/book?level=3")
    assert [(row[1], row[2]) for row in orders["bids"]] == [
        (f"{size}.00000000", order_id(number or 0)) for size, number in zip((1, 2, 3), numbers, strict=True)
    ]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/products/BTC-XYZ/book", 404),
        ("/products/BTC-USD/candles", 404),
        ("/products/BTC-USD/book?level=4", 400),
        ("/products/BTC-USD/ticker", 404),
        ("/products/BTC-USD", 200),
        ("/time", 200),
    ],
)
def test_other_pages(feed: Feed, target: str, status: int) -> None:
    assert page(feed, target)[0] == status


def test_there_are_no_pages_of_other_things(feed: Feed) -> None:
    for target in ("/", "/v1", "/product", "/coinbase", "*", "//"):
        assert feed.venue.page(target) is None
