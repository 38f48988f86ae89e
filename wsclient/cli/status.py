"""How a command ends."""

from typing import Final

DONE: Final = 0
REFUSED: Final = 1
NO_CONNECTION: Final = 3
NO_LOGIN: Final = 4
BAD_VALUE: Final = 6
NOT_KEPT: Final = 8
INTERRUPTED: Final = 130

STATUSES: Final = """\
Exit status: 0 done, 1 the exchange refused, 2 wrong usage, 3 no connection, 4 authentication failed,
6 bad value, 8 something couldn't be kept or read."""
