"""Recording for real: from the sandbox, in bursts, and in programs that end without a word."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeClient
from tests.peers import PATIENCE
from wsclient import Assets
from wsclient.sandbox import Sandbox
from wsclient.sinks import Record, SinkQueue, attach, open_sink, read_jsonl, read_sqlite
from wsclient.sinks.classify import coinbase, coinflex_named

Read = Callable[[Path], Iterator[Record]]
STORES = [
    ("sqlite", "kept.db", read_sqlite),
    ("jsonl", "kept.jsonl", read_jsonl),
    ("jsonl", "kept.jsonl.gz", read_jsonl),
]
IDS = ["sqlite", "jsonl", "jsonl.gz"]
ROOT = Path(__file__).parents[2]

BURST = 100_000
MATCH = (
    '{"type":"match","trade_id":%d,"sequence":5928281084,"maker_order_id":"ac928c66-ca53-498f-9c13-a110027a60e8",'
    '"time":"2023-01-01T12:00:00.000000Z","product_id":"BTC-USD","size":"0.001","price":"43000.00","side":"buy"}'
)


@pytest.mark.parametrize(("scheme", "name", "read"), STORES, ids=IDS)
def test_what_a_client_receives_is_kept_as_its_handler_saw_it(
    exchange: Sandbox, make_client: MakeClient, tmp_path: Path, scheme: str, name: str, read: Read
) -> None:
    seen: list[str] = []
    client = make_client(exchange.url, msg_handler=lambda _, text: seen.append(text))
    before = time.time_ns() // 1000
    with attach(client, f"{scheme}:{tmp_path / name}") as recording:
        user = exchange.users[0]
        client.set_auth_data(user.id, user.cookie, user.passphrase)
        client.WatchTicker(base="XBT", counter="USDT", watch=True).result(PATIENCE)
        client.PlaceOrder(base="XBT", counter="USDT", quantity=10000, price=10000).result(PATIENCE)
        client.stop()  # afterwards no message comes any more
    after = time.time_ns() // 1000
    kept = list(read(tmp_path / name))
    assert [record.text for record in kept] == seen
    assert recording.counts.written == len(seen) > 3
    assert all(before <= record.time <= after for record in kept)
    assert {record.venue for record in kept} == {"coinflex"}
    assert {"Welcome", "reply", "OrderOpened"} <= {record.type for record in kept}
    (opened,) = (record for record in kept if record.type == "OrderOpened")
    assert opened.exchange_time == json.loads(opened.text)["time"]
    fields = json.loads(opened.text)
    assert opened.product == f"{fields['base']}/{fields['counter']}"


def test_two_clients_and_names_of_markets_in_one_database(
    exchange: Sandbox, make_client: MakeClient, tmp_path: Path
) -> None:
    path = tmp_path / "kept.db"
    with SinkQueue(open_sink(f"sqlite:{path}")) as queue:
        names = coinflex_named({code: name for name, code in Assets.items()})
        clients = [make_client(exchange.url) for _ in range(2)]
        for number, client in enumerate(clients):
            attach(client, queue, venue=f"client {number}", classify=names)
            user = exchange.users[number]
            client.set_auth_data(user.id, user.cookie, user.passphrase)
            client.PlaceOrder(base="XBT", counter="USDT", quantity=10000, price=10000).result(PATIENCE)
        for client in clients:
            client.stop()
    for number in range(2):
        assert [r.product for r in read_sqlite(path, f"client {number}", type="OrderOpened")] == ["XBT/USDT"]


def test_a_client_can_be_stopped_while_its_recording_waits_for_the_store(
    exchange: Sandbox, make_client: MakeClient, tmp_path: Path
) -> None:
    away = threading.Event()

    class Away:
        def write_many(self, records: object, /) -> None:
            away.set()
            raise OSError("the store is away")

        def close(self) -> None:
            pass

    client = make_client(exchange.url)
    recording = attach(client, Away(), venue="coinflex", age=0, on_error=lambda _: None)
    client.WatchTicker(base="XBT", counter="USDT", watch=True).result(PATIENCE)
    assert away.wait(PATIENCE)
    client.stop()
    with pytest.raises(Exception, match="couldn't be written"):
        recording.close(0)


@pytest.mark.parametrize(("scheme", "name", "read"), STORES, ids=IDS)
def test_a_hundred_thousand_messages_at_once_are_kept_without_a_drop(
    tmp_path: Path, scheme: str, name: str, read: Read
) -> None:
    queue = SinkQueue(open_sink(f"{scheme}:{tmp_path / name}"))
    take = queue.intake("coinbase", coinbase)
    texts = [MATCH % number for number in range(BURST)]
    for burst in range(2):
        start = time.perf_counter()
        accepted = sum(map(take, texts))
        taken = time.perf_counter() - start
        queue.flush(60)
        written = time.perf_counter() - start
        assert accepted == BURST
        rates = f"{BURST / taken:,.0f}/s into the queue, {BURST / written:,.0f}/s into the store"
        print(f"{name}, burst {burst}: {rates}")
    queue.close(60)
    assert queue.counts == (2 * BURST, 2 * BURST, 0, 0, 0, 0)
    assert sum(1 for _ in read(tmp_path / name)) == 2 * BURST


@pytest.mark.parametrize(("scheme", "name", "read"), STORES, ids=IDS)
def test_a_program_that_forgets_to_close_loses_nothing(tmp_path: Path, scheme: str, name: str, read: Read) -> None:
    url = f"{scheme}:{tmp_path / name}"
    command = [sys.executable, "-m", "tests.integration.recorder", url, "exit", "1050"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert done.stderr == ""
    assert [json.loads(record.text)["number"] for record in read(tmp_path / name)] == list(range(1050))


@pytest.mark.parametrize(("scheme", "name", "read"), STORES, ids=IDS)
def test_a_program_that_is_killed_leaves_all_that_was_written_and_can_go_on(
    tmp_path: Path, scheme: str, name: str, read: Read
) -> None:
    url = f"{scheme}:{tmp_path / name}"
    command = [sys.executable, "-m", "tests.integration.recorder", url, "loop"]
    for _ in range(3):
        already = sum(1 for _ in read(tmp_path / name)) if (tmp_path / name).exists() else 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
            assert program.stdout is not None
            said = [program.stdout.readline() for _ in range(20)]
            program.kill()
            said += program.stdout.readlines()
        written = int([line for line in said if line.endswith("\n")][-1])
        open_sink(url).close()  # mends what is cut off
        kept = [json.loads(record.text)["number"] for record in read(tmp_path / name)][already:]
        assert len(kept) >= written
        assert kept == list(range(len(kept)))
