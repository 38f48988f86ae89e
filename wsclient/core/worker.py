"""A thread for what may take its time, which the event thread may not: fetching a snapshot, waiting for a turn."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("wsclient")


class Job:
    """Something to be done; `cancel()` leaves it undone, unless it has begun."""

    __slots__ = ("_cancel", "abandoned", "do", "refused")

    def __init__(
        self,
        do: Callable[[], object],
        cancel: "Callable[[Job], object]",
        abandoned: Callable[[], object] | None = None,
    ) -> None:
        self.do = do
        self.abandoned = abandoned
        self.refused = False  # its worker was stopped before, and never does it
        self._cancel = cancel

    def cancel(self) -> None:
        self._cancel(self)


class Worker:
    """Does one job after the other, each when it is due. Its thread lives while there are any."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._numbers = itertools.count()
        self._lock = threading.Lock()  # guards what follows
        self._changed = threading.Condition(self._lock)
        self._jobs: list[tuple[float, int, Job]] = []  # a heap, by when they are due
        self._thread: threading.Thread | None = None
        self._stopped = False

    def do(
        self, job: Callable[[], object], delay: float = 0.0, *, abandoned: Callable[[], object] | None = None
    ) -> Job:
        """Has something done on the thread, `delay` seconds from now; never after `stop`, see `Job.refused`.

        abandoned: called in its place by who stops this before it has begun
        """
        made = Job(job, self._cancel, abandoned)
        with self._lock:
            if self._stopped:
                made.refused = True
                return made
            if self._thread is None:
                self._start()
            heapq.heappush(self._jobs, (self._clock() + delay, next(self._numbers), made))
            self._changed.notify_all()
        return made

    def on_thread(self) -> bool:
        """Whether the caller's is the thread."""
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        """Begins nothing more."""
        with self._lock:
            self._stopped = True
            left = [job for _, _, job in sorted(self._jobs, key=lambda entry: entry[:2])]
            self._jobs.clear()
            self._changed.notify_all()
        for job in left:
            if job.abandoned is not None:
                job.abandoned()

    def join(self, timeout: float) -> None:
        """Waits until the thread has ended, so many seconds at most."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _start(self) -> None:
        # with the lock held, which the thread takes first: it finds the job that it is started for
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there can't be one more; the next job tries again
            self._thread = None
            raise

    def _cancel(self, job: Job) -> None:
        with self._lock:
            # now, and not when it would be due, since what it holds on to may be large
            self._jobs = [entry for entry in self._jobs if entry[2] is not job]
            heapq.heapify(self._jobs)
            self._changed.notify_all()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.do()
            except BaseException:  # a mistake, or a callback's sys.exit(): the other jobs are done all the same
                logger.exception("a job of %s failed", self._name)
            del job  # it would live as long as the wait for the next one

    def _next(self) -> Job | None:
        """What is due; waits for it. None when nothing is left, and the thread ends."""
        with self._lock:
            while self._jobs:
                left = self._jobs[0][0] - self._clock()
                if left <= 0:
                    return heapq.heappop(self._jobs)[2]
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            self._thread = None
            return None
