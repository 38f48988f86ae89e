"""The waits between tries."""

from itertools import islice

from wsclient.sinks.backoff import full_jitter


def test_the_limit_doubles_up_to_the_cap() -> None:
    assert list(islice(full_jitter(0.5, 3.0, lambda: 1.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_all_of_the_range_is_used() -> None:
    numbers = iter([0.0, 0.5, 0.25])
    assert list(islice(full_jitter(1.0, 30.0, lambda: next(numbers)), 3)) == [0.0, 1.0, 1.0]


def test_a_base_over_the_cap_is_the_cap() -> None:
    assert next(full_jitter(9.0, 3.0, lambda: 1.0)) == 3.0
