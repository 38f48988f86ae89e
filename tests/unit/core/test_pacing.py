"""The windows of rate limits and who waits for them, told the time."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.core.pacing import Limit, Line, Permit, Window
from wsclient.errors import InvalidRequest

HOLD = 10 * 1.001 + 0.001  # of ten seconds: with what clocks may be off


def line(**limits: Limit) -> Line:
    return Line(limits, unanswered=60)


def ask(line: Line, now: float, **costs: int) -> Permit:
    permit = Permit(costs)
    if not line.take(permit, now):
        line.waiting[permit] = None
        line.advance(now)
    return permit


def answer(line: Line, permit: Permit, now: float) -> None:
    for name in permit.costs:
        line.windows[name].arrived(permit, now)
    line.advance(now)


@pytest.mark.parametrize(
    ("count", "seconds"), [(0, 1), (-1, 1), (True, 1), (1.5, 1), (1, 0), (1, -1), (1, math.nan), (1, "1")]
)
def test_a_limit_that_limits_nothing_sensible_is_refused(count: int, seconds: float) -> None:
    with pytest.raises(InvalidRequest):
        Limit(count, seconds)


def test_a_place_is_held_until_the_width_of_the_window_after_the_reply() -> None:
    queue = line(a=Limit(1, 10))
    first = ask(queue, 0, a=1)
    second = ask(queue, 1, a=1)
    assert first.granted
    assert not second.granted
    answer(queue, first, 3)
    queue.advance(3 + HOLD - 0.001)
    assert not second.granted
    assert queue.look == pytest.approx(3 + HOLD)
    queue.advance(queue.look)
    assert second.granted


def test_a_request_without_a_reply_counts_as_arrived_after_a_while() -> None:
    queue = line(a=Limit(1, 10))
    ask(queue, 0, a=1)
    second = ask(queue, 1, a=1)
    assert queue.look == pytest.approx(60 + HOLD)
    queue.advance(queue.look)
    assert second.granted


def test_what_did_not_leave_gives_its_place_back_at_once() -> None:
    queue = line(a=Limit(1, 10))
    first = ask(queue, 0, a=1)
    second = ask(queue, 1, a=1)
    queue.windows["a"].back(first)
    queue.advance(1)
    assert second.granted
    queue.windows["a"].back(first)  # once is enough
    assert not ask(queue, 1, a=1).granted


def test_who_lacks_places_in_one_window_holds_up_nobody_who_needs_another() -> None:
    queue = line(a=Limit(1, 10), b=Limit(1, 10))
    ask(queue, 0, a=1)
    assert not ask(queue, 0, a=1).granted
    assert ask(queue, 0, b=1).granted


def test_a_large_request_is_not_overtaken_by_small_ones_for_ever() -> None:
    queue = line(a=Limit(3, 10))
    first = ask(queue, 0, a=2)
    large = ask(queue, 1, a=3)
    small = ask(queue, 2, a=1)  # there is room for it, but it came later
    assert not large.granted
    assert not small.granted
    answer(queue, first, 3)
    queue.advance(queue.look)
    assert large.granted
    assert not small.granted


def test_a_request_of_two_windows_takes_both_or_none() -> None:
    queue = line(a=Limit(2, 10), b=Limit(1, 10))
    ask(queue, 0, b=1)
    both = ask(queue, 0, a=1, b=1)
    assert not both.granted
    assert ask(queue, 0, a=2).granted


def test_a_new_connection_forgets_what_was_answered_and_keeps_what_is_still_out() -> None:
    window = Window(Limit(3, 10, per_connection=True), unanswered=60)
    permits = [Permit({"a": 1}) for _ in range(3)]
    for permit in permits:
        window.take(permit, 1, 0)
    window.arrived(permits[0], 1)
    window.arrived(permits[1], 1)
    assert not window.room(1, 1)
    window.reset()
    assert window.room(2, 1)
    assert not window.room(3, 1)


def test_what_could_not_wait_is_counted_and_makes_others_wait() -> None:
    window = Window(Limit(2, 10), unanswered=60)
    window.note(1, by=1)
    window.note(1, by=1)
    window.note(1, by=1)  # over the limit: it was sent all the same
    assert not window.room(1, HOLD)
    assert window.earliest(1, 5) == pytest.approx(1 + HOLD)
    assert window.room(2, 1 + HOLD + 0.001)


def test_the_earliest_time_takes_it_that_replies_come_at_once() -> None:
    window = Window(Limit(2, 10), unanswered=60)
    known, unknown = Permit({"a": 1}), Permit({"a": 1})
    assert window.earliest(2, 0) == 0
    window.take(known, 1, 0)
    window.take(unknown, 1, 0)
    window.arrived(known, 2)
    assert window.earliest(1, 5) == pytest.approx(2 + HOLD)
    assert window.earliest(2, 5) == pytest.approx(5 + HOLD)


# -- properties

delays = st.floats(0, 3)


@dataclass
class Request:
    """One request: when it is made, how long it is on the way there and back, and what it weighs."""

    after: float
    there: float
    back: float
    weight: int
    lost: bool = False


requests = st.lists(
    st.builds(Request, st.floats(0, 2), delays, delays, st.integers(1, 3), st.booleans()), min_size=1, max_size=40
)


@dataclass(order=True)
class Event:
    at: float
    number: int
    reply: bool = field(compare=False)


@dataclass
class Run:
    """What happened to each request, by its number."""

    arrivals: list[tuple[float, int]]
    granted: dict[int, float]
    moments: list[float]


def run(made: list[Request], limit: Limit, drift: float = 1.0) -> Run:
    """Plays a schedule to its end. The exchange's clock is slower by `drift`."""
    queue = line(a=limit)
    at = 0.0
    events = []
    for number, request in enumerate(made):
        at += request.after
        events.append(Event(at, number, False))
    permits = [Permit({"a": request.weight}) for request in made]
    numbers = {permit: number for number, permit in enumerate(permits)}
    played = Run([], {}, [])
    while events or queue.waiting:
        now = min(events[0].at if events else math.inf, queue.look if queue.waiting else math.inf)
        granted = []
        if events and events[0].at <= now:
            event = events.pop(0)
            permit = permits[event.number]
            if event.reply:
                queue.windows["a"].arrived(permit, now)
            elif queue.take(permit, now):
                granted.append(permit)
            else:
                queue.waiting[permit] = None
        granted += queue.advance(now)
        for permit in granted:
            number = numbers[permit]
            request = made[number]
            played.granted[number] = now
            played.arrivals.append(((now + request.there) / drift, request.weight))
            if not request.lost:
                events.append(Event(now + request.there + request.back, number, True))
                events.sort()
        played.moments.append(now)
        # nobody waits who could go
        head = next(iter(queue.waiting), None)
        assert head is None or not queue.windows["a"].room(head.costs["a"], now)
        assert queue.look > now
    return played


