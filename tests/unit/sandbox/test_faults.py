"""Which fault applies, and how often; what each does is in the integration tests."""

import math
from dataclasses import dataclass
from typing import Any

import pytest

from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Delay, Drop, Faults, Gate, Mute, Refuse, Welcome, text_frame


@dataclass
class FakeRequest:
    method: str


@dataclass
class FakeLine:
    id: int


@dataclass
class FakeTurn:
    request: FakeRequest
    line: FakeLine


def chosen(faults: Faults, method: str = "GetOrders", user: int = 1, session: int = 1) -> object:
    turn = FakeTurn(FakeRequest(method), FakeLine(session))
    return faults.for_command(turn, user)  # type: ignore[arg-type]


def test_a_fault_takes_effect_once_unless_told_otherwise() -> None:
    faults = Faults()
    once, twice, always = Mute(), Mute(times=2), Mute(times=None)
    faults.add(once, twice, always)
    assert [chosen(faults) for _ in range(6)] == [once, twice, twice, always, always, always]
    assert faults.waiting == [always]
    faults.remove(always)
    assert chosen(faults) is None


def test_a_fault_begins_at_the_nth_match_and_counts_only_what_it_meets() -> None:
    faults = Faults()
    fault = Drop(method="PlaceOrder", user=5, session=2, nth=2)
    faults.add(fault)
    assert chosen(faults, "PlaceOrder", 5, 2) is None
    for other in (("GetOrders", 5, 2), ("PlaceOrder", 6, 2), ("PlaceOrder", 5, 3)):
        assert chosen(faults, *other) is None
    assert chosen(faults, "PlaceOrder", 5, 2) is fault
    assert chosen(faults, "PlaceOrder", 5, 2) is None


def test_what_would_never_meet_anything_is_refused() -> None:
    exchange = Sandbox(traders=0)
    for wrong in ("x", Mute, None):
        with pytest.raises(TypeError, match="a fault is an object"):
            exchange.faults.add(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'PlaceOrdr'; is PlaceOrder meant"):
        exchange.faults.add(Mute(), Mute(method="PlaceOrdr"))
    assert not exchange.faults.waiting
    for method in ("PlaceOrder", "subscribe", "order.place", "ticker.book", "SUBSCRIBE", None):
        exchange.faults.add(Mute(method=method))
    Faults().add(Mute(method="of an exchange of one's own"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tonces": "x"}, ValueError),
        ({"traders": "x"}, TypeError),
        ({"traders": -1}, ValueError),
        ({"traders": math.nan}, ValueError),
        ({"idle_timeout": -1}, ValueError),
        ({"idle_timeout": 0}, ValueError),
        ({"idle_timeout": "x"}, TypeError),
    ],
)
def test_options_that_cannot_be_meant_are_refused_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        Sandbox(**options)


def test_the_same_fault_may_be_added_twice() -> None:
    faults = Faults()
    fault = Mute()
    faults.add(fault, fault)
    assert [chosen(faults) for _ in range(3)] == [fault, fault, None]


def test_chance_comes_from_the_seed() -> None:
    def pattern(seed: int) -> list[bool]:
        faults = Faults(seed=seed)
        faults.add(Mute(chance=0.3, times=None))
        return [chosen(faults) is not None for _ in range(200)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert 30 < sum(pattern(1)) < 90


def test_each_point_asks_for_its_own_kind() -> None:
    faults = Faults()
    refuse, welcome, mute = Refuse(), Welcome(), Mute()
    faults.add(refuse, welcome, mute)
    assert faults.for_greeting() is welcome
    assert faults.for_connection() is refuse
    assert chosen(faults) is mute
    assert faults.waiting == []
    faults.add(mute)
    faults.clear()
    assert chosen(faults) is None


def test_a_gate_lets_through_who_waits_and_who_comes_later() -> None:
    gate, seen = Gate(), list[int]()
    gate.when_open(lambda: seen.append(1))
    assert seen == []
    gate.open()
    gate.when_open(lambda: seen.append(2))
    gate.open()
    assert seen == [1, 2]
    assert Delay(gate=gate).gate is gate


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_a_frame_written_by_hand_has_the_right_head(size: int, head: int) -> None:
    frame = text_frame("x" * size)
    assert len(frame) == head + size
    assert frame[0] == 0x81
