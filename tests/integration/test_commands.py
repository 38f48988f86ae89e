"""`python -m wsclient`, run as a program: what it keeps and shows, how it ends, and that it shows no traceback."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import PATIENCE, Peer, PeerServer, Stopwatch
from wsclient import WSClient, to_wire
from wsclient.cli.record import Store
from wsclient.sandbox import Sandbox
from wsclient.sandbox.faults import Refuse
from wsclient.sandbox.noticefaults import Skip
from wsclient.sinks import read_jsonl, read_sqlite
from wsclient.sinks.classify import coinflex

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-u", "-m", "wsclient"]

REFUSED, USAGE, NO_CONNECTION, NO_LOGIN, BAD_VALUE, NOT_KEPT = 1, 2, 3, 4, 6, 8


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The program, run to its end in a folder; it shows no traceback."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env=environment(),
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def failed(status: int, folder: Path, *arguments: str) -> str:
    """The one sentence with which it ends with this status."""
    done = run(folder, *arguments)
    assert done.returncode == status, done
    assert done.stdout == ""
    sentences = done.stderr.splitlines()
    assert len(sentences) == 1, done.stderr
    assert sentences[0].startswith("python -m wsclient: ")
    return sentences[0]


class Recorder:
    """The program while it records an exchange of the test's; killed if it doesn't end by itself."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, "record", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._timer = threading.Timer(PATIENCE, self.process.kill)
        self._timer.start()

    def wait_for(self, pattern: str) -> None:
        """Until a line of stderr has the pattern."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if re.search(pattern, line):
                return
        raise AssertionError(f"it ended without saying {pattern!r}")

    def end(self) -> tuple[int, str, str]:
        """Its status, and what it said on stdout and (since it was last asked) on stderr, once it has ended."""
        said, warned = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said, warned

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()
        self.process.kill()
        self.process.communicate()


def kept(report: str) -> dict[str, int]:
    """How many messages each store says it has kept."""
    found = re.findall(r"^(\S+): kept ([\d,]+) message", report, re.MULTILINE)
    return {name: int(count.replace(",", "")) for name, count in found}


@pytest.fixture
def still() -> Iterator[Sandbox]:
    """An exchange where nothing happens by itself."""
    with Sandbox(traders=0) as exchange:
        yield exchange


def place(exchange: Sandbox, number: int) -> None:
    user = exchange.users[0]
    with WSClient(exchange.url) as client:
        client.set_auth_data(user.id, user.cookie, user.passphrase)
        for _ in range(number):
            client.PlaceOrder(base="XBT", counter="USDT", quantity=to_wire("0.01"), price=to_wire(100)).result(
                PATIENCE
            )


# -- help


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("record", "show", "Exit status")),
        (["record"], ("coinflex", "--sandbox", "--to", "--seconds", "--messages", "sqlite:", "Ctrl-C")),
        (["show"], ("FILE", "--product", "--since", "--counts")),
    ],
    ids=["main", "record", "show"],
)
def test_help_says_how(tmp_path: Path, arguments: list[str], expected: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in expected:
        assert word in done.stdout


# -- recording


def test_a_market_of_its_own_sandbox_goes_into_sqlite_and_json_lines_and_it_tells_what_it_kept(
    tmp_path: Path,
) -> None:
    to = ["sqlite:market.db", "jsonl:market.jsonl.gz"]
    done = run(tmp_path, "record", "coinflex", "--sandbox", "--messages", "50", "--to", *to)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert kept(done.stdout) == dict.fromkeys(to, 50)
    database = list(read_sqlite(tmp_path / "market.db"))
    lines = list(read_jsonl(tmp_path / "market.jsonl.gz"))
    assert len(database) == 50
    assert [record.text for record in database] == [record.text for record in lines]
    assert {record.product for record in database} == {"XBT/USDT", None}
    opened = sum(record.type == "OrderOpened" for record in database)
    assert opened > 0
    assert len(re.findall(rf"^    XBT/USDT +OrderOpened +{opened}$", done.stdout, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("venue", "product", "types"),
    [
        ("coinbase", "BTC-USD", {"subscriptions", "snapshot", "l2update"}),
        ("binance", "BTCUSDT", {"trade", "depthUpdate", "bookTicker"}),
    ],
)
def test_other_venues_of_the_sandbox_are_recorded_likewise(
    tmp_path: Path, venue: str, product: str, types: set[str]
) -> None:
    to = ["sqlite:market.db", "jsonl:market.jsonl"]
    done = run(tmp_path, "record", venue, "--sandbox", "--traders", "2000", "--messages", "200", "--to", *to)
    assert done.returncode == 0, done.stderr
    assert kept(done.stdout) == dict.fromkeys(to, 200)
    for records in (list(read_sqlite(tmp_path / "market.db")), list(read_jsonl(tmp_path / "market.jsonl"))):
        assert {record.venue for record in records} == {venue}
        assert {record.product for record in records} - {None} == {product}
        assert types <= {record.type for record in records}


def test_channels_that_want_a_key_get_the_sandbox_user_s_and_gaps_are_told(
    tmp_path: Path, still: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        "--url",
        still.coinbase_url,
        "--market",
        "BTC-USDT",
        "--channel",
        "full",
        "--to",
        "sqlite:market.db",
    ]
    assert "subscribe was refused" in failed(REFUSED, tmp_path, "record", "coinbase", *arguments)
    key = still.users[0].coinbase
    monkeypatch.setenv("COINBASE_KEY", key.key)
    monkeypatch.setenv("COINBASE_SECRET", key.secret)
    monkeypatch.setenv("COINBASE_PASSPHRASE", key.passphrase)
    place(still, 1)
    still.faults.add(Skip(kind="open", product="BTC-USDT"))
    with Recorder(tmp_path, "coinbase", *arguments) as recorder:
        recorder.wait_for("Recording BTC-USDT")
        place(still, 2)
        recorder.wait_for("BTC-USDT: sequence numbers .*: gap")
        recorder.process.send_signal(signal.SIGINT)
        status, said, warned = recorder.end()
    assert status == 0, warned
    assert "the exchange's numbers were out of order once" in said
    assert key.secret not in said + warned


def test_it_shows_the_recording_again(tmp_path: Path) -> None:
    to = ["sqlite:market.db", "jsonl:market.jsonl"]
    recorded = run(tmp_path, "record", "coinflex", "--sandbox", "--messages", "20", "--to", *to)
    told = recorded.stdout.splitlines()
    for name, first in (("market.db", 0), ("market.jsonl", len(told) // 2)):
        counts = run(tmp_path, "show", name, "--counts").stdout.splitlines()
        assert run(tmp_path, "show", to[first and 1] + "?x=y", "--counts").stdout.splitlines() == counts
        assert counts[0] == f"{name}: 20 messages"
        assert counts[1:] == told[first + 1 : first + len(counts)]
        rows = run(tmp_path, "show", name, "--product", "XBT/USDT", "--limit", "2").stdout.splitlines()
        assert len(rows) == 2
        assert all("  coinflex  XBT/USDT  " in row for row in rows)
        texts = run(tmp_path, "show", name, "--text", "--type", "OrderOpened").stdout.splitlines()
        assert texts
        assert {json.loads(text)["notice"] for text in texts} == {"OrderOpened"}
        assert run(tmp_path, "show", name, "--since", "2100-01-01").stdout == ""
        assert len(run(tmp_path, "show", name, "--until", "2100-01-01").stdout.splitlines()) == 20


def test_streams_and_markets_that_bring_nothing_are_named_in_the_end(tmp_path: Path, still: Sandbox) -> None:
    arguments = ["--market", "FOOBAR", "--channel", "trade", "kline_1m", "--to", "sqlite:b.db", "--seconds", "0.1"]
    for url in (still.binance_url, still.binance_url + "/ws", still.binance_url + "/stream/"):
        done = run(tmp_path, "record", "binance", "--url", url, *arguments)
        assert done.returncode == 0, done.stderr
        assert [line for line in done.stdout.splitlines() if "nothing" in line] == [
            f"nothing came of foobar@{channel}, which may be quiet or misspelt"
            for channel in ("trade", "kline_1m")
        ]
    arguments = ["--channel", "orders", "--to", "sqlite:c.db", "--seconds", "0.1"]
    done = run(tmp_path, "record", "coinflex", "--url", still.url, *arguments)
    assert "nothing came of XBT/USDT, " in done.stdout
    arguments = ["--channel", "heartbeat", "--to", "sqlite:d.db", "--messages", "3"]
    done = run(tmp_path, "record", "coinbase", "--url", still.coinbase_url, *arguments)
    assert "nothing came" not in done.stdout


def test_a_stream_that_is_surely_misspelt_is_not_recorded(tmp_path: Path) -> None:
    for market, channel in (("BTCUSDT", "kline_1x"), ("BTC-USDT", "trade"), ("BTCUSDT", "aggtrade")):
        arguments = ["--market", market, "--channel", channel, "--to", "sqlite:market.db"]
        failed(BAD_VALUE, tmp_path, "record", "binance", "--url", "ws://127.0.0.1:9", *arguments)


def test_seconds_end_it_and_all_is_on_the_disk(tmp_path: Path) -> None:
    done = run(tmp_path, "record", "coinflex", "--sandbox", "--seconds", "0.5", "--to", "sqlite:market.db")
    assert done.returncode == 0, done.stderr
    (count,) = kept(done.stdout).values()
    assert count == len(list(read_sqlite(tmp_path / "market.db"))) > 0


def test_other_markets_and_channels_are_recorded_as_asked(tmp_path: Path, still: Sandbox) -> None:
    arguments = ["--market", "XBT/USDT", "ETH/USDT", "--channel", "orders", "--to", "sqlite:market.db"]
    done = run(tmp_path, "record", "coinflex", "--url", still.url, *arguments, "--seconds", "0.1")
    assert done.returncode == 0, done.stderr
    watched = [(command.fields["base"], command.method) for command in still.ledger.commands()]
    assert [method for _, method in watched] == ["WatchOrders", "WatchOrders"]
    assert len(set(watched)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly_with_everything_kept(
    tmp_path: Path, still: Sandbox, number: signal.Signals
) -> None:
    with Recorder(tmp_path, "coinflex", "--url", still.url, "--to", "sqlite:market.db") as recorder:
        recorder.wait_for("Recording XBT/USDT")
        place(still, 10)
        recorder.process.send_signal(number)
        with Stopwatch() as ending:
            status, said, warned = recorder.end()
    assert (status, warned) == (0, "")
    assert ending.seconds < PATIENCE
    records = list(read_sqlite(tmp_path / "market.db"))
    assert kept(said) == {"sqlite:market.db": len(records)}
    assert [record.type for record in records[:3]] == ["Welcome", "reply", "reply"]


@pytest.mark.parametrize("venue", ["coinflex", "coinbase", "binance"])
def test_a_lost_connection_is_got_back_and_told_in_the_end(tmp_path: Path, still: Sandbox, venue: str) -> None:
    url = {"coinflex": still.url, "coinbase": still.coinbase_url, "binance": still.binance_url}[venue]
    with Recorder(tmp_path, venue, "--url", url, "--to", "sqlite:market.db") as recorder:
        recorder.wait_for("Recording")
        still.stop()
        still.start()
        recorder.wait_for("connected again")
        recorder.process.send_signal(signal.SIGINT)
        status, said, _ = recorder.end()
    assert status == 0
    assert "the connection was lost once" in said
    if venue == "coinflex":
        assert [record.type for record in read_sqlite(tmp_path / "market.db")].count("Welcome") == 2


def test_a_store_that_cannot_be_opened_ends_it_with_8(tmp_path: Path) -> None:
    (tmp_path / "market.db").mkdir()
    assert "market.db" in failed(NOT_KEPT, tmp_path, "record", "coinflex", "--sandbox", "--to", "sqlite:market.db")


def test_ctrl_c_while_it_still_waits_for_answers_ends_it_without_a_traceback(tmp_path: Path) -> None:
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.receive()
        asked.set()
        peer.wait_for_end()

    with (
        PeerServer(script) as server,
        Recorder(tmp_path, "coinflex", "--url", server.url, "--to", "jsonl:market.jsonl") as recorder,
    ):
        assert asked.wait(PATIENCE)
        recorder.process.send_signal(signal.SIGINT)
        assert recorder.end() == (130, "", "")


def test_what_a_store_could_not_take_is_told_and_what_it_took_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "market.db"
    with Store(f"sqlite:{path}?busy_timeout=0.01", "block", patience=0.1) as store:
        take = store.queue.intake("coinflex", coinflex)
        take('{"notice":"Welcome"}')
        store.queue.flush(PATIENCE)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")  # somebody else has the database for himself
            take('{"notice":"OrderOpened"}')
            store.__exit__(None, None, None)
    assert store.failure is not None
    told = store.report()
    assert told[0] == f"sqlite:{path}: kept 1 message, dropped 0, couldn't keep 1"
    assert told[-1].split() == ["-", "Welcome", "1"]
    assert "locked" in capsys.readouterr().err


# -- each way to fail


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["record"],
        ["record", "coinflex", "--sandbox"],
        ["record", "mtgox", "--sandbox", "--to", "sqlite:market.db"],
        ["record", "coinflex", "--to", "sqlite:market.db"],
        ["record", "coinflex", "--sandbox", "--url", "ws://127.0.0.1/", "--to", "sqlite:market.db"],
        ["record", "coinflex", "--sandbox", "--channel", "gossip", "--to", "sqlite:market.db"],
        ["record", "coinflex", "--sandbox", "--to", "sqlite:market.db", "sqlite:market.db"],
        ["record", "coinflex", "--sandbox", "--to", "sqlite:market.db", "--seconds", "soon"],
        ["record", "coinflex", "--sandbox", "--to", "sqlite:market.db", "--messages", "0"],
        ["show"],
        ["show", "market.db", "--since", "yesterday"],
        ["show", "mongodb://host/db.collection"],
        ["show", "market.db", "--limit", "-1"],
        ["show", "market.db", "--text", "--counts"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_leaves_no_file(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == USAGE
    assert "usage:" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_market_that_the_exchange_refuses_ends_with_1(tmp_path: Path, still: Sandbox) -> None:
    arguments = ["--url", still.url, "--market", "USDT/XBT", "--to", "sqlite:market.db"]
    assert "WatchOrders was refused" in failed(REFUSED, tmp_path, "record", "coinflex", *arguments)


def test_no_connection_ends_with_3(tmp_path: Path, still: Sandbox) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{held.getsockname()[1]}"
        failed(NO_CONNECTION, tmp_path, "record", "coinflex", "--url", url, "--to", "sqlite:market.db")
    still.faults.add(Refuse(status=403))
    assert "403" in failed(
        NO_CONNECTION, tmp_path, "record", "coinflex", "--url", still.url, "--to", "sqlite:market.db"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sandbox", "--to", "csv:market.csv"],
        ["--sandbox", "--to", "sqlite:market.db?colour=red"],
        ["--sandbox", "--to", "jsonl:market.jsonl", "--market", "XBT"],
        ["--sandbox", "--to", "jsonl:market.jsonl", "--market", "GOLD/USDT"],
        ["--url", "http://127.0.0.1/", "--to", "jsonl:market.jsonl"],
    ],
    ids=" ".join,
)
def test_a_bad_value_ends_with_6(tmp_path: Path, arguments: list[str]) -> None:
    failed(BAD_VALUE, tmp_path, "record", "coinflex", *arguments)
    assert not list(tmp_path.iterdir())


def test_a_file_of_before_is_kept_where_nothing_can_be_recorded(tmp_path: Path) -> None:
    (tmp_path / "market.jsonl").touch()
    to = ["--to", "jsonl:market.jsonl", "sqlite:market.db", "jsonl:a.jsonl.gz"]
    failed(NO_CONNECTION, tmp_path, "record", "coinflex", "--url", "ws://127.0.0.1:9", *to)
    assert [path.name for path in tmp_path.iterdir()] == ["market.jsonl"]


def test_a_folder_that_is_not_there_ends_with_8(tmp_path: Path) -> None:
    told = failed(NOT_KEPT, tmp_path, "record", "coinflex", "--sandbox", "--to", "jsonl:nowhere/market.jsonl")
    assert "nowhere/market.jsonl can't be opened: No such file" in told


def test_a_file_that_is_no_recording_ends_with_8(tmp_path: Path) -> None:
    (tmp_path / "poem.jsonl").write_text("roses are red\n")
    assert "no recording" in failed(NOT_KEPT, tmp_path, "show", "poem.jsonl")
    assert "nowhere.db" in failed(NOT_KEPT, tmp_path, "show", "nowhere.db")


def test_no_password_is_shown(tmp_path: Path, still: Sandbox) -> None:
    url = still.url.replace("ws://", "ws://me:hush@") + "?token=hush"
    arguments = ["--url", url, "--to", "jsonl:market.jsonl", "--seconds", "0.1"]
    done = run(tmp_path, "record", "coinflex", *arguments)
    assert "hush" not in done.stdout + done.stderr


def test_a_reader_who_has_seen_enough_ends_it_cleanly(tmp_path: Path) -> None:
    run(tmp_path, "record", "coinflex", "--sandbox", "--messages", "20", "--to", "jsonl:market.jsonl")
    reading, writing = os.pipe()
    program = subprocess.Popen(
        [*PROGRAM, "show", "market.jsonl"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    os.close(writing)
    os.close(reading)
    try:
        _, said = program.communicate(timeout=PATIENCE)
    finally:
        program.kill()
    assert (program.returncode, said) == (0, b"")
