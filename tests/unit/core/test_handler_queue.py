"""Handlers on a thread of their own: what waits, what is dropped, and who ends when."""

import logging
import queue
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest

from wsclient.core.backlog import Dropped, Event, Item, Policy
from wsclient.core.handler_queue import HandlerQueue, QueueOptions
from wsclient.core.handlers import Handlers
from wsclient.core.queued_caller import QueuedCaller
from wsclient.errors import InvalidRequest, MessagesDropped, TransportError, WSClientError

PATIENCE = 10.0


def within(thread: threading.Thread) -> None:
    thread.join(PATIENCE)
    assert not thread.is_alive()


def elsewhere(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class Stage:
    """A queue whose handler stops at each item until it is let go on."""

    def __init__(self, size: int, policy: Policy = "block", *, allowance: int = 0, patience: float = 60) -> None:
        self.done: list[Item] = []
        self.begun: queue.Queue[Item] = queue.Queue()
        self._go = threading.Semaphore(0)
        self.pending = False  # whether a call waits for its reply
        self.asked = threading.Event()  # whether a call waits was asked
        self.given_up: list[WSClientError] = []
        self.queue = HandlerQueue(
            QueueOptions(size, policy),
            self._run,
            name="wsclient handlers test",
            awaited=self._awaited,
            give_up=self.given_up.append,
            patience=patience,
            allowance=allowance,
        )

    def _awaited(self) -> bool:
        self.asked.set()
        return self.pending

    def _run(self, item: Item) -> None:
        self.begun.put(item)
        assert self._go.acquire(timeout=PATIENCE)
        self.done.append(item)

    def busy_with(self, text: str) -> None:
        """Puts a text in, and waits until the handler has it."""
        self.queue.put_text(text)
        assert self.begun.get(timeout=PATIENCE) == text

    def put(self, *texts: str) -> None:
        for text in texts:
            self.queue.put_text(text)

    def go(self, count: int = 1) -> None:
        self._go.release(count)

    def end(self) -> None:
        """Lets the handler do all that is left; the thread ends."""
        self.go(1000)
        self.queue.retire()
        self.queue.finish(PATIENCE)
        assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "wsclient handlers test"]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert threads() == []


@pytest.mark.parametrize(
    ("size", "policy"), [(0, "block"), (-1, "block"), (True, "block"), (1.5, "block"), (5, "drop")]
)
def test_a_queue_that_makes_no_sense_is_refused(size: Any, policy: Any) -> None:
    with pytest.raises(InvalidRequest):
        QueueOptions(size, policy)


def test_no_thread_runs_before_the_first_thing_is_put_in_nor_after_the_last() -> None:
    stage = Stage(5)
    assert threads() == []
    stage.busy_with("a")
    assert len(threads()) == 1
    stage.end()
    assert stage.done == ["a"]


def test_another_thread_runs_after_another_connection() -> None:
    stage = Stage(5)
    stage.busy_with("a")
    stage.end()
    stage.busy_with("b")
    stage.end()
    assert stage.done == ["a", "b"]


def test_everything_is_handled_in_order() -> None:
    stage = Stage(100)
    stage.go(1000)
    expected: list[Item] = []
    for number in range(50):
        stage.put(str(number))
        stage.queue.put_event(print, number)
        expected += [str(number), Event(print, (number,))]
    stage.end()
    assert stage.done == expected


def test_a_full_queue_makes_the_event_thread_wait_until_there_is_room() -> None:
    stage = Stage(2)
    stage.busy_with("a")
    stage.put("b", "c")
    event_thread = elsewhere(lambda: stage.put("d"))
    assert stage.asked.wait(PATIENCE)
    assert stage.queue.load.waiting == 2
    stage.go()
    within(event_thread)
    stage.end()
    assert stage.done == ["a", "b", "c", "d"]


def test_while_a_call_waits_for_its_reply_the_event_thread_reads_on() -> None:
    stage = Stage(1, allowance=3)
    stage.busy_with("a")
    stage.pending = True
    stage.put("b", "c", "d", "e")  # would wait for ever otherwise
    assert stage.queue.load.waiting == 4
    stage.end()
    assert stage.done == ["a", "b", "c", "d", "e"]


def test_a_call_that_is_made_later_lets_the_event_thread_read_on() -> None:
    stage = Stage(1, allowance=3)
    stage.busy_with("a")
    stage.put("b")
    event_thread = elsewhere(lambda: stage.put("c", "d"))
    assert stage.asked.wait(PATIENCE)
    stage.pending = True
    stage.queue.nudge()
    within(event_thread)
    stage.end()


