"""What can go wrong with what is said unasked: messages lost, repeated, late, or the last of their connection.

    exchange.faults.add(Skip(kind="match", product="BTC-USD"), Late(kind="snapshot", by=1))

They are scripted as all faults are (`nth`, `times`, `chance`), but meet notices, feed messages and snapshots in
place of commands: each message counts once for every session that it is for. What a session doesn't get has
happened all the same, so a sequence skips where a message was skipped.
"""

from dataclasses import dataclass
from typing import Literal

from wsclient.sandbox.delivery import Delivery
from wsclient.sandbox.faults import NoticeFault


@dataclass(frozen=True, eq=False, kw_only=True)
class Skip(NoticeFault):
    """The message is lost."""

    def on_notice(self, delivery: Delivery) -> None:
        """Do nothing."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Repeat(NoticeFault):
    """The message comes twice: at once, or (`after`) once more when so many others of its product have come."""

    after: int = 0
    linger: float = 1.0

    def on_notice(self, delivery: Delivery) -> None:
        """Send it, and again."""
        delivery.send()
        if self.after:
            delivery.hold(self.after, self.linger)
        else:
            delivery.send()


@dataclass(frozen=True, eq=False, kw_only=True)
class Late(NoticeFault):
    """The message comes behind the next `by` messages of its product, or after `linger` seconds without them.

    So `Late(kind="snapshot")` makes an update come before the snapshot that it updates.
    """

    by: int = 1
    linger: float = 1.0

    def on_notice(self, delivery: Delivery) -> None:
        """Hold it."""
        delivery.hold(self.by, self.linger)


@dataclass(frozen=True, eq=False, kw_only=True)
class Break(NoticeFault):
    """The connection ends, before the message or after it.

    Without a `code` the TCP connection is cut and no Close frame seen; with one, a Close frame says so.
    """

    when: Literal["before", "after"] = "before"
    code: int | None = None
    reason: str = ""

    def on_notice(self, delivery: Delivery) -> None:
        """End the connection."""
        if self.when == "after":
            delivery.send()
        if self.code is not None:
            delivery.line.close(self.code, self.reason)
        elif self.when == "after":
            delivery.line.hang_up()
        else:
            delivery.line.abort()


@dataclass(frozen=True, eq=False, kw_only=True)
class Hush(NoticeFault):
    """From this message on the session is told nothing unasked any more: it gets replies and Pongs alone."""

    def on_notice(self, delivery: Delivery) -> None:
        """Send nothing, ever."""
        delivery.line.unfed = True
