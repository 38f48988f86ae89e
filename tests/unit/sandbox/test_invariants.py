"""What must hold whatever happens: long random sequences of commands, checked by a replay of the events."""

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sandbox.replay import Replay
from wsclient.sandbox.engine import Engine, EngineError, Fees, Market
from wsclient.sandbox.events import Event
from wsclient.sandbox.statistics import DAY

MARKETS = [Market(1, 2, 5), Market(3, 2, 1, scale=100), Market(1, 3, 10, scale=10**8)]
USERS = {1: {1: 400, 2: 900, 3: 300}, 2: {1: 100, 2: 200}, 3: {1: 10**6, 2: 10**6, 3: 10**6}}
SUPPLY = {asset: sum(balances.get(asset, 0) for balances in USERS.values()) for asset in (1, 2, 3)}
HOUSE = 99

Command = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Setting:
    """What an exchange is started with."""

    seed: int
    tonces: Literal["increasing", "unique"]
    fees: Fees | None


settings_of_exchanges = st.builds(
    Setting,
    seed=st.integers(0, 3),
    tonces=st.sampled_from(["increasing", "unique"]),
    fees=st.sampled_from([None, Fees(0, 30_000, HOUSE), Fees(5_000, 1_000, HOUSE), Fees(400_000, 10**6, HOUSE)]),
)

users = st.sampled_from(list(USERS))
pairs = st.sampled_from([(1, 2), (1, 2), (1, 2), (3, 2), (1, 3), (2, 1)])
sides = st.sampled_from([1, -1])
nonces = st.one_of(st.none(), st.integers(-1, 40))
PRICES = {(1, 2): (1, 20_000), (3, 2): (50, 400), (1, 3): (10**7, 2 * 10**8), (2, 1): (1, 10)}


@st.composite
def limit_orders(draw: st.DrawFn) -> Command:
    pair = draw(pairs)
    fields = {
        "user": draw(users),
        "base": pair[0],
        "counter": pair[1],
        "quantity": draw(sides) * draw(st.integers(1, 60)),
        "price": draw(st.integers(*PRICES[pair])),
        "tonce": draw(nonces),
        "persist": draw(st.sampled_from([True, True, False, "fill_or_kill"])),
        "post_only": draw(st.sampled_from([False, False, False, True])),
        "session": draw(st.sampled_from(["s", "t"])),
    }
    return "place", fields


@st.composite
def market_orders(draw: st.DrawFn) -> Command:
    pair = draw(pairs)
    kind = draw(st.sampled_from(["quantity", "total"]))
    size = draw(sides) * draw(st.integers(1, 200))
    fields = {"user": draw(users), "base": pair[0], "counter": pair[1], kind: size, "tonce": draw(nonces)}
    return "place", fields


@st.composite
def modifications(draw: st.DrawFn) -> Command:
    fields: dict[str, Any] = {"user": draw(users), "nth": draw(st.integers(0, 5))}
    fields["by"] = draw(st.sampled_from(["id", "tonce"]))
    what = draw(st.sampled_from(["quantity_delta", "price", "both"]))
    if what != "price":
        fields["quantity_delta"] = draw(st.integers(-30, 30))
    if what != "quantity_delta":
        fields["move"] = draw(st.sampled_from([0.3, 0.9, 1.0, 1.1, 3.0]))
    fields["post_only"] = draw(st.sampled_from([False, False, True]))
    return "modify", fields


def others(name: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Command]:
    return st.tuples(st.just(name), st.fixed_dictionaries(fields))


