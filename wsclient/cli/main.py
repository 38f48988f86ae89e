"""The command line: its commands, and how each way to fail ends it."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from .. import errors
from ..version import __version__
from . import record, show
from .status import BAD_VALUE, DONE, INTERRUPTED, NO_CONNECTION, NO_LOGIN, NOT_KEPT, REFUSED, STATUSES

PROG: Final = "python -m wsclient"


def parser() -> argparse.ArgumentParser:
    """The options of all commands, with their help."""
    options = argparse.ArgumentParser(
        prog=PROG,
        description="Record what exchanges say, and read what was kept.",
        epilog=f"Each command has its own --help.\n\n{STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--version", action="version", version=f"wsclient {__version__}")
    commands = options.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (record, show):
        command.add_to(commands)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status."""
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # what exchanges say may be more than the terminal can show
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        status = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read us, head perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return status


def _run(options: argparse.Namespace) -> int:
    try:
        status: int = options.run(options)
        return status
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except errors.AuthenticationError as error:  # before what it may be besides
        return _end(NO_LOGIN, error)
    except errors.CommandError as error:
        return _end(REFUSED, error)
    except errors.InvalidRequest as error:
        return _end(BAD_VALUE, error)
    except errors.SinkError as error:
        return _end(NOT_KEPT, error)
    except (ConnectionError, TimeoutError) as error:
        return _end(NO_CONNECTION, error)
    except OSError as error:
        return _end(NOT_KEPT, f"{error.strerror}: {error.filename}" if error.filename else error)
    except ImportError as error:
        return _end(BAD_VALUE, error)


def _end(status: int, sentence: object) -> int:
    print(f"{PROG}: {sentence}", file=sys.stderr)
    return status
