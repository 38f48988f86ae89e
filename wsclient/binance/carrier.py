"""One connection of market streams, from its opening to its end; it is never opened again.

Source: the protocol page, "Market streams".
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..core.codec import codec
from ..core.connect import Endpoint
from ..core.connection import Connection
from ..core.handlers import Handlers
from ..core.reconnect import PROVEN
from ..errors import ClientClosed, CommandError, RateLimited, TransportError, WSClientError
from .stream import Stream
from .streams import BATCH, LIMITS, SHUTDOWN, Streams, list_subscriptions, name_of, subscribe, unsubscribe

logger = logging.getLogger("wsclient")

_START: Final = '{"stream":"'


@dataclass(frozen=True, slots=True)
class Line:
    """How connections are made. ping_interval: seconds; max_message_size: bytes"""

    endpoint: Endpoint
    ping_interval: float = 45.0
    max_message_size: int = 16 * 1024 * 1024


class Carrier:
    """Carries streams on one connection. What it has to wait for, it waits for on the lane's own thread.

    streams: by name, those that are wanted; read for each text
    ended: called on the event thread when nothing more comes, with this
    announced: called there when the exchange says that it is about to end the connection, with this
    """

    def __init__(
        self,
        line: Line,
        streams: Mapping[str, Stream],
        ended: "Callable[[Carrier], object]",
        announced: "Callable[[Carrier], object]",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._streams = streams
        self._ended = ended
        self._announced = announced
        self._clock = clock
        self._timeout = line.endpoint.timeout
        self._connection: Connection[Carrier] = Connection(
            self,
            line.endpoint,
            Streams(),
            Handlers(Carrier._heard, Carrier._failed, close=Carrier._closed),
            ping_interval=line.ping_interval,
            max_message_size=line.max_message_size,
            codec=codec(None, None),
            limits=LIMITS,
        )
        self.carried: dict[str, Stream] = {}  # what it is subscribed to; the lane's thread's
        self.error: WSClientError | None = None  # what went wrong last
        self.leaving = False  # the exchange is about to end it
        self._whole: tuple[float, int] | None = None  # since when all was subscribed to, after how many messages

    # -- the lane's thread

    def open(self) -> None:
        """Connects. Raises `TransportError`, and `ClientClosed` after `stop()`."""
        self._connection.connect()

    def add(self, streams: list[Stream]) -> list[tuple[Stream, CommandError]]:
        """Subscribes to these, in batches, each when the exchange's limit allows it.

        Returns those that the exchange refuses; the others are carried. Raises `RateLimited` if it wants to be
        asked later, `TransportError` if the connection ends before all is done, and `ClientClosed` after `stop()`.
        """
        refused: list[tuple[Stream, CommandError]] = []
        for start in range(0, len(streams), BATCH):
            refused += self._add(streams[start : start + BATCH])
        return refused

    def _add(self, streams: list[Stream]) -> list[tuple[Stream, CommandError]]:
        try:
            self._ask(subscribe([stream.name for stream in streams]))
        except RateLimited:
            raise
        except CommandError as error:
            if len(streams) == 1:
                return [(streams[0], error)]
            half = len(streams) // 2  # one of them is what was refused: it is found by asking for each half
            return self._add(streams[:half]) + self._add(streams[half:])
        for stream in streams:
            self.carried[stream.name] = stream
            stream.subscribed()
        return []

    def remove(self, names: Collection[str]) -> None:
        """Unsubscribes from these. Raises `TransportError` and `ClientClosed`, like `add`.

        Where that is refused they are left all the same: what still comes of them is nobody's.
        """
        listed = list(names)
        for start in range(0, len(listed), BATCH):
            batch = listed[start : start + BATCH]
            try:
                self._ask(unsubscribe(batch))
            except CommandError as error:
                logger.warning("streams that nobody wants may still come: %s", error)
            for name in batch:
                self.carried.pop(name, None)

    def reach(self) -> None:
        """Waits until all is told that the exchange had sent before. Raises like `remove`."""
        try:
            self._ask(list_subscriptions())
        except CommandError:
            pass  # any answer will do

    def _ask(self, request: dict[str, Any]) -> None:
        reply = self._connection.submit(request)
        try:
            reply.result(self._timeout)
        except TimeoutError:
            if not reply.done():
                self.give_up(TransportError(f"no answer to {request['method']} within {self._timeout:g} s"))
            raise TransportError(f"no answer to {request['method']}") from None

    def whole(self) -> None:
        """All that was wanted is subscribed to."""
        self._whole = self._clock(), self._connection.stats().messages_in

    @property
    def proved(self) -> bool:
        """Whether it has shown that it is healthy: by what came after the answers, or by lasting."""
        if self._whole is None:
            return False
        since, messages = self._whole
        return self._clock() >= since + PROVEN or self._connection.stats().messages_in > messages

    # -- any thread

    def on_event_thread(self) -> bool:
        """Whether the caller's is the thread that reads."""
        return self._connection.on_event_thread()

    def give_up(self, error: WSClientError) -> None:
        """Ends the connection as one that was lost."""
        self._connection.give_up(error)

    def stop(self) -> None:
        """Ends it; nothing is told after that."""
        self._connection.stop()

    # -- the event thread

    def _heard(self, text: str) -> None:
        if text.startswith(_START):
            stream = self._streams.get(text[11 : text.find('"', 11)])
        else:
            stream = self._streams.get(name_of(text) or "")
        if stream is not None:
            stream.take(self, text)
        elif SHUTDOWN in text and len(text) < 200 and not self.leaving:
            self.leaving = True
            self._announced(self)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, WSClientError):
            self.error = error

    def _closed(self, code: int | None, reason: str | None) -> None:
        self._connection.stop()  # what is asked from now on would open another one
        if self.error is None or isinstance(self.error, ClientClosed):
            self.error = TransportError("the exchange ended the connection")
        self._ended(self)
