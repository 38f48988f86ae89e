"""The frame reader against RFC 6455, and against the sans-IO protocol of the websockets package as the oracle."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.protocol import State as OracleState

from wsclient.core import frames
from wsclient.core.frames import Binary, Close, Event, FrameReader, Ping, Pong, Violation

LIMIT = 1 << 20


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, masked: bool = False) -> bytes:
    """A server's frame, right or wrong as the test wants it."""
    size = len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes((fin << 7 | rsv << 4 | opcode, mask | size))
    elif size < 65536:
        head = struct.pack(">BBH", fin << 7 | rsv << 4 | opcode, mask | 126, size)
    else:
        head = struct.pack(">BBQ", fin << 7 | rsv << 4 | opcode, mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def text(message: str) -> bytes:
    return frame(frames.TEXT, message.encode())


def read(*chunks: bytes, limit: int = LIMIT) -> list[Event]:
    reader = FrameReader(limit)
    return [event for chunk in chunks for event in reader.feed(chunk)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_a_text_of_any_length_encoding_is_read_whole_or_byte_by_byte(size: int) -> None:
    stream = text("a" * size) + text("next")
    assert read(stream) == ["a" * size, "next"]
    cut = min(len(stream), 300)
    assert read(*(stream[i : i + 1] for i in range(cut)), stream[cut:]) == ["a" * size, "next"]


def test_fragments_make_one_message_with_control_frames_between_them() -> None:
    stream = (
        frame(frames.TEXT, "hä".encode()[:2], fin=False)
        + frame(frames.PING, b"?")
        + frame(0, "hä".encode()[2:], fin=False)
        + frame(frames.PONG, b"!")
        + frame(0, b"", fin=False)
        + frame(0, b"!")
    )
    assert read(stream) == [Ping(b"?"), Pong(b"!"), "hä!"]


def test_binary_messages_come_as_bytes_whole_or_in_fragments() -> None:
    stream = frame(frames.BINARY, b"\xff") + frame(frames.BINARY, b"a", fin=False) + frame(0, b"b")
    assert read(stream) == [Binary(b"\xff"), Binary(b"ab")]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (frame(frames.TEXT, b"x", rsv=4), 1002),
        (frame(frames.TEXT, b"x", rsv=1), 1002),
        (frame(frames.TEXT, b"x", masked=True), 1002),
        (frame(frames.PING, b"x", masked=True), 1002),
        (frame(0x3, b""), 1002),
        (frame(0x7, b""), 1002),
        (frame(0xB, b""), 1002),
        (frame(0xF, b""), 1002),
        (frame(frames.PING, b"", fin=False), 1002),
        (frame(frames.CLOSE, b"", fin=False), 1002),
        (frame(frames.PING, b"x" * 126), 1002),
        (frame(0, b"x"), 1002),
        (frame(0, b"x", fin=False), 1002),
        (frame(frames.TEXT, b"x", fin=False) + frame(frames.TEXT, b"y"), 1002),
        (frame(frames.TEXT, b"x", fin=False) + frame(frames.BINARY, b"y"), 1002),
        (frame(frames.CLOSE, b"\x03"), 1002),
        (frame(frames.CLOSE, struct.pack(">H", 999)), 1002),
        (frame(frames.CLOSE, struct.pack(">H", 1004)), 1002),
        (frame(frames.CLOSE, struct.pack(">H", 1005)), 1002),
        (frame(frames.CLOSE, struct.pack(">H", 1006)), 1002),
        (frame(frames.CLOSE, struct.pack(">H", 1015)), 1002),
        (frame(frames.CLOSE, struct.pack(">H", 2999)), 1002),
        (frame(frames.CLOSE, struct.pack(">H", 5000)), 1002),
        (frame(frames.CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007),
        (frame(frames.TEXT, b"\xff"), 1007),
        (frame(frames.TEXT, b"\xc3"), 1007),
        (frame(frames.TEXT, b"\xed\xa0\x80"), 1007),  # a surrogate
        (frame(frames.TEXT, b"\xc0\xaf"), 1007),  # longer than it need be
        (frame(frames.TEXT, b"\xf4\x90\x80\x80"), 1007),  # past the last code point
        (frame(frames.TEXT, b"\xc3", fin=False) + frame(0, b""), 1007),
        (b"\x81\x7f" + b"\xff" * 8, 1002),
        (b"\x81\x7f" + struct.pack(">Q", 1 << 62), 1009),
        (b"\x82\x7f" + struct.pack(">Q", LIMIT + 1), 1009),
        (frame(frames.TEXT, b"x" * LIMIT, fin=False) + frame(0, b"y"), 1009),
    ],
)
def test_a_broken_stream_ends_with_the_right_code_after_the_messages_before_it(stream: bytes, code: int) -> None:
    events = read(text("before") + stream + text("after"))
    assert events[0] == "before"
    assert isinstance(events[-1], Violation)
    assert events[-1].code == code
    assert "after" not in events


def test_bad_text_in_a_fragment_is_found_before_the_message_ends() -> None:
    events = read(frame(frames.TEXT, b"ok\xff", fin=False))
    assert isinstance(events[-1], Violation)
    assert events[-1].code == 1007


def test_an_announced_length_over_the_limit_is_refused_before_its_bytes_come() -> None:
    reader = FrameReader(1000)
    (event,) = reader.feed(b"\x81\x7f" + struct.pack(">Q", 1 << 40))
    assert isinstance(event, Violation)
    assert event.code == 1009
    assert reader.feed(b"x" * 100) == []


def test_a_message_of_just_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert read(text("a" * 1000), limit=1000) == ["a" * 1000]
    (event,) = read(text("a" * 1001), limit=1000)
    assert isinstance(event, Violation)


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 1014, 3000, 4999])
def test_a_close_frame_gives_its_code_and_reason_and_ends_the_stream(code: int) -> None:
    stream = frame(frames.CLOSE, struct.pack(">H", code) + "schön".encode())
    assert read(stream + text("late")) == [Close(code, "schön")]


