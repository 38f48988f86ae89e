"""A program that records numbered messages, for tests that end it in ways that a program doesn't end by itself.

python -m tests.integration.recorder URL exit NUMBER    records so many messages and forgets to close
python -m tests.integration.recorder URL loop           records until it is killed, and prints what is written
"""

import sys
from itertools import count

from wsclient.sinks import SinkQueue, open_sink
from wsclient.sinks.classify import coinbase


def main(url: str, how: str, number: str = "0") -> None:
    queue = SinkQueue(open_sink(url), age=3600, batch=100, exit_timeout=30)
    take = queue.intake("coinbase", coinbase)
    if how == "exit":
        for i in range(int(number)):
            take(f'{{"number":{i}}}')
        return
    for i in count():
        take(f'{{"number":{i}}}')
        if i % 137 == 136:
            queue.flush()
            print(i + 1, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
