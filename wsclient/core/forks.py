"""A process that was forked has copies of its parent's clients, and of their sockets, but not of their threads."""

import os

from ..errors import ClientClosed

_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def count() -> int:
    """How many forks lie between the first process and this one."""
    return _forks


def refuse_if_forked(since: int) -> None:
    """Raises `ClientClosed` where what was made at this count belongs to the parent, whose socket it would use."""
    if since != _forks:
        raise ClientClosed("the client was made in another process: make a new one here")
