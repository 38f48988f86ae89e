"""Bytes <-> WebSocket messages: RFC 6455 and RFC 7692, pure, no I/O.

`FrameReader.feed()` takes whatever a socket gave and returns the whole messages and control frames in it, in
order. A server's frames must not be masked (section 5.1), a client's must be, so this is the client's half.
"""

import os
import struct
import zlib
from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import Final

from .deflate import Inflater, TooLarge

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009

_FIN = 0x80
_COMPRESSED = 0x40  # the first reserved bit, as RFC 7692 uses it
_CONTINUATION = 0x0
_WHOLE_TEXT = _FIN | TEXT
_MAX_CONTROL = 125
_TWO_SHORTS = struct.Struct(">HH")
# Codes that a peer may put into a Close frame (section 7.4 and IANA's registry); 3000 to 4999 are open to all.
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
# Up to here an incomplete frame is kept as bytes and parsed again with what follows; a larger one is gathered in
# place, since joining it anew for each read would cost the square of its length.
_SMALL = 65536


@dataclass(frozen=True, slots=True)
class Binary:
    """A whole binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer's Close frame; `code` is None where it carried none (section 7.1.5 calls that 1005)."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The peer broke the protocol here; always the last event. `code` is what to close with (7.4.1)."""

    code: int
    reason: str


Event = str | Binary | Ping | Pong | Close | Violation
"""A text message is plainly its `str`: there are millions of them."""


class FrameReader:
    """Takes bytes, gives messages. After a Close or a Violation it takes no notice of what follows.

    max_message_size: bytes of payload, of one frame and of all fragments of a message in sum, inflated too. It is
        checked when a length is announced, before memory is taken for it
    inflater: for messages that came compressed, where that was agreed on
    """

    __slots__ = (
        "_buffer", "_compressed", "_decoder", "_done", "_head", "_inflater", "_large", "_limit", "_missing",
        "_opcode", "_parts",
    )  # fmt: skip

    def __init__(self, max_message_size: int, inflater: Inflater | None = None) -> None:
        self._limit = max_message_size
        self._inflater = inflater
        self._buffer = b""
        self._done = False
        # a large frame of which a part is still to come: its first byte, what there is of it, how much is missing
        self._head = 0
        self._large: bytearray | None = None
        self._missing = 0
        # a message of which a fragment is still to come: its opcode (0: there is none) and what there is of it
        self._opcode = 0
        self._compressed = False
        self._parts = bytearray()
        self._decoder = getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes, in order. A broken stream ends with a `Violation`."""
        events: list[Event] = []
        if self._done:
            return events
        try:
            if self._large is not None:
                data = self._gather(data, events)
            elif self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._parse(data, events)
        except _Broken as broken:
            self._done = True
            events.append(Violation(broken.code, broken.reason))
        except UnicodeDecodeError as error:
            self._done = True
            events.append(Violation(INVALID_DATA, f"text that is not UTF-8: {error.reason}"))
        except zlib.error as error:
            self._done = True
            events.append(Violation(PROTOCOL_ERROR, f"compressed data that can't be inflated: {error}"))
        except TooLarge:
            self._done = True
            events.append(Violation(TOO_BIG, f"a message of over {self._limit} bytes when inflated"))
        return events

    def _parse(self, data: bytes, events: list[Event]) -> None:
        pos = self._whole_texts(data, events) if not self._opcode else 0
        end = len(data)
        while end - pos >= 2 and not self._done:
            head = data[pos]
            length = data[pos + 1]
            start = pos + 2
            if head != _WHOLE_TEXT or length > 126 or self._opcode:
                self._check_head(head, length)
            if length == 126:
                start = pos + 4
                if start > end:
                    break
                length = data[pos + 2] << 8 | data[pos + 3]
            elif length == 127:
                start = pos + 10
                if start > end:
                    break
                length = int.from_bytes(data[pos + 2 : start], "big")
            stop = start + length
            if stop > end:
                self._check_size(head, length)
                if length > _SMALL:
                    self._head, self._missing = head, stop - end
                    self._large = bytearray(data[start:])
                    return
                break
            self._check_size(head, length)
            if head == _WHOLE_TEXT:
                events.append(data[start:stop].decode())
            else:
                self._frame(head, data[start:stop], events)
            pos = stop
        if pos < end and not self._done:
            self._buffer = data[pos:]

    def _whole_texts(self, data: bytes, events: list[Event]) -> int:
        """Takes the whole text messages that `data` begins with, which is mostly all of it.

        Returns where it stopped, at whatever needs a closer look.
        """
        pos = 0
        end = len(data)
        last = end - 4  # where a head may begin: a smaller frame than this reads is left to the closer look
        limit = self._limit
        add = events.append
        read = _TWO_SHORTS.unpack_from
        while pos <= last:
            head, length = read(data, pos)
            if head == 0x817E:
                start = pos + 4
            elif 0x8100 <= head < 0x817E:
                length = head & 0x7F
                start = pos + 2
            else:
                break
            stop = start + length
            if stop > end or length > limit:
                break
            add(data[start:stop].decode())
            pos = stop
        return pos

    def _gather(self, data: bytes, events: list[Event]) -> bytes:
        """Adds to the large frame; returns what follows it."""
        assert self._large is not None
        taken = data[: self._missing]
        self._large += taken
        self._missing -= len(taken)
        if self._missing:
            return b""
        payload, self._large = self._large, None
        if self._head == _WHOLE_TEXT:
            events.append(payload.decode())
        else:
            self._frame(self._head, bytes(payload), events)
        return data[len(taken) :]

    def _check_head(self, head: int, length: int) -> None:
        """What the first two bytes of a frame can already break (section 5.2)."""
        if head & 0x70:
            if head & 0x30 or self._inflater is None:
                raise _Broken(PROTOCOL_ERROR, "a reserved bit is set, and no extension was agreed on for it")
            if head & 0xF not in (TEXT, BINARY):
                raise _Broken(PROTOCOL_ERROR, "a compressed frame that doesn't begin a message (RFC 7692, 6.1)")
        if length & 0x80:
            raise _Broken(PROTOCOL_ERROR, "a masked frame from the server")
        opcode = head & 0xF
        if opcode >= CLOSE:
            if opcode > PONG:
                raise _Broken(PROTOCOL_ERROR, f"the reserved opcode {opcode:#x}")
            if not head & _FIN:
                raise _Broken(PROTOCOL_ERROR, "a fragmented control frame")
            if length > _MAX_CONTROL:
                raise _Broken(PROTOCOL_ERROR, "a control frame of over 125 bytes")
        elif opcode > BINARY:
            raise _Broken(PROTOCOL_ERROR, f"the reserved opcode {opcode:#x}")
        elif opcode == _CONTINUATION and not self._opcode:
            raise _Broken(PROTOCOL_ERROR, "a continuation of no message")
        elif opcode != _CONTINUATION and self._opcode:
            raise _Broken(PROTOCOL_ERROR, "a new message in the middle of a fragmented one")

    def _check_size(self, head: int, length: int) -> None:
        if head & 0x8:
            return
        if length >> 63:
            raise _Broken(PROTOCOL_ERROR, "a frame length with its highest bit set")
        if length + len(self._parts) > self._limit:
            raise _Broken(TOO_BIG, f"a message of over {self._limit} bytes")

    def _frame(self, head: int, payload: bytes, events: list[Event]) -> None:
        """One whole frame that isn't a whole text message."""
        opcode = head & 0xF
        if opcode == PING:
            events.append(Ping(payload))
        elif opcode == PONG:
            events.append(Pong(payload))
        elif opcode == CLOSE:
            events.append(_close(payload))
            self._done = True
        elif head == _FIN | BINARY:
            events.append(Binary(payload))
        else:
            if opcode:
                self._compressed = bool(head & _COMPRESSED)
            self._fragment(bool(head & _FIN), opcode or self._opcode, payload, events)

    def _fragment(self, final: bool, opcode: int, payload: bytes, events: list[Event]) -> None:
        """A part of a message, perhaps the only one."""
        if self._compressed:
            assert self._inflater is not None
            payload = self._inflater.inflate(payload, final, self._limit - len(self._parts))
        if opcode == TEXT:
            # only to fail at the first wrong byte: a character may be cut in two by a fragment's end
            self._decoder.decode(payload, final)
        self._opcode = opcode
        self._parts += payload
        if final:
            whole, self._parts, self._opcode = self._parts, bytearray(), 0
            self._decoder.reset()
            events.append(whole.decode() if opcode == TEXT else Binary(bytes(whole)))


