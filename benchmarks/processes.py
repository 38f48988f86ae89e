"""Starting the server and the clients, each on its core, and ending them whatever happens."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .child import LIMIT
from .measure import Figures
from .row import CLIENTS, Cores, Row

_ROOT = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """A client's run came to no figures."""


@dataclass(frozen=True)
class Placement:
    """The cores to run on; None: wherever the system likes."""

    server: int | None
    client: int | None

    @classmethod
    def of_this_machine(cls) -> "Placement":
        if not hasattr(os, "sched_setaffinity"):
            return cls(None, None)
        cores = sorted(os.sched_getaffinity(0))
        strangers = [core for core in cores if core not in _siblings(cores[0])]
        if strangers:
            return cls(cores[0], strangers[0])
        return cls(cores[0], cores[1]) if len(cores) > 1 else cls(None, None)

    def cores(self, cores: Cores) -> tuple[int | None, int | None]:
        """The server's and the client's."""
        return (self.client, self.client) if cores is Cores.SHARED else (self.server, self.client)

    def __str__(self) -> str:
        if self.client is None:
            return "processes run wherever the system puts them"
        related = " (one core's two threads)" if self.server in _siblings(self.client) else ""
        return f"server on core {self.server}, clients on core {self.client}{related}"


def _siblings(core: int) -> set[int]:
    """The hardware threads of the core's own core, itself too."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return {core}
    found = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def run(row: Row, client: str, placement: Placement, scale: float) -> Figures:
    """One run: a server for it alone, and the client. Raises `Failed`."""
    path, parameters = row.job_for(client, scale)
    module = CLIENTS[client].module
    server_cpu, client_cpu = placement.cores(row.cores)
    if module == "local":
        return _client(module, row.job, "", parameters, client_cpu)
    with _server(server_cpu) as server:
        url = f"ws://127.0.0.1:{server.port}{path}"
        figures = _client(module, row.job, url, parameters, client_cpu)
        return figures | server.ended()


class _Server:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Failed("the server didn't start")
        self.port = int(line)

    def ended(self) -> Figures:
        """Ends it; how busy it was with the longest of its connections, and what it sent there."""
        try:
            output, _ = self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            raise Failed("the server didn't end") from None
        lines: list[dict[str, float]] = [json.loads(line) for line in output.splitlines()]
        if not lines:
            return {}
        longest = max(lines, key=lambda line: line["seconds"])
        return {"server_busy": longest["busy"], "notices_per_second": longest["notices"] / longest["seconds"]}


@contextlib.contextmanager
def _server(cpu: int | None) -> Iterator[_Server]:
    with _process("benchmarks.server", *_pinned(cpu), stdin=subprocess.PIPE) as process:
        yield _Server(process)


def _client(module: str, job: str, url: str, parameters: dict[str, Any], cpu: int | None) -> Figures:
    arguments = [module, job, url, json.dumps(parameters), *_pinned(cpu)]
    with _process("benchmarks.child", *arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=LIMIT + 10)
        except subprocess.TimeoutExpired:
            raise Failed("it took too long") from None
    if process.returncode:
        last = (errors.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
        raise Failed(last)
    figures: Figures = json.loads(output)
    return figures


@contextlib.contextmanager
def _process(module: str, *arguments: str, **streams: Any) -> "Iterator[subprocess.Popen[str]]":
    """A Python process that doesn't outlive the block, and that a Ctrl-C at the terminal doesn't reach."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **streams,
    )
    try:
        yield process
    finally:
        with process:
            process.kill()


def _pinned(cpu: int | None) -> list[str]:
    return [] if cpu is None else ["--cpu", str(cpu)]
