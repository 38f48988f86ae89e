"""The MongoDB sink against a server process: every accepted message is there once, whatever the server does."""

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern

from tests.integration.mongo_server import PATIENCE, MongoServer
from tests.unit.sinks.stores import make
from wsclient.errors import SinkError
from wsclient.sinks import MongoSink, SinkQueue
from wsclient.sinks.classify import coinbase
from wsclient.sinks.records import Ids

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    with MongoServer(tmp_path) as server:
        yield server


MakeQueue = Callable[..., SinkQueue]


@pytest.fixture
def make_queue(server: MongoServer) -> Iterator[MakeQueue]:
    """Makes queues in front of the server, which don't outlive the test, however it ends."""
    queues = []

    def make_queue(on_error: Callable[[Exception], object], **options: Any) -> SinkQueue:
        queues.append(SinkQueue(MongoSink(url(server)), on_error=on_error, backoff=(0.01, 0.05), **options))
        return queues[-1]

    yield make_queue
    for queue in queues:
        try:
            queue.close(0)
        except SinkError:
            pass  # the test itself looks at what is lost


def messages(server: MongoServer) -> list[dict[str, Any]]:
    return list(server.client["market"]["messages"].find().sort("_id"))


def url(server: MongoServer) -> str:
    return f"{server.address}/market.messages?serverSelectionTimeoutMS=500"


def test_a_record_is_a_document_and_the_indexes_are_made_on_first_use(server: MongoServer) -> None:
    sink = MongoSink(url(server))
    assert server.client.list_database_names().count("market") == 0
    ident = Ids().next(1_700_000_000_000_000)
    text = '{"type":"match","price":1.10,"sizes":["0.5",7],"none":null}'
    refused = sink.write_many(
        [make(text=text, exchange_time=9, id=ident), make(text="no JSON")._replace(message=None)]
    )
    sink.close()
    assert refused == []
    first, second = sorted(messages(server), key=lambda document: "text" in document)
    price = first["message"].pop("price")
    assert price.to_decimal() == Decimal("1.10")
    assert str(price) == "1.10"  # as it was written, to the last digit
    assert str(first.pop("_id")) == ident
    assert first == {
        "time": 1_700_000_000_000_000,
        "exchange_time": 9,
        "venue": "coinbase",
        "product": "BTC-USD",
        "type": "match",
        "message": {"type": "match", "sizes": ["0.5", 7], "none": None},
    }
    assert second["text"] == "no JSON"
    assert "message" not in second
    indexes = server.client["market"]["messages"].index_information()
    assert {tuple(field for field, _ in index["key"]) for index in indexes.values()} == {
        ("_id",),
        ("venue", "product", "type", "time"),
        ("time",),
    }


def test_a_collection_of_the_users_own_takes_the_decoded_messages_themselves(server: MongoServer) -> None:
    mongo_client: MongoClient[Any] = MongoClient(server.address)
    collection = mongo_client.crypto_data.btc_ticks
    ticks = [
        {"type": "ticker", "product_id": "BTC-USD", "price": f"{n}.00", "time": f"2023-01-01T12:00:0{n}.000000Z"}
        for n in range(5)
    ]
    sink = MongoSink(collection, documents="messages")
    sink.write_many([make(message=tick, id=None) for tick in reversed(ticks)])
    sink.write_many([make(text="no JSON")._replace(message=None), make(message=[1])])
    sink.close()
    recent_data = collection.find({"time": {"$gte": "2023-01-01T12:00:02"}}).sort("time", 1)
    assert [{**tick, "_id": None} for tick in recent_data] == [{**tick, "_id": None} for tick in ticks[2:]]
    assert sorted(odd["text"] for odd in collection.find({"text": {"$exists": True}})) == ["[1]", "no JSON"]
    assert list(collection.index_information()) == ["_id_"]
    mongo_client.close()


def test_an_unacknowledged_collection_is_acknowledged_for_us(server: MongoServer) -> None:
    mongo_client: MongoClient[Any] = MongoClient(server.address)
    collection = mongo_client.market.get_collection("messages", write_concern=WriteConcern(w=0))
    sink = MongoSink(collection)
    same = make(id=Ids().next(1))
    assert sink.write_many([same]) == []
    assert sink.write_many([same]) == []
    sink.close()
    assert len(messages(server)) == 1
    mongo_client.close()


