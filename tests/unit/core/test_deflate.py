"""permessage-deflate against RFC 7692's own examples, and against the websockets package."""

import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from wsclient.core import frames
from wsclient.core.deflate import Deflater, Inflater, Parameters, agreed
from wsclient.core.frames import Binary, Event, FrameReader, Ping, Violation
from wsclient.errors import ProtocolError


@pytest.mark.parametrize(
    ("header", "parameters"),
    [
        ("permessage-deflate", Parameters()),
        ("permessage-deflate ; server_no_context_takeover", Parameters(server_no_context_takeover=True)),
        ("permessage-deflate; client_no_context_takeover", Parameters(client_no_context_takeover=True)),
        ("permessage-deflate; server_max_window_bits=8", Parameters(server_max_window_bits=8)),
        ('permessage-deflate; client_max_window_bits="10"', Parameters(client_max_window_bits=10)),
    ],
)
def test_an_answer_that_the_rfc_allows_is_agreed_on(header: str, parameters: Parameters) -> None:
    assert agreed(header) == parameters


@pytest.mark.parametrize(
    "header",
    [
        "",
        "permessage-gzip",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; whatever",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=x",
        'permessage-deflate; client_max_window_bits=""',
    ],
)
def test_an_answer_that_the_rfc_forbids_fails_the_handshake(header: str) -> None:
    with pytest.raises(ProtocolError):
        agreed(header)


def compressed(payload: bytes, *, opcode: int = frames.TEXT, fin: bool = True, first: bool = True) -> bytes:
    head = fin << 7 | (0x40 if first else 0) | (opcode if first else 0)
    assert len(payload) < 65536
    size = (
        struct.pack(">BB", head, len(payload))
        if len(payload) < 126
        else struct.pack(">BBH", head, 126, len(payload))
    )
    return size + payload


def reader(parameters: Parameters | None = None, limit: int = 1 << 20) -> FrameReader:
    return FrameReader(limit, Inflater(parameters or Parameters()))


# RFC 7692, section 7.2.3
HELLO = bytes.fromhex("f248cdc9c90700")


def test_the_rfcs_examples_are_read() -> None:
    read = reader()
    assert read.feed(compressed(HELLO)) == ["Hello"]
    assert read.feed(compressed(bytes.fromhex("f200110000"))) == ["Hello"]  # with the context kept
    assert read.feed(compressed(bytes.fromhex("000500faff48656c6c6f00"))) == ["Hello"]  # not compressed at all
    assert read.feed(compressed(bytes.fromhex("f348cdc9c9070000"))) == ["Hello"]  # a block marked as the last
    assert read.feed(compressed(HELLO)) == ["Hello"]
    assert read.feed(compressed(bytes.fromhex("f248050000 00ffffcac9c90700"))) == ["Hello"]  # two blocks


def test_the_rfcs_fragments_are_read_with_a_ping_between_them() -> None:
    stream = compressed(HELLO[:3], fin=False) + b"\x89\x00" + compressed(HELLO[3:], first=False)
    assert reader().feed(stream) == [Ping(b""), "Hello"]


def test_compressed_and_plain_messages_may_follow_each_other() -> None:
    plain = b"\x81\x05plain"
    assert reader().feed(plain + compressed(HELLO) + plain + compressed(HELLO)) == ["plain", "Hello"] * 2


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (compressed(b"\xff\xff\xff\xff"), 1002),
        (b"\xc9\x00", 1002),  # a compressed Ping
        (compressed(HELLO[:3], fin=False) + b"\xc0\x00", 1002),  # the bit on a later fragment
        (b"\xa1\x00", 1002),  # another reserved bit
        (b"\xd1\x00", 1002),
    ],
)
def test_what_breaks_the_extension_breaks_the_connection(stream: bytes, code: int) -> None:
    (event,) = reader().feed(stream)
    assert isinstance(event, Violation)
    assert event.code == code


def test_without_an_agreement_the_bit_is_refused() -> None:
    (event,) = FrameReader(100).feed(compressed(HELLO))
    assert isinstance(event, Violation)


def deflated(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_a_bomb_is_refused_whether_whole_or_in_fragments() -> None:
    bomb = deflated(bytes(10_000_000))
    assert len(bomb) < 20_000
    for stream in (compressed(bomb), compressed(bomb[:5000], fin=False) + compressed(bomb[5000:], first=False)):
        (event,) = reader(limit=1 << 20).feed(stream)
        assert isinstance(event, Violation)
        assert event.code == 1009


def test_a_message_may_inflate_to_just_the_limit() -> None:
    assert reader(limit=1000).feed(compressed(deflated(b"x" * 1000))) == ["x" * 1000]
    (event,) = reader(limit=1000).feed(compressed(deflated(b"x" * 1001)))
    assert isinstance(event, Violation)


def test_a_message_of_ever_new_last_blocks_is_refused() -> None:
    (event,) = reader().feed(compressed(b"\x03\x00" * 20_000))
    assert isinstance(event, Violation)
    assert event.code == 1002


def test_inflated_text_is_checked_too() -> None:
    (event,) = reader().feed(compressed(deflated(b"\xff")))
    assert isinstance(event, Violation)
    assert event.code == 1007


parameters = st.builds(
    Parameters,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.integers(9, 15),
    client_max_window_bits=st.integers(9, 15),
)


@given(parameters, st.lists(st.binary(max_size=3000) | st.binary(max_size=50).map(lambda b: b * 500)), st.data())
@settings(deadline=None, max_examples=60)
def test_messages_of_the_websockets_package_are_read_at_any_split(
    agreed_on: Parameters, sent: list[bytes], data: st.DataObject
) -> None:
    server = PerMessageDeflate(
        remote_no_context_takeover=agreed_on.client_no_context_takeover,
        local_no_context_takeover=agreed_on.server_no_context_takeover,
        remote_max_window_bits=agreed_on.client_max_window_bits,
        local_max_window_bits=agreed_on.server_max_window_bits,
    )
    stream = b"".join(Frame(Opcode.BINARY, body).serialize(mask=False, extensions=[server]) for body in sent)
    edges = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    read = reader(agreed_on)
    events: list[Event] = []
    for a, b in pairwise([0, *edges, len(stream)]):
        events += read.feed(stream[a:b])
    assert events == [Binary(body) for body in sent]


@given(parameters, st.lists(st.binary(max_size=3000), max_size=5))
@settings(deadline=None, max_examples=60)
def test_what_we_compress_is_read_by_the_websockets_package(agreed_on: Parameters, sent: list[bytes]) -> None:
    server = PerMessageDeflate(
        remote_no_context_takeover=agreed_on.client_no_context_takeover,
        local_no_context_takeover=agreed_on.server_no_context_takeover,
        remote_max_window_bits=agreed_on.client_max_window_bits,
        local_max_window_bits=agreed_on.server_max_window_bits,
    )
    deflater = Deflater(agreed_on)
    for body in sent:
        data = deflater.deflate(body)
        assert data is not None
        decoded = server.decode(Frame(Opcode.BINARY, data, rsv1=True))
        assert bytes(decoded.data) == body


def test_a_window_of_eight_bits_is_left_uncompressed() -> None:
    assert Deflater(Parameters(client_max_window_bits=8)).deflate(b"text") is None


@given(st.lists(st.binary(max_size=40), max_size=10))
@settings(deadline=None, max_examples=300)
def test_random_compressed_bytes_end_in_messages_or_a_violation(bodies: list[bytes]) -> None:
    read = reader(limit=5000)
    for body in bodies:
        for event in read.feed(compressed(body)):
            assert isinstance(event, (str, Violation))
