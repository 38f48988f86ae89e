"""A server process that speaks MongoDB's wire protocol, which can be killed and started again on the same data."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pymongo import MongoClient
from pymongo.errors import PyMongoError

PATIENCE: Final = 30.0  # seconds for a process to start on a busy machine


class MongoServer:
    """SecantusDB, a reimplementation: what is tested on it is the wire protocol, not MongoDB's own server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._options = f"--host 127.0.0.1 --port {self.port} --standalone --enable-test-commands".split()
        self._process: subprocess.Popen[bytes] | None = None
        # the test's own look at what is there
        self.client: MongoClient[Any] = MongoClient(self.address, serverSelectionTimeoutMS=1000)

    @property
    def address(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the process and waits until it answers."""
        program = Path(sys.executable).with_name("secantusd-py")
        with open(self._folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [str(program), *self._options, "--storage-path", str(self._folder / "data")],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.client.admin.command("ping")
                return
            except PyMongoError:
                log_text = (self._folder / "server.log").read_text()
                assert self._process.poll() is None, log_text
                assert time.monotonic() < deadline, log_text

    def kill(self) -> None:
        """Ends the process as a crash would: it gets no chance to say or to save anything."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.client.close()
