"""What subscribe messages ask for, and what a `subscriptions` message shows of it."""

from typing import Any

import pytest

from wsclient import InvalidRequest
from wsclient.coinbase import get_default_message, get_message
from wsclient.coinbase.channels import Key, Wish, canonical, keys, request, satisfies, shown, wishes

DOCUMENTED = {
    "type": "subscribe",
    "product_ids": ["ETH-USD", "ETH-EUR"],
    "channels": ["level2", "heartbeat", {"name": "ticker", "product_ids": ["ETH-BTC", "ETH-USD"]}],
}
ANSWER = {
    "type": "subscriptions",
    "channels": [
        {"name": "level2", "product_ids": ["ETH-USD", "ETH-EUR"]},
        {"name": "heartbeat", "product_ids": ["ETH-USD", "ETH-EUR"]},
        {"name": "ticker", "product_ids": ["ETH-USD", "ETH-EUR", "ETH-BTC"]},
    ],
}


def test_root_products_apply_to_every_channel_besides_its_own() -> None:
    assert wishes(DOCUMENTED) == [
        Wish("level2", ("ETH-USD", "ETH-EUR")),
        Wish("heartbeat", ("ETH-USD", "ETH-EUR")),
        Wish("ticker", ("ETH-USD", "ETH-EUR", "ETH-BTC")),
    ]


def test_the_documented_answer_shows_what_the_documented_message_asked() -> None:
    assert satisfies(ANSWER, DOCUMENTED)


@pytest.mark.parametrize("left_out", range(3))
def test_an_answer_that_lacks_a_channel_does_not(left_out: int) -> None:
    listed = [channel for at, channel in enumerate(ANSWER["channels"]) if at != left_out]
    assert not satisfies({"type": "subscriptions", "channels": listed}, DOCUMENTED)


def test_an_answer_that_lacks_a_product_does_not() -> None:
    listed = [{"name": name, "product_ids": ["ETH-USD", "ETH-EUR"]} for name in ("level2", "heartbeat", "ticker")]
    assert not satisfies({"type": "subscriptions", "channels": listed}, DOCUMENTED)


def test_leaving_is_shown_by_what_is_no_longer_listed() -> None:
    left = {"type": "unsubscribe", "channels": ["heartbeat"]}
    assert not satisfies(ANSWER, left)
    assert satisfies({"type": "subscriptions", "channels": [ANSWER["channels"][0]]}, left)
    assert satisfies({"type": "subscriptions", "channels": [{"name": "heartbeat", "product_ids": []}]}, left)
    one = {"type": "unsubscribe", "product_ids": ["ETH-EUR"], "channels": ["ticker"]}
    assert not satisfies(ANSWER, one)
    rest = {"name": "ticker", "product_ids": ["ETH-USD", "ETH-BTC"]}
    assert satisfies({"type": "subscriptions", "channels": [rest]}, one)


@pytest.mark.parametrize(
    ("name", "canonically"),
    [
        ("level2", "level2"), ("level2_50", "level2_batch"), ("level2_batch", "level2_batch"),
        ("ticker_1000", "ticker_batch"), ("rfq_matches", "rfq_matches"),
    ],
)  # fmt: skip
def test_an_alias_stands_for_the_channel(name: str, canonically: str) -> None:
    assert canonical(name) == canonically


def test_a_channel_without_products_is_a_key_of_its_own() -> None:
    asked = wishes({"type": "subscribe", "channels": ["status", "ticker"], "product_ids": ["BTC-USD"]})
    assert keys(asked) == [Key("status", ""), Key("ticker", "BTC-USD")]
    answer = {"channels": [{"name": "status"}, {"name": "ticker", "product_ids": ["BTC-USD"]}]}
    assert satisfies(answer, {"type": "subscribe", "channels": ["status", "ticker"], "product_ids": ["BTC-USD"]})


def test_one_message_asks_for_many_keys() -> None:
    asked = [Key("ticker", "A-B"), Key("status", ""), Key("ticker", "C-D"), Key("full", "A-B")]
    message = request("subscribe", asked)
    assert message["channels"] == [
        {"name": "ticker", "product_ids": ["A-B", "C-D"]}, "status", {"name": "full", "product_ids": ["A-B"]},
    ]  # fmt: skip
    assert sorted(keys(wishes(message))) == sorted(asked)


@pytest.mark.parametrize(
    "message",
    [
        {}, {"channels": []}, {"channels": "ticker"}, {"channels": [""]}, {"channels": [{"product_ids": []}]},
        {"channels": ["ticker"], "product_ids": "BTC-USD"}, {"channels": ["ticker"], "product_ids": [1]},
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        wishes(message)


@pytest.mark.parametrize("channels", [None, 1, [None], [{"name": 1}], [{"name": "ticker", "product_ids": 5}]])
def test_an_answer_that_cannot_be_read_shows_nothing(channels: object) -> None:
    assert not any(shown({"type": "subscriptions", "channels": channels}).values())


def test_the_default_message_is_given_where_no_other_is() -> None:
    assert get_message() == get_default_message() == get_message({})
    assert wishes(get_default_message())
    assert get_message(DOCUMENTED) is DOCUMENTED