def test_nothing_is_read_after_a_close_frame_or_a_violation() -> None:
    for end in (frame(frames.CLOSE, b""), frame(0x3, b"")):
        reader = FrameReader(LIMIT)
        reader.feed(end)
        assert reader.feed(text("late")) == []


def test_a_close_frame_may_be_empty() -> None:
    assert read(frame(frames.CLOSE, b"")) == [Close(None, "")]


def test_a_flood_of_empty_fragments_takes_no_memory() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(frame(frames.TEXT, b"", fin=False))
    for _ in range(1000):
        assert reader.feed(frame(0, b"", fin=False) * 100) == []
    assert len(reader._parts) == 0
    assert reader.feed(frame(0, b"end")) == ["end"]


@given(st.binary(max_size=300), st.sampled_from([frames.TEXT, frames.BINARY]))
def test_what_we_encode_is_read_by_the_oracle_as_it_was(payload: bytes, opcode: int) -> None:
    oracle = Protocol(Side.SERVER, max_size=None)
    oracle.receive_data(frames.encode(opcode, payload))
    (event,) = oracle.events_received()
    assert isinstance(event, Frame)
    assert (event.opcode, bytes(event.data), event.fin) == (opcode, payload, True)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 100_001])
def test_frames_of_every_length_encoding_are_masked_with_fresh_masks(size: int) -> None:
    first, second = (frames.encode(frames.TEXT, b"\0" * size) for _ in range(2))
    mask_at = 2 if size < 126 else 4 if size < 65536 else 10
    assert first[1] & 0x80
    assert len(first) == mask_at + 4 + size
    masks = {first[mask_at : mask_at + 4], second[mask_at : mask_at + 4]}
    assert len(masks) == 2
    assert all(byte == first[mask_at + i % 4] for i, byte in enumerate(first[mask_at + 4 :]))


def test_a_long_close_reason_is_cut_between_characters() -> None:
    payload = frames.close_payload(1000, "ä" * 100)
    assert len(payload) <= 125
    assert payload[2:].decode() == "ä" * 61


messages = st.lists(
    st.one_of(
        st.text(max_size=200).map(lambda t: ("text", t.encode())),
        st.binary(max_size=200).map(lambda b: ("binary", b)),
        st.binary(max_size=125).map(lambda b: ("ping", b)),
        st.binary(max_size=125).map(lambda b: ("pong", b)),
        st.integers(60_000, 150_000).map(lambda n: ("text", b"x" * n)),
    ),
    max_size=8,
)


def in_fragments(opcode: int, payload: bytes, cuts: list[int]) -> list[bytes]:
    """A message's frames, cut at these places."""
    edges = [0, *sorted({cut % (len(payload) + 1) for cut in cuts}), len(payload)]
    pieces = [payload[a:b] for a, b in pairwise(edges)]
    last = len(pieces) - 1
    return [frame(opcode if i == 0 else 0, piece, fin=i == last) for i, piece in enumerate(pieces)]


@given(messages, st.data())
@settings(max_examples=150, deadline=None)
def test_any_split_of_any_valid_stream_gives_the_same_messages(
    sent: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    expected: list[Event] = []
    stream = b""
    for kind, payload in sent:
        if kind in ("ping", "pong"):
            opcode, event = (frames.PING, Ping(payload)) if kind == "ping" else (frames.PONG, Pong(payload))
            stream += frame(opcode, payload)
            expected.append(event)
            continue
        opcode = frames.TEXT if kind == "text" else frames.BINARY
        cuts = data.draw(st.lists(st.integers(0, 10_000), max_size=3))
        for i, piece in enumerate(in_fragments(opcode, payload, cuts)):
            if i and data.draw(st.booleans()):
                stream += frame(frames.PING, b"between")
                expected.append(Ping(b"between"))
            stream += piece
        expected.append(payload.decode() if kind == "text" else Binary(payload))
    edges = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    chunks = [stream[a:b] for a, b in pairwise([0, *edges, len(stream)])]
    assert read(*chunks) == expected


@given(st.lists(st.binary(max_size=60), max_size=20))
@settings(max_examples=400, deadline=None)
def test_random_bytes_end_in_messages_or_a_violation_and_what_the_oracle_refuses_is_refused(
    chunks: list[bytes],
) -> None:
    events = read(*chunks, limit=1 << 20)
    oracle = Protocol(Side.CLIENT, max_size=1 << 20)
    for chunk in chunks:
        if oracle.state is OracleState.OPEN and oracle.parser_exc is None:
            oracle.receive_data(chunk)
    received = [event for event in oracle.events_received() if isinstance(event, Frame)]
    if oracle.parser_exc is not None:
        # the other way round doesn't hold: ours judges a frame by its first bytes, the oracle once it has it whole
        assert any(isinstance(event, (Violation, Close)) for event in events)
    pings = [bytes(frame.data) for frame in received if frame.opcode is Opcode.PING]
    assert [event.payload for event in events if isinstance(event, Ping)] == pings
