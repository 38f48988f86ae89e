"""Faults to be scripted: what an exchange does wrong, once, or sometimes, or always.

    exchange.faults.add(Drop(method="PlaceOrder", when="executed"))

Every fault says what it meets (`method`, `user`, `session`; None meets all), from which match on (`nth`), how
often (`times`; None: without end) and, for campaigns, with which probability (`chance`). The first fault added
that meets a command takes it. A new kind is a small class with an `on_command`.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from random import Random
from typing import Any, Final, Literal, TypeVar

from wsclient.sandbox.delivery import Delivery
from wsclient.sandbox.line import Line
from wsclient.sandbox.turn import Turn
from wsclient.sandbox.venue import encode
from wsclient.sandbox.wire import Wire


@dataclass(frozen=True, eq=False, kw_only=True)
class Fault:
    """How often: from the `nth` match, `times` times, each time with the probability `chance`."""

    nth: int = 1
    times: int | None = 1
    chance: float = 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class CommandFault(Fault):
    """A fault that takes a command's turn into its hands."""

    method: str | None = None
    user: int | None = None
    session: int | None = None

    def meets(self, turn: Turn, user: int | None) -> bool:
        """Whether this fault is meant for a command."""
        return (
            (self.method is None or self.method == turn.request.method)
            and (self.user is None or self.user == user)
            and (self.session is None or self.session == turn.line.id)
        )

    def on_command(self, turn: Turn) -> None:
        """Do with a command what this fault does. Notices are published afterwards in any case."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class NoticeFault(Fault):
    """A fault of what is said unasked, chosen for each message and each session; the kinds are in `noticefaults`.

    `kind` is the message's type (Coinbase), notice (CoinFLEX) or event (Binance), `product` its product or symbol.
    """

    kind: str | None = None
    product: str | None = None
    session: int | None = None

    def meets(self, delivery: Delivery) -> bool:
        """Whether this fault is meant for a message."""
        return (
            (self.session is None or self.session == delivery.line.id)
            and (self.kind is None or self.kind == delivery.kind)
            and (self.product is None or self.product == delivery.product)
        )

    def on_notice(self, delivery: Delivery) -> None:
        """Do with a message what this fault does, in place of sending it."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class WireFault(Fault):
    """A fault of a TCP connection, chosen when that is made; the kinds are in `wirefaults`."""

    def on_wire(self, wire: Wire) -> None:
        """Say what is to befall the connection; no byte has passed yet."""
        raise NotImplementedError


# ---------------------------------------------------------------- no reply


@dataclass(frozen=True, eq=False, kw_only=True)
class Mute(CommandFault):
    """The command is run and never answered."""

    def on_command(self, turn: Turn) -> None:
        """Run it."""
        turn.execute()


@dataclass(frozen=True, eq=False, kw_only=True)
class Silence(CommandFault):
    """The command is run, and the connection falls silent for good: no replies, no notices, but open.

    With `answer_pings` Pings are answered still and commands run; without, it is as if the cable had been cut.
    """

    answer_pings: bool = False

    def on_command(self, turn: Turn) -> None:
        """Run it."""
        turn.execute()
        turn.line.fall_silent(answer_pings=self.answer_pings)


@dataclass(frozen=True, eq=False, kw_only=True)
class Unfed(CommandFault):
    """The command is run and answered, and from then on its connection gets replies and Pongs but no notices.

    So a watched feed looks like a market in which nothing happens.
    """

    def on_command(self, turn: Turn) -> None:
        """Run it, answer, and end the notices before those that it causes."""
        turn.answer()
        turn.line.unfed = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Drop(CommandFault):
    """The connection ends: before the command is run, after it was `executed`, or after it was `answered`.

    Without a `code` the TCP connection is cut and no Close frame seen; with one, a Close frame says so.
    """

    when: Literal["before", "executed", "answered"] = "executed"
    code: int | None = None
    reason: str = ""

    def on_command(self, turn: Turn) -> None:
        """End the connection at the moment that was asked for."""
        if self.when != "before":
            turn.execute()
        if self.when == "answered":
            turn.answer()
        if self.code is not None:
            turn.line.close(self.code, self.reason)
        elif self.when == "answered":
            turn.line.hang_up()
        else:
            turn.line.abort()


