"""python -m tests.races --seconds N --seed S: see `tests.races`."""

import argparse
import faulthandler
import os
import sys
from collections import Counter
from collections.abc import Sequence

from tests.races.races import Races

MOST_SHOWN = 20
GRACE = 120
"""Seconds behind the end after which the whole process is taken for hung."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the races; the exit status: 1 if anything was violated."""
    parser = argparse.ArgumentParser("python -m tests.races", description="Everything at once, for a while.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", help="of what the threads decide; another one each time unless given")
    options = parser.parse_args(arguments)
    seed = options.seed or str(int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed}, {options.seconds:g} s", flush=True)
    faulthandler.dump_traceback_later(options.seconds + GRACE, exit=True)
    findings = Races(seconds=options.seconds, seed=seed).run()
    faulthandler.cancel_dump_traceback_later()
    for name, count in sorted(findings.figures.items()):
        print(f"  {name:32} {count:9}")
    # what is the same but for where it happened is told once
    kinds = Counter(text.partition("\n")[0] for text in findings.violations)
    for kind, count in kinds.most_common():
        print(f"VIOLATED {count} times: {kind}")
    for text, count in Counter(findings.violations).most_common(MOST_SHOWN):
        print(f"{count} times: {text}")
    return 1 if findings.violations else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        os._exit(130)  # without waiting for threads that are in the middle of it
