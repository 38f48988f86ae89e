"""One run of one client, in a process of its own: prints the figures as JSON.

`python -m benchmarks.child MODULE JOB URL PARAMETERS [--cpu N]`
"""

import argparse
import importlib
import json
import os
import signal
import sys

LIMIT = 180  # seconds, after which a run ends itself, should nobody be left to end it


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("job")
    parser.add_argument("url")
    parser.add_argument("parameters", type=json.loads)
    parser.add_argument("--cpu", type=int)
    args = parser.parse_args()
    if args.cpu is not None:
        os.sched_setaffinity(0, {args.cpu})
    if hasattr(signal, "alarm"):
        signal.alarm(LIMIT)
    job = getattr(importlib.import_module(f".clients.{args.module}", __package__), args.job)
    print(json.dumps(job(args.url, **args.parameters)))
    sys.stdout.flush()
    os._exit(0)  # what a client left open needs no orderly end


if __name__ == "__main__":
    main()
