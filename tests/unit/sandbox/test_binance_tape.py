"""Trades, candles and sliding windows of one symbol."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.sandbox.binance_tape import (
    DAY,
    HOUR,
    INTERVALS,
    MINUTE,
    MINUTES_KEPT,
    SECOND,
    TRADES_KEPT,
    Tape,
    interval_end,
    interval_start,
)

NOON = 1_600_000_000_000_000 // DAY * DAY + DAY // 2


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("interval", "time", "start", "end"),
    [
        ("1m", "2026-02-28T23:59:59", "2026-02-28T23:59:00", "2026-03-01T00:00:00"),
        ("4h", "2026-02-28T23:59:59", "2026-02-28T20:00:00", "2026-03-01T00:00:00"),
        ("1d", "2026-02-28T23:59:59", "2026-02-28T00:00:00", "2026-03-01T00:00:00"),
        ("1w", "2026-11-22T12:00:00", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        ("1M", "2026-02-28T23:59:59", "2026-02-01T00:00:00", "2026-03-01T00:00:00"),
        ("1M", "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("1M", "2028-02-29T00:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_a_candle_begins_and_ends_by_the_calendar(interval: str, time: str, start: str, end: str) -> None:
    begins = interval_start(interval, micros(time))
    assert begins == micros(start)
    assert interval_end(interval, begins) == micros(end)


def test_a_day_begins_eight_hours_earlier_in_the_east() -> None:
    start = interval_start("1d", micros("2026-02-28T17:00:00"), 8 * HOUR)
    assert start == micros("2026-02-28T16:00:00")
    month = interval_start("1M", micros("2026-02-28T17:00:00"), 8 * HOUR)
    assert (month, interval_end("1M", month, 8 * HOUR)) == (
        micros("2026-02-28T16:00:00"),
        micros("2026-03-31T16:00:00"),
    )


@given(st.sampled_from(list(INTERVALS)), st.integers(0, 4 * 10**15), st.sampled_from([0, 8 * HOUR, -5 * HOUR]))
def test_every_moment_is_in_the_candle_that_it_falls_into(interval: str, time: int, offset: int) -> None:
    start = interval_start(interval, time, offset)
    end = interval_end(interval, start, offset)
    assert start <= time < end
    assert interval_start(interval, end, offset) == end
    assert interval_start(interval, end - 1, offset) == start


def add(tape: Tape, time: int, price: int, quantity: int, *, bought: bool = True) -> None:
    tape.add(price, quantity, price * quantity, time, buyer_is_maker=not bought)


def test_trades_are_numbered_from_one_without_a_gap() -> None:
    tape = Tape()
    for count in range(TRADES_KEPT + 5):
        add(tape, NOON + count, 10, 1)
    assert tape.last_id == TRADES_KEPT + 5
    assert [trade.id for trade in tape.trades] == list(range(6, TRADES_KEPT + 6))


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_candle_adds_up_its_trades(interval: str) -> None:
    tape = Tape()
    add(tape, NOON, 50, 2)
    add(tape, NOON + 100, 70, 3, bought=False)
    add(tape, NOON + 200, 40, 4)
    add(tape, NOON + 300, 60, 1)
    candle = tape.candle(interval, NOON + 500)
    assert candle is not None
    assert (candle.open, candle.high, candle.low, candle.close) == (50, 70, 40, 60)
    assert (candle.volume, candle.total, candle.count) == (10, 100 + 210 + 160 + 60, 4)
    assert (candle.bought, candle.spent) == (7, 100 + 160 + 60)
    assert (candle.first, candle.last) == (1, 4)
    assert candle.start <= NOON < candle.end


def test_where_nothing_was_traded_a_candle_is_flat() -> None:
    tape = Tape()
    assert tape.candle("1m", NOON) is None
    add(tape, NOON, 50, 2)
    candle = tape.candle("1m", NOON + 10 * MINUTE)
    assert candle is not None
    assert (candle.open, candle.high, candle.low, candle.close) == (50, 50, 50, 50)
    assert (candle.volume, candle.count, candle.first, candle.last) == (0, 0, -1, -1)
    assert tape.candle("1m", NOON - 10 * MINUTE) is None


@given(st.lists(st.tuples(st.integers(1, 100 * SECOND), st.integers(1, 50), st.integers(1, 9)), max_size=60))
def test_candles_of_every_length_hold_the_same_trades(steps: list[tuple[int, int, int]]) -> None:
    tape, time = Tape(), NOON
    for step, price, quantity in steps:
        time += step
        add(tape, time, price, quantity)
    for interval in ("1s", "1m", "5m", "1h", "1d"):
        candles = tape.candles(interval, 0, time)
        assert sum(candle.volume for candle in candles) == sum(quantity for _, _, quantity in steps)
        assert sum(candle.count for candle in candles) == len(steps)
        for before, candle in pairwise(candles):
            assert before.end == candle.start
            if candle.count == 0:
                assert candle.open == candle.close == before.close
        for candle in candles:
            assert tape.candle(interval, candle.start) == candle


def test_a_window_forgets_what_has_left_it_and_knows_the_price_before() -> None:
    tape = Tape()
    add(tape, NOON, 50, 2)
    add(tape, NOON + 10 * MINUTE, 60, 3)
    whole, before = tape.window(NOON - DAY, NOON + 11 * MINUTE)
    assert whole is not None
    assert (whole.volume, whole.open, whole.close, before) == (5, 50, 60, 0)
    part, before = tape.window(NOON + 5 * MINUTE, NOON + 11 * MINUTE)
    assert part is not None
    assert (part.volume, part.open, before) == (3, 60, 50)
    nothing, before = tape.window(NOON + HOUR, NOON + 2 * HOUR)
    assert (nothing, before) == (None, 60)


def test_what_is_kept_is_bounded() -> None:
    tape = Tape()
    for minute in range(MINUTES_KEPT + 100):
        add(tape, NOON + minute * MINUTE, 10, 1)
    assert len(tape.candles("1m", 0, NOON + 2 * DAY)[: MINUTES_KEPT + 1]) <= MINUTES_KEPT + DAY // MINUTE
    assert tape.candles("1m", 0, NOON + 2 * DAY)[0].start == NOON + 100 * MINUTE
