"""python -m tests.campaign --kills N --seed S: see `tests.campaign`."""

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.campaign.round import Report, play

KILLS_A_ROUND = 250
MOST_SHOWN = 20
_NO_CTRL_C = (signal.SIGINT, signal.SIG_IGN)
"""For a round's process, which is ended by the one that started it."""
LONGEST = 3000
"""How much (characters) of a violation's description is shown."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; the exit status: 1 if anything was violated."""
    options = parser().parse_args(arguments)
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "big")
    if options.round is not None:
        seeds = [f"{seed}/{options.round}"]
    else:
        seeds = [f"{seed}/{number}" for number in range(-(-options.kills // KILLS_A_ROUND))]
    print(f"seed {seed}, {len(seeds)} rounds of {KILLS_A_ROUND} cuts, {options.jobs} at a time", flush=True)
    began = time.monotonic()
    total, failed = Report(str(seed)), []
    for report in _reports(seeds, options.jobs):
        total.kills += report.kills
        total.figures += report.figures
        print(f"{report.seed}: {report.kills} cuts in {report.seconds:.1f} s", flush=True)
        if report.violations:
            failed.append(report)
            _show_violations(report)
    _show_figures(total, time.monotonic() - began)
    for report in failed:
        number = report.seed.partition("/")[2]
        print(f"again: python -m tests.campaign --seed {seed} --round {number}")
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser("python -m tests.campaign", description="Callers, a storm, and the truth.")
    result.add_argument("--kills", type=int, default=1000, help="connections to cut (default: %(default)s)")
    result.add_argument("--seed", type=int, help="of everything random; another one each time unless given")
    result.add_argument("--round", type=int, help="only this round, as a report of failure names it")
    result.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="rounds at a time (%(default)s)")
    return result


def _reports(seeds: list[str], jobs: int) -> Iterator[Report]:
    if jobs == 1 or len(seeds) == 1:
        yield from (play(seed, KILLS_A_ROUND) for seed in seeds)
        return
    # a process for each round: what one leaves over can't be another's
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, signal.signal, _NO_CTRL_C, max_tasks_per_child=1) as pool:
        try:
            for done in as_completed([pool.submit(play, seed, KILLS_A_ROUND) for seed in seeds]):
                yield done.result()
        except KeyboardInterrupt:
            signal.signal(*_NO_CTRL_C)
            for child in multiprocessing.active_children():
                child.kill()  # nobody wants its round any more
            raise


def _show_violations(report: Report) -> None:
    rules = Counter(text.partition(":")[0] for text in report.violations)
    for rule, count in rules.most_common():
        print(f"  VIOLATED {count} times: {rule}")
    for text in _first_of_each(report.violations):
        print(f"  {text if len(text) <= LONGEST else text[:LONGEST] + ' …'}")


def _first_of_each(texts: Iterable[str]) -> list[str]:
    """Examples: two of each rule, and not too many."""
    seen: Counter[str] = Counter()
    shown = []
    for text in texts:
        rule = text.partition(":")[0]
        seen[rule] += 1
        if seen[rule] <= 2:
            shown.append(text)
    return shown[:MOST_SHOWN]


def _show_figures(total: Report, seconds: float) -> None:
    print(f"{total.kills} cuts in {seconds:.0f} s, {total.kills / seconds:.1f} a second")
    for name, count in sorted(total.figures.items()):
        print(f"  {name:28} {count:9}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
