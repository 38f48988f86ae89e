"""What a client counts."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.core.stats import CallCounter, CallStats, Histogram, Latency, Traffic
from wsclient.errors import (
    AuthenticationError,
    InsufficientFunds,
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    TooFast,
)


def histogram(*seconds: float) -> Latency:
    times = Histogram()
    for one in seconds:
        times.record(one)
    latency = times.latency()
    assert latency is not None
    return latency


def test_nothing_recorded_has_no_percentiles() -> None:
    assert Histogram().latency() is None


def test_short_times_are_kept_to_the_microsecond() -> None:
    latency = histogram(*(micros / 1e6 for micros in range(1, 11)))
    assert latency.count == 10
    assert latency.p50 == pytest.approx(5.5e-6)
    assert latency.max == pytest.approx(10e-6)


def test_what_took_longer_than_an_hour_counts_and_its_time_is_told() -> None:
    latency = histogram(10_000.0, -1.0)
    assert latency.max == 10_000.0
    assert latency.p50 < 1e-6
    assert latency.p99 == pytest.approx(4294.9, rel=0.04)


@given(st.lists(st.floats(1e-6, 4000), min_size=1, max_size=200))
def test_percentiles_are_within_their_promise(seconds: list[float]) -> None:
    latency = histogram(*seconds)
    ranked = sorted(seconds)
    for percent, told in ((50, latency.p50), (90, latency.p90), (99, latency.p99)):
        true = ranked[math.ceil(len(ranked) * percent / 100) - 1]
        assert abs(told - true) <= true * 0.032 + 1e-6
    assert latency.max == ranked[-1]
    assert latency.p50 <= latency.p90 <= latency.p99 <= latency.max


@given(st.lists(st.integers(0, 2**40), max_size=300))
def test_a_histogram_never_grows_beyond_a_few_hundred_numbers(micros: list[int]) -> None:
    times = Histogram()
    for one in [*micros, *(2**bit for bit in range(41)), *(2**bit - 1 for bit in range(41))]:
        times.record(one / 1e6)
    assert all(0 <= bucket < 464 for bucket in times._buckets)


def test_a_call_is_counted_by_its_outcome_and_timed_if_it_was_answered() -> None:
    now = 100.0
    counter = CallCounter(lambda: now)
    refusal = InsufficientFunds(4, "no funds", {"method": "PlaceOrder"})
    counter.replied(99.0)
    counter.ended(98.0, refusal)
    for error in (
        NotSent("n"),
        TooFast("t", 1.0),
        InvalidRequest("i"),
        OutcomeUnknown("u"),
        AuthenticationError("a"),
    ):
        counter.ended(0.0, error)
    counter.cancelled()
    counter.timed_out()
    counter.timed_out()
    calls, latency = counter.snapshot()
    assert calls == CallStats(1, 1, 3, 1, 1, 1, 2)
    assert latency is not None
    assert latency.count == 2
    assert latency.max == 2.0
    assert latency.p50 == pytest.approx(1.0, rel=0.032)


def test_a_snapshot_stays_as_it_is() -> None:
    counter = CallCounter()
    calls, latency = counter.snapshot()
    counter.replied(0.0)
    assert (calls, latency) == (CallStats(), None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        calls.replied = 5  # type: ignore[misc]


def test_traffic_adds_up() -> None:
    total = Traffic(1, 2, 3, 4)
    total.add(Traffic(10, 20, 30, 40))
    assert total == Traffic(11, 22, 33, 44)
