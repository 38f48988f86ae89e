"""The queue of a socket: what gives way, who is woken, and how it ends."""

import asyncio
import json
import queue
import threading
from typing import Any

import pytest

from tests.peers import PATIENCE
from wsclient.binance.inbox import Inbox
from wsclient.binance.quick import quick_codec
from wsclient.errors import ClientClosed, InvalidRequest, ProtocolError, TransportError


def text(number: int) -> str:
    return json.dumps({"stream": "a@trade", "data": {"t": number}})


def inbox(size: int = 3, overflow: Any = "drop_oldest", wrapped: bool = False) -> Inbox:
    made = Inbox(size, overflow, wrapped, json.loads)
    made.open()
    return made


def numbers(inbox: Inbox) -> list[int]:
    return [inbox.receive(0)["t"] for _ in range(len(inbox))]


@pytest.mark.parametrize(("overflow", "left"), [("drop_oldest", [2, 3, 4]), ("drop_newest", [0, 1, 2])])
def test_what_is_too_much_gives_way_and_is_counted(overflow: str, left: list[int]) -> None:
    made = inbox(overflow=overflow)
    for number in range(5):
        made.put(text(number))
    assert made.dropped == 2
    assert numbers(made) == left


def test_who_brings_too_much_waits_for_room_where_nothing_gives_way() -> None:
    made = inbox(overflow="block")
    done = threading.Event()

    def bring() -> None:
        for number in range(100):
            made.put(text(number))
        done.set()

    thread = threading.Thread(target=bring)
    thread.start()
    assert [made.receive(PATIENCE)["t"] for _ in range(100)] == list(range(100))
    assert done.wait(PATIENCE)
    thread.join()
    assert made.dropped == 0


def test_closing_lets_those_go_who_wait_for_room_or_for_a_message() -> None:
    full, empty = inbox(size=1, overflow="block"), inbox()
    full.put(text(1))
    told: list[BaseException] = []

    def receive() -> None:
        try:
            empty.receive(None)
        except ClientClosed as error:
            told.append(error)

    threads = [threading.Thread(target=full.put, args=(text(2),)), threading.Thread(target=receive)]
    for thread in threads:
        thread.start()
    full.close()
    empty.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert len(told) == 1
    assert len(full) == 0


def test_a_failure_is_the_last_message_even_of_a_full_queue() -> None:
    made = inbox(size=1)
    made.put(text(1))
    made.fail({"e": "error", "m": "over"}, TransportError("over"))
    made.fail({"e": "error", "m": "again"}, TransportError("again"))
    assert [made.receive(0), made.receive(0)] == [{"t": 1}, {"e": "error", "m": "over"}]
    for _ in range(2):
        with pytest.raises(TransportError, match="over"):
            made.receive(0)
    made.open()  # once more
    made.put(text(2))
    assert made.receive(0) == {"t": 2}


def test_nothing_is_taken_while_it_is_closed() -> None:
    made = Inbox(3, "drop_oldest", False, json.loads)
    made.put(text(1))
    with pytest.raises(ClientClosed):
        made.receive(0)
    made.open()
    with pytest.raises(TimeoutError):
        made.receive(0)


def test_arrays_come_in_parts_and_streams_keep_their_names_where_wanted() -> None:
    arrays = json.dumps({"stream": "!ticker@arr", "data": [{"s": "A"}, {"s": "B"}]})
    made = inbox()
    made.put(arrays)
    made.put(text(1))
    made.put({"e": "balanceUpdate"})
    assert [made.receive(0) for _ in range(4)] == [{"s": "A"}, {"s": "B"}, {"t": 1}, {"e": "balanceUpdate"}]
    wrapped = inbox(wrapped=True)
    wrapped.put(arrays)
    assert wrapped.receive(0) == json.loads(arrays)
    assert wrapped.decoded(text(1)) == [json.loads(text(1))]
    assert made.decoded(arrays) == [{"s": "A"}, {"s": "B"}]


def test_an_empty_array_is_no_message() -> None:
    made = inbox()
    made.put(json.dumps({"stream": "!ticker@arr", "data": []}))
    made.put(text(1))
    assert made.receive(0) == {"t": 1}


def test_any_number_of_empty_arrays_is_no_message() -> None:
    made = inbox(size=5000)
    for _ in range(3000):
        made.put(json.dumps({"stream": "!ticker@arr", "data": []}))
    made.put(text(1))
    assert made.receive(0) == {"t": 1}


