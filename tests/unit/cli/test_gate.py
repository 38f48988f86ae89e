"""Every store gets the same messages, and as many as were asked for."""

import threading

from tests.peers import PATIENCE
from wsclient.cli.gate import Gate


def test_without_an_end_everything_passes() -> None:
    seen: list[str] = []
    ends: list[None] = []
    gate = Gate([seen.append], None, lambda: ends.append(None))
    for number in range(10):
        gate.take(str(number))
    assert seen == [str(number) for number in range(10)]
    assert not ends


def test_each_taker_gets_so_many_and_the_end_is_told_once_after_the_last() -> None:
    first: list[str] = []
    second: list[str] = []
    ends: list[int] = []
    gate = Gate([first.append, second.append], 3, lambda: ends.append(len(second)))
    for number in range(5):
        gate.take(str(number))
    assert first == second == ["0", "1", "2"]
    assert ends == [3]


def test_threads_that_race_for_the_last_places_get_no_more_than_there_are() -> None:
    seen: list[str] = []
    ends: list[None] = []
    gate = Gate([seen.append], 1000, lambda: ends.append(None))
    together = threading.Barrier(4)

    def bring() -> None:
        together.wait(PATIENCE)
        for _ in range(500):
            gate.take("x")

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(seen) == 1000
    assert len(ends) == 1
