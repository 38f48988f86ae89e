"""Sinks by URL: the scheme chooses the store."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from ..errors import InvalidRequest
from .contract import Sink


def open_sink(url: str) -> Sink:
    """The sink that a URL names; `close()` it, or give it to `attach` or a `SinkQueue`, which will.

    jsonl:market.jsonl          a `JSONLinesSink`; options max_bytes, max_age (seconds), fsync; `.gz` compresses
    sqlite:market.db            an `SQLiteSink`; options synchronous, busy_timeout (seconds)
    mongodb://host/db.collection    a `MongoSink`; options as MongoDB has them; mongodb+srv: too

    A path is relative to the working directory or absolute, `sqlite:/var/market.db` or `sqlite:///var/market.db`;
    what URLs reserve is percent-encoded in it. Options follow a question mark, `jsonl:market.jsonl?max_age=3600`.
    Raises `InvalidRequest` for a URL that can't be understood, and what the sink raises that can't be opened.
    """
    if not isinstance(url, str):
        raise InvalidRequest(f"the sink's url is a str, not {type(url).__name__}")
    scheme, colon, rest = url.partition(":")
    if scheme in ("mongodb", "mongodb+srv") and colon:
        from .mongo import MongoSink

        return MongoSink(url)
    if scheme not in _OPTIONS or not colon:
        # the url itself is not named: it may contain a password
        raise InvalidRequest("a sink's url begins with jsonl:, sqlite: or mongodb:")
    path, options = _path(scheme, rest), _options(scheme, rest)
    if scheme == "jsonl":
        from .jsonl import JSONLinesSink

        return JSONLinesSink(path, **options)
    from .sqlite import SQLiteSink

    return SQLiteSink(path, **options)


def file_of(url: str) -> Path | None:
    """The file of a jsonl: or sqlite: url; None of other stores. Raises `InvalidRequest` like `open_sink`."""
    scheme, _, rest = url.partition(":")
    return Path(_path(scheme, rest)) if scheme in _OPTIONS else None


_OPTIONS: Final[dict[str, dict[str, Callable[[str], Any]]]] = {
    "jsonl": {"max_bytes": int, "max_age": float, "fsync": str},
    "sqlite": {"synchronous": str, "busy_timeout": float},
}


def _path(scheme: str, rest: str) -> str:
    path = rest.partition("?")[0]
    if path.startswith("//"):
        path = path[2:]
        if not path.startswith("/"):
            raise InvalidRequest(
                f"a {scheme}: url names no host: {scheme}:relative/path or {scheme}:///absolute/path"
            )
    path = unquote(path)
    if not path or "\0" in path or path.endswith(("/", os.sep)):
        raise InvalidRequest(f"a {scheme}: url names a file")
    return path


def _options(scheme: str, rest: str) -> dict[str, Any]:
    known = _OPTIONS[scheme]
    options: dict[str, Any] = {}
    for name, value in parse_qsl(rest.partition("?")[2], keep_blank_values=True):
        if name not in known:
            raise InvalidRequest(f"a {scheme}: url has the options {', '.join(known)}, not {name!r}")
        try:
            options[name] = known[name](value)
        except ValueError:
            raise InvalidRequest(f"the option {name} is a number, not {value!r}") from None
    return options
