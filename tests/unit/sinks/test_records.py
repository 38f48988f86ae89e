"""From texts to records."""

import re

import pytest

from wsclient.sinks.classify import unknown
from wsclient.sinks.records import Ids, record, strict_json


@pytest.mark.parametrize(
    "text", ["", "no", "NaN", '{"a": Infinity}', '{"a": 1', "[" * 100_000, "9" * 5000, "\ufeff{}"]
)
def test_what_is_no_strict_json_is_none(text: str) -> None:
    assert strict_json(text) is None


def test_ids_are_24_hexadecimal_digits_that_begin_with_the_seconds() -> None:
    ids = Ids(lambda size: b"\xab" * size)
    assert ids.next(0x65536F00 * 1_000_000 + 7) == "65536f00abababababa00000"[:8] + "ab" * 5 + "000000"
    assert re.fullmatch("[0-9a-f]{24}", Ids().next(1_700_000_000_000_000))


def test_ids_rise_within_a_second_from_second_to_second_and_when_the_clock_goes_back() -> None:
    ids = Ids()
    second = 1_000_000
    made = [ids.next(time) for time in (5 * second, 5 * second, 6 * second, 4 * second, 5 * second, 7 * second)]
    assert made == sorted(set(made))


def test_ids_rise_also_where_a_second_has_more_messages_than_can_be_counted() -> None:
    ids = Ids()
    first = ids.next(5_000_000)
    ids._count = 1 << 24
    over = ids.next(5_000_000)
    assert first < over
    assert over[:8] == "00000006"
    assert ids.next(6_000_000) > over


def test_two_makers_do_not_share_ids() -> None:
    assert Ids().next(1) != Ids().next(1)


def test_a_record_of_anything_is_kept_as_received() -> None:
    kept, wrong = record("venue", unknown, 5, "\x00 no JSON \ud800", "id")
    assert wrong is None
    assert kept == ("venue", None, None, 5, "\x00 no JSON \ud800", None, "id", None)
