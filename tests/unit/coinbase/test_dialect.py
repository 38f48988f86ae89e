"""How the core asks Coinbase and reads its answers."""

import base64
from typing import Any

import pytest

from wsclient import CommandError, InvalidRequest, NotAuthorized, TransportError, WrongCredentials
from wsclient.coinbase import Token
from wsclient.coinbase.channels import Key
from wsclient.coinbase.dialect import Coinbase
from wsclient.core.dialect import Unnamed

DIALECT = Coinbase()
TICKER = {"type": "subscribe", "channels": ["ticker"], "product_ids": ["BTC-USD"]}
USER = {"type": "subscribe", "channels": ["user"], "product_ids": ["BTC-USD"]}
TOKEN = Token("k", base64.b64encode(b"secret").decode(), "p")


def test_answers_name_no_call() -> None:
    assert DIALECT.read({"type": "subscriptions", "channels": []}) == Unnamed(ok=True)
    assert DIALECT.read({"type": "error", "message": "Failed to subscribe"}) == Unnamed(ok=False)
    assert DIALECT.read({"type": "ticker", "message": "error"}) is None
    assert DIALECT.read({"type": "unheard of"}) is None
    assert DIALECT.read({"type": "error", "message": []}) == Unnamed(ok=False)
    assert isinstance(DIALECT.alarm({"type": "error", "message": []}), CommandError)


@pytest.mark.parametrize("message", ["ErrSlowConsume", "ErrSlowRead"])
def test_being_too_slow_is_nobodys_answer(message: str) -> None:
    told = {"type": "error", "message": message}
    assert DIALECT.read(told) == Unnamed(ok=False, stray=True)
    assert isinstance(DIALECT.alarm(told), TransportError)


def test_a_subscribe_message_is_signed_as_it_goes_out_and_kept_without_that() -> None:
    signed = DIALECT.signed(USER, TOKEN)
    assert set(signed) == {*USER, "key", "passphrase", "timestamp", "signature"}
    assert DIALECT.completed(USER, TOKEN) == USER
    assert DIALECT.signed(USER, None) == USER
    assert DIALECT.signed({**USER, "signature": "theirs"}, TOKEN) == {**USER, "signature": "theirs"}
    left = {**USER, "type": "unsubscribe"}
    assert DIALECT.signed(left, TOKEN) == left


def test_the_user_channel_needs_a_key_unless_the_message_is_signed() -> None:
    assert DIALECT.examine(USER).keyed
    assert not DIALECT.examine(TICKER).keyed
    assert not DIALECT.examine({**USER, "signature": "theirs"}).keyed
    assert not DIALECT.examine({**USER, "type": "unsubscribe"}).keyed


def test_only_subscribe_and_unsubscribe_messages_are_sent() -> None:
    odd: list[Any] = [{"type": "ping"}, {}, {"type": "subscribe"}, {"type": "subscribe", "channels": ["full"]}]
    for message in odd:
        with pytest.raises(InvalidRequest):
            DIALECT.examine(message)
    assert not Coinbase(strict=False).examine({"type": "ping"}).watching


def test_what_is_watched_is_each_channel_of_each_product() -> None:
    begins, ends, leaves = DIALECT.watching({**TICKER, "product_ids": ["A-B", "C-D"]})
    assert begins == [Key("ticker", "A-B"), Key("ticker", "C-D")]
    assert (ends, leaves) == ((), None)
    left = {"type": "unsubscribe", "channels": ["ticker", {"name": "full", "product_ids": ["A-B"]}]}
    begins, ends, leaves = DIALECT.watching(left)
    assert (begins, ends) == ((), [Key("full", "A-B")])
    assert leaves is not None
    assert leaves(Key("ticker", "C-D"))
    assert not leaves(Key("full", "C-D"))


def test_many_watches_are_asked_for_by_few_messages() -> None:
    keys = [Key(channel, f"P{number}-USD") for channel in ("ticker", "full") for number in range(150)]
    requests = DIALECT.subscriptions(keys)
    assert len(requests) == 2
    assert [key for _, asked in requests for key in asked] == keys
    assert DIALECT.unsubscriptions([]) == []


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        ({"type": "l2update", "product_id": "A-B"}, [Key("level2", "A-B"), Key("level2_batch", "A-B")]),
        ({"type": "match", "product_id": "A-B"}, [Key(name, "A-B") for name in ("matches", "full", "user")]),
        ({"type": "status"}, [Key("status", "")]),
        ({"type": "new"}, []),
        ({"type": ["odd"]}, []),
        ({"type": "ticker", "product_id": ["odd"]}, []),
    ],
)
def test_a_message_belongs_to_the_channels_that_bring_its_type(
    message: dict[str, object], keys: list[Key]
) -> None:
    assert list(DIALECT.watched(message)) == keys


def test_an_error_is_told_with_its_reason_and_without_the_signature() -> None:
    told = {"type": "error", "message": "Failed to subscribe", "reason": "user channel requires authentication"}
    error = DIALECT.refusal(told, DIALECT.signed(USER, TOKEN))
    assert isinstance(error, NotAuthorized)
    assert error.request == USER
    assert "Failed to subscribe: user channel requires authentication" in str(error)
    told = {"type": "error", "message": "Authentication Failed", "reason": "Invalid Passphrase"}
    assert isinstance(DIALECT.refusal(told, TICKER), WrongCredentials)
    other = DIALECT.refusal({"type": "error", "message": ["odd"]}, TICKER)
    assert type(other) is CommandError
