"""Where a wire ends and how late its bytes are, on a transport and a loop of the test's own."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from wsclient.sandbox.wire import How, Wire
from wsclient.sandbox.wirefaults import Cut, Lag, Storm


class FakeTransport(asyncio.Transport):
    """Keeps what is written, and says how it was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ending: str | None = None

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.ending = "close"

    def abort(self) -> None:
        self.ending = "abort"

    def is_closing(self) -> bool:
        return self.ending is not None

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self

    def setsockopt(self, *_: object) -> None:
        """Stand in for the socket, too."""


class FakeTimer:
    """What a loop gives for what it is to do."""

    def __init__(self, when: float, action: Callable[[], object]) -> None:
        self.when = when
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        self.action = None


class FakeLoop:
    """What a wire needs of an event loop, in a time that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, action: Callable[..., object], *arguments: Any) -> FakeTimer:
        return self.call_at(self.now, lambda: action(*arguments))

    def call_at(self, when: float, action: Callable[[], object]) -> FakeTimer:
        self.due.append(FakeTimer(when, action))
        return self.due[-1]

    def turn(self) -> None:
        """One turn: what is due now, but not what that makes due."""
        ready = [timer for timer in self.due if timer.when <= self.now]
        self.due = [timer for timer in self.due if timer.when > self.now]
        for timer in ready:
            if timer.action is not None:
                timer.action()

    def turns(self, until: float) -> None:
        while self.due and (earliest := min(timer.when for timer in self.due)) <= until:
            self.now = max(self.now, earliest)
            self.turn()
        self.now = until


class Line:
    """A wire with both its ends."""

    def __init__(self, fault: Cut | Lag | Storm | None = None, number: int = 1) -> None:
        self.transport, self.loop = FakeTransport(), FakeLoop()
        self.taken: list[bytes] = []
        self.struck: list[How] = []
        self.meant = True
        self.wire = Wire(
            self.transport,
            number,
            loop=self.loop,  # type: ignore[arg-type]
            deliver=self.taken.append,
            meant=lambda: self.meant,
            struck=lambda wire, how: self.struck.append(how),
        )
        if fault is not None:
            fault.on_wire(self.wire)

    @property
    def heard(self) -> bytes:
        return b"".join(self.taken)

    @property
    def said(self) -> bytes:
        return b"".join(self.transport.written)


@pytest.mark.parametrize(("how", "ending"), [("close", "close"), ("reset", "abort"), ("mute", None)])
def test_a_wire_ends_at_the_very_byte_from_the_client(how: How, ending: str | None) -> None:
    line = Line(Cut(received=5, how=how))
    line.wire.data_received(b"abc")
    assert line.struck == []
    line.wire.data_received(b"defg")
    line.wire.data_received(b"hij")
    line.wire.write(b"reply")
    assert (line.heard, line.said) == (b"abcde", b"")
    assert (line.transport.ending, line.struck) == (ending, [how])
    assert (line.wire.received, line.wire.sent) == (5, 0)


def test_a_wire_ends_at_the_very_byte_to_the_client() -> None:
    line = Line(Cut(sent=4, how="close"))
    line.wire.write(b"abc")
    line.wire.write(b"def")
    line.wire.write(b"ghi")
    line.wire.data_received(b"command")
    assert (line.heard, line.said, line.transport.ending) == (b"", b"abcd", "close")


def test_a_cut_at_nothing_received_comes_at_once() -> None:
    line = Line(Cut(received=0))
    line.loop.turn()
    assert (line.transport.ending, line.struck) == ("abort", ["reset"])


def test_a_late_cut_lets_the_replies_to_what_has_come_leave() -> None:
    line = Line(Cut(received=3, late=True))
    line.wire.data_received(b"abcd")
    line.wire.data_received(b"ef")
    line.loop.turn()
    line.wire.write(b"reply")
    line.loop.turn()
    line.wire.write(b"more")
    assert (line.heard, line.said, line.struck) == (b"abc", b"reply", ["reset"])


def test_a_cut_that_was_taken_back_never_strikes() -> None:
    line = Line(Cut(received=3))
    line.meant = False
    line.wire.data_received(b"abcdef")
    line.wire.data_received(b"ghi")
    assert (line.heard, line.transport.ending, line.struck) == (b"abcdefghi", None, [])


def test_a_lag_delays_both_directions_and_keeps_their_order() -> None:
    line = Line(Lag(seconds=0.5))
    line.wire.data_received(b"a")
    line.wire.write(b"x")
    line.loop.turns(until=0.2)
    line.wire.data_received(b"b")
    line.wire.write(b"y")
    assert (line.heard, line.said) == (b"", b"")
    line.loop.turns(until=0.6)
    assert (line.heard, line.said) == (b"a", b"x")
    line.loop.turns(until=0.8)
    assert (line.heard, line.said) == (b"ab", b"xy")


def test_bytes_can_be_torn_to_pieces() -> None:
    line = Line(Lag(piece=2))
    line.wire.write(b"")
    line.wire.write(b"abcde")
    assert line.wire.get_write_buffer_size() == 5
    line.loop.turns(until=0)
    assert line.transport.written == [b"ab", b"cd", b"e"]
    assert line.wire.get_write_buffer_size() == 0


def test_an_end_comes_behind_what_is_delayed() -> None:
    line = Line(Lag(seconds=1))
    line.wire.write(b"abc")
    line.wire.close()
    line.wire.write(b"def")
    line.loop.turns(until=0.5)
    assert not line.transport.is_closing()
    line.loop.turns(until=1)
    assert (line.said, line.transport.ending) == (b"abc", "close")


def test_an_abort_waits_for_nothing() -> None:
    line = Line(Lag(seconds=1))
    line.wire.write(b"abc")
    line.wire.abort()
    assert (line.said, line.transport.ending) == (b"", "abort")


def test_what_a_client_said_before_its_end_arrives_before_it() -> None:
    line = Line(Lag(seconds=1))
    line.wire.data_received(b"abc")
    line.wire.eof_received()
    assert line.heard == b"abc"


def fate(seed: int, number: int) -> tuple[int, int, list[How]]:
    line = Line(Storm(seed=seed, reach=300, slow=0), number)
    for _ in range(1000):
        line.wire.data_received(b"c")
        line.wire.write(b"s")
        line.loop.turn()
    return line.wire.received, line.wire.sent, line.struck


def test_a_storm_gives_every_connection_a_fate_that_its_seed_repeats() -> None:
    fates = [fate(7, number) for number in range(1, 200)]
    assert fates == [fate(7, number) for number in range(1, 200)] != [fate(8, number) for number in range(1, 200)]
    assert all(struck for _, _, struck in fates)
    assert len({received for received, _, _ in fates}) > 50
    assert {how for _, _, struck in fates for how in struck} >= {"close", "reset"}


def test_a_storm_may_spare_connections() -> None:
    line = Line(Storm(spare=1.0))
    line.wire.data_received(b"c" * 100_000)
    assert line.struck == []