def test_a_connection_whose_handlers_wait_behind_too_much_is_given_up() -> None:
    stage = Stage(1, allowance=1, patience=0.01)
    stage.busy_with("a")
    stage.pending = True
    stage.put("b", "c")
    assert stage.given_up == []
    stage.put("d")
    assert len(stage.given_up) == 1
    assert isinstance(stage.given_up[0], TransportError)
    assert "given up" in str(stage.given_up[0])
    stage.put("e")  # the rest of what came before the end; it is told once
    stage.queue.put_event(print)
    assert len(stage.given_up) == 1
    stage.end()
    assert stage.done == ["a", "b", "c", "d", "e", Event(print, ())]


def test_handlers_that_get_on_keep_their_connection() -> None:
    stage = Stage(1, patience=PATIENCE)
    stage.busy_with("a")
    stage.pending = True
    stage.put("b")
    event_thread = elsewhere(lambda: stage.put("c", "d", "e"))
    assert stage.asked.wait(PATIENCE)
    stage.go(5)
    within(event_thread)
    stage.end()
    assert stage.given_up == []


def test_dropping_queues_never_make_the_event_thread_wait_and_tell_what_is_missing() -> None:
    stage = Stage(2, "drop_oldest")
    stage.busy_with("a")
    stage.put("b", "c", "d", "e")
    assert stage.queue.load.dropped == 2
    stage.end()
    assert stage.done == ["a", Dropped(2), "d", "e"]


def test_conflated_texts_are_counted() -> None:
    stage = Stage(2, "conflate")
    stage.busy_with("a")
    for number in range(5):
        stage.queue.put_text(f"ticker {number}", "ticker")
    assert stage.queue.load == (1, 0, 4)
    stage.end()
    assert stage.done == ["a", "ticker 4"]


# -- stopping


def test_stop_lets_the_handlers_do_what_is_queued() -> None:
    stage = Stage(5)
    stage.busy_with("a")
    stage.put("b", "c")
    stage.queue.release()
    stage.queue.retire()
    stage.go(3)
    stage.queue.finish(PATIENCE)
    assert stage.done == ["a", "b", "c"]


