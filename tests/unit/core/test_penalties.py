"""Keeping still until the exchange wants to be asked again."""

import threading

import pytest

from tests.peers import PATIENCE
from wsclient.core.penalties import Penalties
from wsclient.errors import NotSent, TooFast


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nobody_is_held_up_before_anything_was_refused() -> None:
    penalties = Penalties(Clock())
    penalties.sit_out(["orders"], 0.0)
    assert penalties.left(["orders"]) == 0


def test_who_may_not_wait_is_refused_and_told_how_long() -> None:
    penalties = Penalties(clock := Clock())
    penalties.tell("orders", 3)
    with pytest.raises(TooFast) as caught:
        penalties.sit_out(["orders", "weight"], 101.0)
    assert caught.value.retry_after == 3
    penalties.sit_out(["weight"], 101.0)
    clock.now = 103.0
    penalties.sit_out(["orders"], 101.0)


def test_a_shorter_penalty_takes_nothing_from_a_longer_one() -> None:
    penalties = Penalties(Clock())
    penalties.tell("weight", 30)
    penalties.tell("weight", 2)
    assert penalties.left(["weight"]) == 30


def test_whoever_waits_goes_on_when_it_is_over() -> None:
    penalties = Penalties()
    penalties.tell("weight", 0.02)
    penalties.sit_out(["weight"], None)
    assert penalties.left(["weight"]) == 0


def test_stopping_ends_the_waiting() -> None:
    penalties = Penalties()
    penalties.tell("weight", 1000)
    told: list[BaseException] = []

    def wait() -> None:
        try:
            penalties.sit_out(["weight"], None)
        except NotSent as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    penalties.stop()
    thread.join(PATIENCE)
    assert len(told) == 1