commands = st.one_of(
    limit_orders(),
    limit_orders(),
    limit_orders(),
    market_orders(),
    modifications(),
    modifications(),
    others("cancel", user=users, nth=st.integers(0, 5), by=st.sampled_from(["id", "tonce"])),
    others("cancel_all", user=users),
    others("end_session", session=st.sampled_from(["s", "t"])),
    others("pass", time=st.sampled_from([1, 1000, DAY // 2, DAY + 1, 20 * DAY])),
)


class Exchange:
    """An engine, its clock, and the replay that watches it."""

    def __init__(self, setting: Setting) -> None:
        self.clock = 10**15
        self.engine = Engine(
            MARKETS,
            clock=lambda: self.clock,
            seed=setting.seed,
            tonces=setting.tonces,
            fees=setting.fees,
            max_open_orders=8,
        )
        told = {}
        for user, balances in USERS.items():
            self.engine.add_user(user, balances)
            told.update({(user, asset): amount for asset, amount in balances.items()})
        house = setting.fees.house if setting.fees else None
        self.users = [*USERS] if house is None else [*USERS, house]
        self.replay = Replay({(m.base, m.counter): m for m in MARKETS}, told, house)
        self.events: list[Event] = []

    def run(self, command: Command) -> bool:
        """Run a command and take its events; False says that it was refused."""
        name, fields = command[0], dict(command[1])
        accepted = True
        try:
            self._run(name, fields)
        except EngineError:
            accepted = False
        events = self.engine.take_events()
        assert accepted or not events, "a refused command has no events"
        self.events += events
        self.replay.apply_all(events)
        return accepted

    def _run(self, name: str, fields: dict[str, Any]) -> None:
        if name == "pass":
            self.clock += fields["time"]
            self.engine.advance()
            return
        if "nth" in fields:
            by, nth = fields.pop("by"), fields.pop("nth")
            orders = self.engine.orders(fields["user"])
            order = orders[nth % len(orders)] if orders else None
            fields[by] = getattr(order, by) if order else 7
            if "move" in fields:
                move = fields.pop("move")
                fields["price"] = int(order.price * move) if order else 5
        getattr(self.engine, name)(**fields)

    def check(self) -> None:
        self.replay.agree(self.engine, self.users, SUPPLY)


LONG = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@LONG
@given(settings_of_exchanges, st.lists(commands, min_size=20, max_size=80))
def test_every_invariant_holds_after_every_command(setting: Setting, sequence: list[Command]) -> None:
    exchange = Exchange(setting)
    for command in sequence:
        exchange.run(command)
        exchange.check()


@LONG
@given(settings_of_exchanges, st.lists(commands, min_size=20, max_size=80))
def test_the_same_commands_give_the_same_events_with_or_without_the_refused_ones(
    setting: Setting, sequence: list[Command]
) -> None:
    first, again, without = Exchange(setting), Exchange(setting), Exchange(setting)
    accepted = [command for command in sequence if first.run(command)]
    for command in sequence:
        again.run(command)
    assert again.events == first.events
    assert all(without.run(command) for command in accepted)
    assert without.events == first.events


def random_command(random: Random) -> Command:
    """The same mixture for sequences that are too long for hypothesis to draw."""
    user, pair, sign = (
        random.choice([*USERS]),
        random.choice([(1, 2), (1, 2), (3, 2), (1, 3)]),
        random.choice([1, -1]),
    )
    low, high = PRICES[pair]
    middle = (low + high) // 2
    place = {"user": user, "base": pair[0], "counter": pair[1]}
    rare: list[Command] = [
        ("cancel_all", {"user": user}),
        ("end_session", {"session": random.choice("st")}),
        ("pass", {"time": random.choice([1, 10**6, DAY // 3, DAY, 10 * DAY])}),
    ]
    match random.randrange(24):
        case 0:
            return random.choice(rare)
        case 1 | 2 | 3 | 4:
            return "cancel", {"user": user, "nth": random.randrange(8), "by": "id"}
        case 5 | 6 | 7 | 8:
            move = random.choice([0.9, 0.99, 1.0, 1.01, 1.1])
            delta = random.randint(-9, 9)
            return "modify", {
                "user": user,
                "nth": random.randrange(8),
                "by": "id",
                "move": move,
                "quantity_delta": delta,
            }
        case 9 | 10:
            return "place", place | {"quantity": sign * random.randint(1, 150)}
        case 11 | 12:
            return "place", place | {"total": sign * random.randint(1, 150)}
        case _:
            return "place", place | {
                "quantity": sign * random.randint(1, 40),
                "price": random.randint(middle - middle // 5, middle + middle // 5),
                "persist": random.choice([True, True, False, "fill_or_kill"]),
                "session": random.choice("st"),
            }


@pytest.mark.parametrize("fees", [None, Fees(2_000, 30_000, HOUSE)], ids=["no fees", "fees"])
@pytest.mark.parametrize("seed", range(3))
def test_every_invariant_holds_through_two_thousand_commands(seed: int, fees: Fees | None) -> None:
    random, exchange = Random(seed), Exchange(Setting(seed, "unique", fees))
    for number in range(2000):
        exchange.run(random_command(random))
        if number % 10 == 0:
            exchange.check()
    exchange.check()
    assert len(exchange.replay.closed) > 200
