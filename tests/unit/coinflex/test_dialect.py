"""CoinFLEX's messages as the core reads and writes them."""

import base64
from collections.abc import Hashable
from typing import Any

import pytest

from wsclient import errors
from wsclient.coinflex.dialect import BALANCES, OWN_ORDERS, CoinFLEX, orders_of
from wsclient.coinflex.signing import Credentials
from wsclient.core.dialect import Answer, Examined, Greeting

dialect = CoinFLEX()
NONCE = base64.b64encode(b"0123456789abcdef").decode()


@pytest.mark.parametrize("method", ["EstimateMarketOrder", "WatchOrders", "WatchTicker"])
def test_three_commands_are_public_and_every_other_is_private(method: str) -> None:
    assert not dialect.examine({"method": method}).private
    assert dialect.examine({"method": "Whatever"}) == Examined(private=True, tag=None)


@pytest.mark.parametrize("request_", [{}, {"method": 5}, {"method": "Authenticate"}])
def test_what_is_no_request_is_refused(request_: Any) -> None:
    with pytest.raises(errors.InvalidRequest):
        dialect.examine(request_)


def test_a_request_may_name_its_tag_but_not_any() -> None:
    assert dialect.examine({"method": "M", "tag": None}).tag is None
    assert dialect.examine({"method": "M", "tag": -5}).tag == -5
    for tag in (0, True, "1", 1.0, 2**63, [1]):
        with pytest.raises(errors.InvalidRequest):
            dialect.examine({"method": "M", "tag": tag})


def test_tagging_leaves_the_callers_dict_alone() -> None:
    request = {"method": "GetOrders"}
    assert dialect.tagged(request, 3) == {"method": "GetOrders", "tag": 3}
    assert request == {"method": "GetOrders"}


def test_answers_notices_and_the_greeting_are_told_apart() -> None:
    assert dialect.read({"tag": 1, "error_code": 0}) == Answer(1, True)
    assert dialect.read({"tag": 1, "error_code": 5, "error_msg": "no"}) == Answer(1, False)
    assert dialect.read({"notice": "OrderOpened", "tag": 1}) is None
    assert dialect.read({"error_code": 0}) is None
    assert dialect.read({"notice": "Welcome", "nonce": NONCE}) == Greeting(b"0123456789abcdef")


@pytest.mark.parametrize("code", [None, "0", False, 0.0, [], {}])
def test_only_the_integer_zero_is_a_success(code: object) -> None:
    message = {"tag": 1, "error_code": code}
    assert dialect.read(message) == Answer(1, False)
    refusal = dialect.refusal(message, {"method": "GetOrders"})
    assert type(refusal) is errors.CommandError


@pytest.mark.parametrize("tag", ["1", 1.0, True, [1], {}])
def test_a_tag_that_is_no_integer_breaks_the_protocol(tag: object) -> None:
    with pytest.raises(errors.ProtocolError):
        dialect.read({"tag": tag, "error_code": 0})


@pytest.mark.parametrize("nonce", [None, "", "%%%", 5, "AAAA", base64.b64encode(bytes(17)).decode(), "ä" * 22])
def test_a_welcome_needs_a_nonce_of_sixteen_bytes(nonce: object) -> None:
    with pytest.raises(errors.ProtocolError):
        dialect.read({"notice": "Welcome", "nonce": nonce})
    with pytest.raises(errors.ProtocolError):
        dialect.read({"notice": "Welcome"})


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, errors.NotFound), (2, errors.Conflict), (3, errors.TonceOutOfSequence), (4, errors.InsufficientFunds),
     (5, errors.TooManyOrders), (6, errors.RateLimited), (7, errors.NotAuthorized), (8, errors.BadRequest),
     (9, errors.WouldMatch), (10, errors.CommandError), (-1, errors.CommandError)],
)  # fmt: skip
def test_each_code_has_its_class(code: int, kind: type[errors.CommandError]) -> None:
    request = {"method": "PlaceOrder", "tag": 4}
    error = dialect.refusal({"tag": 4, "error_code": code, "error_msg": "why"}, request)
    assert type(error) is kind
    assert (error.code, error.message, error.request) == (code, "why", request)


def news(kind: str, **fields: Any) -> Any:
    return dialect.news_of({"notice": kind, **fields})


