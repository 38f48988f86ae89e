"""The driver, run as a program: what it prints, how it ends, and that it never shows a traceback."""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.peers import PATIENCE, Peer, PeerServer, Stopwatch, take
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Drop, Mute, Refuse

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-u", str(ROOT / "clientExample.py")]

REFUSED, USAGE, NO_CONNECTION, NO_LOGIN, NO_METHOD, BAD_VALUE, UNKNOWN = range(1, 8)

ESTIMATE = ["EstimateMarketOrder", "base=XBT", "counter=USDT", "quantity=0.1"]


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    kept.pop("COINFLEX_PASSPHRASE", None)
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def run(*arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """The driver, run to its end, which shows no traceback."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=environment(**changes),
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def failed(status: int, *arguments: str, **changes: str) -> str:
    """The one sentence with which the driver ends with this status."""
    done = run(*arguments, **changes)
    assert done.returncode == status, done
    assert done.stdout == ""
    sentences = [line for line in done.stderr.splitlines() if not line.startswith("No url:")]
    assert len(sentences) == 1, done.stderr
    assert sentences[0].startswith("clientExample.py: ")
    return sentences[0]


class Running:
    """The driver while it runs; killed if it doesn't end by itself."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def wait_for(self, pattern: str) -> str:
        """The next line in which the pattern is found."""
        while True:
            line: str = take(self.lines)
            if re.search(pattern, line):
                return line

    def end(self) -> tuple[int, str]:
        """Its status and what it said on stderr, once it has ended."""
        assert self.process.stderr is not None
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status, self.process.stderr.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """A sandbox for all those runs that do nothing to it."""
    with Sandbox(traders=50, ledger_limit=10_000) as exchange:
        yield exchange


def as_user(exchange: Sandbox) -> tuple[list[str], dict[str, str]]:
    user = exchange.users[0]
    return ["-i", str(user.id), "-c", user.cookie, exchange.url], {"COINFLEX_PASSPHRASE": user.passphrase}


# -- one command


def test_help_says_how_and_lists_the_methods() -> None:
    done = run("-h")
    assert done.returncode == 0
    assert done.stderr == ""
    for expected in ("METHOD", "PlaceOrder", "--duration", "COINFLEX_PASSPHRASE", "-k", "Exit status"):
        assert expected in done.stdout


METHODS: dict[str, tuple[list[str], list[str]]] = {
    "GetBalances": ([], ["balances"]),
    "GetOrders": ([], ["orders"]),
    "EstimateMarketOrder": (["base=XBT", "counter=USDT", "quantity=0.1"], ["quantity", "total"]),
    "PlaceOrder": (["base=XBT", "counter=USDT", "quantity=0.5", "price=9000"], ["id", "time"]),
    "CancelAllOrders": ([], ["orders"]),
    "GetTradeVolume": (["asset=XBT"], ["volume"]),
    "WatchOrders": (["base=XBT", "counter=USDT", "watch=true"], ["orders"]),
    "WatchTicker": (["base=XBT", "counter=USDT", "watch=true"], ["last", "bid", "ask"]),
}


@pytest.mark.parametrize("method", METHODS)
def test_each_method_works_in_its_own_sandbox(method: str) -> None:
    fields, expected = METHODS[method]
    done = run(method, *fields)
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["error_code"] == 0
    assert set(expected) <= set(reply)
    assert len(done.stderr.splitlines()) == 1  # that it uses a sandbox
    assert "sandbox" in done.stderr


def test_an_order_is_placed_modified_and_cancelled_at_an_exchange(shared: Sandbox) -> None:
    who, secret = as_user(shared)
    placed = run(*who, "PlaceOrder", "base=XBT", "counter=USDT", "quantity=1.5", "price=100", **secret)
    number = json.loads(placed.stdout)["id"]
    orders = json.loads(run(*who, "GetOrders", **secret).stdout)["orders"]
    assert [order["quantity"] for order in orders if order["id"] == number] == [15000]
    assert [order["price"] for order in orders if order["id"] == number] == [1_000_000]
    changed = run(*who, "ModifyOrder", f"id={number}", "quantity_delta=-0.5", **secret)
    assert json.loads(changed.stdout)["quantity"] == 10000
    cancelled = run(*who, "CancelOrder", f"id={number}", **secret)
    assert json.loads(cancelled.stdout)["id"] == number


def test_a_public_method_needs_no_credentials(shared: Sandbox) -> None:
    assert json.loads(run(shared.url, *ESTIMATE).stdout)["error_code"] == 0


def test_the_passphrase_can_be_given_by_argument_or_environment_and_the_argument_counts(shared: Sandbox) -> None:
    user = shared.users[1]
    who = ["-i", str(user.id), "-c", user.cookie]
    assert run(*who, shared.url, "GetBalances", COINFLEX_PASSPHRASE=user.passphrase).returncode == 0
    assert run(*who, "-p", user.passphrase, shared.url, "GetBalances").returncode == 0
    assert run(*who, "-p", user.passphrase, shared.url, "GetBalances", COINFLEX_PASSPHRASE="wrong").returncode == 0


# -- each way to fail


def test_a_refused_command_ends_with_1(shared: Sandbox) -> None:
    who, secret = as_user(shared)
    assert "CancelOrder was refused" in failed(REFUSED, *who, "CancelOrder", "id=1", **secret)


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["-i", "x"], ["-i", "1"], ["--duration", "soon"], ["--duration", "-1"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == USAGE
    assert "usage:" in done.stderr


def test_no_connection_ends_with_3() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        failed(NO_CONNECTION, f"ws://127.0.0.1:{held.getsockname()[1]}", *ESTIMATE)


def test_a_server_that_is_no_websocket_ends_with_3() -> None:
    with Sandbox(traders=0) as exchange:
        exchange.faults.add(Refuse(status=403))
        assert "403" in failed(NO_CONNECTION, exchange.url, *ESTIMATE)


def test_a_silent_server_ends_with_3_in_time() -> None:
    with PeerServer(lambda peer: peer.wait_for_end(), handshake=False) as server, Stopwatch() as waited:
        failed(NO_CONNECTION, "--timeout", "0.3", server.url, *ESTIMATE)
    assert waited.seconds < 5


def test_failed_authentication_ends_with_4(shared: Sandbox) -> None:
    user = shared.users[0]
    failed(NO_LOGIN, "-i", str(user.id), "-c", user.cookie, "-p", "wrong", shared.url, "GetBalances")
    failed(NO_LOGIN, "-i", "424242", "-c", user.cookie, "-p", "wrong", shared.url, "GetBalances")


def test_no_passphrase_and_no_terminal_ends_with_4(shared: Sandbox) -> None:
    assert "COINFLEX_PASSPHRASE" in failed(NO_LOGIN, "-i", "1", "-c", "x", shared.url, "GetBalances")


def test_a_private_method_without_credentials_ends_with_4(shared: Sandbox) -> None:
    assert "-i ID, -c COOKIE" in failed(NO_LOGIN, shared.url, "GetBalances")


def test_an_unknown_method_ends_with_5(shared: Sandbox) -> None:
    assert "GetBalances" in failed(NO_METHOD, shared.url, "GetEverything")
    failed(NO_METHOD, "Authenticate")
    failed(NO_METHOD, "stop")


@pytest.mark.parametrize(
    "words",
    [
        ["PlaceOrder", "base=XBT", "counter=USDT", "quantity=much", "price=1"],
        ["PlaceOrder", "base=XBT", "counter=USDT", "quantity=0.00001", "price=1"],
        ["PlaceOrder", "base=XBT", "counter=USDT", "quantity=nan", "price=1"],
        ["PlaceOrder", "base=XBT", "counter=USDT", "quantity=1", "total=1"],
        ["PlaceOrder", "base=GOLD", "counter=USDT", "quantity=1", "price=1"],
        ["PlaceOrder", "base=XBT", "counter=USDT", "quantity=1", "persist=perhaps"],
        ["CancelOrder", "id=first"],
        ["CancelOrder", "ide=1"],
        ["CancelOrder", "1"],
        ["CancelOrder"],
        ["WatchTicker", "base=XBT", "counter=USDT", "watch=perhaps"],
    ],
    ids=" ".join,
)
def test_a_bad_value_ends_with_6(shared: Sandbox, words: list[str]) -> None:
    who, secret = as_user(shared)
    failed(BAD_VALUE, *who, *words, **secret)


def test_a_missing_field_ends_with_6(shared: Sandbox) -> None:
    failed(BAD_VALUE, shared.url, "WatchTicker", "base=XBT")


def test_a_bad_url_or_proxy_ends_with_6() -> None:
    failed(BAD_VALUE, "http://127.0.0.1/", *ESTIMATE)
    failed(BAD_VALUE, "--proxy", "ftp://x", "ws://127.0.0.1/", *ESTIMATE)


def test_an_unknown_outcome_ends_with_7() -> None:
    with Sandbox(traders=0) as exchange:
        exchange.faults.add(Drop(method="EstimateMarketOrder"), Mute(method="WatchTicker"))
        failed(UNKNOWN, exchange.url, *ESTIMATE)
        words = ["WatchTicker", "base=XBT", "counter=USDT", "watch=true"]
        assert "no reply" in failed(UNKNOWN, "--timeout", "0.3", exchange.url, *words)


# -- watching


def test_without_arguments_it_watches_a_sandbox_and_shows_a_live_market_and_a_balance() -> None:
    with Running("--balances", "0.2") as running:
        running.wait_for(r"^\d\d:\d\d:\d\d \{.*Welcome")
        running.wait_for('"orders"')
        running.wait_for('"balances"')
        for _ in range(3):
            running.wait_for('"notice"')
        running.wait_for('"balances"')
        running.process.send_signal(signal.SIGINT)
        with Stopwatch() as ending:
            status, said = running.end()
    assert status == 0
    assert len(said.splitlines()) == 1, said
    assert ending.seconds < 3


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_watching_ends_promptly_and_cleanly(shared: Sandbox, times: int) -> None:
    with Running(shared.url) as running:
        running.wait_for('"notice"')
        for _ in range(times):
            running.process.send_signal(signal.SIGINT)
        with Stopwatch() as ending:
            status, said = running.end()
    assert (status, said) == (0, "")
    assert ending.seconds < 3


def test_duration_ends_it_cleanly(shared: Sandbox) -> None:
    with Stopwatch() as watched:
        done = run("--duration", "0.5", shared.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"orders"' in done.stdout
    assert 0.5 < watched.seconds < 5


def test_another_market_can_be_watched(shared: Sandbox) -> None:
    assert run("--market", "ETH/USDT", "--duration", "0.1", shared.url).returncode == 0
    assert "GOLD" in run("--market", "GOLD/USDT", "--duration", "0.1", shared.url).stderr


@pytest.mark.parametrize("market", ["XBT", "XBT/", "/", "XBT/GOLD"])
def test_a_market_that_is_none_ends_with_6(shared: Sandbox, market: str) -> None:
    assert run("--market", market, "--duration", "0.1", shared.url).returncode == BAD_VALUE


def test_a_lost_connection_ends_the_watching_with_3() -> None:
    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.reply(peer.receive())
        peer.close(1008, "go away")

    with PeerServer(script) as server:
        done = run(server.url)
    assert done.returncode == NO_CONNECTION
    assert "go away" in done.stderr


def test_a_reader_who_has_seen_enough_ends_it_cleanly(shared: Sandbox) -> None:
    # what `| head` does: the pipe's reading end is closed while there is more to come
    reading, writing = os.pipe()
    program = subprocess.Popen(
        [*PROGRAM, shared.url], stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, env=environment()
    )
    os.close(writing)
    try:
        assert os.read(reading, 20)
        os.close(reading)
        with Stopwatch() as ending:
            _, said = program.communicate(timeout=PATIENCE)
    finally:
        program.kill()
    assert program.returncode == 0
    assert said == b""
    assert ending.seconds < 5


def test_no_secret_is_shown(shared: Sandbox) -> None:
    user = shared.users[0]
    arguments: list[Any] = ["-i", str(user.id), "-c", user.cookie, "-p", user.passphrase, "--duration", "0.2"]
    done = run(*arguments, shared.url)
    assert done.returncode == 0
    for secret in (user.cookie, user.passphrase):
        assert secret not in done.stdout
        assert secret not in done.stderr


def test_ctrl_c_while_it_loads_ends_it_without_a_traceback() -> None:
    code = (
        "import runpy, signal, sys; sys.argv = ['clientExample.py', 'GetBalances']\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'wsclient.core.connection': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        f"runpy.run_path({str(ROOT / 'clientExample.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False, env=environment()
    )
    assert (done.returncode, done.stderr) == (130, "")
