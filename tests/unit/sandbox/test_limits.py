"""Rolling windows: exact at their edges, and forgetful."""

from hypothesis import given
from hypothesis import strategies as st

from wsclient.sandbox.limits import Rate, RollingWindow


def test_a_request_is_forgotten_exactly_when_it_is_too_old() -> None:
    window = RollingWindow(Rate(2, 1))
    assert [window.admit("a", now) for now in (0, 10, 999_999, 1_000_000, 1_000_009, 1_000_010)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_keys_have_windows_of_their_own_and_can_be_forgotten() -> None:
    window = RollingWindow(Rate(1, 10))
    assert window.admit("a", 0)
    assert window.admit("b", 0)
    assert not window.admit("a", 1)
    window.forget("a")
    assert window.admit("a", 1)
    window.forget("never seen")


@given(st.lists(st.integers(0, 300_000), max_size=200), st.integers(1, 5))
def test_no_window_of_time_ever_holds_more_than_the_limit(gaps: list[int], count: int) -> None:
    window, now, admitted = RollingWindow(Rate(count, 1)), 0, []
    for gap in gaps:
        now += gap
        if window.admit("key", now):
            admitted.append(now)
    for start in admitted:
        assert sum(start <= moment < start + 1_000_000 for moment in admitted) <= count
