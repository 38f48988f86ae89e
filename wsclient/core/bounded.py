"""Sockets that end in time, whoever is at the other end, and attempts that another thread can end."""

import socket
import threading
import time
from typing import Final

from ..errors import ProtocolError

MAX_RESPONSE: Final = 65536
"""Bytes that a handshake's response may have."""


class Abort:
    """Lets another thread end a connection attempt: whatever socket it has, or will have, is shut down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._wanted = False

    def watch(self, sock: socket.socket) -> None:
        """Names the socket that the attempt has now."""
        with self._lock:
            self._socket = sock
            wanted = self._wanted
        if wanted:
            shut(sock)

    def now(self) -> None:
        """Ends the attempt, or the next step of it. Name look-up and TCP connect are waited out."""
        with self._lock:
            self._wanted = True
            sock = self._socket
        if sock is not None:
            shut(sock)

    @property
    def wanted(self) -> bool:
        return self._wanted


class BoundedSocket:
    """What websocket-client needs of a socket for the handshake, with one deadline and one size for all of it.

    Its own timeout is for each `recv` alone, and the header lines that it reads have no bound.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left = MAX_RESPONSE

    def released(self) -> socket.socket:
        return self._sock

    def recv(self, size: int) -> bytes:
        if self._left <= 0:
            raise ProtocolError(f"a handshake response of over {MAX_RESPONSE} bytes")
        self._sock.settimeout(self._remaining())
        data = self._sock.recv(min(size, self._left))
        self._left -= len(data)
        return data

    def send(self, data: bytes) -> int:
        self._sock.settimeout(self._remaining())
        self._sock.sendall(data)
        return len(data)

    def gettimeout(self) -> float | None:
        return self._sock.gettimeout()

    def settimeout(self, timeout: float | None) -> None:
        """Nothing: the deadline says how long each step may take."""

    def fileno(self) -> int:
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        self._sock.shutdown(how)

    def close(self) -> None:
        self._sock.close()

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the opening handshake took too long")
        return remaining


def shut(sock: socket.socket) -> None:
    """Ends both directions, so that every thread in a call on the socket comes back; the descriptor stays."""
    try:
        # of the socket beneath: TLS would forget its own state, and a reader in another thread needs it
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # it was not connected any more, which is what was wanted
