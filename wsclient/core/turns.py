"""Whose turn it is to read: the event thread's, which sleeps on the socket, or for a moment a lone caller's.

A caller who alone waits for a reply would be woken by the event thread, which was woken by the socket: two
switches of threads where one suffices. So such a caller may borrow the reading. Borrowing takes the socket out
of what the event thread sleeps on, without waking it; giving back puts it in again. What the borrower reads and
isn't his he leaves in the inbox, and rings.

This needs epoll (a sleeping `poll` can't be told to look away). Elsewhere `borrow()` always says no.
"""

import math
import os
import select
import socket
import threading
import time
from typing import Any

_LONGEST = 86400.0  # seconds; the system's calls take no more than some weeks
_NAP = 0.25  # seconds
_CAN_BORROW = hasattr(select, "epoll") and hasattr(os, "eventfd")


class Turns:
    """For one socket. `wait`, `inbox` as a whole and `close` are the event thread's; the rest is any thread's."""

    __slots__ = (
        "_bell", "_borrower_ident", "_changed", "_closed", "_dozing", "_epoll", "_fd", "_interest",
        "_lending", "_lock", "_poll", "_sleeping", "_socket", "borrower", "inbox",
    )  # fmt: skip

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.inbox: list[Any] = []  # appended by a borrower, taken by the event thread
        self._lock = threading.Lock()  # guards what follows
        self._changed: threading.Condition | None = None  # the borrower gave back after the closing
        self._sleeping = False
        self.borrower: object | None = None  # for the borrower to see that it is
        self._borrower_ident = 0
        self._dozing = False  # the borrower sleeps
        self._lending = True
        self._closed = False
        if _CAN_BORROW:
            self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            try:
                self._epoll = select.epoll()
            except OSError:  # too many open files
                os.close(self._bell)
                raise
            self._epoll.register(self._bell, select.EPOLLIN)
            self._epoll.register(sock, select.EPOLLIN)
            self._interest = select.EPOLLIN  # the event thread's; a borrower sets it to nothing and back
            self._fd = sock.fileno()
            self._poll = select.poll()  # the borrower's
            self._poll.register(sock, select.POLLIN)

    def wait(self, timeout: float | None, *, write: bool, more: bool) -> tuple[bool, bool]:
        """Sleeps until the socket can be read (on our turn), or written (if asked for), or the bell rings.

        timeout: seconds; None for ever
        more: whether there is something to read that the socket doesn't show; then it doesn't sleep
        """
        if not _CAN_BORROW:
            return (True, False) if more else ready(self._socket, timeout, write=write)
        with self._lock:
            if self._closed or self.inbox or (more and self.borrower is None):
                return more and self.borrower is None, False
            interest = select.EPOLLIN | (select.EPOLLOUT if write else 0)
            if interest != self._interest:
                self._interest = interest
                self._epoll.modify(self._fd, interest if self.borrower is None else interest & ~select.EPOLLIN)
            self._sleeping = True
        if timeout is not None:
            timeout = min(timeout, _LONGEST)
        events = self._epoll.poll(timeout, 2)  # room for the two that there are; by default it is for a thousand
        with self._lock:
            self._sleeping = False
            borrowed = self.borrower is not None
        readable = writable = False
        for fd, event in events:
            if fd == self._bell:
                os.eventfd_read(self._bell)
            else:
                ended = event & (select.EPOLLHUP | select.EPOLLERR)
                readable = not borrowed and bool(event & select.EPOLLIN or ended)
                writable = write and bool(event & select.EPOLLOUT or ended)
        return readable, writable

    def borrow(self, who: object) -> None:
        """Makes `who` the borrower, if the event thread sleeps and nobody else is."""
        if not _CAN_BORROW:
            return
        with self._lock:
            # who dozes is a caller whose turn was taken back by the handler of a signal, which asks here now
            if self._sleeping and self.borrower is None and self._lending and not (self.inbox or self._dozing):
                self.borrower = who
                self._borrower_ident = threading.get_ident()
                # under the lock, so that it can't meet the event thread's own change of the same; it never blocks
                self._epoll.modify(self._fd, self._interest & ~select.EPOLLIN)

    def await_data(self, timeout: float | None) -> bool:
        """As the borrower: sleeps until there is something to read; False after `timeout` seconds, or when its
        turn was taken back.

        That is the work of a signal's handler. The system's call goes on after it, so it looks now and then.
        """
        me = self.borrower
        until = math.inf if timeout is None else time.monotonic() + timeout
        left = _NAP if timeout is None else min(max(0.0, timeout), _NAP)
        self._dozing = True
        try:
            while not self._poll.poll(left * 1000):
                if self.borrower is not me:
                    return False
                left = min(until - time.monotonic(), _NAP)
                if left <= 0:
                    return False
            return True
        finally:
            self._dozing = False

    def give_back(self, who: object, ring: bool) -> None:
        """Ends the borrowing, if `who` is the borrower. ring: whether the event thread has something to do."""
        with self._lock:
            if who is None or self.borrower is not who:
                return
            self.borrower = None
            if self._closed:
                if self._changed is not None:
                    self._changed.notify_all()
                return
            self._epoll.modify(self._fd, self._interest)
            if ring or self.inbox:
                os.eventfd_write(self._bell, 1)

    def take_back(self) -> None:
        """Ends this thread's borrowing, if a signal has interrupted its sleep and the handler uses the client."""
        if self.borrower is not None and self._dozing and self._borrower_ident == threading.get_ident():
            self.give_back(self.borrower, True)

    def ring(self) -> None:
        """Wakes the event thread."""
        if _CAN_BORROW:
            with self._lock:
                if not self._closed:
                    os.eventfd_write(self._bell, 1)

    def recall(self) -> None:
        """Lends no more: the event thread reads to the end."""
        with self._lock:
            self._lending = False

    def close(self, timeout: float) -> None:
        """Ends all borrowing, after the socket was shut so that a borrower comes back, and frees what it holds."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._lending = False
            if self.borrower is not None:
                self._changed = threading.Condition(self._lock)
                self._changed.wait_for(lambda: self.borrower is None, timeout)
            if _CAN_BORROW:
                self._epoll.close()
                os.close(self._bell)


def ready(
    sock: socket.socket, timeout: float | None, *, read: bool = True, write: bool = False
) -> tuple[bool, bool]:
    """Whether a socket can be read and written, waiting for `timeout` seconds at most."""
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
