"""The market streams' language: names, requests, and which event of a stream comes after which.

Source: the protocol page, "Market streams".
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..core.dialect import Answer, Dialect, Examined, Message, tag_of
from ..core.pacing import Limit
from ..errors import BadRequest, CommandError, RateLimited, WSClientError

MESSAGES: Final = "messages"

LIMITS: Final = {MESSAGES: Limit(3, 1, per_connection=True)}
"""The exchange allows 5 messages in a second, Pings and Pongs counted, which can't wait: two places are theirs."""

MAX_STREAMS: Final = 1024
"""Streams of one connection."""

BATCH: Final = 200
"""Names in one SUBSCRIBE."""

SHUTDOWN: Final = "serverShutdown"

Data = Any
Position = tuple[int, ...]
"""Where an event stands in its stream: later ones are greater."""


class Streams(Dialect):
    """How the core asks a connection of market streams, and reads its answers."""

    reply_mark = '"id"'
    frame_costs = {MESSAGES: 1}  # noqa: RUF012 - read only

    def examine(self, request: Message) -> Examined:
        return Examined(False, None)

    def tagged(self, request: Message, tag: int) -> Message:
        return {**request, "id": tag}

    def read(self, message: Message) -> Answer | None:
        tag = None if "stream" in message else tag_of(message, "id")
        return None if tag is None else Answer(tag, "result" in message)

    def costs(self, request: Message) -> Mapping[str, int]:
        return {MESSAGES: 1}

    def refusal(self, message: Message, request: Message) -> CommandError:
        error = message.get("error")
        told = error if isinstance(error, dict) else message  # both forms are in use
        names = [name if "@" in name else "…" for name in request.get("params", ())]  # a listenKey is a secret
        shown = {**request, "params": names}
        text = str(told.get("msg", "no reason given"))
        kind = RateLimited if "too many" in text.lower() else BadRequest
        return kind(told.get("code"), text, shown)


def subscribe(names: list[str]) -> Message:
    """The request that begins these streams."""
    return {"method": "SUBSCRIBE", "params": names}


def refused_stream(error: WSClientError) -> str | None:
    """The name of the one stream that the exchange has refused, if that is the error."""
    if not isinstance(error, CommandError) or not isinstance(error.request, dict):
        return None
    names = error.request.get("params")
    return names[0] if error.request.get("method") == "SUBSCRIBE" and names and len(names) == 1 else None


def unsubscribe(names: list[str]) -> Message:
    """The request that ends them."""
    return {"method": "UNSUBSCRIBE", "params": names}


def list_subscriptions() -> Message:
    """The request that asks which there are."""
    return {"method": "LIST_SUBSCRIPTIONS"}


# -- texts: {"stream": name, "data": event}

_START: Final = '{"stream":"'
_NAME: Final = re.compile(r'\s*\{\s*"stream"\s*:\s*"([^"\\]*)"')


def name_of(text: str) -> str | None:
    """The stream that a text is of, without decoding it; None for what isn't of a stream."""
    if text.startswith(_START):
        return text[11 : text.find('"', 11)]
    found = _NAME.match(text)
    return None if found is None else found[1]


# -- the order of events

_NUMBERS: Final = {"trade": "t", "aggTrade": "a", "depth": "u", "bookTicker": "u"}
_TIMED: Final = re.compile(r"kline_.*|ticker.*|miniTicker|avgPrice|arr")


def position_of(name: str) -> Callable[[Data], Position | None] | None:
    """What tells the position of an event in the stream of this name; None where only its text identifies it."""
    kind = name.partition("@")[2].split("@")[0]
    if kind in _NUMBERS:
        return lambda data: _integers(data, _NUMBERS[kind])
    if kind in ("depth5", "depth10", "depth20"):
        return lambda data: _integers(data, "lastUpdateId")
    if not _TIMED.fullmatch(kind):
        return None
    if kind == "arr":
        return lambda data: max((_integers(one, "E") or (0,) for one in data), default=None)
    if kind.startswith("kline_"):
        return lambda data: _integers(data, "E", _integers(data.get("k"), "t"))
    return lambda data: _integers(data, "E")


def time_of(name: str) -> Callable[[Data], int | None] | None:
    """What tells when a trade was made, which is the same whoever tells it; None for streams of something else.

    The later one of two trades has the higher number; if it has not, the numbers have begun again.
    """
    if not is_trades(name):
        return None
    return lambda data: (_integers(data, "T") or (None,))[0]


def begins_again(name: str) -> bool:
    """Whether events of this stream are numbered but have no such time: after a loss any number may follow."""
    kind = name.partition("@")[2].split("@")[0]
    return position_of(name) is not None and time_of(name) is None and not _TIMED.fullmatch(kind)


def is_trades(name: str) -> bool:
    """Whether this is a stream of trades, single or aggregated, whose ids leave nothing out."""
    return name.partition("@")[2] in ("trade", "aggTrade")


def _integers(data: Data, field: str, more: Position | None = ()) -> Position | None:
    value = data.get(field) if isinstance(data, dict) else None
    return (value, *(more or ())) if type(value) is int else None
