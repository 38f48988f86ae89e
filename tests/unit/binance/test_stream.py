"""One stream: how its connections are joined, and how what was missed is put in."""

import json
import random
from typing import Any

import pytest

from wsclient.binance.stream import Sink, Stream
from wsclient.errors import WSClientError

A, B, C = "the first connection", "the second", "the third"


class Kept(Sink):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def put(self, item: str | dict[str, Any]) -> None:
        assert isinstance(item, str)
        self.texts.append(item)

    def subscribed(self) -> None: ...
    def lost(self) -> None: ...
    def failed(self, error: WSClientError) -> None: ...

    @property
    def ids(self) -> list[int]:
        return [json.loads(text)["data"]["t"] for text in self.texts]


def trade(number: int) -> str:
    return f'{{"stream":"bnbbtc@trade","data":{{"e":"trade","t":{number}}}}}'


def user_event(text: str) -> str:
    return f'{{"stream":"thelistenkey","data":{{"e":"{text}"}}}}'


def stream(name: str = "bnbbtc@trade", **options: Any) -> tuple[Stream, Kept]:
    made, kept = Stream(name, **options), Kept()
    made.sinks = (kept,)
    made.begin(A)
    return made, kept


def test_the_first_connections_events_are_told_as_they_come() -> None:
    made, kept = stream()
    for number in (1, 2, 3):
        made.take(A, trade(number))
    made.take(B, trade(4))
    assert kept.texts == [trade(1), trade(2), trade(3)]


@pytest.mark.parametrize("ahead", ["first", "second"])
def test_an_overlapping_connection_takes_over_without_loss_or_repetition(ahead: str) -> None:
    made, kept = stream()
    made.take(A, trade(1))
    made.overlap(B)
    if ahead == "first":
        for number in (2, 3):
            made.take(A, trade(number))
        made.take(B, trade(2))
        made.take(A, trade(4))  # the second has told an older one: it can take over
        for number in (3, 4, 5):
            made.take(B, trade(number))
    else:
        for number in (2, 3, 4):
            made.take(B, trade(number))
        made.take(A, trade(2))
        made.take(A, trade(3))  # too late to count
        made.take(B, trade(5))
    assert kept.ids == [1, 2, 3, 4, 5]


def test_a_second_connection_takes_over_when_the_first_has_ended() -> None:
    made, kept = stream()
    made.take(A, trade(1))
    made.overlap(B)
    for number in (1, 2, 3):
        made.take(B, trade(number))
    assert kept.ids == [1]
    made.switch(B)
    made.take(A, trade(2))
    made.take(B, trade(4))
    assert kept.ids == [1, 2, 3, 4]


def test_a_second_connection_that_fails_leaves_the_first_as_it_was() -> None:
    made, kept = stream()
    made.take(A, trade(1))
    made.overlap(B)
    made.take(B, trade(2))
    made.separate(B, A)
    made.switch(B)  # too late
    made.take(A, trade(2))
    assert kept.ids == [1, 2]


def test_events_without_a_place_are_known_by_their_text() -> None:
    made, kept = stream("thelistenkey")
    made.take(A, user_event("a"))
    made.overlap(B)
    made.take(B, user_event("b"))
    made.take(A, user_event("b"))
    made.take(B, user_event("c"))
    made.overlap(C)
    made.take(C, user_event("c"))
    made.take(C, user_event("d"))
    made.switch(C)
    assert kept.texts == [user_event(text) for text in "abcd"]


def test_any_interleaving_of_two_connections_tells_everything_once() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        made, kept = stream()
        made.take(A, trade(0))
        begins = chance.randrange(1, 6)  # where the second connection's subscription begins
        first, second = list(range(1, 10 + chance.randrange(5))), list(range(begins, 15))
        made.overlap(B)
        while first or second:
            if first and (first[0] < begins or not second or chance.random() < 0.5):
                made.take(A, trade(first.pop(0)))
            else:
                made.take(B, trade(second.pop(0)))
        made.switch(B)
        assert kept.ids == list(range(15)), seed


