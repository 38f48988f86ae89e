"""The policy of trying again: full jitter, a cap, an end."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient import InvalidRequest
from wsclient.core.reconnect import Backoff, Reconnect


def test_the_waits_double_up_to_the_cap_and_end() -> None:
    backoff = Backoff(Reconnect(tries=6, base=0.5, cap=4.0, random=lambda: 1.0))
    assert [backoff.next() for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, None]
    assert backoff.next() is None
    backoff.reset()
    assert backoff.next() == 0.5


@given(st.floats(0, 1), st.integers(1, 2000), st.floats(0, 100), st.floats(0, 100))
def test_a_wait_is_anything_between_nothing_and_its_ceiling(
    drawn: float, tries: int, base: float, cap: float
) -> None:
    backoff = Backoff(Reconnect(tries, base, cap, lambda: drawn))
    for number in range(tries):
        wait = backoff.next()
        assert wait is not None
        assert 0 <= wait <= min(cap, base * 2.0 ** min(number, 1000))
    assert backoff.next() is None


@pytest.mark.parametrize(
    "wrong",
    [{"tries": 0}, {"tries": 2.5}, {"tries": True}, {"base": -1}, {"base": math.nan}, {"cap": math.inf},
     {"cap": "1"}, {"random": 0.5}],
)  # fmt: skip
def test_what_is_no_policy_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        Reconnect(**wrong)  # type: ignore[arg-type]


def test_a_policy_shows_its_numbers() -> None:
    assert repr(Reconnect()) == "Reconnect(tries=5, base=0.5, cap=30.0)"
    assert Reconnect() == Reconnect(random=lambda: 0.0)
