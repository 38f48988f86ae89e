"""python -m tests.autobahn WSTEST [CASES ...]: runs Autobahn|Testsuite against wsclient, and says how it went."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .suite import bad, run_cases


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn", description=__doc__)
    parser.add_argument("wstest", help="the suite's program, wstest")
    parser.add_argument("cases", nargs="*", default=["*"], help="patterns such as 9.* (default: all)")
    parser.add_argument("--reports", metavar="DIR", help="where the suite writes its reports (default: nowhere)")
    arguments = parser.parse_args()
    wstest = Path(arguments.wstest).resolve()
    if not (wstest.is_file() and os.access(wstest, os.X_OK)):
        parser.error(f"{arguments.wstest} is no program: give the path of the suite's wstest")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.reports or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        verdicts = run_cases(str(wstest), folder, arguments.cases)
    for what in ("behavior", "behaviorClose"):
        counts = Counter(verdict[what] for verdict in verdicts.values())
        print(f"{what}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    for case, verdict in sorted(bad(verdicts).items()):
        print(f"case {case}: {verdict[0]}, closed: {verdict[1]}")
    print(f"{len(verdicts)} cases in {time.monotonic() - began:.0f} s, {len(bad(verdicts))} of them bad")
    sys.exit(bool(bad(verdicts)))


if __name__ == "__main__":
    main()
