"""The request API: its envelope, who may ask, how much, and the public methods."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from tests.unit.sandbox.binance_exchange import PRICE, SECOND, START, Exchange, order
from wsclient.sandbox.users import User

API = "/ws-api/v3"
ACCOUNT = "account.status"


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def session(exchange: Exchange) -> int:
    return exchange.connect(API)


def signed(exchange: Exchange, user: User, kind: str, **params: Any) -> dict[str, Any]:
    """Parameters signed by one of the two private keys."""
    key = user.binance_ed25519 if kind == "ed25519" else user.binance_rsa
    params = {"timestamp": exchange.clock // 1000, **params, "apiKey": key.api_key}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params)).encode()
    private = serialization.load_pem_private_key(key.private_key.encode(), None)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        signature = private.sign(text)
    else:
        assert isinstance(private, rsa.RSAPrivateKey)
        signature = private.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return {**params, "signature": base64.b64encode(signature).decode()}


# ---------------------------------------------------------------- the envelope


@pytest.mark.parametrize("number", [7, -7, "any text at all", "", None])
def test_an_id_comes_back_as_it_was(exchange: Exchange, session: int, number: Any) -> None:
    reply = exchange.ask_raw(session, json.dumps({"id": number, "method": "ping"}))
    assert reply == {
        "id": number,
        "status": 200,
        "result": {},
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 3}
        ],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Invalid JSON"),
        ("[1]", "Invalid request"),
        ('{"id": 1}', "Invalid 'method' in JSON request; expected a string."),
        ('{"id": 1, "method": 5}', "Invalid 'method' in JSON request; expected a string."),
        ('{"id": [], "method": "ping"}', "Invalid 'id' in JSON request"),
        ('{"id": 1, "method": "ping", "params": []}', "Invalid 'params' in JSON request; expected an object."),
        ('{"id": 1, "method": "ping", "params": null}', "Invalid 'params' in JSON request; expected an object."),
        ("x" * 200_000, "too long"),
    ],
)
def test_what_is_no_request_is_error_1135(exchange: Exchange, session: int, text: str, words: str) -> None:
    reply = exchange.ask_raw(session, text)
    assert (reply["status"], reply["error"]["code"]) == (400, -1135)
    assert words in reply["error"]["msg"]
    assert exchange.venue.code(reply) == -1135


def test_an_unknown_method_is_told_so(exchange: Exchange, session: int) -> None:
    assert exchange.refused(session, "order.plaec") == (-1020, "This operation is not supported.")


def test_rate_limits_are_left_out_for_who_does_not_want_them(exchange: Exchange, session: int) -> None:
    assert "rateLimits" not in exchange.ask(session, "ping", {"returnRateLimits": False})
    assert "rateLimits" in exchange.ask(session, "ping")
    quiet = exchange.connect(API + "?returnRateLimits=false")
    assert "rateLimits" not in exchange.ask(quiet, "ping")
    assert "rateLimits" in exchange.ask(quiet, "ping", {"returnRateLimits": True})
    assert exchange.refused(session, "ping", returnRateLimits="no")[0] == -1130


def test_a_request_that_breaks_the_exchange_is_answered_with_an_honest_500(exchange: Exchange) -> None:
    reply = exchange.venue.failed(exchange.venue.read('{"id": "a", "method": "ping"}'))
    assert (reply["id"], reply["status"]) == ("a", 500)


# ---------------------------------------------------------------- who may ask


@pytest.mark.parametrize("kind", ["hmac", "ed25519", "rsa"])
def test_a_request_is_signed_by_a_key_of_any_kind(exchange: Exchange, session: int, kind: str) -> None:
    user = exchange.users[1]
    params = exchange.signed(user) if kind == "hmac" else signed(exchange, user, kind)
    assert exchange.ask(session, ACCOUNT, params)["result"]["uid"] == user.id
    changed = {**params, "timestamp": params["timestamp"] - 1}
    reply = exchange.ask(session, ACCOUNT, changed)
    assert reply["error"] == {"code": -1022, "msg": "Signature for this request is not valid."}
    other = exchange.users[0].binance.api_key
    assert exchange.ask(session, ACCOUNT, {**params, "apiKey": other})["error"]["code"] == -1022


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"apiKey": None}, 400, -1102),
        ({"apiKey": ""}, 400, -1102),
        ({"apiKey": "short"}, 401, -2014),
        ({"apiKey": 5}, 401, -2014),
        ({"apiKey": "A" * 64}, 401, -2015),
        ({"signature": None}, 400, -1102),
        ({"signature": ""}, 400, -1102),
        ({"signature": 5}, 400, -1102),
        ({"signature": "00" * 32}, 400, -1022),
        ({"timestamp": None}, 400, -1102),
        ({"timestamp": "now"}, 400, -1102),
        ({"timestamp": True}, 400, -1102),
        ({"timestamp": -1}, 400, -1102),
        ({"recvWindow": "wide"}, 400, -1130),
        ({"recvWindow": "1e999"}, 400, -1130),
        ({"recvWindow": 60_001}, 400, -1102),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_signed_request_is_told(
    exchange: Exchange, session: int, changes: dict[str, Any], status: int, code: int
) -> None:
    params = {**exchange.signed(exchange.users[0]), **changes}
    reply = exchange.ask(session, ACCOUNT, {name: value for name, value in params.items() if value is not None})
    assert (reply["status"], reply["error"]["code"]) == (status, code)


def test_a_request_is_valid_for_its_window(exchange: Exchange, session: int) -> None:
    user, now = exchange.users[0], START // 1000

    def code(timestamp: int, **more: Any) -> int:
        reply = exchange.ask(session, ACCOUNT, exchange.signed(user, timestamp=timestamp, **more))
        return int(reply.get("error", {}).get("code", 0))

    assert code(now) == code(now - 5000) == code(now + 999) == 0
    assert code(START) == 0, "microseconds"
    assert code(now - 5001) == code(now + 1000) == -1021
    assert code(START - 5001 * 1000) == -1021
    assert code(now - 100, recvWindow=100) == code(now - 59_999, recvWindow="60000") == 0
    assert code(now - 101, recvWindow=100) == -1021
    assert code(now, recvWindow="0.5") == 0
    late = exchange.refused(session, ACCOUNT, user, timestamp=now - 6000)
    assert late == (-1021, "Timestamp for this request is outside of the recvWindow.")
    early = exchange.refused(session, ACCOUNT, user, timestamp=now + 6000)
    assert early == (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def test_a_session_that_has_logged_on_signs_nothing_more(exchange: Exchange, session: int) -> None:
    user = exchange.users[1]
    reply = exchange.ask(session, "session.logon", signed(exchange, user, "ed25519"))
    now = START // 1000
    assert reply["result"] == {
        "apiKey": user.binance_ed25519.api_key,
        "authorizedSince": now,
        "connectedSince": now,
        "returnRateLimits": True,
        "serverTime": now,
        "userDataStream": False,
    }
    assert exchange.venue.user(session) == user.id
    assert exchange.call(session, ACCOUNT, timestamp=now)["uid"] == user.id
    assert exchange.refused(session, ACCOUNT)[0] == -1102
    assert exchange.refused(session, ACCOUNT, timestamp=now - 6000)[0] == -1021
    assert exchange.call(session, ACCOUNT, exchange.users[0])["uid"] == exchange.users[0].id, "signed by another"
    assert exchange.refused(session, "session.logon", timestamp=now)[0] == -1102
    assert exchange.call(session, "session.logout")["apiKey"] is None
    assert exchange.refused(session, ACCOUNT, timestamp=now)[0] == -1102
    assert exchange.venue.user(session) is None


@pytest.mark.parametrize(("kind", "name"), [("hmac", "HMAC_SHA256"), ("rsa", "RSA")])
def test_only_ed25519_keys_log_on(exchange: Exchange, session: int, kind: str, name: str) -> None:
    user = exchange.users[0]
    params = exchange.signed(user) if kind == "hmac" else signed(exchange, user, kind)
    reply = exchange.ask(session, "session.logon", params)
    assert reply["error"] == {"code": -4056, "msg": f"{name} API key is not supported."}
    assert exchange.call(session, "session.status")["apiKey"] is None


def test_the_ledger_and_faults_are_told_who_asks(exchange: Exchange, session: int) -> None:
    user = exchange.users[2]
    request = exchange.venue.read(json.dumps({"id": 1, "method": "x", "params": exchange.signed(user)}))
    assert exchange.venue.sender(session, request) == user.id
    assert exchange.venue.sender(session, exchange.venue.read('{"id": 1, "method": "ping"}')) is None


# ---------------------------------------------------------------- how much


def test_who_asks_too_much_is_told_when_to_come_back() -> None:
    exchange = Exchange(request_weight=10)
    session = exchange.connect(API)  # which weighs 2
    for _ in range(8):
        assert exchange.ask(session, "ping")["status"] == 200
    reply = exchange.ask(session, "ping")
    assert (reply["status"], reply["error"]["code"]) == (429, -1003)
    assert reply["error"]["msg"].startswith("Too much request weight used; current limit is 10 request weight")
    data = reply["error"]["data"]
    assert data == {"serverTime": START // 1000, "retryAfter": START // 1000 + 60_000}
    exchange.clock = data["retryAfter"] * 1000
    assert exchange.ask(session, "ping")["status"] == 200


def test_who_does_not_listen_is_banned_for_a_while() -> None:
    exchange = Exchange(request_weight=10, ban_after=3, ban_seconds=120)
    session = exchange.connect(API)
    statuses = [exchange.ask(session, "ping")["status"] for _ in range(14)]
    assert statuses == [200] * 8 + [429] * 3 + [418] * 3
    error = exchange.ask(session, "ping")["error"]
    until = START // 1000 + 120_000
    assert error["data"]["retryAfter"] == until
    assert f"IP banned until {until}" in error["msg"]
    denial = exchange.venue.admit(API, "127.0.0.1")
    assert denial is not None
    assert denial.status == 418
    exchange.clock = until * 1000
    assert exchange.ask(session, "ping")["status"] == 200


def test_an_account_places_as_many_orders_as_it_may() -> None:
    exchange = Exchange(orders_10s=3)
    session, (ann, bob, _) = exchange.connect(API), exchange.users
    for count in range(3):
        reply = exchange.ask(session, "order.place", exchange.signed(ann, **order("BUY", "1", "9000")))
        kinds = [(limit["rateLimitType"], limit["count"]) for limit in reply["rateLimits"]]
        assert kinds[:2] == [("ORDERS", count + 1), ("ORDERS", count + 1)]
    reply = exchange.ask(session, "order.place", exchange.signed(ann, **order("BUY", "1", "9000")))
    assert (reply["status"], reply["error"]["code"]) == (429, -1015)
    assert reply["error"]["msg"] == "Too many new orders; current limit is 3 orders per 10 SECOND."
    assert reply["error"]["data"]["retryAfter"] == START // 1000 + 10_000
    assert len(exchange.engine.orders(ann.id)) == 3
    exchange.place(session, bob, "BUY", "1", "9000")
    exchange.clock += 10 * SECOND
    exchange.place(session, ann, "BUY", "1", "9000")


def test_limits_can_be_left_out() -> None:
    exchange = Exchange(request_weight=None, orders_10s=None, orders_day=None, connections=None)
    session = exchange.connect(API)
    assert exchange.ask(session, "order.test", {})["rateLimits"] == []
    assert exchange.call(session, "exchangeInfo", symbol="BTCUSDT")["rateLimits"] == []


# ---------------------------------------------------------------- public methods


def test_the_exchange_describes_its_symbols(exchange: Exchange, session: int) -> None:
    info = exchange.call(session, "exchangeInfo")
    symbols = {symbol["symbol"]: symbol for symbol in info["symbols"]}
    assert {"BTCUSDT", "ETHUSDT", "BNBBTC", "NEOBTC"} <= set(symbols)
    assert (symbols["BTCUSDT"]["baseAsset"], symbols["BTCUSDT"]["quoteAsset"]) == ("BTC", "USDT")
    filters = {each["filterType"]: each for each in symbols["BTCUSDT"]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "1.00000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00010000"
    filters = {each["filterType"]: each for each in symbols["NEOBTC"]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.00000100"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00000001"
    some = exchange.call(session, "exchangeInfo", symbols=["BNBBTC", "BTCUSDT"])["symbols"]
    assert [symbol["symbol"] for symbol in some] == ["BNBBTC", "BTCUSDT"]
    assert {limit["rateLimitType"] for limit in info["rateLimits"]} == {"REQUEST_WEIGHT", "ORDERS", "CONNECTIONS"}


def test_time_is_the_servers(exchange: Exchange, session: int) -> None:
    assert exchange.call(session, "time") == {"serverTime": START // 1000}


def test_the_book_is_told_level_by_level(exchange: Exchange, session: int) -> None:
    for user in exchange.users:
        exchange.coinflex(user, 100, PRICE)
        exchange.coinflex(user, -200, PRICE + 10_000)
    exchange.coinflex(exchange.users[0], 100, PRICE - 10_000)
    depth = exchange.call(session, "depth", symbol="BTCUSDT", limit=1)
    assert depth["bids"] == [["9000.00000000", "0.03000000"]]
    assert depth["asks"] == [["9001.00000000", "0.06000000"]]
    assert len(exchange.call(session, "depth", symbol="BTCUSDT")["bids"]) == 2
    assert exchange.refused(session, "depth", symbol="BTCUSDT", limit=0)[0] == -1130
    assert exchange.refused(session, "depth", symbol="BTCUSDT", limit=1.5)[0] == -1130


@pytest.mark.parametrize(("limit", "weight"), [(None, 5), (100, 5), (101, 25), (1000, 50), (5000, 250)])
def test_a_deep_book_weighs_more(exchange: Exchange, session: int, limit: int | None, weight: int) -> None:
    params = {"symbol": "BTCUSDT"} if limit is None else {"symbol": "BTCUSDT", "limit": limit}
    assert exchange.ask(session, "depth", params)["rateLimits"][0]["count"] == 2 + weight


def test_the_best_prices_can_be_asked_for(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    exchange.coinflex(bob, 300, PRICE)
    assert exchange.call(session, "ticker.book", symbol="BTCUSDT") == {
        "symbol": "BTCUSDT",
        "bidPrice": "9000.00000000",
        "bidQty": "0.03000000",
        "askPrice": "0.00000000",
        "askQty": "0.00000000",
    }
    exchange.coinflex(ann, -600, PRICE + 10_000)
    [bitcoin, ether] = exchange.call(session, "ticker.book", symbols=["BTCUSDT", "ETHUSDT"])
    assert (bitcoin["askPrice"], bitcoin["askQty"]) == ("9001.00000000", "0.06000000")
    assert ether["symbol"] == "ETHUSDT"
    assert len(exchange.call(session, "ticker.book")) > 2
    assert exchange.refused(session, "ticker.book", symbol="FOOBAR")[0] == -1121


def test_old_trades_and_aggregates_can_be_asked_for_by_number(exchange: Exchange, session: int) -> None:
    ann, bob, cat = exchange.users
    market: dict[str, Any] = {"symbol": "BTCUSDT"}
    stream = exchange.connect("/ws/btcusdt@aggTrade")
    for _ in range(2):
        for user in (ann, bob):
            exchange.coinflex(user, -100, PRICE)
        exchange.coinflex(cat, 200, PRICE)
        exchange.clock += SECOND

    def numbers(method: str, **params: Any) -> list[int]:
        name = "a" if method == "trades.aggregate" else "id"
        return [row[name] for row in exchange.call(session, method, **market, **params)]

    assert numbers("trades.historical") == [1, 2, 3, 4]
    assert numbers("trades.historical", limit=2) == [3, 4]
    assert numbers("trades.historical", fromId=2, limit=2) == [2, 3]
    assert numbers("trades.historical", fromId=5) == []
    assert numbers("trades.aggregate") == [1, 2]
    assert numbers("trades.aggregate", limit=1) == [2]
    assert numbers("trades.aggregate", fromId=1, limit=1) == [1]
    told = [{name: message[name] for name in "apqflTmM"} for message in exchange.hears(stream)]
    assert exchange.call(session, "trades.aggregate", **market) == told
    assert [(row["f"], row["l"]) for row in told] == [(1, 2), (3, 4)]
    assert numbers("trades.aggregate", startTime=told[1]["T"]) == [2]
    assert numbers("trades.aggregate", endTime=told[0]["T"]) == [1]
    assert exchange.refused(session, "trades.aggregate", **market, fromId=1, startTime=1)[0] == -1128


def test_trades_prices_and_candles_can_be_asked_for(exchange: Exchange, session: int) -> None:
    ann, bob, _ = exchange.users
    assert exchange.call(session, "trades.recent", symbol="BTCUSDT") == []
    assert exchange.call(session, "klines", symbol="BTCUSDT", interval="1m") == []
    assert exchange.call(session, "ticker.price", symbol="BTCUSDT")["price"] == "0.00000000"
    for price in (PRICE, PRICE + 10_000):
        exchange.coinflex(ann, -10_000, price)
        exchange.coinflex(bob, 10_000, price)
        exchange.clock += 60 * SECOND
    [trade] = exchange.call(session, "trades.recent", symbol="BTCUSDT", limit=1)
    assert (trade["id"], trade["price"], trade["qty"], trade["quoteQty"], trade["isBuyerMaker"]) == (
        2, "9001.00000000", "1.00000000", "9001.00000000", False,
    )  # fmt: skip
    assert exchange.call(session, "ticker.price", symbol="BTCUSDT") == {
        "symbol": "BTCUSDT",
        "price": "9001.00000000",
    }
    assert len(exchange.call(session, "ticker.price", symbols=["BTCUSDT", "ETHUSDT"])) == 2
    assert exchange.refused(session, "ticker.price", symbol="BTCUSDT", symbols=["BTCUSDT"])[0] == -1128
    candles = exchange.call(session, "klines", symbol="BTCUSDT", interval="1m")
    assert [(row[1], row[4], row[8]) for row in candles] == [
        ("9000.00000000", "9000.00000000", 1),
        ("9001.00000000", "9001.00000000", 1),
        ("9001.00000000", "9001.00000000", 0),
    ]
    assert len(candles[0]) == 12
    second = candles[1]
    assert exchange.call(session, "klines", symbol="BTCUSDT", interval="1m", startTime=second[0], limit=1) == [
        second
    ]
    assert exchange.call(session, "klines", symbol="BTCUSDT", interval="1m", endTime=second[6])[-1] == second
    assert exchange.call(session, "klines", symbol="BTCUSDT", interval="1d", timeZone="8")[0][8] == 2
    assert exchange.refused(session, "klines", symbol="BTCUSDT")[0] == -1102
    assert exchange.refused(session, "klines", symbol="BTCUSDT", interval="7m") == (-1120, "Invalid interval.")
    assert exchange.refused(session, "klines", symbol="BTCUSDT", interval="1d", timeZone="15")[0] == -1130


def test_an_account_has_what_the_engine_holds(exchange: Exchange, session: int) -> None:
    ann = exchange.users[0]
    exchange.place(session, ann, "SELL", "0.5", "9000")
    account = exchange.call(session, ACCOUNT, ann)
    owned = {balance["asset"]: balance for balance in account["balances"]}
    assert owned["BTC"] == {"asset": "BTC", "free": "999999.50000000", "locked": "0.50000000"}
    assert account["uid"] == ann.id
