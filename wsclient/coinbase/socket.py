"""Stream: the feed as a socket that is polled, for those who come from `coinbase_pro.socket`.

from wsclient.coinbase.socket import Stream, Token, get_default_message

stream = Stream()
stream.connect()
stream.send(get_default_message())
while stream.connected:
    print(stream.receive())
"""

import json
import sys
import threading
from collections import deque
from typing import Any, Final, Self

from ..core.codec import codec
from ..core.connect import Endpoint
from ..core.connection import Connection, State
from ..core.handlers import Handlers
from ..errors import ClientClosed, InvalidRequest, NotSent, ProtocolError, WouldDeadlock, WSClientError
from .channels import get_default_message, get_message
from .dialect import Coinbase
from .feed import MARKET_DATA
from .signing import FIELDS, Token

__all__ = ["Stream", "Token", "get_default_message", "get_message"]

_TIMEOUT: Final = 10.0  # seconds for each step of connecting
_PING_INTERVAL: Final = 30.0  # seconds
_WAITING: Final = 10_000  # messages that wait to be received, before no more are read


class Stream:
    """One connection: connect it, send what to subscribe to, receive what comes. It isn't got back when lost.

    The connection is kept alive from the moment that it is made; nothing has to be called for that. While nobody
    receives, 10,000 messages wait here, and the others with the exchange, which in the end drops who is too slow.

    auth: with it each subscribe message is signed, unless it has a signature
    url: ws:// or wss://; Coinbase's market data unless given
    trace: print what is sent and received to stderr, but for the fields that authenticate
    """

    def __init__(self, auth: Token | None = None, url: str | None = None, trace: bool = False) -> None:
        if auth is not None and not isinstance(auth, Token):
            raise InvalidRequest(f"auth is a Token, not {type(auth).__name__}")
        self.auth = auth
        self.url = MARKET_DATA if url is None else url
        self.trace = trace
        self._endpoint = Endpoint(self.url, _TIMEOUT)
        self._lock = threading.Lock()  # guards what follows
        self._changed = threading.Condition(self._lock)
        self._connection: Connection[Stream] | None = None
        self._messages: deque[dict[str, Any]] = deque()
        self._ended = True

    @property
    def connected(self) -> bool:
        """Whether there is a connection now. What it has brought before it ended may still be received."""
        connection = self._connection
        return connection is not None and not self._ended and connection.state is State.OPEN

    def connect(self) -> bool:
        """Connects, unless that is done; whether there is a connection. Why there is none, is logged.

        The exchange ends a connection on which nothing is subscribed to within 5 s.
        """
        with self._changed:
            connection, last = self._connection, None
            if connection is None or self._ended:
                last, connection = connection, self._new_connection()
                self._messages.clear()
                self._connection, self._ended = connection, False
                self._changed.notify_all()
        if last is not None:
            last.stop()
        try:
            connection.connect()
        except WSClientError as error:
            if self._end(connection):
                connection.report(error)
            connection.stop()
        return self.connected

    def _new_connection(self) -> "Connection[Stream]":
        connection: Connection[Stream] = Connection(
            self,
            self._endpoint,
            Coinbase(strict=False),
            Handlers(
                message=lambda stream, text: stream._on_text(connection, text),
                close=lambda stream, code, reason: stream._on_close(connection),
            ),
            ping_interval=_PING_INTERVAL,
            max_message_size=16 * 1024 * 1024,
            codec=codec(None, None),
        )
        connection.credentials = self.auth
        return connection

    def send(self, message: dict[str, Any]) -> None:
        """Sends a message, a subscribe message for instance; what the exchange says to it is to be received.

        Raises `NotSent` without a connection, `InvalidRequest` for what can't be sent.
        """
        connection = self._connection
        if connection is None or not self.connected:
            raise NotSent("not sent: there is no connection, connect() makes one")
        if self.trace:
            shown = {name: value for name, value in message.items() if name not in FIELDS}
            print(f"> {json.dumps(shown)}", file=sys.stderr)
        try:
            connection.submit(message)
        except ClientClosed as error:
            raise NotSent("not sent: the connection has just ended, connect() makes a new one") from error

    def receive(self) -> dict[str, Any]:
        """The next message, in the order of the wire; waits for it. Empty once the connection has ended."""
        connection = self._connection
        if connection is not None and connection.on_event_thread():
            raise WouldDeadlock("receive() waits for what only this thread, the event thread, can read")
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._ended)
            if not self._messages:
                return {}
            message = self._messages.popleft()
            self._changed.notify_all()
        return message

    def ping(self) -> None:
        """Waits until the connection has ended. It is kept alive meanwhile, as it is without this."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)

    def disconnect(self) -> bool:
        """Ends the connection, if there is one; whether it is closed. It may be connected again."""
        with self._changed:
            connection, self._ended = self._connection, True
            self._changed.notify_all()
        if connection is not None:
            connection.stop()
        return not self.connected

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def __reduce__(self) -> Any:
        raise TypeError("a Stream holds a connection and credentials, and can't be pickled")

    def __repr__(self) -> str:
        return f"<Stream {self._endpoint.safe_url} {'open' if self.connected else 'closed'}>"

    def _end(self, connection: "Connection[Stream]") -> bool:
        """A connection has ended: whether it is ours still, and nobody has said so before."""
        with self._changed:
            news = self._connection is connection and not self._ended
            if news:
                self._ended = True
                self._changed.notify_all()
        return news

    # -- the event thread

    def _on_text(self, connection: "Connection[Stream]", text: str) -> None:
        if self.trace:
            print(f"< {text}", file=sys.stderr)
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ProtocolError("the feed sent JSON that isn't an object")
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._messages) < _WAITING or self._ended or self._connection is not connection
            )
            if self._connection is connection:  # and not a later one
                self._messages.append(message)
                self._changed.notify_all()

    def _on_close(self, connection: "Connection[Stream]") -> None:
        self._end(connection)
        connection.stop()  # or what is sent just now would open another one
