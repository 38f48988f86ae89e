"""The error tree, as drawn in its module and in the design."""

import pickle

import pytest

from wsclient import errors
from wsclient.errors import CommandError, MessagesDropped, ProtocolError, TooFast, WSClientError, same_again

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WSClientError)]


def make(kind: type[WSClientError]) -> WSClientError:
    if issubclass(kind, CommandError):
        return kind(4, "no funds", {"method": "PlaceOrder", "tag": 1})
    if issubclass(kind, ProtocolError):
        return kind("broken", 1002)
    if issubclass(kind, TooFast):
        return kind("wait", 0.25)
    if issubclass(kind, MessagesDropped):
        return kind("lost some", 7)
    return kind("a sentence")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling_and_copying_with_its_fields(kind: type[WSClientError]) -> None:
    error = make(kind)
    error.__cause__ = ValueError("why")
    for again in (pickle.loads(pickle.dumps(error)), same_again(error)):
        assert type(again) is kind
        assert str(again) == str(error)
        for field in ("code", "message", "request", "close_code", "retry_after", "count"):
            assert getattr(again, field, None) == getattr(error, field, None)
    assert same_again(error).__cause__ is error.__cause__


def test_what_the_network_does_is_a_connection_error_and_what_the_caller_does_is_not() -> None:
    network = (errors.TransportError, errors.NotSent, errors.OutcomeUnknown, errors.ProtocolError)
    assert all(issubclass(kind, ConnectionError) for kind in (*network, errors.AuthenticationError))
    caller = (errors.InvalidRequest, errors.ClientClosed, errors.WouldDeadlock, errors.CommandError)
    assert not any(issubclass(kind, ConnectionError) for kind in caller)


def test_wrong_credentials_are_a_failed_login_and_a_refusal_and_nothing_of_the_system_s() -> None:
    error = errors.WrongCredentials(-2015, "Invalid API-key", {"method": "order.place"})
    assert isinstance(error, errors.AuthenticationError)
    assert isinstance(error, errors.NotAuthorized)
    assert (error.code, error.message, error.request) == (-2015, "Invalid API-key", {"method": "order.place"})
    assert str(error) == "order.place was refused: Invalid API-key (error -2015)"
    assert (error.errno, error.strerror, error.filename) == (None, None, None)


def test_a_refused_command_says_which_and_why() -> None:
    assert str(make(errors.InsufficientFunds)) == "PlaceOrder was refused: no funds (error 4)"
