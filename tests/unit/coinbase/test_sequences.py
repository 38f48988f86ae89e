"""What is missing in a sequence, what came twice, what came late."""

from hypothesis import given
from hypothesis import strategies as st

from wsclient.coinbase import Gap
from wsclient.coinbase.sequences import Sequence


def take(sequence: Sequence, *numbers: int) -> list[Gap]:
    return [gap for number in numbers if (gap := sequence.take(number)) is not None]


def test_numbers_that_rise_by_one_are_no_news() -> None:
    assert take(Sequence("A-B"), 7, 8, 9) == []


def test_a_jump_tells_all_that_is_missing() -> None:
    gaps = take(Sequence("A-B"), 7, 10, 11)
    assert gaps == [Gap("A-B", "gap", 8, 9)]
    assert gaps[0].count == 2


def test_what_was_missing_comes_late_and_only_once() -> None:
    assert take(Sequence("A-B"), 7, 10, 9, 9, 8, 7) == [
        Gap("A-B", "gap", 8, 9),
        Gap("A-B", "late", 9, 9),
        Gap("A-B", "repeat", 9, 9),
        Gap("A-B", "late", 8, 8),
        Gap("A-B", "repeat", 7, 7),
    ]


def test_a_new_connection_goes_on_where_the_last_one_ended() -> None:
    sequence = Sequence("A-B")
    take(sequence, 7, 8)
    sequence.lost()
    assert take(sequence, 11, 8, 9) == [
        Gap("A-B", "gap", 9, 10),
        Gap("A-B", "repeat", 8, 8),
        Gap("A-B", "late", 9, 9),
    ]


def test_numbers_that_begin_again_on_a_new_connection_are_a_new_beginning() -> None:
    sequence = Sequence("A-B")
    take(sequence, 7, 9)
    sequence.lost()
    assert take(sequence, 3, 4, 7, 4) == [Gap("A-B", "gap", 5, 6), Gap("A-B", "repeat", 4, 4)]


def test_a_heartbeat_shows_a_new_beginning_too() -> None:
    sequence = Sequence("A-B")
    take(sequence, 7, 8)
    sequence.told(8)
    sequence.lost()
    assert sequence.told(2) is None
    assert sequence.told(4) is None
    assert take(sequence, 3) == []
    assert sequence.told(4) == Gap("A-B", "gap", 4, 4)


def test_a_heartbeat_that_tells_no_less_than_before_is_no_new_beginning() -> None:
    sequence = Sequence("A-B")
    take(sequence, 7, 8)
    sequence.lost()
    assert sequence.told(8) is None
    assert sequence.told(9) is None
    assert sequence.told(9) == Gap("A-B", "gap", 9, 9)


def test_a_heartbeat_is_believed_at_the_next_one() -> None:
    sequence = Sequence("A-B")
    take(sequence, 7)
    assert sequence.told(9) is None  # 8 and 9 may be on their way
    assert take(sequence, 8) == []
    assert sequence.told(9) == Gap("A-B", "gap", 9, 9)
    assert sequence.told(9) is None
    assert take(sequence, 9, 10) == [Gap("A-B", "late", 9, 9)]


def test_heartbeats_tell_where_a_sequence_begins() -> None:
    sequence = Sequence("A-B")
    assert sequence.told(5) is None
    assert sequence.told(5) is None
    assert take(sequence, 8) == [Gap("A-B", "gap", 6, 7)]
    assert take(sequence, 5) == [Gap("A-B", "late", 5, 5)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80))
def test_every_number_is_accounted_for(numbers: list[int]) -> None:
    sequence = Sequence("A-B")
    gaps = take(sequence, *numbers)
    told: dict[str, list[int]] = {"gap": [], "late": [], "repeat": []}
    for gap in gaps:
        told[gap.kind] += range(gap.first, gap.last + 1)
    missing = [n for n in range(numbers[0], max(numbers) + 1) if n not in numbers]
    late = [n for n in told["late"] if n >= numbers[0]]
    assert sorted(set(told["gap"]) - set(late)) == missing
    assert len(set(told["gap"])) == len(told["gap"])
    inside = [n for n in numbers if n >= numbers[0]]
    assert len([n for n in told["repeat"] if n >= numbers[0]]) == len(inside) - len(set(inside))
