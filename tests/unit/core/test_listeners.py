"""Functions that are told the same."""

from typing import Any

from wsclient.core.listeners import Listeners


def made() -> tuple[Listeners, list[tuple[Any, BaseException]]]:
    raised: list[tuple[Any, BaseException]] = []
    return Listeners(lambda listener, error: raised.append((listener, error))), raised


def test_each_is_told_in_the_order_in_which_they_were_added_until_it_is_removed() -> None:
    listeners, told = made()[0], list[Any]()
    first = listeners.add(lambda what: told.append(("first", what)))
    last = listeners.add(lambda what: told.append(("last", what)))
    listeners.tell(1)
    first()
    listeners.tell(2)
    last()
    listeners.tell(3)
    assert told == [("first", 1), ("last", 1), ("last", 2)]


def test_one_that_was_added_twice_is_told_twice_and_removed_one_by_one() -> None:
    listeners, told = made()[0], list[Any]()
    first, last = listeners.add(told.append), listeners.add(told.append)
    listeners.tell(1)
    first()
    first()  # which removes nothing more
    listeners.tell(2)
    assert told == [1, 1, 2]
    last()
    assert not listeners.all


def test_what_one_raises_is_reported_and_the_others_are_told() -> None:
    listeners, raised = made()
    told: list[Any] = []

    def stop(_: object) -> None:
        raise SystemExit

    listeners.add(stop)
    listeners.add(told.append)
    listeners.tell(1)
    assert told == [1]
    assert [(listener, type(error)) for listener, error in raised] == [(stop, SystemExit)]


def test_one_may_be_removed_while_it_is_told() -> None:
    listeners, told = made()[0], list[Any]()

    def once(what: object) -> None:
        told.append(what)
        remove()

    remove = listeners.add(once)
    listeners.tell(1)
    listeners.tell(2)
    assert told == [1]