def test_a_balance_and_a_volume_are_whole_news_of_their_asset() -> None:
    assert news("BalanceChanged", asset=1, balance=5) == news("BalanceChanged", asset=1, balance=6) is not None
    assert news("BalanceChanged", asset=1, balance=5) != news("BalanceChanged", asset=2, balance=5)
    assert news("TradeVolumeChanged", asset=1, volume=5) != news("BalanceChanged", asset=1, balance=5)


def test_a_ticker_is_superseded_only_by_one_that_tells_the_same() -> None:
    pair = {"base": 1, "counter": 2}
    assert news("TickerChanged", **pair, bid=5) == news("TickerChanged", **pair, bid=6) is not None
    assert news("TickerChanged", **pair, bid=5) != news("TickerChanged", **pair, ask=6)
    assert news("TickerChanged", **pair, bid=5) != news("TickerChanged", base=1, counter=3, bid=5)


@pytest.mark.parametrize(
    "kind", ["OrderOpened", "OrderModified", "OrdersMatched", "OrderClosed", "Welcome", "Other"]
)
def test_other_notices_are_never_superfluous(kind: str) -> None:
    assert news(kind, base=1, counter=2) is None
    assert dialect.news_of({"tag": 1}) is None


def test_a_request_costs_what_its_method_does() -> None:
    assert dialect.costs({"method": "PlaceOrder"}) == {"orders": 1}
    assert dialect.costs({"method": "WatchTicker"}) is None


def test_the_login_has_the_protocols_fields_and_its_refusal_none_of_the_secrets() -> None:
    who = Credentials(7, "cookie cookie", "passphrase")
    request = dialect.login(who, Greeting(bytes(16)))
    assert request.keys() == {"method", "user_id", "cookie", "nonce", "signature"}
    assert len(base64.b64decode(request["nonce"])) == 16
    assert [len(base64.b64decode(number)) for number in request["signature"]] == [28, 28]
    refused = dialect.login_refused(dialect.refusal({"error_code": 7, "error_msg": "wrong"}, request))
    assert isinstance(refused.__cause__, errors.NotAuthorized)
    assert refused.__cause__.request == {"method": "Authenticate"}
    assert "cookie" not in repr((refused, refused.__cause__, refused.__cause__.args))


@pytest.mark.parametrize(
    ("notice", "keys"),
    [
        ({"notice": "BalanceChanged", "asset": 1}, [BALANCES]),
        ({"notice": "OrderOpened", "base": 1, "counter": 2}, [orders_of(1, 2)]),
        ({"notice": "OrderOpened", "base": 1, "counter": 2, "tonce": None}, [orders_of(1, 2), OWN_ORDERS]),
        ({"notice": "OrdersMatched", "base": 1, "counter": 2, "ask_tonce": 7}, [orders_of(1, 2), OWN_ORDERS]),
        ({"notice": "TickerChanged", "base": 1, "counter": 2}, [("WatchTicker", 1, 2)]),
        ({"notice": "Welcome"}, []),
        ({"error_code": 0}, []),
    ],
)
def test_a_notice_belongs_to_its_market_and_to_the_account_whose_order_it_is_about(
    notice: dict[str, Any], keys: list[Hashable]
) -> None:
    assert list(dialect.watched(notice)) == keys


@pytest.mark.parametrize("notice", [{"notice": []}, {"notice": "OrderOpened", "base": [], "counter": 2}])
def test_a_notice_that_belongs_nowhere_breaks_the_protocol(notice: dict[str, Any]) -> None:
    with pytest.raises(errors.ProtocolError):
        dialect.watched(notice)


@pytest.mark.parametrize("watch", [True, False])
def test_a_market_that_can_be_none_is_not_watched(watch: bool) -> None:
    with pytest.raises(errors.InvalidRequest):
        dialect.watching({"method": "WatchOrders", "base": [1], "counter": {}, "watch": watch})


def test_what_an_account_watches_begins_with_a_query_and_needs_no_end() -> None:
    begun = dialect.subscriptions([BALANCES, OWN_ORDERS, orders_of(1, 2)])
    assert [subscription.request["method"] for subscription in begun] == [
        "GetBalances",
        "GetOrders",
        "WatchOrders",
    ]
    assert dialect.unsubscriptions([BALANCES, OWN_ORDERS]) == []
    assert dialect.unsubscriptions([orders_of(1, 2)]) == [
        {"method": "WatchOrders", "base": 1, "counter": 2, "watch": False}
    ]