@dataclass(frozen=True, eq=False, kw_only=True)
class CutFrame(CommandFault):
    """The command is run, and the connection cut after `keep` bytes of the reply's frame (None: half of it)."""

    keep: int | None = None

    def on_command(self, turn: Turn) -> None:
        """Send a part of the reply and cut."""
        frame = text_frame(turn.reply)
        keep = len(frame) // 2 if self.keep is None else self.keep
        turn.line.write_raw(frame[:keep])
        turn.line.hang_up()


# ---------------------------------------------------------------- other replies than expected


class Gate:
    """Something that a test opens and a delayed reply waits for. Any thread may open it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._waiting: list[Callable[[], object]] = []

    def open(self) -> None:
        """Let everything through, from now on."""
        with self._lock:
            self._open = True
            waiting, self._waiting = self._waiting, []
        for action in waiting:
            action()

    def when_open(self, action: Callable[[], object]) -> None:
        """Call `action` once the gate is open, on the thread that opens it."""
        with self._lock:
            if not self._open:
                self._waiting.append(action)
                return
        action()


@dataclass(frozen=True, eq=False, kw_only=True)
class Delay(CommandFault):
    """The command is run at once and answered after `seconds`, or when the test opens the `gate`."""

    seconds: float = 0.0
    gate: Gate | None = None

    def on_command(self, turn: Turn) -> None:
        """Run it, and answer later."""
        turn.execute()
        if self.gate is None:
            turn.line.later(self.seconds, turn.answer)
        else:
            self.gate.when_open(lambda: turn.line.soon(turn.answer))


@dataclass(frozen=True, eq=False, kw_only=True)
class Reorder(CommandFault):
    """Commands run in order, their replies leave in another: `window` replies at a time are held and mixed.

    What is held leaves at the latest when nothing has arrived for `linger` seconds, so that no caller waits for
    ever. Lasts until it is cleared, unless `times` is set.
    """

    times: int | None = None
    window: int = 8
    order: Literal["shuffled", "reversed"] = "shuffled"
    linger: float = 0.005
    seed: int = 0

    def on_command(self, turn: Turn) -> None:
        """Run it, and hold its reply."""
        turn.execute()
        held = turn.line.memory.get(self)
        if held is None:
            held = turn.line.memory[self] = _Held(Random(f"{self.seed} {turn.line.id}"))
        held.turns.append(turn)
        if held.timer is not None:
            held.timer.cancel()
        if len(held.turns) >= self.window:
            self._release(held)
        else:
            held.timer = turn.line.later(self.linger, lambda: self._release(held))

    def _release(self, held: "_Held") -> None:
        turns, held.turns, held.timer = held.turns, [], None
        if self.order == "reversed":
            turns.reverse()
        else:
            held.random.shuffle(turns)
        for turn in turns:
            turn.answer()


@dataclass(slots=True)
class _Held:
    """The replies that a Reorder holds back on one connection."""

    random: Random
    turns: list[Turn] = field(default_factory=list)
    timer: Any = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Duplicate(CommandFault):
    """The command is run once and answered `copies` times."""

    copies: int = 2

    def on_command(self, turn: Turn) -> None:
        """Run it and answer."""
        for _ in range(self.copies):
            turn.answer()


@dataclass(frozen=True, eq=False, kw_only=True)
class Garbage(CommandFault):
    """Something else is sent: a text (str), a binary message (bytes), with `raw` those very bytes on the socket.

    The command is run. With `instead` it isn't answered; without, the garbage comes before its reply.
    """

    payload: str | bytes
    raw: bool = False
    instead: bool = True

    def on_command(self, turn: Turn) -> None:
        """Run it, send the garbage, and perhaps the reply."""
        turn.execute()
        if self.raw:
            turn.line.write_raw(self.payload if isinstance(self.payload, bytes) else self.payload.encode())
        else:
            turn.line.send(self.payload)
        if not self.instead:
            turn.answer()


# ---------------------------------------------------------------- at the beginning of a connection


@dataclass(frozen=True, eq=False, kw_only=True)
class Welcome(Fault):
    """The first message of a connection comes `copies` times (0: never), with fields replaced or left out.

    `text` is sent in its place. With `drop` the connection is ended right after. Two Welcomes have the same nonce,
    and a login by it succeeds.
    """

    copies: int = 1
    replace: Mapping[str, object] = field(default_factory=dict)
    omit: tuple[str, ...] = ()
    text: str | None = None
    drop: bool = False

    def on_greeting(self, line: Line, greeting: Mapping[str, Any]) -> None:
        """Say it wrong."""
        altered = {name: value for name, value in {**greeting, **self.replace}.items() if name not in self.omit}
        for _ in range(self.copies):
            line.send(encode(altered) if self.text is None else self.text)
        if self.drop:
            line.hang_up()


@dataclass(frozen=True, eq=False, kw_only=True)
class Refuse(Fault):
    """A connection is answered with an HTTP response in place of the WebSocket handshake.

    Plain HTTP requests are left alone, unless `path` is where a refused request's path has to begin.
    """

    path: str | None = None
    status: int = 503
    body: str = "The sandbox was told to refuse this connection.\n"
    headers: Mapping[str, str] = field(default_factory=dict)


# ---------------------------------------------------------------- which fault applies


F = TypeVar("F", bound=Fault)


@dataclass(slots=True)
class _Rule:
    fault: Fault
    matches: int = 0
    uses: int = 0


class Faults:
    """The faults that are scripted now. Any thread may add and clear; the server asks.

    methods: what the exchange's commands are called; empty: anything
    """

    def __init__(self, *, seed: int = 0, methods: Iterable[str] = ()) -> None:
        self._methods: Final = frozenset(methods)
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._random: Final = Random(f"wsclient sandbox faults {seed}")

    def add(self, *faults: Fault) -> None:
        """Script faults; each counts its matches from now.

        Raises `TypeError` for what is no fault, `ValueError` for a method that the exchange doesn't have.
        """
        for fault in faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"a fault is an object such as Drop(method=…), not {fault!r}")
            method = fault.method if isinstance(fault, CommandFault) else None
            if method is not None and self._methods and method not in self._methods:
                near = get_close_matches(str(method), self._methods, 1)
                meant = f"; is {near[0]} meant?" if near else ""
                raise ValueError(f"the exchange has no method {method!r}{meant}")
        with self._lock:
            self._rules = [*self._rules, *(_Rule(fault) for fault in faults)]

    def remove(self, fault: Fault) -> None:
        """Take back one fault, used up or not."""
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.fault is not fault]

    def clear(self) -> None:
        """Take back all faults. What has been done to a connection already is not undone."""
        with self._lock:
            self._rules = []

    @property
    def waiting(self) -> list[Fault]:
        """The faults that can still take effect."""
        with self._lock:
            return [rule.fault for rule in self._rules if rule.fault.times is None or rule.uses < rule.fault.times]

    def has(self, fault: Fault) -> bool:
        """Whether a fault is scripted and was not taken back, used up or not."""
        return any(rule.fault is fault for rule in self._rules)  # adding and taking back replace the list

    def for_wire(self) -> WireFault | None:
        """The fault for a TCP connection that was just made."""
        return self._choose(WireFault, lambda fault: True)

    def for_connection(self, path: str = "", *, plain: bool = False) -> Refuse | None:
        """The fault for a connection that is being made, or for a plain HTTP request."""
        return self._choose(Refuse, lambda fault: not plain if fault.path is None else path.startswith(fault.path))

    def for_greeting(self) -> Welcome | None:
        """The fault for a connection that is to be greeted."""
        return self._choose(Welcome, lambda fault: True)

    @property
    def none(self) -> bool:
        """Whether no fault is scripted at all."""
        return not self._rules

    def for_notice(self, delivery: Delivery) -> NoticeFault | None:
        """The fault for a message that is said unasked."""
        return self._choose(NoticeFault, lambda fault: fault.meets(delivery))

    def for_command(self, turn: Turn, user: int | None) -> CommandFault | None:
        """The fault for a command."""
        return self._choose(CommandFault, lambda fault: fault.meets(turn, user))

    def _choose(self, kind: type[F], meets: Callable[[F], bool]) -> F | None:
        if not self._rules:  # by far the most common case costs nothing
            return None
        with self._lock:
            for rule in self._rules:
                fault = rule.fault
                if not isinstance(fault, kind) or (fault.times is not None and rule.uses >= fault.times):
                    continue
                if not meets(fault):
                    continue
                rule.matches += 1
                if rule.matches >= fault.nth and (fault.chance >= 1 or self._random.random() < fault.chance):
                    rule.uses += 1
                    return fault
            return None


def text_frame(text: str) -> bytes:
    """A whole unmasked text frame, written by hand where a part of one is to be sent (RFC 6455, section 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
