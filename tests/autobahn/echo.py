"""A client that echoes, as the fuzzing server wants one, made of the real session."""

import time
from dataclasses import dataclass

from wsclient.core import frames
from wsclient.core.bounded import Abort
from wsclient.core.calls import Calls
from wsclient.core.codec import Codec
from wsclient.core.connect import Endpoint, open_socket
from wsclient.core.deflate import Deflater, Inflater
from wsclient.core.dialect import Answer, Dialect, Examined, Greeting, Message
from wsclient.core.handlers import Caller, Handlers
from wsclient.core.meter import Meter
from wsclient.core.session import Ending, Session
from wsclient.core.taps import Taps
from wsclient.core.transport import Transport
from wsclient.core.watches import Watches
from wsclient.errors import CommandError


class Nothing(Dialect):
    """A language without replies and logins: every text is a notice."""

    reply_mark = "\0"

    def examine(self, request: Message) -> Examined:
        return Examined(private=False, tag=None)

    def tagged(self, request: Message, tag: int) -> Message:
        return request

    def read(self, message: Message) -> Answer | Greeting | None:
        return None

    def refusal(self, message: Message, request: Message) -> CommandError:
        raise NotImplementedError


@dataclass
class Told:
    """What the handlers were told."""

    texts: list[str]
    errors: list[Exception]


class EchoSession(Session):
    """Sends every message back."""

    def on_event(self, event: frames.Event) -> None:
        if isinstance(event, frames.Binary) and self._ending is None:
            self._transport.send(frames.BINARY, event.data)
        else:
            super().on_event(event)


def run(url: str, *, echo: bool = True, compression: bool = True, timeout: float = 60) -> tuple[Ending, Told]:
    """Connects, echoes until the server closes, and says how it ended and what the handlers were told."""
    endpoint = Endpoint(url, timeout, compression="deflate" if compression else None)
    opened = open_socket(endpoint, Abort())
    agreed = opened.compression
    transport = Transport(opened.socket, timeout, Deflater(agreed) if agreed else None)
    told = Told([], [])

    def on_message(_: None, text: str) -> None:
        if echo:
            transport.send(frames.TEXT, text.encode())
        else:
            told.texts.append(text)

    handlers = Handlers[None](message=on_message, error=lambda _, error: told.errors.append(error))
    session = EchoSession(
        transport,
        name=endpoint.safe_url,
        dialect=Nothing(),
        calls=Calls(Nothing(), lambda: False),
        caller=Caller(None, handlers),
        watches=Watches(Nothing(), time.monotonic),
        taps=Taps(),
        meter=Meter(Nothing(), None, None, time.monotonic),
        credentials=lambda: None,
        exposing=lambda: None,
        login_settled=lambda session, attempt, failure: None,
        timeout=timeout,
        ping_interval=timeout,
        max_message_size=1 << 24,
        inflater=Inflater(agreed) if agreed else None,
        codec=Codec(),
    )
    return session.run(), told
