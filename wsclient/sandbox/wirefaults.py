"""Faults of the wire: what a network does to a connection, at a byte and not at a message.

    exchange.faults.add(Cut(sent=200, how="reset"))      # the next connection ends in the middle of something
    exchange.faults.add(Storm(seed=7))                   # from now on every connection has a fate of its own

Each is chosen when a TCP connection is made, before its handshake. One that hasn't struck when it is taken back
(`faults.remove`, `faults.clear`) never does.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from wsclient.sandbox.faults import WireFault
from wsclient.sandbox.wire import How, Wire

EARLY: Final = 1000
"""Within how many bytes handshake, greeting and login are over, or nearly."""
LARGEST_PIECE: Final = 400


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut(WireFault):
    """The connection ends after `received` bytes from the client, or after `sent` bytes to it.

    how: "close" ends TCP in order, without a Close frame; "reset" by an RST; "mute" leaves it half-open: nothing
        is heard or said any more, but the system still acknowledges what comes
    late: the cut comes a moment after the byte, so that what has arrived is answered, too; without, it is only run

    Both counts begin with the opening handshake. `received=0` ends the connection as soon as it was accepted.
    """

    received: int | None = None
    sent: int | None = None
    how: How = "reset"
    late: bool = False

    def on_wire(self, wire: Wire) -> None:
        """Tell the wire where it ends."""
        wire.cut(self.how, received=self.received, sent=self.sent, late=self.late)


@dataclass(frozen=True, eq=False, kw_only=True)
class Lag(WireFault):
    """All bytes of the connection arrive `seconds` later, either way, in pieces of `piece` bytes at most."""

    seconds: float = 0.0
    piece: int | None = None

    def on_wire(self, wire: Wire) -> None:
        """Slow the wire down."""
        wire.lag(self.seconds, self.piece)


@dataclass(frozen=True, eq=False, kw_only=True)
class Storm(WireFault):
    """Weather for campaigns: every connection is cut at a random byte of a random direction, and some are slow.

    reach: bytes; a cut falls anywhere up to here
    early: the part of the cuts that falls into the first thousand bytes: opening handshake, greeting and login
    spare: the part of the connections that is not cut
    mute: the part of the cuts that leaves the connection half-open; the others end it by FIN or RST alike
    slow: the part of the connections whose bytes are delayed, by up to `longest_lag` seconds, or torn to pieces

    What befalls the n-th connection is the same for every storm of one `seed`.
    """

    times: int | None = None
    seed: int = 0
    reach: int = 20_000
    early: float = 0.2
    spare: float = 0.0
    mute: float = 0.02
    slow: float = 0.1
    longest_lag: float = 0.005

    def on_wire(self, wire: Wire) -> None:
        """Draw this connection's fate."""
        random = Random(f"wsclient sandbox storm {self.seed} {wire.number}")
        position = random.randint(1, EARLY if random.random() < self.early else self.reach)
        how: How = "mute" if random.random() < self.mute else random.choice(("close", "reset"))
        upwards, late = random.random() < 0.5, random.random() < 0.5
        if random.random() >= self.spare:
            received, sent = (position, None) if upwards else (None, position)
            wire.cut(how, received=received, sent=sent, late=late)
        if random.random() < self.slow:
            piece = random.randint(1, LARGEST_PIECE) if random.random() < 0.5 else None
            wire.lag(random.uniform(0, self.longest_lag), piece)
