"""The login's state machine, with the steps in every order that threads can bring."""

import threading

import pytest

from wsclient.core.dialect import Greeting
from wsclient.core.login import Attempt, Login
from wsclient.core.transport import Gone
from wsclient.errors import AuthenticationError, ProtocolError, TransportError, WSClientError

HELLO = Greeting(b"0123456789abcdef")


class Session:
    """Notes what a login does to its session."""

    def __init__(self, *, greeted: bool = True) -> None:
        self.now = 0.0
        self.sent: list[tuple[Attempt, Greeting | None]] = []
        self.given_up: list[WSClientError] = []
        self.login = Login(
            greeted=greeted,
            timeout=5,
            send=lambda attempt, greeting: self.sent.append((attempt, greeting)),
            give_up=self.given_up.append,
            clock=lambda: self.now,
        )

    def begin(self) -> Attempt:
        attempt = self.login.begin(waits=True)
        assert attempt is not None
        return attempt


def test_the_login_is_sent_when_the_greeting_comes() -> None:
    session = Session()
    attempt = session.begin()
    assert session.sent == []
    session.login.greet(HELLO)
    assert session.sent == [(attempt, HELLO)]


def test_the_login_is_sent_at_once_after_the_greeting_or_where_there_is_none() -> None:
    for session in (Session(), Session(greeted=False)):
        if session.login.greeting_matters:
            session.login.greet(HELLO)
        attempt = session.begin()
        assert [sent[0] for sent in session.sent] == [attempt]


def test_all_who_come_while_it_runs_wait_for_the_same_attempt_and_later_ones_for_none() -> None:
    session = Session()
    session.login.greet(HELLO)
    attempt = session.begin()
    assert session.begin() is attempt
    assert len(session.sent) == 1
    assert session.login.settle(attempt, None)
    attempt.end(None)
    assert session.login.done
    assert session.login.begin(waits=True) is None
    attempt.wait(session.login)


def test_after_a_refusal_the_next_one_tries_again() -> None:
    session = Session()
    session.login.greet(HELLO)
    attempt = session.begin()
    refusal = AuthenticationError("wrong passphrase")
    assert session.login.settle(attempt, refusal)
    attempt.end(refusal)
    with pytest.raises(AuthenticationError, match="wrong passphrase") as told:
        attempt.wait(session.login)
    assert told.value is not refusal
    assert session.begin() is not attempt
    assert len(session.sent) == 2


def test_an_outcome_is_settled_once() -> None:
    session = Session()
    session.login.greet(HELLO)
    attempt = session.begin()
    assert session.login.settle(attempt, None)
    assert not session.login.settle(attempt, AuthenticationError("late"))
    assert session.login.done


def test_a_second_greeting_before_the_login_breaks_the_protocol_and_after_it_matters_to_nobody() -> None:
    session = Session()
    session.login.greet(HELLO)
    with pytest.raises(ProtocolError):
        session.login.greet(HELLO)
    attempt = session.begin()
    session.login.settle(attempt, None)
    assert not session.login.greeting_matters


def test_each_step_has_the_whole_timeout_and_no_more() -> None:
    session = Session()
    attempt = session.begin()
    session.now = 4.9
    session.login.expire()
    session.login.greet(HELLO)
    assert session.login.deadline() == pytest.approx(9.9)
    session.now = 9.8
    session.login.expire()
    assert not attempt.ended
    session.now = 9.9
    session.login.expire()
    assert attempt.ended
    assert isinstance(attempt.error, AuthenticationError)
    assert isinstance(attempt.error.__cause__, TransportError)
    assert len(session.given_up) == 1


def test_a_missing_greeting_ends_the_attempt_and_the_session() -> None:
    session = Session()
    attempt = session.begin()
    session.now = 5
    session.login.expire()
    session.login.expire()
    with pytest.raises(AuthenticationError, match="greeting"):
        attempt.wait(session.login)
    assert len(session.given_up) == 1
    assert session.sent == []


def test_a_lost_session_ends_the_attempt_and_takes_no_more() -> None:
    session = Session()
    attempt = session.begin()
    told: list[AuthenticationError] = []

    def wait() -> None:
        try:
            attempt.wait(session.login)
        except AuthenticationError as error:
            told.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    session.login.lost(TransportError("cut"))
    waiter.join(5)
    assert len(told) == 1
    with pytest.raises(Gone):
        session.login.begin(waits=True)


def test_a_greeting_after_the_loss_sends_nothing() -> None:
    session = Session()
    session.begin()
    session.login.lost(TransportError("cut"))
    session.login.greet(HELLO)
    assert session.sent == []
