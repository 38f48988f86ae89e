"""Recording a client or a feed: one call that puts a sink behind it."""

from collections.abc import Callable
from types import TracebackType
from typing import Literal, Protocol, Self

from ..errors import InvalidRequest
from .buffer import Counts
from .classify import CLASSIFIERS, unknown
from .contract import Classifier, Sink
from .queue import SinkQueue
from .urls import open_sink


class Source(Protocol):
    """What can be recorded: every client and every feed."""

    def tap(self, fn: Callable[[str], object], /) -> Callable[[], object]:
        """Has `fn` called with each text message on the event thread; returns what removes it."""


class Recording:
    """A source whose messages are being kept. `close()` it, or use it in a `with` block."""

    def __init__(self, queue: SinkQueue, remove: Callable[[], object], owns: bool) -> None:
        self.queue = queue
        self._remove: list[Callable[[], object]] = [remove]  # taken out once, by whoever comes first
        self._owns = owns

    @property
    def counts(self) -> Counts:
        """What became of the queue's messages so far."""
        return self.queue.counts

    def flush(self, timeout: float | None = None) -> None:
        """Waits until everything that came before this call is written; see `SinkQueue.flush`."""
        self.queue.flush(timeout)

    def detach(self) -> None:
        """Takes no more messages from the source. What was accepted is written, and the queue stays open."""
        try:
            remove = self._remove.pop()
        except IndexError:
            return
        remove()

    def close(self, timeout: float | None = 10.0) -> None:
        """Detaches, writes what was accepted, and closes the sink; a queue of the caller's own is only flushed.

        timeout: seconds to go on trying while the store is away; None for ever
        Raises `SinkError` if something couldn't be written; see `SinkQueue.close`.
        """
        self.detach()
        if self._owns:
            self.queue.close(timeout)
        else:
            self.queue.flush(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attach(
    source: Source,
    sink: str | Sink | SinkQueue,
    *,
    venue: str | None = None,
    classify: Classifier | None = None,
    size: int = 100_000,
    policy: Literal["block", "drop"] = "block",
    batch: int = 4096,
    age: float = 0.5,
    on_error: Callable[[Exception], object] | None = None,
) -> Recording:
    """Keeps every text message of a client or feed from now on, as it was received.

        with attach(client, "sqlite:market.db") as recording:
            ...

    source: connected or not; it is not connected by this
    sink: a URL for `open_sink`; or a sink, which is the recording's from now on; or a `SinkQueue`, which stays the
        caller's and may take the messages of several sources; it has its own size, policy, batch, age and on_error
    venue: the name under which the messages are kept; the source's own (its attribute `venue`) unless given
    classify: tells product, type and time of a decoded message; the venue's own (`CLASSIFIERS`) unless given
    size: messages that may wait; policy: with so many, "block" holds the feed up, "drop" lets go of more
    batch: messages that are written at once; age: seconds that a message may wait for that
    on_error: called on the writer thread with what goes wrong; see `SinkQueue`
    Raises `InvalidRequest` for wrong arguments, and what opening the sink raises.
    """
    name = getattr(source, "venue", None) if venue is None else venue
    if not isinstance(name, str) or not name:
        raise InvalidRequest(
            "venue is the name under which the messages are kept: the source has none, so give one"
        )
    if not callable(getattr(source, "tap", None)):
        raise InvalidRequest(f"only a client or a feed can be recorded, not {type(source).__name__}")
    owns = not isinstance(sink, SinkQueue)
    if isinstance(sink, SinkQueue):
        queue = sink
    else:
        opened = open_sink(sink) if isinstance(sink, str) else sink
        try:
            queue = SinkQueue(opened, size=size, policy=policy, batch=batch, age=age, on_error=on_error)
        except BaseException:
            if hasattr(opened, "close"):
                opened.close()
            raise
    try:
        remove = source.tap(queue.intake(name, classify or CLASSIFIERS.get(name, unknown)))
    except BaseException:
        if owns:
            queue.close()
        raise
    return Recording(queue, remove, owns)
