"""A TCP connection as its bytes see it: where they are counted, and can get lost, late or torn.

A `Wire` stands between a transport and the WebSocket protocol above it, on those connections that a fault of the
wire was scripted for (`wirefaults`). It knows no frames: the opening handshake, a Ping and half a reply are bytes.
Over TLS it counts the bytes inside.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

How: TypeAlias = Literal["close", "reset", "mute"]
"""How a connection ends at a cut: by FIN, by RST, or not at all, but nothing passes any more either way."""

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a socket send an RST."""


class _Delayed:
    """Bytes on their way, each piece with the moment of its arrival; they never overtake each other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, arrive: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._arrive = arrive
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.Handle | None = None
        self._then: Callable[[], None] | None = None
        self.size = 0
        self.seconds = 0.0
        self.piece: int | None = None

    def put(self, data: bytes) -> None:
        """Send bytes on their way; at once where there is nothing to delay them."""
        if not data:
            return
        if not (self.seconds or self.piece or self._pieces):
            self._arrive(data)
            return
        due, step = self._loop.time() + self.seconds, self.piece or len(data)
        self._pieces.extend((due, data[start : start + step]) for start in range(0, len(data), step))
        self.size += len(data)
        self._schedule()

    def then(self, action: Callable[[], None]) -> None:
        """Do something behind the last byte."""
        if self._pieces:
            self._then = action
        else:
            action()

    def hurry(self) -> None:
        """Let everything arrive now."""
        while self._pieces:
            self._next()

    def clear(self) -> None:
        """Lose what is on its way."""
        self._pieces.clear()
        self._then = None
        self.size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._timer is None and self._pieces:
            self._timer = self._loop.call_at(self._pieces[0][0], self._tick)

    def _tick(self) -> None:
        # one piece a turn of the loop: two would leave in one segment, or arrive as one
        self._timer = None
        self._next()
        self._schedule()

    def _next(self) -> None:
        if not self._pieces:
            return
        _, data = self._pieces.popleft()
        self.size -= len(data)
        self._arrive(data)
        if not self._pieces and self._then is not None:
            action, self._then = self._then, None
            action()


class Wire(asyncio.Transport):
    """A transport whose bytes are counted, and which ends where it was told to.

    `deliver` is given what arrives. `meant` is asked, before a cut takes effect, whether it is still to, and
    `struck` is told when it has. `number` counts the connections of one server from 1.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        number: int,
        *,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[bytes], None],
        meant: Callable[[], bool],
        struck: Callable[["Wire", How], None],
    ) -> None:
        super().__init__()
        self.number = number
        self.received = 0
        self.sent = 0
        self._transport = transport
        self._loop = loop
        self._deliver = deliver
        self._meant = meant
        self._struck = struck
        self._incoming = _Delayed(loop, self._take)
        self._outgoing = _Delayed(loop, self._put)
        self._how: How = "close"
        self._late = False
        self._most_received: int | None = None
        self._most_sent: int | None = None
        self._heard_all = False
        """The cut is about to come: what the client sends behind it has gone already."""
        self._said_all = False
        """The protocol has ended its direction, or all: perhaps bytes of it are still on their way."""
        self._over = False
        """Nothing passes any more, in either direction."""

    # ------------------------------------------------------------ what faults do

    def cut(self, how: How, *, received: int | None, sent: int | None, late: bool = False) -> None:
        """End this connection after that many bytes from (`received`) or to (`sent`) the client.

        What came before the cut has arrived and is run. Its replies are lost, too, but for a cut that is `late`.
        """
        self._how, self._late = how, late
        self._most_received, self._most_sent = received, sent
        if received == 0:
            self._loop.call_soon(self._strike)

    def lag(self, seconds: float, piece: int | None = None) -> None:
        """Let all bytes arrive later, and in pieces of `piece` bytes at most."""
        for direction in (self._incoming, self._outgoing):
            direction.seconds, direction.piece = seconds, piece

    # ------------------------------------------------------------ bytes from the client

    def data_received(self, data: bytes) -> None:
        """The socket has given bytes."""
        if not self._over:
            self._incoming.put(data)

    def eof_received(self) -> None:
        """The client has ended its direction: nothing may come later than that."""
        self._incoming.hurry()

    def connection_lost(self) -> None:
        """The socket is gone."""
        self._incoming.clear()
        self._outgoing.clear()

    def _take(self, data: bytes) -> None:
        if self._over or self._heard_all:
            return
        most = self._most_received
        if most is None or self.received + len(data) < most or not self._meant():
            self.received += len(data)
            self._deliver(data)
            return
        data = data[: most - self.received]
        self.received = most
        if data:
            self._deliver(data)
        if self._late:  # what has come is run in the next turn of the loop and answered in the one after it
            self._heard_all = True
            self._loop.call_soon(self._loop.call_soon, self._strike)
        else:
            self._strike()

    # ------------------------------------------------------------ bytes to the client

    def write(self, data: Any) -> None:
        """Send bytes."""
        if not (self._over or self._said_all):
            self._outgoing.put(bytes(data))

    def _put(self, data: bytes) -> None:
        if self._over:
            return
        most = self._most_sent
        if most is None or self.sent + len(data) < most or not self._meant():
            self.sent += len(data)
            self._transport.write(data)
            return
        data = data[: most - self.sent]
        self.sent = most
        if data:
            self._transport.write(data)
        self._strike()

    # ------------------------------------------------------------ the end

    def _strike(self) -> None:
        if self._over or self._transport.is_closing() or not self._meant():
            return
        self._over = True
        self._struck(self, self._how)
        if self._how == "mute":
            return
        if self._how == "reset":
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        else:
            self._transport.close()

    # ------------------------------------------------------------ a transport's other duties

    def close(self) -> None:
        """End the connection behind what is on its way."""
        self._said_all = True
        self._outgoing.then(self._transport.close)

    def write_eof(self) -> None:
        """End this direction behind what is on its way."""
        self._said_all = True
        self._outgoing.then(self._transport.write_eof)

    def abort(self) -> None:
        """End the connection now."""
        self._outgoing.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether the socket is closed, or about to be."""
        return self._transport.is_closing()

    def can_write_eof(self) -> bool:
        """Whether one direction can end alone."""
        return self._transport.can_write_eof()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known about the socket."""
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """How many bytes wait to be sent, those that are delayed included."""
        return self._transport.get_write_buffer_size() + self._outgoing.size

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """From when on the protocol is told to pause."""
        self._transport.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        """Ask the socket for nothing more."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Ask the socket again."""
        self._transport.resume_reading()
