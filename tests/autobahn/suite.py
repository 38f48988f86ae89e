"""Runs the fuzzing server and all or some of its cases, and reads its verdicts."""

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsclient.errors import TransportError

from . import echo

AGENT = "wsclient"
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED")


@contextmanager
def fuzzing_server(wstest: str, folder: Path, cases: list[str]) -> Iterator[str]:
    """The server's url, while it runs. `cases` are patterns such as "9.*"."""
    port = _free_port()
    url = f"ws://127.0.0.1:{port}"
    spec = {"url": url, "outdir": str(folder), "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    with (folder / "server.log").open("wb") as log:
        # no web pages: they would want a port that another run may have
        command = [wstest, "-m", "fuzzingserver", "-s", str(path), "--webport", "0"]
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until_it_answers(port, server)
            yield url
        finally:
            server.terminate()
            server.wait(10)


def run_cases(wstest: str, folder: Path, cases: list[str]) -> dict[str, dict[str, str]]:
    """Runs the cases; each case's verdicts: "behavior" and "behaviorClose"."""
    with fuzzing_server(wstest, folder, cases) as url:
        _, told = echo.run(f"{url}/getCaseCount", echo=False, compression=False)
        count = int(told.texts[0])
        for case in range(1, count + 1):
            echo.run(f"{url}/runCase?case={case}&agent={AGENT}")
        echo.run(f"{url}/updateReports?agent={AGENT}", compression=False)
    verdicts: dict[str, dict[str, str]] = json.loads((folder / "index.json").read_text())[AGENT]
    assert len(verdicts) == count
    return verdicts


def bad(verdicts: dict[str, dict[str, str]]) -> dict[str, tuple[str, str]]:
    """The cases that failed, or were closed in a wrong way."""
    return {
        case: (verdict["behavior"], verdict["behaviorClose"])
        for case, verdict in verdicts.items()
        if verdict["behavior"] not in GOOD or verdict["behaviorClose"] not in ("OK", "INFORMATIONAL")
    }


def _free_port() -> int:
    """A port that no outgoing connection uses: one to such a port, before anybody listens, may meet itself."""
    while True:
        port = secrets.choice(range(20_000, 30_000))
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _wait_until_it_answers(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while True:
        if server.poll() is not None:
            raise TransportError("the fuzzing server ended before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # another process can't signal an event of ours
