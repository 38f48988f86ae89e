"""The user's handlers, called so that nothing they raise changes anything."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import InvalidRequest

logger = logging.getLogger("wsclient")

C = TypeVar("C")


@dataclass(frozen=True)
class Handlers(Generic[C]):
    """What the user wants to be told; each is called with the client first, and may be None.

    message: (client, text); error: (client, error); open: (client,); close: (client, code, reason);
    ping and pong: (client, payload)
    """

    message: Callable[[C, str], object] | None = None
    error: Callable[[C, Exception], object] | None = None
    open: Callable[[C], object] | None = None
    close: Callable[[C, int | None, str | None], object] | None = None
    ping: Callable[[C, bytes], object] | None = None
    pong: Callable[[C, bytes], object] | None = None

    def __post_init__(self) -> None:
        for name, handler in vars(self).items():
            if handler is not None and not callable(handler):
                name = {"message": "msg", "error": "err"}.get(name, name)
                raise InvalidRequest(f"{name}_handler must be callable, not {handler!r}")


class Load(NamedTuple):
    """What waits for the handlers now, and how many texts never reached them: dropped, or superseded by newer."""

    waiting: int = 0
    dropped: int = 0
    conflated: int = 0


class Caller(Generic[C]):
    """Calls handlers for one client. What they raise is reported to the error handler, and goes no further."""

    def __init__(self, client: C, handlers: Handlers[C]) -> None:
        self.client = client
        self._handlers = handlers
        self.on_message = handlers.message
        self.handles_errors = handlers.error is not None

    def message(self, text: str) -> None:
        self._call(self.on_message, text)

    def opened(self) -> None:
        self._call(self._handlers.open)

    def closed(self, code: int | None, reason: str | None) -> None:
        self._call(self._handlers.close, code, reason)

    def ping(self, payload: bytes) -> None:
        self._call(self._handlers.ping, payload)

    def pong(self, payload: bytes) -> None:
        self._call(self._handlers.pong, payload)

    def tell(self, handler: Callable[..., object] | None, *args: Any) -> None:
        """Calls a handler of the venue's own, as the others are; on the event thread."""
        self._call(handler, *args)

    def error(self, error: Exception) -> None:
        """Reports an error; logs it where nobody handles errors."""
        handler = self._handlers.error
        if handler is None:
            logger.error("%s: %s", type(error).__name__, error)
            return
        try:
            handler(self.client, error)
        except BaseException:
            # to the error handler itself it isn't reported: that would go on for ever
            logger.exception("err_handler raised; it was called with %r", error)

    # -- for handlers that run elsewhere, see `handler_queue`: here nothing has to be done

    @property
    def load(self) -> Load:
        return Load()

    def nudge(self) -> None:
        """Somebody begins to wait for what the event thread alone can bring."""

    def retire(self) -> None:
        """The event thread ends."""

    def release(self) -> None:
        """The client stops: the event thread may wait for handlers no more."""

    def finish(self, timeout: float) -> None:
        """The event thread has ended: waits for the handlers to do what is left, so many seconds at most."""

    def _call(self, handler: Callable[..., object] | None, *args: Any) -> None:
        if handler is None:
            return
        try:
            handler(self.client, *args)
        except BaseException as error:
            self.raised(handler, error)

    def raised(self, handler: Callable[..., object], error: BaseException) -> None:
        """Reports what a handler raised."""
        if not isinstance(error, Exception):
            # SystemExit and the like end a thread silently; the event thread has everybody's calls to serve
            told = RuntimeError(f"a handler raised {error!r}, which can't end the event thread: use stop()")
            told.__cause__ = error
            error = told
        if self._handlers.error is None:
            logger.error("the handler %r raised", handler, exc_info=error)
        else:
            self.error(error)
