"""Who follows a watch: wanted by any thread, made so by one at a time."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from ..errors import WSClientError
from .connection import Connection
from .watches import Listener


@dataclass(frozen=True, eq=False, slots=True)
class Wish:
    """A listener that is to follow; see `Connection.follow`. Each wish is another one."""

    listener: Listener
    stale_after: float | None = None


class Followed:
    """One key. Subscribing may wait for a connection; who comes meanwhile leaves his wish to who is at it.

    fed: see `Watch`
    """

    def __init__(self, connection: Connection[Any], key: Hashable, *, fed: bool = False) -> None:
        self._connection = connection
        self._key = key
        self._fed = fed
        self._lock = threading.Lock()  # guards what follows
        self._wanted: Wish | None = None
        self._done: Wish | None = None
        self._busy = False  # a thread is at it

    def plan(self, wish: Wish | None) -> None:
        """What is wanted from now on, once somebody calls `settle`. Quick."""
        with self._lock:
            self._wanted = wish

    def withdraw(self, wish: Wish) -> None:
        """Wants this no longer, if it is what is wanted. Quick."""
        with self._lock:
            if self._wanted is wish:
                self._wanted = None

    def settle(self, mine: Wish | None = None) -> None:
        """Makes it so, unless somebody is at it, who does then. Raises what went wrong with this wish."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
        failure = None
        while True:
            with self._lock:
                wanted, done = self._wanted, self._done
                if wanted is done:
                    self._busy = False
                    break
                self._done = wanted if done is None else None
            if done is not None:
                self._connection.unfollow(self._key, done.listener)
            elif wanted is not None:
                try:
                    self._connection.follow(self._key, wanted.listener, wanted.stale_after, fed=self._fed)
                except WSClientError as error:  # the listener was told
                    if wanted is mine:
                        failure = error
                except BaseException:  # interrupted
                    with self._lock:
                        self._busy = False
                    raise
        if failure is not None:
            raise failure
