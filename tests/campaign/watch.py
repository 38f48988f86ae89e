"""What a long run watches besides its results: stacks where something hangs, and what should never be logged."""

import faulthandler
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def stacks() -> str:
    """Where every thread is at this moment."""
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()


class _Complaints(logging.Handler):
    """Keeps the records that tell of a mistake of the client's own, and lets no other through."""

    def __init__(self, told: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("wsclient.sandbox"):
            return  # the ledger has it
        # without an error handler a client logs errors, that is in order; with a traceback it didn't expect them
        if record.exc_info or record.levelno < logging.ERROR:
            self._told(self.format(record))


@contextmanager
def watched_log(told: Callable[[str], object]) -> Iterator[None]:
    """Tells what the client logs that it never should, and shows nothing of what it logs."""
    logger, handler = logging.getLogger("wsclient"), _Complaints(told)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def event_threads() -> list[threading.Thread]:
    """The event threads of clients that run now."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("wsclient ")]


def threads_left(patience: float = 5.0) -> list[str]:
    """The event threads that don't end although their clients were stopped."""
    deadline = time.monotonic() + patience
    for thread in event_threads():
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in event_threads()]


def open_sockets() -> set[str]:
    """The sockets of this process, as far as the system tells."""
    found = set()
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own descriptor
        if target.startswith("socket:"):
            found.add(target)
    return found


def describe_socket(name: str) -> str:
    """A TCP socket's addresses (in hexadecimal) and state, for whoever wonders whose it was."""
    inode = name.partition("[")[2].rstrip("]")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] == inode:
            return f"{name} {fields[1]} to {fields[2]}, state {fields[3]}"
    return f"{name}, which is no TCP socket that has an address"