@settings(deadline=None)
@given(requests, st.integers(3, 6), st.floats(0.5, 5), st.sampled_from([1.0, 1.0005]))
def test_no_window_is_ever_exceeded_at_arrival_whatever_the_delays(
    made: list[Request], count: int, seconds: float, drift: float
) -> None:
    played = run(made, Limit(count, seconds), drift)
    assert len(played.granted) == len(made)
    for start, _ in played.arrivals:
        inside = sum(weight for at, weight in played.arrivals if start <= at < start + seconds)
        assert inside <= count


@settings(deadline=None)
@given(requests, st.integers(3, 6), st.floats(0.5, 5))
def test_nobody_is_overtaken_and_nobody_waits_while_there_is_room(
    made: list[Request], count: int, seconds: float
) -> None:
    played = run(made, Limit(count, seconds))
    assert list(played.granted) == list(range(len(made)))
    hold = seconds * 1.001 + 0.001
    asked = 0.0
    for number, request in enumerate(made):
        asked += request.after
        granted = played.granted[number]
        before = max([asked, *(played.granted[other] for other in range(number))])  # its turn came
        if granted == before:
            continue
        # just before it was granted, those that went before it held too many places
        held = 0
        for other in range(number):
            sent = played.granted[other]
            one = made[other]
            end = sent + (60 if one.lost else one.there + one.back) + hold
            if end >= granted - 1e-9:
                held += one.weight
        assert held + request.weight > count
