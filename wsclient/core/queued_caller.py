"""Handlers called through a queue; see `handler_queue`."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from ..errors import MessagesDropped, WSClientError
from .backlog import Dropped, Event, Item
from .handler_queue import HandlerQueue, QueueOptions
from .handlers import Caller, Handlers, Load

C = TypeVar("C")


class QueuedCaller(Caller[C]):
    """Calls handlers on the queue's thread, in the order in which the event thread would have called them.

    An error that another thread reports, of its own call, is told on that thread, as without a queue.

    key: of a text, for conflating
    on_event_thread: whether this thread is it
    """

    def __init__(
        self,
        client: C,
        handlers: Handlers[C],
        options: QueueOptions,
        *,
        key: Callable[[str], Hashable | None],
        on_event_thread: Callable[[], bool],
        name: str,
        awaited: Callable[[], bool],
        give_up: Callable[[WSClientError], None],
        patience: float,
    ) -> None:
        super().__init__(client, handlers)
        self._queue = HandlerQueue(
            options, self._do, name=name, awaited=awaited, give_up=give_up, patience=patience
        )
        self._options = options
        self._key = key if options.policy == "conflate" else None
        self._on_event_thread = on_event_thread
        if handlers.message is not None:
            self.on_message = self._on_message

    def message(self, text: str) -> None:
        if self._handlers.message is not None:
            self._queue.put_text(text, None if self._key is None else self._key(text))

    def opened(self) -> None:
        self._queue.renew()
        if self._handlers.open is not None:
            self._queue.put_event(super().opened)

    def closed(self, code: int | None, reason: str | None) -> None:
        if self._handlers.close is not None:
            self._queue.put_event(super().closed, code, reason)

    def ping(self, payload: bytes) -> None:
        if self._handlers.ping is not None:
            self._queue.put_event(super().ping, payload)

    def pong(self, payload: bytes) -> None:
        if self._handlers.pong is not None:
            self._queue.put_event(super().pong, payload)

    def tell(self, handler: Callable[..., object] | None, *args: Any) -> None:
        if handler is not None:
            self._queue.put_event(super().tell, handler, *args)

    def error(self, error: Exception) -> None:
        if self.handles_errors and self._on_event_thread():
            self._queue.put_event(super().error, error)
        else:
            super().error(error)

    def nudge(self) -> None:
        self._queue.nudge()

    def retire(self) -> None:
        self._queue.retire()

    def release(self) -> None:
        self._queue.release()

    def finish(self, timeout: float) -> None:
        self._queue.finish(timeout)

    @property
    def load(self) -> Load:
        return self._queue.load

    def _on_message(self, client: C, text: str) -> None:
        """In the place of the handler, for those who call that themselves."""
        self._queue.put_text(text, None if self._key is None else self._key(text))

    def _do(self, item: Item) -> None:
        if isinstance(item, str):
            self._call(self._handlers.message, item)
        elif isinstance(item, Event):
            item.call(*item.arguments)
        else:
            self._tell(item)

    def _tell(self, dropped: Dropped) -> None:
        count, options = dropped.count, self._options
        messages = "a message was" if count == 1 else f"{count} messages were"
        told = f"the handlers are too slow: {messages} dropped (queue of {options.size}, {options.policy})"
        super().error(MessagesDropped(told, count))