@pytest.mark.parametrize("documents", ["records", "messages"])
def test_what_bson_cannot_hold_is_kept_as_text_and_what_is_too_large_is_refused(
    server: MongoServer, documents: Any
) -> None:
    ids = Ids()

    def odd(text: str, message: Any) -> Any:
        return make(text=text, id=ids.next(1))._replace(message=message)

    number = str(2**70)
    large = "x" * (17 * 1024 * 1024)
    records = [
        odd('{"good": 1}', {"good": 1}),
        odd(f'{{"a": {number}}}', {"a": 2**70}),
        odd('{"a": "\\ud800"}', {"a": "\ud800"}),
        odd('{"a\\u0000b": 1}', {"a\0b": 1}),
        odd("\ud800", None),
        odd(large, None),
    ]
    sink = MongoSink(url(server), documents=documents)
    for _ in range(2):  # a second time they are there already
        refused = sink.write_many(records)
        assert [refusal.record for refusal in refused] == [records[-1]]
        assert "too large" in refused[0].reason
    sink.close()
    good, *rest = messages(server)
    assert (good["message"] if documents == "records" else good)["good"] == 1
    assert [document["text"] for document in rest] == [*(r.text for r in records[1:4]), "\\ud800"]


def test_what_the_users_own_rules_refuse_is_refused_and_a_second_try_is_not(server: MongoServer) -> None:
    server.client["market"]["messages"].create_index("trade_id", unique=True)
    ids = Ids()
    records = [make(message={"trade_id": trade}, id=ids.next(1)) for trade in (1, 2, 1, 3)]
    sink = MongoSink(url(server), documents="messages")
    for _ in range(2):
        assert [refusal.record for refusal in sink.write_many(records)] == [records[2]]
    sink.close()
    assert [document["trade_id"] for document in messages(server)] == [1, 2, 3]


@pytest.mark.parametrize(
    "failure",
    [{"closeConnection": True}, {"errorCode": 8000}, {"writeConcernError": {"code": 64, "errmsg": "not yet"}}],
    ids=["cut", "refused for now", "written, but not safely"],
)
def test_a_batch_that_fails_on_the_way_is_there_once(
    server: MongoServer, make_queue: MakeQueue, failure: dict[str, Any]
) -> None:
    told: list[Exception] = []
    queue = make_queue(told.append)
    take = queue.intake("coinbase", coinbase)
    take("0")
    queue.flush(PATIENCE)
    server.client.admin.command(
        "configureFailPoint", "failCommand", mode={"times": 3}, data={"failCommands": ["insert"], **failure}
    )
    for number in range(1, 100):
        take(str(number))
    queue.flush(PATIENCE)
    queue.close()
    assert len(told) >= 1
    assert [document["message"] for document in messages(server)] == list(range(100))


def test_a_server_killed_in_the_middle_of_a_stream_loses_nothing_and_doubles_nothing(
    server: MongoServer, make_queue: MakeQueue
) -> None:
    away: list[Exception] = []
    queue = make_queue(away.append, size=5000, batch=200)
    take = queue.intake("coinbase", coinbase)
    accepted: list[int] = []
    over = threading.Event()

    def feed() -> None:
        number = 0
        while not over.is_set():
            if take(f'{{"type":"match","product_id":"BTC-USD","number":{number}}}'):
                accepted.append(number)
            number += 1

    def await_written(more: int) -> None:
        goal = queue.counts.written + more
        while queue.counts.written < goal:
            # flush() comes back with each batch, or says that the time is over
            queue.flush(PATIENCE)

    feeding = threading.Thread(target=feed)
    feeding.start()
    try:
        for _ in range(3):
            await_written(2000)
            server.kill()
            server.start()
        await_written(2000)
    finally:
        over.set()
        feeding.join(PATIENCE)
    queue.close(PATIENCE)
    counts = queue.counts
    assert counts.accepted == counts.written == len(accepted)
    assert counts.dropped == 0
    assert away, "the server was never missed"
    told = [error for error in away if isinstance(error, SinkError)]
    assert told
    assert all(str(error).startswith("MongoDB is away: ") for error in told)
    assert not any("Topology" in str(error) for error in away)
    assert [document["message"]["number"] for document in messages(server)] == accepted


def test_a_server_that_comes_late_gets_everything(server: MongoServer, make_queue: MakeQueue) -> None:
    server.kill()
    told = threading.Event()
    queue = make_queue(lambda _: told.set())
    take = queue.intake("coinbase", coinbase)
    for number in range(10):
        take(str(number))
    assert told.wait(PATIENCE)
    server.start()
    queue.flush(PATIENCE)
    queue.close()
    assert len(messages(server)) == 10


def test_closing_without_the_server_ends_in_time_and_says_what_is_lost(
    server: MongoServer, make_queue: MakeQueue
) -> None:
    queue = make_queue(lambda _: None)
    take = queue.intake("coinbase", coinbase)
    take("0")
    queue.flush(PATIENCE)
    server.kill()
    for number in range(10):
        take(str(number))
    with pytest.raises(SinkError, match="10 accepted messages couldn't be written"):
        queue.close(0.1)
