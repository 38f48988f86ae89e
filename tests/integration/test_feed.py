"""A full feed and many callers at the same time: every notice once and in order, every reply with its caller.

The environment sets the size: WSCLIENT_TEST_NOTICES (default 100000), WSCLIENT_TEST_FEED_THREADS (default 8).
The promise is a million and 32, which takes about half a minute.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wsclient import WSClient

NOTICES = int(os.environ.get("WSCLIENT_TEST_NOTICES", "100000"))
THREADS = int(os.environ.get("WSCLIENT_TEST_FEED_THREADS", "8"))
CERTIFICATE = Path(__file__).with_name("localhost.pem")


@contextmanager
def feeder(*arguments: str) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.integration.feeder", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("handled", [True, False], ids=["with msg_handler", "without"])
def test_a_feed_with_callers_loses_nothing_doubles_nothing_and_mixes_nothing(secure: bool, handled: bool) -> None:
    numbers: list[int] = []
    whole = threading.Event()

    def on_message(_: WSClient, text: str) -> None:
        message = json.loads(text)
        if "number" in message:
            numbers.append(message["number"])
            if len(numbers) == NOTICES:
                whole.set()

    wrong: list[object] = []
    made = [0] * THREADS
    with feeder(str(NOTICES), *([str(CERTIFICATE)] if secure else [])) as port:
        client = WSClient(
            f"{'wss' if secure else 'ws'}://127.0.0.1:{port}",
            msg_handler=on_message if handled else None,
            err_handler=lambda _, error: wrong.append(error),
            insecure_ssl=True,
        )

        def call(who: int) -> None:
            # for as long as the feed runs, and some more
            while made[who] < 50 or (handled and not whole.is_set()):
                base = who * 1_000_000 + made[who]
                reply = client.call("WatchTicker", timeout=60, base=base, counter=1, watch=True)
                if reply["echo"] != base:
                    wrong.append((base, reply))
                made[who] += 1

        callers = [threading.Thread(target=call, args=(who,)) for who in range(THREADS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(240)
        assert not any(caller.is_alive() for caller in callers)
        client.stop()
    assert wrong == []
    assert min(made) >= 50
    if handled:
        assert numbers == list(range(NOTICES))
