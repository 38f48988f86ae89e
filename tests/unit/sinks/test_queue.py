"""The queue and its writer thread: nothing accepted is lost, nothing else is pretended."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.peers import PATIENCE
from tests.unit.sinks.stores import Store
from wsclient.errors import InvalidRequest, SinkError, WouldDeadlock
from wsclient.sinks.classify import coinbase
from wsclient.sinks.contract import Shape
from wsclient.sinks.queue import SinkQueue

NEVER = 3600.0  # seconds, for what a test must not wait for
MakeQueue = Callable[..., SinkQueue]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def make_queue(store: Store) -> Iterator[MakeQueue]:
    queues = []

    def make_queue(**options: Any) -> SinkQueue:
        queues.append(SinkQueue(store, **{"age": NEVER, "backoff": (0.0, 0.0), **options}))
        return queues[-1]

    yield make_queue
    store.may_enter.set()
    for queue in queues:
        try:
            queue.close(0)
        except SinkError:
            pass  # the test itself looks at what is lost


def test_messages_are_kept_in_order_with_all_that_is_known_of_them(store: Store, make_queue: MakeQueue) -> None:
    times = iter([5, 6])
    queue = make_queue(now=lambda: next(times))
    take = queue.intake("coinbase", coinbase)
    text = '{"type":"match","product_id":"BTC-USD","time":"1970-01-01T00:00:01.5Z"}'
    assert take(text)
    assert take("no JSON")
    queue.flush(PATIENCE)
    ((first, second),) = store.batches
    assert first[:6] == ("coinbase", "BTC-USD", "match", 5, text, 1_500_000)
    assert first.message == {"type": "match", "product_id": "BTC-USD", "time": "1970-01-01T00:00:01.5Z"}
    assert second[:6] == ("coinbase", None, None, 6, "no JSON", None)
    assert second.message is None
    assert first.id is not None
    assert second.id is not None
    assert first.id < second.id
    assert queue.counts == (2, 2, 0, 0, 0, 0)


def test_a_full_batch_is_written_without_waiting_for_its_age(store: Store, make_queue: MakeQueue) -> None:
    take = make_queue(batch=3).intake("venue")
    for number in range(7):
        take(str(number))
    store.await_texts(6)
    assert [len(batch) for batch in store.batches][:2] == [3, 3]


def test_a_lone_message_is_written_when_it_is_old_enough(store: Store, make_queue: MakeQueue) -> None:
    take = make_queue(age=0.01).intake("venue")
    take("alone")
    store.await_texts(1)
    take("alone again")
    store.await_texts(2)


def test_large_messages_make_small_batches(store: Store, make_queue: MakeQueue) -> None:
    take = make_queue(max_chars=1000).intake("venue")
    take("a" * 600)
    take("b" * 600)  # no room beside the first
    take("c" * 5000)  # no room at all, but alone it is taken
    take("d")
    store.await_texts(3)
    assert [[text[0] for text in batch] for batch in ([r.text for r in b] for b in store.batches)] == [
        ["a"],
        ["b"],
        ["c"],
    ]


def test_a_full_queue_blocks_until_there_is_room_and_drops_nothing(store: Store, make_queue: MakeQueue) -> None:
    store.may_enter.clear()
    queue = make_queue(size=2)
    take = queue.intake("venue")
    accepted: list[bool] = []
    done = threading.Event()

    def feed() -> None:
        accepted.extend(take(str(number)) for number in range(100))
        done.set()

    threading.Thread(target=feed).start()
    store.await_tries(1)
    assert not done.is_set()
    assert queue.counts.waiting <= 2
    store.may_enter.set()
    assert done.wait(PATIENCE)
    queue.flush(PATIENCE)
    assert accepted == [True] * 100
    assert store.texts == [str(number) for number in range(100)]
    assert queue.counts.dropped == 0


def test_many_threads_feed_one_queue_and_each_ones_order_is_kept(store: Store, make_queue: MakeQueue) -> None:
    queue = make_queue(size=50, batch=20)

    def feed(name: str) -> None:
        take = queue.intake(name)
        for number in range(2000):
            take(str(number))

    threads = [threading.Thread(target=feed, args=(f"venue {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    queue.flush(PATIENCE)
    for i in range(8):
        kept = [record.text for batch in store.batches for record in batch if record.venue == f"venue {i}"]
        assert kept == [str(number) for number in range(2000)]
    ids = [record.id for batch in store.batches for record in batch]
    assert len(set(ids)) == 16000


def test_dropping_counts_and_tells_and_keeps_what_it_accepted(store: Store, make_queue: MakeQueue) -> None:
    told: list[Exception] = []
    store.may_enter.clear()
    queue = make_queue(size=3, policy="drop", on_error=told.append)
    take = queue.intake("venue")
    accepted = [take(str(number)) for number in range(10)]
    assert accepted == [True] * 3 + [False] * 7
    store.may_enter.set()
    queue.close()
    assert store.texts == ["0", "1", "2"]
    assert queue.counts == (3, 3, 0, 0, 0, 7)
    assert [str(error) for error in told] == ["7 messages were dropped, 7 in all"]
    assert isinstance(told[0], SinkError)


def test_a_store_that_is_away_is_tried_until_it_is_back_with_the_same_records(
    store: Store, make_queue: MakeQueue
) -> None:
    told: list[Exception] = []
    store.away = 5
    queue = make_queue(on_error=told.append)
    take = queue.intake("venue")
    take("a")
    take("b")
    queue.flush(PATIENCE)
    assert store.texts == ["a", "b"]
    assert store.tries == 6
    assert [str(error) for error in told] == ["the store is away"] * 5
    assert queue.counts == (2, 2, 0, 0, 0, 0)


def test_between_tries_it_waits_as_the_backoff_says(store: Store, make_queue: MakeQueue) -> None:
    asked: list[float] = []

    def random() -> float:
        asked.append(0.0)
        return 0.0  # no wait at all

    store.away = 4
    queue = make_queue(backoff=(NEVER, NEVER), random=random)
    queue.intake("venue")("a")
    queue.flush(PATIENCE)
    assert len(asked) == 4


def test_closing_tries_at_once_however_long_the_next_wait_would_be(store: Store, make_queue: MakeQueue) -> None:
    store.away = 1
    told = threading.Event()
    queue = make_queue(backoff=(NEVER, NEVER), random=lambda: 1.0, batch=1, on_error=lambda _: told.set())
    queue.intake("venue")("a")
    assert told.wait(PATIENCE)
    queue.close(PATIENCE)
    assert store.texts == ["a"]


def test_closing_writes_everything_and_closes_the_sink_once(store: Store, make_queue: MakeQueue) -> None:
    queue = make_queue(batch=10)
    take = queue.intake("venue")
    for number in range(95):
        take(str(number))
    queue.close()
    queue.close()
    assert store.texts == [str(number) for number in range(95)]
    assert store.closings == 1
    assert not take("late")
    assert queue.counts == (95, 95, 0, 0, 0, 1)


def test_closing_says_what_could_not_be_written(store: Store, make_queue: MakeQueue) -> None:
    store.away = 10**9
    queue = make_queue(backoff=(0.001, 0.001), batch=2, on_error=lambda _: None)
    take = queue.intake("venue")
    for number in range(5):
        take(str(number))
    for _ in range(2):
        with pytest.raises(SinkError, match=r"^5 accepted messages couldn't be written"):
            queue.close(0.01)
    assert queue.counts == (5, 0, 0, 5, 0, 0)
    assert store.closings == 1


def test_closing_does_not_wait_for_ever_for_a_store_that_hangs(store: Store, make_queue: MakeQueue) -> None:
    store.may_enter.clear()
    queue = make_queue(batch=1)
    queue.intake("venue")("a")
    store.await_tries(1)
    with pytest.raises(SinkError, match=r"^1 accepted messages couldn't be written"):
        queue.close(0.01)
    store.may_enter.set()


def test_closing_frees_a_blocked_thread_and_counts_its_message_as_dropped(
    store: Store, make_queue: MakeQueue
) -> None:
    store.may_enter.clear()
    queue = make_queue(size=1)
    take = queue.intake("venue")
    assert take("a")
    store_says: list[bool] = []
    blocked = threading.Thread(target=lambda: store_says.append(take("b")))
    blocked.start()
    store.await_tries(1)  # since somebody waits for room, what is there is written at once
    closing = threading.Thread(target=queue.close)
    closing.start()
    blocked.join(PATIENCE)
    assert store_says == [False]
    store.may_enter.set()
    closing.join(PATIENCE)
    assert store.texts == ["a"]
    assert queue.counts == (1, 1, 0, 0, 0, 1)


def test_what_a_store_refuses_is_told_and_the_rest_is_kept(store: Store, make_queue: MakeQueue) -> None:
    told: list[Exception] = []
    store.bad = {"bad"}
    queue = make_queue(on_error=told.append)
    take = queue.intake("venue")
    for text in ("a", "bad", "b"):
        take(text)
    queue.flush(PATIENCE)
    assert store.texts == ["a", "b"]
    assert queue.counts == (3, 2, 1, 0, 0, 0)
    with pytest.raises(SinkError, match="1 accepted messages were refused"):
        queue.close()
    assert [str(error) for error in told] == ["1 messages can't be kept; the first: too bad"]


def test_flush_ends_in_time_and_says_how_much_is_left(store: Store, make_queue: MakeQueue) -> None:
    store.may_enter.clear()
    queue = make_queue()
    take = queue.intake("venue")
    take("a")
    take("b")
    with pytest.raises(SinkError, match="2 messages are not written yet"):
        queue.flush(0.01)
    store.may_enter.set()
    queue.flush(PATIENCE)


def test_flush_with_nothing_to_write_returns_at_once(make_queue: MakeQueue) -> None:
    make_queue().flush(0)


def test_flush_on_the_writer_thread_says_that_it_would_wait_for_itself(
    store: Store, make_queue: MakeQueue
) -> None:
    raised: list[Exception] = []
    store.away = 1

    def on_error(_: Exception) -> None:
        try:
            queue.flush()
        except WouldDeadlock as error:
            raised.append(error)

    queue = make_queue(on_error=on_error)
    queue.intake("venue")("a")
    queue.flush(PATIENCE)
    assert len(raised) == 1


def test_closing_in_on_error_waits_for_nothing(store: Store, make_queue: MakeQueue) -> None:
    store.away = 1
    queue: SinkQueue = make_queue(batch=1, on_error=lambda _: queue.close())
    queue.intake("venue")("a")
    store.await_texts(1)
    queue.close()
    assert store.texts == ["a"]


def test_a_classifier_that_raises_is_told_and_loses_nothing(store: Store, make_queue: MakeQueue) -> None:
    told: list[Exception] = []

    def classify(message: Any) -> Shape:
        return Shape(message["product"])

    queue = make_queue(on_error=told.append)
    take = queue.intake("venue", classify)
    take('{"product": "A-B"}')
    take("{}")
    queue.flush(PATIENCE)
    assert [record.product for record in store.batches[0]] == ["A-B", None]
    assert [type(error) for error in told] == [KeyError]


def test_an_on_error_that_raises_is_logged_and_changes_nothing(
    store: Store, make_queue: MakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    def on_error(error: Exception) -> None:
        raise RuntimeError("my handler is broken")

    store.away = 1
    queue = make_queue(on_error=on_error)
    queue.intake("venue")("a")
    queue.flush(PATIENCE)
    assert "on_error raised" in caplog.text


def test_without_on_error_the_log_is_told(
    store: Store, make_queue: MakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    store.away = 1
    queue = make_queue()
    queue.intake("venue")("a")
    queue.flush(PATIENCE)
    assert [(record.name, record.levelname) for record in caplog.records] == [("wsclient", "WARNING")]
    assert "the store is away" in caplog.text


def test_a_sink_that_cannot_be_closed_is_told_by_close(store: Store, make_queue: MakeQueue) -> None:
    store.closing_error = OSError("no")
    queue = make_queue(on_error=lambda _: None)
    queue.intake("venue")("a")
    with pytest.raises(SinkError, match="the messages are written") as raised:
        queue.close()
    assert raised.value.__cause__ is store.closing_error


def test_a_with_block_closes(store: Store) -> None:
    with SinkQueue(store, age=NEVER) as queue:
        queue.intake("venue")("a")
    assert store.texts == ["a"]
    assert store.closings == 1


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"size": True},
        {"batch": 1.5},
        {"max_chars": -1},
        {"policy": "perhaps"},
        {"age": -1},
        {"age": float("inf")},
        {"age": float("nan")},
        {"backoff": (2, 1)},
        {"on_error": "print"},
    ],
    ids=str,
)
def test_wrong_options_are_refused_before_a_thread_starts(store: Store, options: dict[str, Any]) -> None:
    before = threading.active_count()
    with pytest.raises(InvalidRequest):
        SinkQueue(store, **options)
    assert threading.active_count() == before
