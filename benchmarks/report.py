"""The figures as a table for people, in plain text or Markdown, and as JSON."""

import datetime
import importlib.metadata
import importlib.util
import os
import platform
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .measure import Figures
from .row import CLIENTS, RAW, Row

_LOADS = ("client_busy", "server_busy", "notices_per_second")
PACKAGES = (
    *("wsclient", "websocket-client", "websockets", "picows", "aiohttp", "uvloop", "ecdsa"),
    *("orjson", "python-binance", "unicorn-binance-websocket-api"),
)


@dataclass
class Outcome:
    """What came of a row: for each client, its figures round by round; None where a run failed."""

    row: Row
    rounds: dict[str, list[Figures | None]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def values(self, client: str) -> list[float]:
        return [figures[self.row.figure] for figures in self.rounds.get(client, []) if figures]

    def median(self, client: str) -> float | None:
        values = self.values(client)
        return statistics.median(values) if values else None

    def ratio(self, peer: str) -> float | None:
        """How many times as good ours is: the median of the ratios within each round."""
        figure = self.row.figure
        pairs = [
            (ours[figure], theirs[figure])
            for ours, theirs in zip(self.rounds.get(self.row.ours, []), self.rounds.get(peer, []), strict=False)
            if ours and theirs
        ]
        ratios = [ours / theirs if self.row.rising else theirs / ours for ours, theirs in pairs]
        return statistics.median(ratios) if ratios else None

    def other(self, client: str, figure: str) -> float | None:
        """The median of a figure that isn't the row's own."""
        values = [figures[figure] for figures in self.rounds.get(client, []) if figures and figure in figures]
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Circumstances:
    """Where and with what the figures were made."""

    date: str
    cpu: str
    cores: int
    python: str
    system: str
    placement: str
    versions: Mapping[str, str]

    @classmethod
    def now(cls, placement: str) -> "Circumstances":
        return cls(
            datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            _cpu(),
            os.cpu_count() or 0,
            f"{platform.python_implementation()} {platform.python_version()}",
            f"{platform.system()} {platform.release()} {platform.machine()}",
            placement,
            {package: version for package in PACKAGES if (version := _version(package))},
        )

    def lines(self) -> list[str]:
        return [
            f"{self.date}, {self.python}, {self.system}",
            f"{self.cpu}, {self.cores} cores; {self.placement}",
            ", ".join(f"{package} {version}" for package, version in self.versions.items()),
        ]


def table(outcome: Outcome) -> list[list[str]]:
    """Client, median, how many times as good ours is, what is to be reached, whether it is, and who was busy."""
    row = outcome.row
    rows = [["client", f"median, {row.unit}", "ours is", "target", "", "client busy", "server busy"]]
    for client in row.clients:
        if client in outcome.failures:
            rows.append([client, outcome.failures[client], "", "", "", "", ""])
            continue
        median = outcome.median(client)
        if median is None:
            continue
        if client == row.ours:
            ratio, target, reached = "", row.at_most, row.at_most is not None and median < row.at_most
            told = "" if target is None else f"under {target:g}"
        else:
            times = outcome.ratio(client) if client != RAW else None
            ratio = "" if times is None else f"{times:.2f}x"
            target = row.peers.get(client)
            reached = target is not None and times is not None and times >= target
            told = "" if target is None else f"{target:g}x"
        verdict = "" if target is None else "reached" if reached else "MISSED"
        loads = [outcome.other(client, figure) for figure in ("client_busy", "server_busy")]
        busy = ["" if load is None or row.job == "memory" else f"{load:.0%}" for load in loads]
        rows.append([client, number(median), ratio, told, verdict, *busy])
    return rows


def remarks(outcome: Outcome) -> list[str]:
    """What a reader should know of a row besides its table."""
    row = outcome.row
    lines = []
    if row.job == "feed_calls":
        for client in row.clients:
            rate = outcome.other(client, "notices_per_second")
            if rate is not None and rate < 19_500:
                lines.append(f"{client}: the feed ran at no more than {number(rate)} notices/s")
    others = sorted({name for figures in outcome.rounds.get(row.ours, []) if figures for name in figures})
    told = [name for name in others if name not in (row.figure, *_LOADS)]
    if told:
        parts = [f"{name} {number(outcome.other(row.ours, name) or 0.0)}" for name in told]
        lines.append(f"{row.ours}, besides: " + ", ".join(parts))
    return lines


def as_text(outcome: Outcome) -> str:
    row = outcome.row
    cells = table(outcome)
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [f"{row.name}: {row.title}", f"({row.unit}, {_direction(row)}; {row.cores.value})"]
    for line in cells:
        padded = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("  ".join(["", line[0].ljust(widths[0]), *padded]).rstrip())
    return "\n".join([*lines, *(f"  {remark}" for remark in remarks(outcome)), ""])


def as_markdown(outcomes: Iterable[Outcome], circumstances: Circumstances, rounds: int) -> str:
    introduction = (
        f"Made by `python -m benchmarks --rounds {rounds} --markdown`. Medians of the rounds; *ours is*: how many "
        "times as good wsclient is, the median of the ratios within each round. The bare socket parses nothing: "
        "it shows what the server alone can do. *Busy*: the share of a core that was taken; where the "
        "client is busy all the time and the server isn't, it is the client that was measured."
    )
    lines = [
        "# Results",
        "",
        introduction,
        "",
        *(f"- {line}" for line in circumstances.lines()),
    ]
    for outcome in outcomes:
        row = outcome.row
        lines += ["", f"## {row.name}", "", f"{row.title} ({_direction(row)}; {row.cores.value}).", ""]
        header, *body = table(outcome)
        lines += [_markdown(header), "|---|" + "---:|" * (len(header) - 1), *map(_markdown, body)]
        lines += [line for remark in remarks(outcome) for line in ("", remark)]
    return "\n".join(lines) + "\n"


def as_json(outcomes: Iterable[Outcome], circumstances: Circumstances, rounds: int, quick: bool) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        **vars(circumstances),
        "rounds": rounds,
        "quick": quick,
        "rows": {
            outcome.row.name: {
                "title": outcome.row.title,
                "figure": outcome.row.figure,
                "unit": outcome.row.unit,
                "more_is_better": outcome.row.rising,
                "targets": {peer: target for peer, target in outcome.row.peers.items() if target is not None},
                "at_most": outcome.row.at_most,
                "medians": {client: outcome.median(client) for client in outcome.rounds},
                "ratios": {peer: outcome.ratio(peer) for peer in outcome.row.peers if peer in outcome.rounds},
                "rounds": outcome.rounds,
                "failures": outcome.failures,
            }
            for outcome in outcomes
        },
    }


def missing() -> dict[str, str]:
    """The clients that can't run, and the packages that each lacks."""
    lacking = {
        name: ", ".join(package for package in client.needs if importlib.util.find_spec(package) is None)
        for name, client in CLIENTS.items()
    }
    return {name: packages for name, packages in lacking.items() if packages}


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _direction(row: Row) -> str:
    return "more is better" if row.rising else "less is better"


def _markdown(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    return next(
        (line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "?"
    )