def test_stop_returns_although_a_handler_does_not(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(2)
    stage.busy_with("a")
    stage.put("b", "c")
    event_thread = elsewhere(lambda: stage.put("d"))
    assert stage.asked.wait(PATIENCE)
    stage.queue.release()
    within(event_thread)
    stage.queue.put_event(print)
    stage.queue.retire()
    with caplog.at_level(logging.WARNING, "wsclient"):
        stage.queue.finish(0.01)
    assert "3 messages" in caplog.text
    assert stage.queue.load.dropped == 3
    stage.put("e")  # too late
    stage.end()
    assert stage.done == ["a", Event(print, ())]


def test_stop_on_the_handlers_thread_drops_what_is_queued_but_for_events() -> None:
    done: list[Item] = []
    ready, go = threading.Event(), threading.Event()

    def run(item: Item) -> None:
        done.append(item)
        if item == "a":
            ready.set()
            assert go.wait(PATIENCE)
            line.release()
            line.finish(PATIENCE)  # it can't wait for itself

    line = HandlerQueue(
        QueueOptions(10),
        run,
        name="wsclient handlers test",
        awaited=lambda: False,
        give_up=lambda error: None,
        patience=1,
    )
    line.put_text("a")
    assert ready.wait(PATIENCE)
    line.put_text("b")
    line.put_event(print)
    go.set()
    line.retire()
    for thread in threads():
        within(thread)
    assert done == ["a", Event(print, ())]
    assert line.load.dropped == 1


def test_stop_before_anything_was_queued_has_nothing_to_wait_for() -> None:
    stage = Stage(1)
    stage.queue.release()
    stage.queue.finish(PATIENCE)
    stage.queue.retire()


# -- the caller of handlers


class Client:
    """Whom handlers are called with."""


class Told:
    """Handlers that note what they are called with, and on which thread."""

    def __init__(self) -> None:
        self.calls: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self.threads: set[str] = set()

    def handler(self, kind: str) -> Callable[..., None]:
        def handle(client: Client, *arguments: Any) -> None:
            self.threads.add(threading.current_thread().name)
            self.calls.put((kind, *arguments))

        return handle

    def handlers(self) -> Handlers[Client]:
        return Handlers(*(self.handler(kind) for kind in ("message", "error", "open", "close", "ping", "pong")))

    def take(self) -> tuple[Any, ...]:
        return self.calls.get(timeout=PATIENCE)


def caller(
    handlers: Handlers[Client],
    options: QueueOptions,
    *,
    on_event_thread: bool = True,
    key: Callable[[str], Hashable | None] = lambda text: None,
) -> QueuedCaller[Client]:
    return QueuedCaller(
        Client(),
        handlers,
        options,
        key=key,
        on_event_thread=lambda: on_event_thread,
        name="wsclient handlers test",
        awaited=lambda: False,
        give_up=lambda error: None,
        patience=1,
    )


def finish(calls: QueuedCaller[Client]) -> None:
    calls.retire()
    calls.finish(PATIENCE)


def test_every_handler_is_called_on_the_queues_thread_in_order() -> None:
    told = Told()
    calls = caller(told.handlers(), QueueOptions(10))
    error = ValueError("by the test")
    calls.opened()
    calls.message("one")
    assert calls.on_message is not None
    calls.on_message(calls.client, "two")
    calls.ping(b"ping")
    calls.pong(b"pong")
    calls.error(error)
    calls.closed(1000, "bye")
    expected: list[tuple[Any, ...]] = [
        ("open",),
        ("message", "one"),
        ("message", "two"),
        ("ping", b"ping"),
        ("pong", b"pong"),
        ("error", error),
        ("close", 1000, "bye"),
    ]
    assert [told.take() for _ in expected] == expected
    assert told.threads == {"wsclient handlers test"}
    finish(calls)


def test_without_a_handler_nothing_is_queued_and_no_thread_starts() -> None:
    calls = caller(Handlers(), QueueOptions(1))
    assert calls.on_message is None
    for _ in range(5):
        calls.opened()
        calls.message("text")
        calls.ping(b"")
        calls.pong(b"")
        calls.closed(None, None)
    assert calls.load.waiting == 0
    assert threads() == []


def test_an_error_of_a_callers_own_call_is_told_on_its_thread() -> None:
    told = Told()
    calls = caller(told.handlers(), QueueOptions(10), on_event_thread=False)
    calls.error(ValueError("by the test"))
    assert told.threads == {threading.current_thread().name}


def test_what_a_handler_raises_is_told_before_the_next_one_is_called() -> None:
    told = Told()

    def raising(client: Client, text: str) -> None:
        raise ValueError(text)

    # as on the real thing, the handlers' thread isn't the event thread
    handlers = Handlers(raising, told.handler("error"), close=told.handler("close"))
    calls = caller(handlers, QueueOptions(10), on_event_thread=False)
    calls.message("first")
    calls.closed(None, None)
    kind, error = told.take()
    assert (kind, str(error)) == ("error", "first")
    assert told.take() == ("close", None, None)
    finish(calls)


def test_dropped_messages_are_reported_once_with_their_number() -> None:
    told = Told()
    busy, go = threading.Event(), threading.Event()

    def slow(client: Client, text: str) -> None:
        told.calls.put(("message", text))
        busy.set()
        assert go.wait(PATIENCE)

    calls = caller(Handlers(slow, told.handler("error")), QueueOptions(2, "drop_newest"))
    calls.message("a")
    assert busy.wait(PATIENCE)
    for text in "bcdefg":
        calls.message(text)
    go.set()
    finish(calls)
    texts = [told.take()[1] for _ in range(4)]
    error = texts.pop()
    assert texts == ["a", "b", "c"]
    assert isinstance(error, MessagesDropped)
    assert error.count == 4
    assert "4 messages were dropped" in str(error)
    assert calls.load.dropped == 4
    assert told.calls.empty()


def test_dropped_messages_are_logged_where_nobody_handles_errors(caplog: pytest.LogCaptureFixture) -> None:
    busy, go = threading.Event(), threading.Event()

    def slow(client: Client, text: str) -> None:
        busy.set()
        assert go.wait(PATIENCE)

    calls = caller(Handlers(slow), QueueOptions(1, "drop_oldest"))
    calls.message("a")
    assert busy.wait(PATIENCE)
    for text in "bc":
        calls.message(text)
    go.set()
    finish(calls)
    assert "MessagesDropped: the handlers are too slow: a message was dropped" in caplog.text


def test_texts_are_conflated_by_the_venues_key() -> None:
    told = Told()
    busy, go = threading.Event(), threading.Event()

    def slow(client: Client, text: str) -> None:
        told.calls.put((text,))
        busy.set()
        assert go.wait(PATIENCE)

    calls = caller(Handlers(slow), QueueOptions(10, "conflate"), key=lambda text: text[0])
    calls.message("-")
    assert busy.wait(PATIENCE)
    for text in ("a1", "b1", "a2"):
        calls.message(text)
    go.set()
    finish(calls)
    assert [told.take()[0] for _ in range(3)] == ["-", "b1", "a2"]
    assert calls.load == (0, 0, 1)
