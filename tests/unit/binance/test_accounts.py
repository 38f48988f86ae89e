"""The keys of margin accounts' streams: kept alive and replaced, whatever asking for them raises."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, cast

import pytest

from wsclient.binance.accounts import KeyedFeed
from wsclient.binance.multiplexer import Multiplexer
from wsclient.binance.stream import Sink
from wsclient.core.worker import Job, Worker
from wsclient.errors import BadRequest


class Jobs(Worker):
    """Does nothing by itself: the test does what is due."""

    def __init__(self) -> None:
        super().__init__("wsclient test")
        self.due: list[tuple[float, Callable[[], object]]] = []

    def do(
        self, job: Callable[[], object], delay: float = 0.0, *, abandoned: Callable[[], object] | None = None
    ) -> Job:
        self.due.append((delay, job))
        return Job(job, lambda job: None, abandoned)

    def next(self) -> float:
        """Does the first job; after how many seconds it was due."""
        delay, job = self.due.pop(0)
        job()
        return delay


class Followed:
    """The streams that are followed."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def begin(self, sink: Sink, names: Sequence[str]) -> "Future[None]":
        self.names += names
        begun: Future[None] = Future()
        begun.set_result(None)
        return begun

    def end(self, sink: Sink, names: Sequence[str]) -> None:
        for name in names:
            self.names.remove(name)


class Keys:
    """Answers with what a test says, one after the other."""

    def __init__(self, starts: list[Any], pings: list[Any]) -> None:
        self.starts = starts
        self.pings = pings

    def start(self) -> str:
        return cast(str, answered(self.starts))

    def ping(self, key: str) -> None:
        answered(self.pings)

    def stop(self, key: str) -> None:
        pass


def answered(answers: list[Any]) -> Any:
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer


class Told:
    """Who is told what comes."""

    def put(self, item: Any) -> None:
        raise AssertionError("nothing comes")

    def subscribed(self) -> None: ...

    def lost(self) -> None: ...

    def failed(self, error: Exception) -> None:
        raise AssertionError("it goes on") from error


@pytest.mark.parametrize("error", [OSError("no route"), TimeoutError(), RuntimeError("no session")])
def test_a_key_that_has_expired_is_replaced_whatever_asking_for_another_raises_at_first(error: Exception) -> None:
    worker, streams = Jobs(), Followed()
    keys = Keys(["first", error, error, "second"], [BadRequest(-1125, "no such key", {}), None])
    feed = KeyedFeed(keys, cast(Multiplexer, streams), worker, keep_alive=1800)
    ready = feed.begin(Told())
    assert worker.next() == 0
    ready.result(0)
    assert worker.next() == 1800  # the exchange knows the key no more
    assert streams.names == ["first"]
    assert [worker.next(), worker.next()] == [5, 5]
    assert streams.names == ["second"]
    assert worker.next() == 1800
    assert [delay for delay, _ in worker.due] == [1800]
