"""Lines of JSON Lines files: what is written is read back, whatever it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sinks.stores import make
from wsclient.sinks import lines
from wsclient.sinks.contract import Record
from wsclient.sinks.records import strict_json


def test_a_line_is_as_documented_with_the_message_byte_for_byte() -> None:
    record = make(text='{"type":"match",  "price":"1.10"}', exchange_time=7)
    assert lines.encode([record]) == (
        b'{"time":1700000000000000,"venue":"coinbase","product":"BTC-USD","type":"match","exchange_time":7'
        b',"message":{"type":"match",  "price":"1.10"}}\n'
    )


@pytest.mark.parametrize(
    "text", ["no JSON", '{"a":\n1}', '{"a":\r\n1}', "null", "NaN", "", "\ud800", '{"a":"\ud800"}']
)
def test_what_would_break_the_line_is_a_string(text: str) -> None:
    record = make(text=text)._replace(message=strict_json(text))
    line = lines.encode([record])
    assert line.count(b"\n") == 1
    assert json.loads(line)["text"] == text
    assert lines.decode(line).text == text


def test_half_a_surrogate_pair_spoils_no_line_but_its_own_form() -> None:
    good, bad = make(1), make(2, text='{"a":"\ud800"}')
    assert [lines.decode(line).text for line in lines.encode([good, bad]).splitlines()] == [good.text, bad.text]


def test_a_line_that_another_program_has_written_anew_is_still_read() -> None:
    line = json.dumps(json.loads(lines.encode([make(5)])), indent=None, separators=(", ", ": ")).encode()
    assert lines.decode(line).message == {"number": 5}


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[1]", b'{"time":1}', b'{"time":"x","text":"y"}', b"\xff", b'{"time":1,']
)
def test_a_line_of_something_else_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        lines.decode(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.none() | st.text(max_size=20) | st.just(',"message":{"a":1}')


@given(
    text=st.text()
    | JSON.map(json.dumps)
    | JSON.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
    venue=st.text(min_size=1, max_size=9),
    product=NAMES,
    type=NAMES,
    time=st.integers(0, 2**62),
    exchange_time=st.none() | st.integers(-(2**62), 2**62),
)
def test_every_record_is_read_back_as_it_was(
    text: str, venue: str, product: str | None, type: str | None, time: int, exchange_time: int | None
) -> None:
    record = Record(venue, product, type, time, text, exchange_time, None, strict_json(text))
    line = lines.encode([record])
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert lines.decode(line) == record
