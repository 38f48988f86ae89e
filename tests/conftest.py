"""What every test may use, and what every test has to leave as it was."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.peers import PATIENCE
from wsclient import WSClient
from wsclient.sandbox import Sandbox

MakeClient = Callable[..., WSClient]

_FDS = "/proc/self/fd"


def event_threads() -> list[threading.Thread]:
    """The event threads of clients that run now."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("wsclient ")]


def open_sockets() -> set[str]:
    """The sockets of this process, as far as the system tells."""
    found = set()
    for name in os.listdir(_FDS) if os.path.isdir(_FDS) else ():
        try:
            target = os.readlink(f"{_FDS}/{name}")
        except OSError:
            continue  # the listing's own descriptor
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
def no_event_thread_left() -> Iterator[None]:
    """No test leaves an event thread behind; a client that was stopped by its handler ends a moment later."""
    before = set(event_threads())
    yield
    deadline = time.monotonic() + PATIENCE
    left = [thread for thread in event_threads() if thread not in before]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert not [thread for thread in left if thread.is_alive()]


@pytest.fixture
def no_socket_left(no_event_thread_left: None) -> Iterator[None]:
    """For tests whose servers have all ended with them: every socket that was made is closed."""
    before = open_sockets()
    yield
    assert not open_sockets() - before


@pytest.fixture
def make_client(no_socket_left: None) -> Iterator[MakeClient]:
    """Makes clients with a short socket_timeout, and stops them after the test."""
    clients: list[WSClient] = []

    def make(url: str, *args: Any, **options: Any) -> WSClient:
        options.setdefault("socket_timeout", 2.0)
        client = WSClient(url, *args, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.stop()


@pytest.fixture
def exchange(no_socket_left: None) -> Iterator[Sandbox]:
    """A sandbox in which nothing happens by itself."""
    with Sandbox(traders=0) as exchange:
        yield exchange
    assert not exchange.ledger.troubles
