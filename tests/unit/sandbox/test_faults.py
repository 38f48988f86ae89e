"""Which fault applies, and how often; what each does is in the integration tests."""

from dataclasses import dataclass

import pytest

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
