"""What waits for slow handlers, under each policy."""

from collections.abc import Hashable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.core.backlog import Backlog, Dropped, Event, Item, Policy

POLICIES: tuple[Policy, ...] = get_args(Policy)


def key_of(text: str) -> Hashable | None:
    """Of "a1" and "a2" the key is "a"; what begins with a dash has none."""
    return None if text.startswith("-") else text[0]


def event(name: str) -> Event:
    return Event(print, (name,))


def backlog(size: int, policy: Policy, *texts: str) -> Backlog:
    line = Backlog(size, policy)
    for text in texts:
        line.put_text(text, key_of(text))
    return line


def rest(line: Backlog) -> list[Item]:
    taken = []
    while (item := line.take()) is not None:
        taken.append(item)
    return taken


def test_a_full_line_that_blocks_has_no_room() -> None:
    line = backlog(2, "block", "a", "b")
    assert not line.room(event=False)
    assert not line.room(event=True)
    assert line.room(event=False, allowance=1)
    line.take()
    assert line.room(event=False)


def test_the_oldest_give_way_and_their_place_is_marked_once() -> None:
    line = backlog(2, "drop_oldest", "a", "b", "c", "d")
    assert line.dropped == 2
    assert rest(line) == [Dropped(2), "c", "d"]


def test_the_newest_give_way_and_the_first_ones_place_is_marked() -> None:
    line = backlog(2, "drop_newest", "a", "b", "c", "d")
    assert line.take() == "a"
    line.put_text("e")
    line.put_text("f")
    assert rest(line) == ["b", Dropped(3), "e"]
    assert line.dropped == 3


def test_each_report_counts_what_was_dropped_since_the_one_before() -> None:
    line = backlog(1, "drop_oldest", "a", "b", "c")
    assert line.take() == Dropped(2)
    line.put_text("d")
    assert rest(line) == [Dropped(1), "d"]
    line.put_text("e")
    assert rest(line) == ["e"]


def test_events_keep_their_place_among_the_texts_and_never_give_way() -> None:
    line = backlog(2, "drop_oldest", "a")
    line.put_event(event("closed"))
    for text in "bcd":
        line.put_text(text)
    assert rest(line) == [Dropped(2), event("closed"), "c", "d"]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_there_is_an_end_to_events_where_texts_give_way(policy: Policy) -> None:
    line = backlog(2, policy, "a", "b")
    for name in ("one", "two"):
        assert line.room(event=True)
        line.put_event(event(name))
    assert not line.room(event=True)
    assert line.room(event=False)


def test_a_newer_text_with_the_same_key_makes_the_older_one_superfluous() -> None:
    line = backlog(10, "conflate", "a1", "b1", "-1", "a2", "-1", "b2", "b3")
    assert line.conflated == 3
    assert line.dropped == 0
    assert len(line) == 4
    assert rest(line) == ["-1", "a2", "-1", "b3"]


def test_what_is_superseded_all_the_time_still_has_its_turn() -> None:
    line = backlog(10, "conflate", "a1", "b1", "c1")
    seen = []
    for number in range(2, 8):
        seen.append(line.take())
        for key in "abc":
            line.put_text(f"{key}{number}", key)
    assert seen == ["a1", "b1", "c1", "a4", "b4", "c4"]


def test_a_line_that_conflates_is_full_of_what_can_not_be_conflated() -> None:
    line = backlog(2, "conflate", "-1", "-2")
    assert not line.room(event=False)
    assert line.take() == "-1"
    assert line.room(event=False)


@pytest.mark.parametrize("policy", POLICIES)
def test_discarding_leaves_the_events_and_counts_the_texts(policy: Policy) -> None:
    line = backlog(5, policy, "a1", "b1", "c1")
    first = line.take()
    line.put_event(event("closed"))
    line.put_text("a2")
    assert first == "a1"
    assert line.discard_texts() == 3
    assert line.dropped == 3
    assert len(line) == 1
    assert rest(line) == [event("closed")]
    line.put_text("d1")
    assert rest(line) == ["d1"]


steps = st.lists(st.one_of(st.just("take"), st.just("event"), st.sampled_from(["a", "b", "-"])), max_size=80)


@given(st.sampled_from(POLICIES), st.integers(1, 5), steps)
def test_nothing_is_lost_uncounted_and_the_order_is_the_wires(policy: Policy, size: int, made: list[str]) -> None:
    line = Backlog(size, policy)
    given: list[str] = []
    taken: list[str] = []
    told = 0

    def take() -> bool:
        nonlocal told
        item = line.take()
        if isinstance(item, Dropped):
            assert item.count > 0
            told += item.count
        elif isinstance(item, Event):
            taken.append(str(item.arguments[0]))
        elif item is not None:
            taken.append(item)
        return item is not None

    for number, step in enumerate(made):
        if step == "take":
            take()
        elif line.room(event=step == "event"):
            name = f"{step}{number}"
            given.append(name)
            if step == "event":
                line.put_event(event(name))
            else:
                line.put_text(name, key_of(name))
        assert len(line) <= size * (1 if policy in ("block", "conflate") else 2)
    while take():
        pass
    assert len(line) == 0
    kept = iter(given)
    assert all(name in kept for name in taken)  # as a part of what was given, in its order
    assert told == line.dropped
    assert len(given) == len(taken) + line.dropped + line.conflated
    assert [name for name in taken if name.startswith("event")] == [n for n in given if n.startswith("event")]
    if policy == "conflate":
        assert {name for name in given if name.startswith("-")} <= set(taken)
        for key in "ab":
            versions = [name for name in given if name.startswith(key)]
            assert not versions or versions[-1] in taken
    if policy == "block":
        assert taken == given