# -- what was missed


def test_after_a_loss_what_was_told_already_is_not_told_again() -> None:
    made, kept = stream()
    made.take(A, trade(1))
    made.lose()
    made.take(A, trade(2))
    made.begin(B)
    for number in (1, 2):
        made.take(B, trade(number))
    assert kept.ids == [1, 2]


def test_missing_trades_are_fetched_while_what_comes_is_held() -> None:
    asked: list[Stream] = []
    made, kept = stream(fill=asked.append)
    made.take(A, trade(1))
    made.lose()
    made.begin(B)
    made.take(B, trade(5))
    made.take(B, trade(6))
    assert asked == [made]
    assert (made.last, made.next_held) == ((1,), (5,))
    assert kept.ids == [1]
    made.filled([trade(number) for number in (1, 2, 3, 4, 5)])
    made.take(B, trade(7))
    assert kept.ids == [1, 2, 3, 4, 5, 6, 7]
    assert len(asked) == 1


def test_trades_that_cant_be_fetched_are_counted() -> None:
    made, kept = stream(fill=lambda stream: None)
    made.take(A, trade(1))
    made.lose()
    made.begin(B)
    made.take(B, trade(9))
    made.filled([trade(8)], missed=6)
    assert kept.ids == [1, 8, 9]
    assert made.missed == 6


def test_a_switch_while_missing_trades_are_fetched_keeps_the_order() -> None:
    made, kept = stream(fill=lambda stream: None)
    made.take(A, trade(1))
    made.lose()
    made.begin(B)
    made.take(B, trade(4))
    made.overlap(C)
    made.take(C, trade(5))
    made.take(B, trade(5))
    made.switch(C)
    made.take(C, trade(6))
    made.filled([trade(2), trade(3)])
    made.take(C, trade(7))
    assert kept.ids == [1, 2, 3, 4, 5, 6, 7]


def test_what_the_old_connection_missed_before_the_new_one_began_is_fetched() -> None:
    asked: list[Stream] = []
    made, kept = stream(fill=asked.append)
    made.take(A, trade(1))
    made.overlap(B)
    made.take(B, trade(4))
    made.switch(B)  # the first one ended too early
    made.take(B, trade(5))
    assert asked == [made]
    assert kept.ids == [1]
    made.filled([trade(2), trade(3)])
    made.take(B, trade(6))
    assert kept.ids == [1, 2, 3, 4, 5, 6]


def test_in_a_quiet_market_it_is_asked_what_was_missed() -> None:
    asked: list[Stream] = []
    made, kept = stream(fill=asked.append)
    made.catch_up()  # nothing was told that could be followed up
    made.take(A, trade(1))
    made.catch_up()  # nothing was lost
    made.lose()
    made.catch_up()  # it isn't back yet
    made.begin(B)
    assert not asked
    made.catch_up()
    made.catch_up()
    assert asked == [made]
    made.filled([trade(2)])
    made.take(B, trade(3))
    made.catch_up()
    assert kept.ids == [1, 2, 3]
    assert len(asked) == 1


def test_what_couldnt_be_known_then_is_asked_for_when_the_next_trade_shows_it() -> None:
    asked: list[Stream] = []
    made, kept = stream(fill=asked.append)
    made.take(A, trade(1))
    made.lose()
    made.begin(B)
    made.catch_up()
    made.filled([], known=False)
    made.take(B, trade(3))
    assert asked == [made, made]
    made.filled([trade(2)])
    assert kept.ids == [1, 2, 3]


def test_a_trade_that_was_fetched_before_its_stream_told_it_is_told_once() -> None:
    made, kept = stream(fill=lambda stream: None)
    made.take(A, trade(1))
    made.lose()
    made.begin(B)
    made.catch_up()
    made.filled([trade(2), trade(3)])
    for number in (2, 3, 4):
        made.take(B, trade(number))
    assert kept.ids == [1, 2, 3, 4]


