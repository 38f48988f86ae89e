"""Runs every client of every row several times in turn, and prints medians and ratios side by side."""

import argparse
import json
import signal
import sys
from typing import NoReturn

from . import processes, report, rows
from .report import Circumstances, Outcome
from .row import Row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="which rows (default: all; see --list)")
    parser.add_argument("--rounds", type=int, help="how often each client runs (default: 5; 1 with --quick)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, with versions and machine")
    parser.add_argument("--markdown", action="store_true", help="print what RESULTS.md holds; the rest to stderr")
    parser.add_argument("--list", action="store_true", help="name the rows and what is to be reached")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: to see that all runs, no more")
    args = parser.parse_args()
    try:
        chosen = rows.named(args.rows)
    except KeyError as error:
        parser.error(f"no such row: {error}; --list names them")
    rounds = args.rounds if args.rounds is not None else 1 if args.quick else 5
    if rounds < 1:
        parser.error("at least one round is needed")
    if args.list:
        _list(chosen)
        return 0
    signal.signal(signal.SIGTERM, _interrupted)
    return _run(chosen, rounds, args.quick, args.json, args.markdown)


def _run(chosen: list[Row], rounds: int, quick: bool, file: str | None, markdown: bool) -> int:
    placement = processes.Placement.of_this_machine()
    circumstances = Circumstances.now(str(placement))
    told = sys.stderr if markdown else sys.stdout
    print(*circumstances.lines(), sep="\n", file=told)
    absent = report.missing()
    for client, packages in absent.items():
        print(f"{client} is left out: not installed: {packages}", file=told)
    if quick:
        print("--quick: the targets are for full runs on a quiet machine", file=told)
    print(file=told)
    outcomes = []
    status = 0
    try:
        for row in chosen:
            outcome = Outcome(row)
            outcomes.append(outcome)
            _measure(outcome, rounds, [client for client in row.clients if client not in absent], placement, quick)
            print(report.as_text(outcome), file=told, flush=True)
    except KeyboardInterrupt:
        print("interrupted: what follows is incomplete", file=sys.stderr)
        status = 130
    if markdown:
        print(report.as_markdown(outcomes, circumstances, rounds), end="")
    if file is not None:
        with open(file, "w", encoding="utf-8") as output:
            json.dump(report.as_json(outcomes, circumstances, rounds, quick), output, indent=1)
            output.write("\n")
    return status


def _measure(
    outcome: Outcome, rounds: int, clients: list[str], placement: processes.Placement, quick: bool
) -> None:
    """Each client in turn, as often as there are rounds."""
    for number in range(rounds):
        for client in clients:
            if sys.stderr.isatty():
                print(f"\r\x1b[K{outcome.row.name} {number + 1}/{rounds} {client}", end="\r", file=sys.stderr)
            figures = None
            try:
                figures = processes.run(outcome.row, client, placement, 0.1 if quick else 1.0)
            except processes.Failed as error:
                outcome.failures[client] = f"failed: {error}"
            outcome.rounds.setdefault(client, []).append(figures)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)


def _list(chosen: list[Row]) -> None:
    for row in chosen:
        print(f"{row.name}: {row.title} ({row.cores.value})")
        if row.at_most is not None:
            print(f"    under {row.at_most:g} {row.unit}")
        for peer, target in row.peers.items():
            print(f"    {peer}" + ("" if target is None else f": {target:g}x at least"))


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
