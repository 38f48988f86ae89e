"""How a job is timed, the same for all clients."""

import asyncio
import gc
import json
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any

Figures = dict[str, float]


class Timed:
    """Times something of which there is a certain count: from now until it has ended."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._cpu = time.process_time()
        self._began = time.perf_counter()

    def ended(self, received: int | None = None) -> Figures:
        """How many a second, how busy this process was, and the µs of its time that each took.

        received: refused if it is less than the count
        """
        seconds = time.perf_counter() - self._began
        cpu = time.process_time() - self._cpu
        if received is not None and received < self._count:
            raise RuntimeError(f"{received} messages came of {self._count}")
        return {"rate": self._count / seconds, "client_busy": cpu / seconds, "cpu": cpu / self._count * 1e6}


def consume(texts: Iterable[str | bytes], parse: bool) -> int:
    """Takes texts from a loop, and parses them where that is asked for; how many there were."""
    loads = json.loads
    received = 0
    if parse:
        for text in texts:
            received += 1
            loads(text)
    else:
        for _ in texts:
            received += 1
    return received


def latencies(call: Callable[[], object], count: int, warm_up: int) -> Figures:
    """One call after the other."""
    now = time.perf_counter_ns
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(count):
        began = now()
        call()
        times.append(now() - began)
    return percentiles(times)


async def async_latencies(call: Callable[[], Awaitable[object]], count: int, warm_up: int) -> Figures:
    """One call after the other, in one coroutine."""
    now = time.perf_counter_ns
    for _ in range(warm_up):
        await call()
    times = []
    for _ in range(count):
        began = now()
        await call()
        times.append(now() - began)
    return percentiles(times)


def percentiles(times: list[int]) -> Figures:
    """Of nanoseconds, in microseconds."""
    times = sorted(times)
    return {f"p{percent}": times[len(times) * percent // 100] / 1000 for percent in (50, 90, 99)}


def threads(call: Callable[[], object], count: int, each: int, warm_up: int) -> Figures:
    """Some threads that call as fast as they can, all on one connection."""
    ready = threading.Barrier(count + 1)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(warm_up):
                call()
            ready.wait()
            for _ in range(each):
                call()
        except BaseException as error:
            failures.append(error)
            ready.abort()

    workers = [threading.Thread(target=work) for _ in range(count)]
    for worker in workers:
        worker.start()
    try:
        ready.wait()
    except threading.BrokenBarrierError:
        pass
    timed = Timed(count * each)
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    return timed.ended()


def window(send: Callable[[], "Future[Any]"], size: int, count: int, warm_up: int) -> Figures:
    """Calls from one thread, of which up to `size` wait for their replies."""

    def run(how_many: int) -> None:
        replies: deque[Future[Any]] = deque()
        for _ in range(how_many):
            if len(replies) == size:
                replies.popleft().result()
            replies.append(send())
        while replies:
            replies.popleft().result()

    run(warm_up)
    timed = Timed(count)
    run(count)
    return timed.ended()


async def async_window(send: Callable[[], "asyncio.Future[Any]"], size: int, count: int, warm_up: int) -> Figures:
    """Calls from one coroutine, of which up to `size` wait for their replies."""

    async def run(how_many: int) -> None:
        replies: deque[asyncio.Future[Any]] = deque()
        for _ in range(how_many):
            if len(replies) == size:
                await replies.popleft()
            replies.append(send())
        while replies:
            await replies.popleft()

    await run(warm_up)
    timed = Timed(count)
    await run(count)
    return timed.ended()


def memory(connect: Callable[[], object], connections: int) -> Figures:
    """What each idle connection adds to the process, in KiB; one was made before, which loads all code."""
    kept = [connect() for _ in range(3)]
    before = resident()
    kept += [connect() for _ in range(connections)]
    return {"kib": (resident() - before) / connections}


def resident() -> float:
    """KiB of memory that this process occupies now, as Linux tells it."""
    gc.collect()
    with open("/proc/self/status", encoding="ascii") as file:
        return next(float(line.split()[1]) for line in file if line.startswith("VmRSS:"))
