"""One connection to the sandbox: what can be said over it, and the ways in which it can end.

The bytes are moved by the `websockets` package. Sending never waits: what is sent within one turn of the event
loop leaves in one write, and a consumer so slow that `max_backlog` bytes wait for it is dropped. A client that
sends faster than it reads the replies is not: its commands wait (`writable`) until it has caught up.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from wsclient.sandbox.venue import FrameKind
from wsclient.sandbox.wire import Wire

MOST_UNWRITTEN: Final = 64 * 1024
"""How much (bytes) may be kept for the one write at the end of the event loop's turn."""
CLOSE_TIMEOUT: Final = 2.0
"""How long (seconds) a client may take to answer a Close frame before its connection is cut."""

_KINDS: Final[dict[Opcode, FrameKind]] = {
    Opcode.TEXT: "text",
    Opcode.BINARY: "binary",
    Opcode.PING: "ping",
    Opcode.PONG: "pong",
}


@dataclass(slots=True)
class Pool:
    """The TCP connections of one server, those included that have not finished (or begun) their handshake."""

    limit: int
    connections: set["WatchedConnection"]
    arrived: Callable[["WatchedConnection", asyncio.Transport], Wire | None]
    """Told of each connection that was made; the wire in between, if a fault needs one."""


class WatchedConnection(ServerConnection):
    """A connection that knows when it last heard something and whether its client keeps up."""

    def __init__(self, protocol: ServerProtocol, server: Server, *, pool: Pool, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        self._pool = pool
        self._room = asyncio.Event()
        self._room.set()
        self.last_heard = self.loop.time()
        self.deaf = False
        """A fault has cut the cable: whatever arrives is lost, Pings too."""
        self.session: int | None = None
        """The number that the connection has after its handshake."""
        self._wire: Wire | None = None
        self.on_frame: Callable[[FrameKind, bytes], None] | None = None
        """Told of each message (at its first frame) and control frame as it arrives, Close frames apart."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless so many stand already that not even a refusal is due."""
        self._wire = self._pool.arrived(self, cast(asyncio.Transport, transport))
        super().connection_made(self._wire or transport)
        self._pool.connections.add(self)
        if len(self._pool.connections) > self._pool.limit:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone; whoever waited for room must not wait any longer."""
        self._pool.connections.discard(self)
        self._room.set()
        if self._wire is not None:
            self._wire.connection_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes as the socket gives them."""
        if self._wire is None:
            self.take(data)
        else:
            self._wire.data_received(data)

    def eof_received(self) -> None:
        """The client has said its last."""
        if self._wire is not None:
            self._wire.eof_received()
        super().eof_received()

    def take(self, data: bytes) -> None:
        """Take bytes that have arrived. Any traffic counts, Pings too."""
        if self.deaf:
            return
        self.last_heard = self.loop.time()
        super().data_received(data)

    def process_event(self, event: Event) -> None:
        """Take a frame."""
        super().process_event(event)
        if self.on_frame is not None and isinstance(event, Frame) and (kind := _KINDS.get(event.opcode)):
            self.on_frame(kind, bytes(event.data))

    def pause_writing(self) -> None:
        """The client does not keep up."""
        super().pause_writing()
        self._room.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._room.set()

    async def writable(self) -> None:
        """Wait until the client has read most of what was sent to it, or is gone."""
        await self._room.wait()


class Line:
    """An open connection, by its number; what server, faults and traders' timer see of it."""

    def __init__(self, number: int, connection: WatchedConnection, *, max_backlog: int) -> None:
        self.id = number
        self.connection = connection
        self.ended = False
        """The server has ended it, or is about to: nothing more is read, run or said."""
        self.silent = False
        """A fault has made it fall silent: it stays open, and nothing more is said."""
        self.unfed = False
        """A fault keeps notices from it: it gets replies and no more."""
        self.slow_notice: bytes | None = None
        """What is said to a consumer that is dropped because it is too slow."""
        self.said_goodbye: tuple[int, str] | None = None
        """The code and reason of the Close frame that the server began with, if it did."""
        self.memory: dict[object, Any] = {}
        """What faults remember about this connection, each under a key of its own."""
        self.last_said = connection.last_heard
        self._max_backlog = max_backlog
        self._unwritten = 0
        self._closing: asyncio.Task[None] | None = None

    def send(self, message: str | bytes) -> bool:
        """Send a text (str) or binary (bytes) message; whether it was handed to the socket."""
        if isinstance(message, str):
            return self.send_text(message.encode())
        return self._send(message, text=False)

    def send_text(self, encoded: bytes) -> bool:
        """Send a text that is encoded already, as it is when many are to get it."""
        return self._send(encoded, text=True)

    def _send(self, message: bytes, *, text: bool) -> bool:
        connection = self.connection
        if self.ended or self.silent or connection.protocol.state is not State.OPEN:
            return False
        if text:
            connection.protocol.send_text(message)
        else:
            connection.protocol.send_binary(message)
        if not self._unwritten:
            connection.loop.call_soon(self.flush)
        self._unwritten += len(message) + 1
        if self._unwritten > MOST_UNWRITTEN:
            self.flush()
        return True

    def ping(self, payload: bytes) -> None:
        """Send a Ping frame, behind what was sent before."""
        if self.ended or self.silent or self.connection.protocol.state is not State.OPEN:
            return
        self.connection.protocol.send_ping(payload)
        self._unwritten += 1
        self.flush()

    def flush(self) -> None:
        """Write what was sent since the last time, in one piece."""
        if not self._unwritten:
            return
        self._unwritten = 0
        connection = self.connection
        if connection.transport.is_closing():
            return
        self._write()
        self.last_said = connection.loop.time()
        if connection.transport.get_write_buffer_size() > self._max_backlog and not self.ended:
            if self.slow_notice is not None:
                connection.protocol.send_text(self.slow_notice)
                self._write()
            self.close(CloseCode.POLICY_VIOLATION, "too slow: too many messages were waiting")

    def _write(self) -> None:
        """Hand what waits to the socket, if a Close frame of the client hasn't swept it out already."""
        if data := b"".join(self.connection.protocol.data_to_send()):
            self.connection.transport.write(data)

    def write_raw(self, octets: bytes) -> bool:
        """Put bytes on the socket that no WebSocket library would put there."""
        self.flush()
        if self.ended or self.silent or self.connection.transport.is_closing():
            return False
        self.connection.transport.write(octets)
        return True

    def abort(self) -> None:
        """Cut the connection without a Close frame."""
        self.flush()
        self.ended = True
        self.connection.transport.abort()

    def hang_up(self) -> None:
        """End the TCP connection after what was sent has left, without a Close frame."""
        self.flush()
        self.ended = True
        self.connection.transport.close()

    def close(self, code: int, reason: str = "") -> None:
        """End the connection with a Close frame; a client that doesn't answer it in time is cut off."""
        if self.ended:
            return
        self.ended = True
        self.said_goodbye = code, reason
        self.flush()
        connection = self.connection
        # the closing handshake of `websockets` may wait for a full buffer first, and that without a limit
        connection.loop.call_later(CLOSE_TIMEOUT, connection.transport.abort)
        self._closing = connection.loop.create_task(connection.close(code, reason))

    def fall_silent(self, *, answer_pings: bool) -> None:
        """Say nothing more; without `answer_pings` don't even listen, as if the cable were cut."""
        self.silent = True
        self.connection.deaf = not answer_pings

    def soon(self, action: Callable[[], object]) -> None:
        """Do something on the event loop; may be called by any thread, also when the loop is gone."""
        try:
            self.connection.loop.call_soon_threadsafe(action)
        except RuntimeError:
            pass

    def later(self, seconds: float, action: Callable[[], object]) -> asyncio.TimerHandle:
        """Do something in a while."""
        return self.connection.loop.call_later(seconds, action)
