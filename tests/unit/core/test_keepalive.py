"""The keepalive policy, told the time."""

from wsclient.core.keepalive import Due, Keepalive


def test_a_silent_connection_is_asked_once_and_then_given_up() -> None:
    line = Keepalive(idle=45, patience=5, now=0)
    assert line.next() == 45
    assert line.due(44.9) is Due.NOTHING
    assert line.due(45) is Due.PING
    assert line.due(45) is Due.NOTHING
    assert line.next() == 50
    assert line.due(50) is Due.GIVE_UP


def test_anything_heard_begins_the_silence_anew() -> None:
    line = Keepalive(idle=45, patience=5, now=0)
    line.heard(30)
    assert line.due(45) is Due.NOTHING
    assert line.due(75) is Due.PING
    line.heard(76)
    assert line.due(80) is Due.NOTHING
    assert line.next() == 121


def test_after_a_suspended_machine_it_asks_before_it_gives_up() -> None:
    line = Keepalive(idle=45, patience=5, now=0)
    assert line.due(10_000) is Due.PING
    assert line.due(10_004) is Due.NOTHING


def test_suspended_between_the_question_and_its_answer_it_asks_again() -> None:
    line = Keepalive(idle=45, patience=5, now=0)
    assert line.due(45) is Due.PING
    assert line.due(10_000) is Due.PING
    assert line.due(10_005) is Due.GIVE_UP
