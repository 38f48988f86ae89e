"""A `send` that doesn't let go of the interpreter's lock.

Python's own lets go for the moment of the system call, so that another thread, the event thread just woken by a
reply, takes the lock, and the sender has to wait for its turn again: with many calls under way that costs several
times what the call does. A socket that never blocks needs none of it. This is for plain sockets alone, where the C
library can be called directly.
"""

import ctypes
import os
import socket
from typing import Any


def _prepared() -> Any:
    if os.name != "posix":
        return None
    try:
        send = ctypes.PyDLL(None).send
    except (OSError, AttributeError):
        return None
    send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
    send.restype = ctypes.c_ssize_t
    return send


_send = _prepared()
_FLAGS = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)
POSSIBLE = _send is not None and hasattr(socket, "MSG_DONTWAIT") and hasattr(socket, "MSG_NOSIGNAL")


def send(sock: socket.socket, data: bytes) -> int:
    """Sends what the socket takes now; 0 if that is nothing, or if it failed: an ordinary send says why."""
    sent: int = _send(sock.fileno(), data, len(data), _FLAGS)
    return max(0, sent)
