"""permessage-deflate (RFC 7692): what is offered, what an answer may say, and the compression itself. Pure."""

import zlib
from dataclasses import dataclass
from typing import Final

from ..errors import ProtocolError

NAME: Final = "permessage-deflate"
OFFER: Final = f"{NAME}; client_max_window_bits"
"""Both contexts may be kept, and the server may narrow either window (sections 7.1.1 and 7.1.2)."""

# what ends each message's compressed data, and isn't sent (section 7.2.1)
_TAIL = b"\x00\x00\xff\xff"
_WINDOW = 15
# Each block marked as the last one makes zlib begin anew and copies what is left. A sender has no use for many.
_MAX_STREAMS = 64


@dataclass(frozen=True, slots=True)
class Parameters:
    """What was agreed: whether each side forgets its context after a message, and the bits of its window."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = _WINDOW
    client_max_window_bits: int = _WINDOW


class TooLarge(Exception):
    """The inflated message is larger than allowed."""


def agreed(header: str) -> Parameters:
    """Reads the server's Sec-WebSocket-Extensions answer to `OFFER`.

    Raises `ProtocolError` for what RFC 7692 doesn't allow it to say (sections 5.1 and 7.1): the client must fail
    the connection then.
    """
    extension, *fields = [part.strip() for part in header.split(";")]
    if "," in header:
        raise ProtocolError("the server chose more extensions than were offered")
    if extension != NAME:
        raise ProtocolError(f"the server chose the extension {extension!r:.50}, which wasn't offered")
    found: dict[str, bool | int] = {}
    for field in fields:
        name, equals, value = (part.strip() for part in field.partition("="))
        if name in found:
            raise ProtocolError(f"{NAME}: the server says {name} twice")
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if equals:
                raise ProtocolError(f"{NAME}: {name} has no value, but the server gave one")
            found[name] = True
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if value[:1] == value[-1:] == '"' and len(value) > 2:
                value = value[1:-1]
            if value not in _BITS:
                raise ProtocolError(f"{NAME}: {name} is 8 to 15, not {value!r:.50}")
            found[name] = _BITS[value]
        else:
            raise ProtocolError(f"{NAME}: unknown parameter {name!r:.50}")
    return Parameters(**found)  # type: ignore[arg-type]


_BITS = {str(bits): bits for bits in range(8, 16)}


class Inflater:
    """Decompresses the server's messages, in the order of the wire."""

    __slots__ = ("_bits", "_forgets", "_zlib")

    def __init__(self, parameters: Parameters) -> None:
        self._bits = parameters.server_max_window_bits
        self._forgets = parameters.server_no_context_takeover
        self._zlib = self._fresh(b"")

    def inflate(self, data: bytes, final: bool, limit: int) -> bytes:
        """The next part of a message; `final` with its last one.

        limit: bytes that it may give; more raise `TooLarge` before memory is taken for them. Raises `zlib.error`.
        """
        if final:
            data += _TAIL
        parts = []
        while True:
            inflated = self._zlib.decompress(data, limit + 1)
            limit -= len(inflated)
            if limit < 0:
                raise TooLarge
            parts.append(inflated)
            if not self._zlib.eof:
                break
            # a block marked as the last one (section 7.2.3.4) ends zlib's stream, but neither message nor context
            if len(parts) > _MAX_STREAMS:
                raise zlib.error("too many last blocks in one message")
            data = self._zlib.unused_data
            self._zlib = self._fresh(b"".join(parts)[-(1 << self._bits) :])
            if data in (b"", _TAIL):
                break
        if final and self._forgets:
            self._zlib = self._fresh(b"")
        return b"".join(parts) if len(parts) > 1 else parts[0]

    def _fresh(self, window: bytes) -> "zlib._Decompress":
        # zlib takes raw windows of 9 to 15 bits for inflating too; a stream of 8 fits one of 9
        return (
            zlib.decompressobj(-max(self._bits, 9), window) if window else zlib.decompressobj(-max(self._bits, 9))
        )


class Deflater:
    """Compresses our messages. For one thread at a time, in the order of the wire."""

    __slots__ = ("_bits", "_forgets", "_zlib")

    def __init__(self, parameters: Parameters) -> None:
        self._bits = parameters.client_max_window_bits
        self._forgets = parameters.client_no_context_takeover
        self._zlib: zlib._Compress | None = None

    def deflate(self, data: bytes) -> bytes | None:
        """A message's compressed data; None where it has to go as it is (section 6: that is allowed always)."""
        if self._bits < 9:
            return None  # zlib can't keep to a window of 8 bits
        if self._zlib is None:
            # memLevel 5: half the memory of the default, and no slower on messages of our size
            self._zlib = zlib.compressobj(wbits=-self._bits, memLevel=5)
        compressed = self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        if self._forgets:
            self._zlib = None
        return compressed[: -len(_TAIL)]