def test_each_part_of_an_array_wakes_one_who_waits() -> None:
    made = inbox()
    seen: queue.Queue[Any] = queue.Queue()

    receivers = [lambda: seen.put(made.receive(PATIENCE))] * 3 + [lambda: seen.put(asyncio.run(taken(made)))]
    threads = [threading.Thread(target=receive) for receive in receivers]
    for thread in threads:
        thread.start()
    wait_for_receivers(made, 4)
    made.put(json.dumps({"stream": "!ticker@arr", "data": [{"n": 0}, {"n": 1}]}))
    assert sorted(seen.get(timeout=PATIENCE / 2)["n"] for _ in range(2)) == [0, 1]
    made.put(json.dumps({"stream": "!ticker@arr", "data": [{"n": 2}, {"n": 3}]}))
    assert sorted(seen.get(timeout=PATIENCE / 2)["n"] for _ in range(2)) == [2, 3]
    for thread in threads:
        thread.join()


async def taken(inbox: Inbox) -> dict[str, Any]:
    """The next message, for a coroutine."""
    while True:
        try:
            return inbox.take()
        except IndexError:
            await inbox.arrival()


def wait_for_receivers(inbox: Inbox, count: int) -> None:
    """Until so many wait for a message."""
    looking = threading.Event()
    while inbox._sleeping + len(inbox._waiters) < count:
        looking.wait(0.001)


def test_a_coroutine_whose_loop_doesnt_run_keeps_no_message_from_the_others() -> None:
    made = inbox()
    idle = asyncio.new_event_loop()
    asleep = idle.create_task(taken(made))
    idle.run_until_complete(asyncio.sleep(0))  # it waits, and then its loop runs no more
    seen: queue.Queue[Any] = queue.Queue()
    thread = threading.Thread(target=lambda: seen.put(asyncio.run(taken(made))))
    thread.start()
    wait_for_receivers(made, 2)
    made.put(text(1))
    try:
        assert seen.get(timeout=PATIENCE / 2) == {"t": 1}
    finally:
        made.close()
        thread.join()
        with pytest.raises(ClientClosed):
            idle.run_until_complete(asleep)
        idle.close()


def test_a_timeout_counts_from_the_beginning_though_another_receiver_was_quicker() -> None:
    now = 0.0

    class Quicker(Inbox):
        """Whatever comes is taken before this receiver looks; each time a second has passed."""

        def take(self) -> Any:
            nonlocal now
            now += 1
            self._items.clear()
            if now < 20:
                self.put({"n": now})
            raise IndexError

    made = Quicker(3, "drop_oldest", False, json.loads, clock=lambda: now)
    made.open()
    with pytest.raises(TimeoutError, match="within 5 s"):
        made.receive(5)
    assert now <= 7


@pytest.mark.parametrize("wrong", ["{", "[]", "{}"])
def test_what_cant_be_read_is_the_exchanges_fault(wrong: str) -> None:
    made = inbox()
    made.put(wrong)
    with pytest.raises(ProtocolError):
        made.receive(0)


def test_coroutines_and_threads_share_what_comes() -> None:
    made = inbox(size=10_000)
    seen: list[int] = []
    count = 2000

    async def take() -> None:
        while True:
            try:
                seen.append(made.take()["t"])
            except IndexError:
                await made.arrival()

    async def coroutines() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(take())
        except* ClientClosed:
            pass

    def thread() -> None:
        try:
            while True:
                seen.append(made.receive(PATIENCE)["t"])
        except ClientClosed:
            pass

    threads = [threading.Thread(target=thread), threading.Thread(target=lambda: asyncio.run(coroutines()))]
    for one in threads:
        one.start()
    for number in range(count):
        made.put(text(number))
    arrived = threading.Event()
    while len(seen) < count and not arrived.wait(0.001):
        pass
    made.close()
    for one in threads:
        one.join(PATIENCE)
        assert not one.is_alive()
    assert sorted(seen) == list(range(count))


def test_a_coroutine_that_stops_waiting_leaves_the_message_to_another() -> None:
    made = inbox()

    async def main() -> None:
        impatient = asyncio.create_task(made.arrival())
        patient = asyncio.create_task(made.arrival())
        await asyncio.sleep(0)
        made.put(text(1))  # wakes the first one
        impatient.cancel()
        await asyncio.wait_for(patient, PATIENCE)
        assert made.take() == {"t": 1}

    asyncio.run(main())


def test_json_is_quick_and_the_users_own_where_given() -> None:
    assert quick_codec().loads('{"a": [1, "x"]}') == {"a": [1, "x"]}
    assert json.loads(quick_codec().encoded({"a": [1, "ü"]})) == {"a": [1, "ü"]}
    mine = quick_codec(lambda text: text.upper(), lambda message: "mine")
    assert (mine.loads("a"), mine.encoded({})) == ("A", b"mine")
    with pytest.raises(InvalidRequest):
        quick_codec().encoded({"a": object()})


def test_what_is_nested_too_deeply_cant_be_read_either() -> None:
    made = inbox()
    made.put('{"stream":"a@trade","data":' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(ProtocolError):
        made.receive(0)
