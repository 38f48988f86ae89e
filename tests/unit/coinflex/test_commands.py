"""The commands: what they send, and what they refuse to send."""

import inspect
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from wsclient import Assets, InvalidRequest
from wsclient.coinflex.commands import METHODS, Commands
from wsclient.coinflex.tonces import AUTO
from wsclient.core.reply import Reply

XBT, USDT = Assets["XBT"], Assets["USDT"]


class Recorder(Commands):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any], *, stale_after: float | None = None) -> Reply[Any]:
        self.sent.append(message)
        return Reply(message, 1, lambda: False)


def sent(call: Callable[[Recorder], object]) -> dict[str, Any]:
    recorder = Recorder()
    call(recorder)
    (message,) = recorder.sent
    return message


def test_there_is_a_method_for_every_command_of_the_protocol() -> None:
    assert set(METHODS) == {
        "GetBalances", "GetOrders", "EstimateMarketOrder", "PlaceOrder", "ModifyOrder", "CancelOrder",
        "CancelAllOrders", "GetTradeVolume", "WatchOrders", "WatchTicker",
    }  # fmt: skip


def test_every_command_has_keywords_a_docstring_and_a_typed_reply() -> None:
    for name in METHODS:
        method = getattr(Commands, name)
        parameters = list(inspect.signature(method).parameters.values())[1:]
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters), name
        assert method.__doc__, name
        assert "Reply" in str(inspect.signature(method).return_annotation), name


def test_what_is_left_out_is_not_sent_and_names_become_codes() -> None:
    assert sent(lambda c: c.PlaceOrder(base="XBT", counter=USDT, quantity=15000, price=44430000)) == {
        "method": "PlaceOrder", "base": XBT, "counter": USDT, "quantity": 15000, "price": 44430000, "tonce": AUTO,
    }  # fmt: skip
    assert "tonce" not in sent(lambda c: c.PlaceOrder(base=XBT, counter=USDT, quantity=1, tonce=None))
    assert sent(lambda c: c.WatchOrders(base=XBT, counter=USDT, watch=False))["watch"] is False
    assert sent(lambda c: c.GetTradeVolume(asset="FLEX", tag=9)) == {
        "method": "GetTradeVolume", "asset": Assets["FLEX"], "tag": 9,
    }  # fmt: skip


def test_every_field_of_an_order_is_sent_as_given() -> None:
    order = {"quantity": -1, "price": 2, "tonce": -3, "persist": "fill_or_kill", "post_only": False}
    message = sent(lambda c: c.PlaceOrder(base=XBT, counter=USDT, **order))  # type: ignore[arg-type]
    assert {name: message[name] for name in order} == order
    change = {"tonce": 3, "quantity_delta": -5, "price": 7, "post_only": True}
    assert sent(lambda c: c.ModifyOrder(**change)) == {"method": "ModifyOrder", **change}  # type: ignore[arg-type]
    assert sent(lambda c: c.CancelOrder(id=0)) == {"method": "CancelOrder", "id": 0}


BAD_ORDERS: list[dict[str, Any]] = [
    {},
    {"quantity": 1, "total": 1},
    {"total": 1, "price": 1},
    {"price": 1},
    {"quantity": 1.5, "price": 1},
    {"quantity": Decimal(1), "price": 1},
    {"quantity": float("nan"), "price": 1},
    {"quantity": True, "price": 1},
    {"quantity": "1", "price": 1},
    {"quantity": 0, "price": 1},
    {"quantity": 1, "price": 0},
    {"quantity": 1, "price": -1},
    {"quantity": 1, "price": 1.0},
    {"total": 0},
    {"quantity": 1, "tonce": 0},
    {"quantity": 1, "tonce": "5"},
    {"quantity": 1, "persist": "yes"},
    {"quantity": 1, "persist": 1},
    {"quantity": 1, "post_only": "no"},
]


@pytest.mark.parametrize("fields", BAD_ORDERS)
def test_an_order_that_cannot_be_meant_is_refused(fields: dict[str, Any]) -> None:
    recorder = Recorder()
    with pytest.raises(InvalidRequest):
        recorder.PlaceOrder(base=XBT, counter=USDT, **fields)
    assert recorder.sent == []


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.CancelOrder(),
        lambda c: c.CancelOrder(id=1, tonce=2),
        lambda c: c.CancelOrder(id="1"),
        lambda c: c.CancelOrder(tonce=0),
        lambda c: c.ModifyOrder(price=1),
        lambda c: c.ModifyOrder(id=1, quantity_delta=0.5),
        lambda c: c.EstimateMarketOrder(base=XBT, counter=USDT),
        lambda c: c.EstimateMarketOrder(base=XBT, counter=USDT, quantity=1, total=1),
        lambda c: c.WatchTicker(base="DOGE", counter=USDT, watch=True),
        lambda c: c.WatchTicker(base=XBT, counter=USDT, watch=1),
        lambda c: c.GetTradeVolume(asset=1.0),
    ],
)
def test_other_mistakes_are_refused_too(call: Callable[[Recorder], object]) -> None:
    recorder = Recorder()
    with pytest.raises(InvalidRequest):
        call(recorder)
    assert recorder.sent == []


def test_a_misspelt_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Recorder().PlaceOrder(base=XBT, counter=USDT, quantity=1, prize=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Recorder().GetBalances(1)  # type: ignore[call-arg]


@pytest.mark.parametrize("amount", ["0.5", 0.5, Decimal("0.5")])
def test_an_amount_that_is_not_scaled_is_refused_with_what_to_do(amount: Any) -> None:
    calls: tuple[Callable[[Recorder], object], ...] = (
        lambda client: client.PlaceOrder(base=XBT, counter=USDT, quantity=amount, price=1),
        lambda client: client.PlaceOrder(base=XBT, counter=USDT, quantity=1, price=amount),
        lambda client: client.EstimateMarketOrder(base=XBT, counter=USDT, total=amount),
    )
    for call in calls:
        with pytest.raises(InvalidRequest, match="to_wire"):
            call(Recorder())
    with pytest.raises(InvalidRequest) as caught:
        Recorder().CancelOrder(id="7")  # type: ignore[arg-type]
    assert "to_wire" not in str(caught.value)