def test_another_loss_while_trades_are_fetched_is_seen_among_what_is_held() -> None:
    asked: list[Stream] = []
    made, kept = stream(fill=asked.append)
    made.take(A, trade(1))
    made.lose()
    made.begin(B)
    made.take(B, trade(3))
    made.lose()
    made.begin(C)
    made.take(C, trade(6))
    made.filled([trade(2)])
    assert kept.ids == [1, 2, 3]
    assert asked == [made, made]
    made.filled([trade(4)], missed=1)
    made.take(C, trade(7))
    assert kept.ids == [1, 2, 3, 4, 6, 7]
    assert made.missed == 1


def test_a_second_connection_that_ends_after_it_has_taken_over_gives_the_stream_back() -> None:
    asked: list[Stream] = []
    made, kept = stream(fill=asked.append)
    made.take(A, trade(1))
    made.overlap(B)
    made.take(B, trade(2))
    made.take(A, trade(2))
    made.take(A, trade(3))  # of no account any more
    made.separate(B, A)
    made.take(A, trade(4))
    made.filled([trade(3)])
    made.take(A, trade(5))
    assert kept.ids == [1, 2, 3, 4, 5]
    assert asked == [made]


@pytest.mark.parametrize("data", ["[" * 200_000 + "]" * 200_000, "7", '{"t":"2"}'])
def test_what_cant_be_placed_is_told_and_hides_no_repetition(data: str) -> None:
    made, kept = stream()
    for number in (1, 2, 3):
        made.take(A, trade(number))
    made.lose()
    made.begin(B)
    strange = f'{{"stream":"bnbbtc@trade","data":{data}}}'
    for text in (strange, trade(2), trade(3), trade(4)):
        made.take(B, text)
    assert kept.texts == [trade(1), trade(2), trade(3), strange, trade(4)]


# -- an exchange that was reset


def timed(number: int, time: int) -> str:
    return f'{{"stream":"bnbbtc@trade","data":{{"e":"trade","t":{number},"T":{time}}}}}'


def test_a_lower_id_with_a_later_time_begins_the_numbers_anew() -> None:
    asked: list[Stream] = []
    made, kept = stream(fill=asked.append)
    made.take(A, timed(1000, 50))
    made.lose()
    made.begin(B)
    made.take(B, timed(999, 50))  # known: it was made no later
    for number in (1, 2, 3):
        made.take(B, timed(number, 50 + number))
    assert kept.ids == [1000, 1, 2, 3]
    assert not asked


def test_numbers_that_begin_anew_are_told_among_what_is_held_too() -> None:
    made, kept = stream(fill=lambda stream: None)
    made.take(A, timed(1000, 50))
    made.lose()
    made.begin(B)
    made.take(B, timed(1002, 52))
    made.lose()
    made.begin(C)
    for number in (1, 2):
        made.take(C, timed(number, 60 + number))
    made.filled([timed(1000, 50), timed(1001, 51)])
    made.take(C, timed(3, 63))
    assert kept.ids == [1000, 1001, 1002, 1, 2, 3]


@pytest.mark.parametrize("kind", ["depth", "depth@100ms", "depth20", "bookTicker"])
def test_numbered_events_of_books_count_after_a_loss_whatever_their_numbers(kind: str) -> None:
    name = f"bnbbtc@{kind}"
    made, kept = stream(name)
    number = "lastUpdateId" if kind == "depth20" else "u"
    told = [f'{{"stream":"{name}","data":{{"{number}":{place}}}}}' for place in (1000, 5, 6)]
    made.take(A, told[0])
    made.lose()
    made.begin(B)
    for text in told[1:]:
        made.take(B, text)
    assert kept.texts == told
