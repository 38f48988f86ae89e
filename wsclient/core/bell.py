"""What a thread sleeps on until its reply is there.

A lock would do, and does where there is no eventfd. But who releases a lock keeps the interpreter: the thread that
it wakes finds the interpreter taken, goes to sleep again, and is woken a second time. Ringing lets go of the
interpreter for the moment of the system call, so that the sleeper goes on at once: half the switches of threads.
"""

import os
import select
import threading
from collections.abc import Callable
from typing import Any

_LONGEST = 86400.0  # seconds; the system's calls take no more than some weeks
_HIGHEST = 512
POSSIBLE = hasattr(os, "eventfd")


class Bell:
    """One thread's; any thread rings. It may have been rung for something of before: who wakes looks.

    fd: an eventfd, which this closes
    """

    __slots__ = ("_fd", "_poll", "in_use")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll: Any = None
        self.in_use = False
        """Whether its thread waits with it, and a signal's handler that runs there needs something else."""

    def ring(self) -> None:
        """Wakes the thread, now or when it sleeps next."""
        os.eventfd_write(self._fd, 1)

    def sleep(self, timeout: float | None) -> None:
        """Sleeps until it is rung, or `timeout` seconds, or a day."""
        if timeout is not None:
            if self._poll is None:
                self._poll = select.poll()
                self._poll.register(self._fd, select.POLLIN)
            if not self._poll.poll(min(timeout, _LONGEST) * 1000):
                return
        try:
            os.eventfd_read(self._fd)
        except InterruptedError:
            pass  # a signal came, and its handler has run

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self._fd)


_threads = threading.local()


def mine() -> Bell | None:
    """This thread's own; None where it is in use, where there are none, or where many files are open."""
    bell: Bell | None = getattr(_threads, "bell", None)
    if bell is not None:
        return None if bell.in_use else bell
    if not POSSIBLE:
        return None
    try:
        fd = os.eventfd(0, os.EFD_CLOEXEC)
    except OSError:
        return None
    if fd > _HIGHEST:  # each waiting thread takes one, and they are for sockets first
        os.close(fd)
        return None
    bell = _threads.bell = Bell(fd)
    return bell


def _forget() -> None:
    _threads.__dict__.clear()  # the parent sleeps on the same one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
