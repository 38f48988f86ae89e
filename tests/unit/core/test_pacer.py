"""Rate limits among threads: who waits, who is refused, and who is woken."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from wsclient.core.pacer import Pacer
from wsclient.core.pacing import Limit
from wsclient.errors import ClientClosed, InvalidRequest, NotSent, TooFast

PATIENCE = 10.0
ONE = {"a": 1}


class Clock:
    """A time that stands still until it is set. Tells when it was read."""

    def __init__(self) -> None:
        self.now = 0.0
        self._read = threading.Semaphore(0)

    def __call__(self) -> float:
        self._read.release()
        return self.now

    def forget(self) -> None:
        while self._read.acquire(blocking=False):
            pass

    def await_waiter(self) -> None:
        """Until a caller has found no room: it reads the clock when it asks, and again before it sleeps.

        It sleeps with the lock free by the time that anybody else has got the lock.
        """
        for _ in range(2):
            assert self._read.acquire(timeout=PATIENCE)


def paced(clock: Callable[[], float], **limits: Limit) -> Pacer:
    return Pacer(limits, clock=clock)


class Caller(threading.Thread):
    """Asks for a permit on a thread of its own."""

    def __init__(self, pacer: Pacer, outcomes: "queue.Queue[Any]", until: float | None = None) -> None:
        super().__init__(daemon=True)
        self._pacer, self._outcomes, self._until = pacer, outcomes, until
        self.start()

    def run(self) -> None:
        try:
            self._outcomes.put((self, self._pacer.acquire(ONE, self._until)))
        except Exception as error:
            self._outcomes.put((self, error))


def test_who_does_not_wait_is_refused_at_once_and_told_when_to_try_again() -> None:
    clock = Clock()
    pacer = paced(clock, a=Limit(2, 10))
    pacer.answered(pacer.acquire(ONE, until=0))
    pacer.acquire(ONE, until=0)
    clock.now = 4
    with pytest.raises(TooFast, match="a are limited to 2 in 10 s") as refused:
        pacer.acquire(ONE, until=0)
    assert refused.value.retry_after == pytest.approx(6, abs=0.1)
    assert isinstance(refused.value, NotSent)
    clock.now += refused.value.retry_after
    pacer.acquire(ONE, until=0)


def test_who_would_wait_in_vain_is_refused_at_once() -> None:
    clock = Clock()  # it stands still: a wait would never end
    pacer = paced(clock, a=Limit(1, 10))
    pacer.acquire(ONE)
    with pytest.raises(TooFast):
        pacer.acquire(ONE, until=5)


def test_a_request_too_heavy_for_its_window_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="can never be sent"):
        paced(Clock(), a=Limit(5, 10)).acquire({"a": 6})


def test_a_refusal_takes_no_place() -> None:
    clock = Clock()
    pacer = paced(clock, a=Limit(1, 10), b=Limit(1, 10))
    first = pacer.acquire({"a": 1})
    with pytest.raises(TooFast):
        pacer.acquire({"a": 1, "b": 1}, until=0)
    pacer.acquire({"b": 1}, until=0)
    pacer.unused(first)
    pacer.acquire({"a": 1}, until=0)


def test_who_waits_goes_when_a_place_is_free_again() -> None:
    pacer = paced(time.monotonic, a=Limit(1, 0.02))
    for _ in range(5):
        pacer.answered(pacer.acquire(ONE))


def test_who_waits_for_a_reply_to_another_goes_after_it() -> None:
    pacer = paced(time.monotonic, a=Limit(1, 0.02))
    outcomes: queue.Queue[Any] = queue.Queue()
    first = pacer.acquire(ONE)
    Caller(pacer, outcomes)
    pacer.answered(first)
    outcomes.get(timeout=PATIENCE)


def test_threads_go_in_the_order_in_which_they_came() -> None:
    clock = Clock()
    pacer = paced(clock, a=Limit(1, 10))
    outcomes: queue.Queue[Any] = queue.Queue()
    permit = pacer.acquire(ONE)
    callers = []
    for _ in range(8):
        clock.forget()
        callers.append(Caller(pacer, outcomes))
        clock.await_waiter()
    for caller in callers:
        pacer.unused(permit)
        who, permit = outcomes.get(timeout=PATIENCE)
        assert who is caller


def test_stop_wakes_everybody_who_waits_and_refuses_everybody_after() -> None:
    clock = Clock()
    pacer = paced(clock, a=Limit(1, 10))
    outcomes: queue.Queue[Any] = queue.Queue()
    pacer.acquire(ONE)
    for _ in range(4):
        clock.forget()
        Caller(pacer, outcomes)
        clock.await_waiter()
    pacer.stop()
    for _ in range(4):
        _, error = outcomes.get(timeout=PATIENCE)
        assert type(error) is NotSent
        assert isinstance(error.__cause__, ClientClosed)
    with pytest.raises(NotSent):
        pacer.acquire(ONE)


def test_when_the_first_in_the_line_gives_up_the_next_one_minds_the_clock() -> None:
    pacer = paced(time.monotonic, a=Limit(1, 0.02))
    outcomes: queue.Queue[Any] = queue.Queue()
    permit = pacer.acquire(ONE)
    Caller(pacer, outcomes, until=time.monotonic() + 0.2)
    Caller(pacer, outcomes)
    _, error = outcomes.get(timeout=PATIENCE)
    assert isinstance(error, TooFast)
    pacer.answered(permit)
    _, granted = outcomes.get(timeout=PATIENCE)
    assert granted.granted


def test_a_lost_request_counts_on_for_the_account_and_no_more_for_its_connection() -> None:
    clock = Clock()
    pacer = Pacer({"a": Limit(1, 10), "b": Limit(1, 10, per_connection=True)}, slack=2, clock=clock)
    both = pacer.acquire({"a": 1, "b": 1})
    pacer.lost(both)
    pacer.acquire({"b": 1}, until=0)
    clock.now = 11.9  # it may have arrived two seconds after the loss
    with pytest.raises(TooFast):
        pacer.acquire({"a": 1}, until=0)
    clock.now = 12.1
    pacer.acquire({"a": 1}, until=0)


def test_a_new_connection_begins_with_an_empty_window_of_its_own() -> None:
    clock = Clock()
    pacer = paced(clock, a=Limit(1, 10), b=Limit(2, 10, per_connection=True))
    pacer.answered(pacer.acquire({"a": 1, "b": 1}))
    pacer.acquire({"b": 1})  # it is still to be sent: perhaps on the next connection
    pacer.reset()
    pacer.acquire({"b": 1}, until=0)
    for costs in ({"b": 1}, {"a": 1}):
        with pytest.raises(TooFast):
            pacer.acquire(costs, until=0)


def test_what_is_sent_without_asking_is_counted() -> None:
    clock = Clock()
    pacer = paced(clock, a=Limit(2, 10))
    pacer.note(ONE)
    pacer.acquire(ONE, until=0)
    with pytest.raises(TooFast):
        pacer.acquire(ONE, until=0)


def test_many_threads_together_never_exceed_the_limit() -> None:
    limit = Limit(10, 0.05)
    pacer = paced(time.monotonic, a=limit)
    arrivals: list[float] = []

    def call() -> None:
        for _ in range(10):
            permit = pacer.acquire(ONE)
            arrivals.append(time.monotonic())
            pacer.answered(permit)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(arrivals) == 80
    arrivals.sort()
    for earlier, later in zip(arrivals, arrivals[limit.count :], strict=False):
        assert later - earlier > limit.seconds
