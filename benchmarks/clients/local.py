"""What needs no server: parsing from memory, the login's signature, the import."""

import json
import statistics
import subprocess
import sys

from .. import measure, texts
from ..measure import Figures

_IMPORT = """
import websocket, json, ssl, concurrent.futures, sys, time
began = time.perf_counter()
import wsclient
imported = time.perf_counter()
wsclient.WSClient
loaded = time.perf_counter()
print(loaded - began, imported - began, int("ecdsa" in sys.modules))
"""


def feed(url: str, count: int, parse: bool) -> Figures:
    """The same texts, from a list."""
    notices = texts.notices()
    loads = json.loads
    left = count
    timed = measure.Timed(count)
    while left > 0:
        for text in notices[:left]:
            loads(text)
        left -= len(notices)
    return timed.ended()


def authentication(url: str, count: int, warm_up: int) -> Figures:
    """The key from the passphrase and the signature, with all tables warm; gmpy2 isn't used if it is there."""
    for module in ("gmpy2", "gmpy"):
        sys.modules[module] = None  # type: ignore[assignment]
    from wsclient.coinflex.signing import Credentials

    def sign() -> None:
        Credentials(1, "cookie", "opensesame").sign(bytes(16), bytes(16))

    again = Credentials(1, "cookie", "opensesame")
    times = measure.latencies(sign, count, warm_up)
    signatures = measure.latencies(lambda: again.sign(bytes(16), bytes(16)), count, warm_up)
    figures = {name: microseconds / 1000 for name, microseconds in times.items()}
    return figures | {"signature_alone_p50": signatures["p50"] / 1000}


def importing(url: str, count: int) -> Figures:
    """How much longer the client's import takes, after that of what it is built on; each in a new process."""
    columns: list[list[float]] = []
    for _ in range(count + 1):  # the first one compiles
        output = subprocess.run(
            [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        columns.append([float(word) for word in output.split()])
    loaded, imported, ecdsa = zip(*columns[1:], strict=True)
    return {
        "ms": statistics.median(loaded) * 1000,
        "import_alone_ms": statistics.median(imported) * 1000,
        "imports_ecdsa": max(ecdsa),
    }
