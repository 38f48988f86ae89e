"""One open socket, read and written in bulk. It moves frames, and doesn't ask what they say.

The socket never blocks. One thread, the event thread, reads. Any thread sends: its frame joins the outbox, and
whoever finds nobody writing writes all that is there, its own and others' frames, with one call. So frames never
interleave, many threads' sends cost one system call, and nobody waits for a lock while another one writes.
"""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Protocol

from . import frames
from .connect import shut

_READ = 65536
_OUTBOX = 1 << 20  # bytes: with more than this in the outbox, senders wait for it to shrink


class Freight(Protocol):
    """What a frame carries, to be told whether bytes of it may have left."""

    left: bool


class Gone(Exception):
    """The transport is closed: nothing of this frame has left, and nothing will."""


class Transport:
    """An open socket after the opening handshake.

    timeout: seconds that a sender waits for the peer to read; then the connection is lost, since a frame of which
    a part is written can't be taken back.
    """

    def __init__(self, sock: socket.socket, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._timeout = timeout
        self._clock = clock
        # OpenSSL's object isn't safe for two threads at once. Calls on it never block, so this is held briefly.
        self._tls = threading.Lock() if isinstance(sock, ssl.SSLSocket) else None
        self._more = False  # TLS may hold decrypted bytes that select doesn't see
        # guards what follows; signalled when the outbox shrinks or the writer leaves
        self._changed = threading.Condition(threading.Lock())
        self._outbox: list[tuple[bytes, Freight | None]] = []
        self._waiting = 0  # bytes in the outbox
        self._partial = b""  # the rest of a batch that the socket didn't take
        self._partial_freight: list[tuple[int, Freight]] = []
        self._writing = False
        self._stalled: float | None = None  # when what the socket didn't take must have moved on
        self._finished = False  # a Close frame is on its way: nothing may follow it
        self._closed = False
        self.error: Exception | None = None  # what broke the connection while sending, if something did

    # -- reading: the event thread only

    def wait(self, timeout: float | None) -> bool:
        """Waits for something to read, for `timeout` seconds at most; sends on what waits to be sent."""
        if self._more:
            return True
        until = None if timeout is None else self._clock() + timeout
        while True:
            stalled = self._stalled
            deadline = until if stalled is None else min(stalled, until if until is not None else stalled)
            readable, writable = _ready(self._socket, stalled is not None, deadline, self._clock)
            if writable:
                self.flush()
            elif stalled is not None and self._clock() >= stalled:
                self._break(TimeoutError(f"the peer read nothing for {self._timeout:g} s"))
                return True
            if readable:
                return True
            if not writable:
                return False

    def receive(self) -> bytes | None:
        """The bytes that are there; empty at the end of the stream; None if there are none yet."""
        try:
            if self._tls is None:
                return self._socket.recv(_READ)
            with self._tls:
                data = self._socket.recv(_READ)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._more = False
            return None
        except ssl.SSLEOFError:
            return b""
        self._more = bool(data)
        return data

    # -- writing: any thread

    def send(self, opcode: int, payload: bytes, freight: Freight | None = None, *, wait: bool = True) -> None:
        """Sends a message or control frame, or leaves it to whoever is writing.

        wait: whether to wait for the peer to read; without it, what the socket doesn't take is sent by `wait()`.
        Raises `Gone` if nothing of it left, and `OSError` if the connection broke under it: then `freight.left`
        tells. After a Close frame everything is `Gone` (RFC 6455, section 5.5.1).
        """
        frame = frames.encode(opcode, payload)
        with self._changed:
            if wait and self._waiting > _OUTBOX:
                self._changed.wait_for(lambda: self._waiting <= _OUTBOX or self._closed, self._timeout)
            closed = self._closed or self._finished
            if opcode == frames.CLOSE:
                self._finished = True
            full = self._waiting > _OUTBOX and not closed
            if not (full or closed):
                self._outbox.append((frame, freight))
                self._waiting += len(frame)
                if self._writing:
                    return
                self._writing = True
        if full:
            self._break(TimeoutError("the peer doesn't read what is sent"))
        if full or closed:
            raise Gone
        self._write(wait)

    def flush(self) -> None:
        """Writes what waits, as far as the socket takes it now."""
        with self._changed:
            if self._writing or self._closed:
                return
            self._writing = True
        try:
            self._write(wait=False)
        except OSError:
            pass  # `error` has it; the reader meets the end of the stream next

    def _write(self, wait: bool) -> None:
        """As the one writer: until nothing is left, or (without `wait`) the socket takes no more."""
        try:
            while True:
                with self._changed:
                    if self._closed or not (self._partial or self._outbox):
                        self._writing = False
                        self._changed.notify_all()
                        return
                    batch, freight = self._next_batch()
                sent = self._write_batch(batch, freight, wait)
                with self._changed:
                    self._waiting -= sent
                    self._partial = batch[sent:]
                    if sent or not self._partial:
                        self._stalled = None
                    if self._partial and self._stalled is None:
                        self._stalled = self._clock() + self._timeout
                    self._partial_freight = [(at - sent, one) for at, one in freight if at >= sent]
                    if self._waiting <= _OUTBOX:
                        self._changed.notify_all()
                    if self._partial and not wait:
                        self._writing = False
                        self._changed.notify_all()
                        return
        except OSError as error:
            with self._changed:
                self._writing = False
            self._break(error)
            raise

    def _next_batch(self) -> tuple[bytes, list[tuple[int, Freight]]]:
        """All that waits, as one piece, and where in it each frame begins."""
        freight = self._partial_freight
        pieces = [self._partial]
        at = len(self._partial)
        for frame, one in self._outbox:
            if one is not None:
                freight.append((at, one))
            pieces.append(frame)
            at += len(frame)
        self._outbox = []
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
            while sent < len(batch):
                try:
                    sent += self._send_some(batch, sent)
                    deadline = None
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    if not wait:
                        break
                    deadline = deadline or self._clock() + self._timeout
                    if not _ready(self._socket, True, deadline, self._clock, read=False)[1]:
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

    # -- ending

    def _break(self, error: Exception) -> None:
        with self._changed:
            self.error = self.error or error
        self.shut()

    def shut(self) -> None:
        """Ends the connection for every thread: the reader meets the end of the stream, senders get `Gone`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        shut(self._socket)

    def close(self) -> None:
        """Shuts, waits until nobody writes any more, so that what left is known, and frees the descriptor."""
        self.shut()
        with self._changed:
            self._changed.wait_for(lambda: not self._writing, self._timeout)
        self._socket.close()


def _ready(
    sock: socket.socket,
    write: bool,
    deadline: float | None,
    clock: Callable[[], float],
    read: bool = True,
) -> tuple[bool, bool]:
    """Whether the socket can be read and written, waiting until the deadline at most."""
    timeout = None if deadline is None else max(0.0, deadline - clock())
    if sock.fileno() < 0:
        return True, True  # closed: the next call on it says so
    if not hasattr(select, "poll"):
        reads, writes, broken = select.select([sock] if read else [], [sock] if write else [], [sock], timeout)
        return bool(reads or broken), bool(writes or broken)
    poll = select.poll()
    poll.register(sock, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
    for _, event in poll.poll(None if timeout is None else timeout * 1000):
        ended = bool(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL))
        return read and (ended or bool(event & select.POLLIN)), write and (ended or bool(event & select.POLLOUT))
    return False, False
