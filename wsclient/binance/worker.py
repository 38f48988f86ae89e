"""A thread for what may take its time: connecting, waiting for one's turn to send, asking for what was missed."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("wsclient")


class Job:
    """Something to be done; `cancel()` leaves it undone, unless it has begun."""

    __slots__ = ("_do", "cancelled")

    def __init__(self, do: Callable[[], object]) -> None:
        self._do = do
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        self._do()


class Worker:
    """Does one job after the other. Its thread lives while there are any."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._numbers = itertools.count()
        self._lock = threading.Lock()  # guards what follows
        self._changed = threading.Condition(self._lock)
        self._jobs: list[tuple[float, int, Job]] = []  # a heap, by when they are due
        self._thread: threading.Thread | None = None
        self._stopped = False

    def do(self, job: Callable[[], object], delay: float = 0.0) -> Job:
        """Has something done on the thread, `delay` seconds from now; never once it was stopped."""
        made = Job(job)
        with self._lock:
            if self._stopped:
                return made
            heapq.heappush(self._jobs, (self._clock() + delay, next(self._numbers), made))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return made

    def look(self) -> None:
        """A job was cancelled: the thread may have nothing left to wait for."""
        with self._lock:
            self._changed.notify_all()

    def stop(self) -> None:
        """Begins nothing more."""
        with self._lock:
            self._stopped = True
            self._jobs.clear()
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Waits until the thread has ended, so many seconds at most."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.run()
            except Exception:  # a mistake of ours: the other jobs are done all the same
                logger.exception("a job of %s failed", self._name)

    def _next(self) -> Job | None:
        """What is due; waits for it. None when nothing is left, and the thread ends."""
        with self._lock:
            while True:
                while self._jobs and self._jobs[0][2].cancelled:
                    heapq.heappop(self._jobs)
                if not self._jobs:
                    self._thread = None
                    return None
                left = self._jobs[0][0] - self._clock()
                if left <= 0:
                    return heapq.heappop(self._jobs)[2]
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
