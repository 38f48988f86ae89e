"""What every venue's client offers, whatever else it can do."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from .connection import Connection, State
from .stats import Stats


class Face:
    """A client over one connection. It can't be copied or pickled, and its repr shows no secrets."""

    _connection: Connection[Any]

    def tap(self, listener: Callable[[str], object]) -> Callable[[], None]:
        """Calls `listener(text)` for every text message too, on the event thread and before msg_handler.

        For what keeps or counts messages, see `wsclient.sinks`; it must be quick. Returns a function that ends it.
        """
        return self._connection.tap(listener)

    def stats(self) -> Stats:
        """What the client has done so far, in numbers, and what it waits for now. Quick; for any thread."""
        return self._connection.stats()

    @property
    def state(self) -> State:
        """Idle, connecting, open or stopped, at this moment."""
        return self._connection.state

    def stop(self) -> None:
        """Ends the client for good: sends a Close frame, waits for the peer's, ends what is pending.

        From any thread, in any state, as often as you like; returns within socket_timeout. Replies that arrive
        before the peer's Close still count; a call without one ends in `OutcomeUnknown`. The event thread has
        ended afterwards, unless it is the caller: then it ends once the handler returns. msg_handler isn't called
        for what arrives after `stop()`.
        """
        until = time.monotonic() + self._connection.endpoint.timeout
        self._stopping()
        self._connection.stop()
        self._stopped(0.0 if self.on_event_thread() else max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """As `stop()`."""
        self.stop()

    def _stopping(self) -> None:
        """For what a venue has to end first."""

    def _stopped(self, seconds: float) -> None:
        """For what a venue has to end besides, for which there are so many seconds."""

    def on_event_thread(self) -> bool:
        """Whether the caller's is the event thread, on which nothing can be waited for."""
        return self._connection.on_event_thread()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __reduce__(self) -> Any:
        raise TypeError("a client holds a connection and credentials, and can't be pickled")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._connection.endpoint.safe_url} {self.state.value}>"
