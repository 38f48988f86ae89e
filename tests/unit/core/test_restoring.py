"""A plan's steps, one after the other, each with its deadline."""

from collections.abc import Callable
from typing import Any

from wsclient.core.restoring import LOG_IN, Plan, Restoring
from wsclient.errors import NotFound, TransportError, WSClientError


class Driver:
    """What a plan is taken with; the test answers."""

    def __init__(self, plan: Plan, login_needed: bool = True) -> None:
        self.now = 100.0
        self.asked: list[dict[str, Any]] = []
        self.answers: list[Callable[[Any], None]] = []
        self.logins = 0
        self.gave_up: list[WSClientError] = []
        self.done = 0
        self._login_needed = login_needed
        self.restoring = Restoring(
            plan,
            ask=self._ask,
            log_in=self._log_in,
            give_up=self.gave_up.append,
            done=self._done,
            timeout=5.0,
            clock=lambda: self.now,
        )

    def _ask(self, request: dict[str, Any], then: Callable[[Any], None]) -> None:
        self.asked.append(request)
        self.answers.append(then)

    def _log_in(self) -> bool:
        self.logins += 1
        return self._login_needed

    def _done(self) -> None:
        self.done += 1


def plan(outcomes: list[Any]) -> Plan:
    outcomes.append((yield LOG_IN))
    outcomes.append((yield {"method": "A"}))
    outcomes.append((yield {"method": "B"}))


def test_each_step_waits_for_the_outcome_of_the_one_before() -> None:
    outcomes: list[Any] = []
    driver = Driver(plan(outcomes))
    driver.restoring.begin()
    assert (driver.logins, driver.asked) == (1, [])
    driver.restoring.logged_in(None)
    assert driver.asked == [{"method": "A"}]
    refused = NotFound(1, "no", {})
    driver.answers[0](refused)
    driver.answers[1]({"ok": True})
    assert outcomes == [None, refused, {"ok": True}]
    assert driver.done == 1
    assert driver.restoring.deadline() is None


def test_a_login_that_is_done_already_is_no_step() -> None:
    driver = Driver(plan([]), login_needed=False)
    driver.restoring.begin()
    assert driver.asked == [{"method": "A"}]


def test_a_login_outside_of_its_step_is_another_ones() -> None:
    outcomes: list[Any] = []
    driver = Driver(plan(outcomes))
    driver.restoring.begin()
    driver.restoring.logged_in(None)
    driver.restoring.logged_in(None)
    assert driver.asked == [{"method": "A"}]


def test_an_answer_that_does_not_come_gives_the_connection_up_once() -> None:
    driver = Driver(plan([]), login_needed=False)
    driver.restoring.begin()
    assert driver.restoring.deadline() == 105.0
    driver.restoring.expire(104.9)
    assert driver.gave_up == []
    driver.restoring.expire(105.0)
    driver.restoring.expire(106.0)
    (error,) = driver.gave_up
    assert isinstance(error, TransportError)
    assert "A" in str(error)


def test_after_the_end_of_the_connection_nothing_goes_on() -> None:
    outcomes: list[Any] = []
    driver = Driver(plan(outcomes), login_needed=False)
    driver.restoring.begin()
    driver.restoring.close()
    driver.answers[0](TransportError("lost"))
    assert driver.asked == [{"method": "A"}]
    assert driver.done == 0
    assert outcomes == [None]


def test_an_empty_plan_is_done_at_once() -> None:
    def nothing() -> Plan:
        return
        yield

    driver = Driver(nothing())
    driver.restoring.begin()
    assert driver.done == 1
