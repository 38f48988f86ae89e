"""One open socket, read and written in bulk. It moves frames, and doesn't ask what they say.

The socket never blocks. One thread at a time reads: the event thread, or a caller who borrowed its turn. Any
thread sends: its frame joins the outbox, and whoever finds nobody writing writes all that is there, its own and
others' frames, with one call. So frames never interleave, many threads' sends cost one system call, and nobody
waits for a lock while another one writes.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Protocol

from . import frames, held
from .bounded import shut
from .deflate import Deflater
from .stats import Traffic
from .turns import Turns, ready

_READ = 65536
_OUTBOX = 1 << 20  # bytes: with more than this in the outbox, senders wait for it to shrink

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Freight(Protocol):
    """What a frame carries, to be told whether bytes of it may have left."""

    left: bool


class Gone(Exception):
    """The transport is closed: nothing of this frame has left, and nothing will."""


class Transport:
    """An open socket after the opening handshake.

    timeout: seconds that a sender waits for the peer to read; then the connection is lost, since a frame of which
        a part is written can't be taken back
    deflater: for compressing messages, where that was agreed on
    """

    __slots__ = (
        "_changed", "_clock", "_closed", "_deflater", "_finished", "_lock", "_more", "_outbox", "_partial",
        "_partial_freight", "_socket", "_stalled", "_timeout", "_tls", "_urgent", "_urgent_taken",
        "_waiting", "_writing", "error", "traffic", "turns",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        timeout: float,
        deflater: Deflater | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._timeout = timeout
        self._deflater = deflater
        self._clock = clock
        self.turns = Turns(sock)
        # what goes out is counted here, what comes in by whoever takes the frames from it
        self.traffic = Traffic()
        # OpenSSL's object isn't safe for two threads at once. Calls on it never block, so this is held briefly.
        self._tls = threading.Lock() if isinstance(sock, ssl.SSLSocket) else None
        self._more = False  # TLS may hold decrypted bytes that the socket beneath doesn't show; the reader's
        self._lock = threading.Lock()  # guards what follows
        self._changed: threading.Condition | None = None  # for who waits: the outbox shrank, or the writer left
        self._outbox: list[tuple[bytes, Freight | None]] = []
        self._waiting = 0  # bytes in the outbox
        self._urgent = 0  # those of them whose senders couldn't wait
        self._urgent_taken = 0  # and those in the writer's batch
        self._partial = b""  # the rest of a batch that the socket didn't take
        self._partial_freight: list[tuple[int, Freight]] = []
        self._writing = False
        self._stalled: float | None = None  # when what the socket didn't take must have moved on
        self._finished = False  # a Close frame is on its way: nothing may follow it
        self._closed = False
        self.error: Exception | None = None  # what broke the connection while sending, if something did

    # -- reading: whoever's turn it is

    def wait(self, timeout: float | None) -> bool:
        """As the event thread: waits for something to read on its turn, or for the bell; sends what has to wait.

        timeout: seconds; None for ever. False says that there is nothing to read.
        """
        stalled = self._stalled
        if stalled is None:
            return self.turns.wait(timeout, write=False, more=self._more)[0]
        left = max(0.0, stalled - self._clock())
        if timeout is not None:
            left = min(left, timeout)
        readable, writable = self.turns.wait(left, write=True, more=self._more)
        if writable:
            self.flush()
        elif (stalled := self._stalled) is not None and self._clock() >= stalled:
            self._break(TimeoutError(f"the peer read nothing for {self._timeout:g} s"))
            return True
        return readable

    def receive(self) -> bytes | None:
        """The bytes that are there; empty at the end of the stream; None if there are none yet."""
        try:
            if self._tls is None:
                return self._socket.recv(_READ)
            with self._tls:
                data = self._socket.recv(_READ)
        except _WOULD_BLOCK:
            self._more = False
            return None
        except ssl.SSLEOFError:
            return b""
        self._more = bool(data)
        return data

    @property
    def more(self) -> bool:
        """Whether there may be more to read that the socket beneath doesn't show."""
        return self._more

    # -- writing: any thread

    def send(
        self,
        opcode: int,
        payload: bytes | Callable[[], bytes],
        freight: Freight | None = None,
        *,
        wait: bool = True,
        busy: bool = False,
    ) -> None:
        """Sends a message or control frame, or leaves it to whoever is writing.

        payload: or what makes it, in the order of the wire and with the lock held
        busy: whether more is under way, so that the event thread would want the interpreter while this is sent
        wait: whether to wait for the peer to read; without it, what the socket doesn't take is sent by `wait()`.
        Raises `Gone` if nothing of it left, and `OSError` if the connection broke under it: then `freight.left`
        tells. After a Close frame everything is `Gone` (RFC 6455, section 5.5.1).
        """
        frame = b""  # made below, in the order of the wire
        if isinstance(payload, bytes) and (self._deflater is None or opcode >= frames.CLOSE):
            frame = frames.encode(opcode, payload)
        mine = False  # whether this thread is the writer
        try:
            with self._lock:
                if wait and self._waiting > _OUTBOX:
                    self._await(lambda: self._waiting <= _OUTBOX or self._closed)
                gone = self._closed or self._finished
                if not (frame or gone or isinstance(payload, bytes)):
                    payload = payload()  # what it raises has changed nothing yet
                # what can't wait has a measure of its own: a Pong doesn't fail because of others' large messages
                full = (self._waiting if wait else self._urgent) > _OUTBOX and not gone
                if opcode == frames.CLOSE:
                    self._finished = True
                if not (gone or full):
                    frame = frame or self._made(opcode, payload)
                    traffic = self.traffic
                    traffic.messages_out += 1
                    traffic.bytes_out += len(frame)
                    if self._writing or self._partial:
                        self._outbox.append((frame, freight))
                        self._waiting += len(frame)
                        if not wait:
                            self._urgent += len(frame)
                        frame = b""
                    elif not wait:
                        self._urgent_taken = len(frame)
                    if self._writing:
                        return
                    mine = True
                    self._writing = True
            if full:
                self._break(TimeoutError("the peer doesn't read what is sent"))
            if gone or full:
                raise Gone
            self._write(frame, freight, wait, busy)
        except (Gone, OSError):
            raise
        except BaseException:
            if mine:  # interrupted as the writer: nobody may write after half a frame, or wait for us to go on
                with self._lock:
                    self._writing = False
                    self._closed = True
                self._break(InterruptedError("a sender was interrupted"))
            raise

    def flush(self) -> None:
        """Writes what waits, as far as the socket takes it now."""
        with self._lock:
            if self._writing or self._closed:
                return
            self._writing = True
        try:
            self._write(b"", None, wait=False)
        except OSError:
            pass  # `error` has it; the reader meets the end of the stream next

    def _made(self, opcode: int, payload: bytes | Callable[[], bytes]) -> bytes:
        assert isinstance(payload, bytes)
        data = None if self._deflater is None else self._deflater.deflate(payload)
        if data is None:
            return frames.encode(opcode, payload)
        return frames.encode(opcode, data, compressed=True)

    def _write_alone(self, frame: bytes, freight: Freight | None, busy: bool) -> int | None:
        """As the one writer, of a frame with nothing before it: the usual case, in one step.

        Returns None if that was all; else how much of the frame is written, and `_write` goes on.
        """
        if freight is not None:
            freight.left = True
        try:
            sent = held.send(self._socket, frame) if busy and held.POSSIBLE else self._socket.send(frame)
        except OSError:
            return 0  # it is met again there
        if sent == len(frame):
            with self._lock:
                if not (self._outbox or self._closed):
                    self._writing = False
                    self._urgent_taken = 0
                    return None
        return sent

    def _write(self, frame: bytes, freight: Freight | None, wait: bool, busy: bool = False) -> None:
        """As the one writer: writes this frame, then what others have left in the outbox meanwhile.

        Ends when nothing is left, or (without `wait`) when the socket takes no more.
        """
        batch = frame
        on_board: list[tuple[int, Freight]] = [(0, freight)] if freight is not None else []
        try:
            if batch and self._tls is None:
                done = self._write_alone(batch, freight, busy)
                if done is None:
                    return
                if done:
                    batch, on_board = batch[done:], []  # it has left
            while True:
                sent = self._write_batch(batch, on_board, wait) if batch else 0
                with self._lock:
                    if sent != len(batch):  # without `wait`: the socket is full
                        self._partial = batch[sent:]
                        self._partial_freight = [(at - sent, one) for at, one in on_board if at >= sent]
                        self._waiting += len(self._partial)
                        self._urgent = min(self._urgent + self._urgent_taken, self._waiting)
                        if sent or self._stalled is None:
                            self._stalled = self._clock() + self._timeout
                        self._writing = False
                        self._notify()
                        break
                    if batch:
                        self._stalled = None
                        self._urgent_taken = 0
                    if self._closed or not (self._outbox or self._partial):
                        self._writing = False
                        self._notify()
                        return
                    batch, on_board = self._next_batch()
                    if wait:
                        self._stalled = None  # the time for this batch is taken where it is written
        except BaseException as error:
            with self._lock:
                # in one step: nothing may follow half a frame
                self._writing = False
                self._closed = True
            self._break(error if isinstance(error, Exception) else InterruptedError("a sender was interrupted"))
            raise
        self.turns.ring()  # the event thread sends the rest once the socket takes more

    def _next_batch(self) -> tuple[bytes, list[tuple[int, Freight]]]:
        """Takes all that waits, as one piece, and where in it each frame begins."""
        freight = self._partial_freight
        pieces = [self._partial]
        at = len(self._partial)
        for frame, one in self._outbox:
            if one is not None:
                freight.append((at, one))
            pieces.append(frame)
            at += len(frame)
        self._outbox = []
        self._partial, self._partial_freight = b"", []
        self._waiting = 0
        self._urgent_taken, self._urgent = self._urgent, 0
        self._notify()
        return b"".join(pieces), freight

    def _write_batch(self, batch: bytes, freight: list[tuple[int, Freight]], wait: bool) -> int:
        """Writes the batch, or what the socket takes of it; returns the bytes written.

        Each frame counts as left from before its first byte is written: its reply may come at any moment after.
        """
        for _, one in freight:
            one.left = True
        sent = 0
        deadline = None
        try:
            while True:
                try:
                    sent += self._send_some(batch, sent)
                    if sent == len(batch):
                        return sent
                    deadline = None
                except _WOULD_BLOCK:
                    if not wait:
                        break
                    deadline = deadline or self._clock() + self._timeout
                    left = deadline - self._clock()
                    if left <= 0 or not ready(self._socket, left, read=False, write=True)[1]:
                        raise TimeoutError(f"the peer read nothing for {self._timeout:g} s") from None
        except OSError:
            # TLS may have put a part of what it was given on the wire before it failed
            reach = len(batch) if self._tls else sent
            for at, one in freight:
                one.left = at < reach
            raise
        for at, one in freight:
            if at >= sent:
                one.left = False
        return sent

    def _send_some(self, batch: bytes, start: int) -> int:
        data = memoryview(batch)[start:] if start else batch
        if self._tls is None:
            return self._socket.send(data)
        with self._tls:
            return self._socket.send(data)

    # -- with the lock held

    def _await(self, condition: Callable[[], bool]) -> None:
        if not condition():
            if self._changed is None:
                self._changed = threading.Condition(self._lock)
            self._changed.wait_for(condition, self._timeout)

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.notify_all()

    # -- ending

    def _break(self, error: Exception) -> None:
        with self._lock:
            self.error = self.error or error
        self.shut()

    def shut(self) -> None:
        """Ends the connection for every thread: the reader meets the end of the stream, senders get `Gone`."""
        with self._lock:
            self._closed = True
            self._notify()
        shut(self._socket)

    def close(self) -> None:
        """Shuts, waits until nobody reads or writes any more, so that what left is known, and frees it all."""
        self.shut()
        self.turns.close(self._timeout)
        with self._lock:
            self._await(lambda: not self._writing)
        self._socket.close()
