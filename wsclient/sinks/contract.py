"""What a sink is, and what it is given."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol


class Record(NamedTuple):
    """One message to be kept.

    venue: the exchange's name, as `attach` was told it
    product: the market that the message is about, in the exchange's own spelling; None where there is none
    type: what kind of message it is, in the exchange's own word; None where that can't be told
    time: when it was received, microseconds since the Unix epoch
    text: the message as received
    exchange_time: when the exchange says it happened, microseconds since the Unix epoch, if it says so
    id: 24 hexadecimal digits that no other record has (an ObjectId as MongoDB defines it), given by the queue
        before the first try, so that a store which knows ids keeps a batch that is tried twice only once
    message: the text decoded as strict JSON, None where it is none; shared, so don't change it
    """

    venue: str
    product: str | None
    type: str | None
    time: int
    text: str
    exchange_time: int | None = None
    id: str | None = None
    message: Any = None


class Refusal(NamedTuple):
    """A record that a store will never take, and why."""

    record: Record
    reason: str


class Sink(Protocol):
    """A place where messages can be kept. One thread at a time calls it: a `SinkQueue`'s writer thread."""

    def write_many(self, records: Sequence[Record], /) -> Sequence[Refusal] | None:
        """Keeps the records, in their order; once it returns, another process can find them.

        Returns those that can never be kept, if there are any; the others are kept. Any exception means that the
        store is away for now: the same records are given again later, and a sink that kept a part of them must see
        to it that they are there once.
        """

    def close(self) -> None:
        """Lets go of the store. Nothing is written after it."""


class Shape(NamedTuple):
    """What can be told of a message: product, type, and the exchange's own time (microseconds, Unix epoch)."""

    product: str | None = None
    type: str | None = None
    time: int | None = None


Classifier = Callable[[Any], Shape]
"""Looks at a decoded message, which may be any JSON value; runs on the writer thread."""
