"""One record a line: how JSON Lines files spell it, and how it is read back. Pure.

    {"time":1700000000000000,"venue":"coinbase","product":"BTC-USD","type":"match","message":{…}}

`exchange_time` stands before the message where it is known. The message is embedded byte for byte as it was
received; what is no JSON, or would break the line, stands as a string under `text` instead.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from .contract import Record
from .records import strict_json

_MESSAGE: Final = ',"message":'

_quote = lru_cache(maxsize=1024)(json.dumps)  # the same few venues, products and types again and again


def encode(records: Iterable[Record]) -> bytes:
    """The records' lines."""
    parts = []
    for record in records:
        text = record.text
        if record.message is None or "\n" in text or "\r" in text:
            parts.append(_head(record) + _as_string(text))
        else:
            parts.append(_head(record) + _MESSAGE + text + "}\n")
    try:
        return "".join(parts).encode()
    except UnicodeEncodeError:
        # half of a surrogate pair, which UTF-8 can't hold and JSON can escape
        return b"".join((_head(record) + _as_string(record.text)).encode() for record in records)


def _head(record: Record) -> str:
    exchange = "" if record.exchange_time is None else f',"exchange_time":{record.exchange_time}'
    return (
        f'{{"time":{record.time},"venue":{_quote(record.venue)},"product":{_quote(record.product)}'
        f',"type":{_quote(record.type)}{exchange}'
    )


def _as_string(text: str) -> str:
    return f',"text":{json.dumps(text)}}}\n'


def decode(line: bytes) -> Record:
    """The record of a line; `ValueError` where it is none."""
    whole = line.decode()
    fields = json.loads(whole)
    if not isinstance(fields, dict) or not isinstance(fields.get("time"), int):
        raise ValueError("not a line of a sink")
    message: Any = None
    if "message" in fields:
        # our own lines have it last, and nothing before it can contain this: a quote in a name is escaped
        text = whole.rstrip("\n").partition(_MESSAGE)[2].removesuffix("}")
        message = fields["message"]
        if not text:  # another program has written the line anew
            text = json.dumps(message)
    elif isinstance(fields.get("text"), str):
        text = fields["text"]
        message = strict_json(text)
    else:
        raise ValueError("not a line of a sink")
    return Record(
        fields.get("venue", ""),
        fields.get("product"),
        fields.get("type"),
        fields["time"],
        text,
        fields.get("exchange_time"),
        None,
        message,
    )