class _Broken(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def _close(payload: bytes) -> Close:
    """A Close frame's body: nothing, or a code of two bytes and a reason (section 5.5.1)."""
    if not payload:
        return Close(None, "")
    if len(payload) == 1:
        raise _Broken(PROTOCOL_ERROR, "a Close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if code not in _CLOSE_CODES and not 3000 <= code <= 4999:
        raise _Broken(PROTOCOL_ERROR, f"a Close frame with the code {code}")
    return Close(code, payload[2:].decode())


# Masks must be unpredictable (section 10.3), so they come from the system's generator, a handful at a time. All
# clients share them: taking one from a list is one step that no other thread can come between.
_masks: list[bytes] = []
_MASKS_AT_ONCE = 64
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_masks.clear)


def _mask() -> bytes:
    while True:
        try:
            return _masks.pop()
        except IndexError:
            drawn = os.urandom(4 * _MASKS_AT_ONCE)
            _masks.extend([drawn[at : at + 4] for at in range(0, len(drawn), 4)])


def encode(opcode: int, payload: bytes, *, compressed: bool = False) -> bytes:
    """A whole message or control frame as one masked frame (section 5.3).

    compressed: whether `payload` is a message's compressed data (RFC 7692, section 6.1)
    """
    if compressed:
        opcode |= _COMPRESSED
    mask = _mask()
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, 0x80 | size))
    elif size < 65536:
        head = struct.pack(">BBH", _FIN | opcode, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", _FIN | opcode, 0x80 | 127, size)
    return head + mask + _masked(payload, mask)


def close_payload(code: int | None, reason: str = "") -> bytes:
    """The body of a Close frame; a reason of over 123 bytes is cut at a character's end."""
    if code is None:
        return b""
    return struct.pack(">H", code) + reason.encode()[:123].decode(errors="ignore").encode()


def _masked(payload: bytes, mask: bytes) -> bytes:
    # One XOR of two large integers does in C what a loop over bytes does in Python.
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")
