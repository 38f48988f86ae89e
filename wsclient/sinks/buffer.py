"""What waits to be written: bounded, counted, and handed out in batches when they are due.

All that several threads touch is here, under one lock. Nothing is called and nothing is written while it is held.
"""

import threading
import time
from collections import deque
from enum import Enum, auto
from typing import Final, NamedTuple

from .contract import Classifier

_BATCH_CHARS: Final = 4 * 1024 * 1024  # a batch ends here too, so that snapshots of books don't fill the memory

Item = tuple[str, int, str, Classifier]  # text, time of receipt, venue, classifier


class Counts(NamedTuple):
    """Messages, since the queue was made. accepted = written + refused + lost + waiting.

    accepted: taken into the queue
    written: kept by the sink
    refused: the store will never take them (too large for it, for instance); each was reported
    lost: accepted, but the store was away until `close()` gave up
    waiting: in the queue, or being written now
    dropped: not accepted: the queue was full (policy "drop"), or closed
    """

    accepted: int
    written: int
    refused: int
    lost: int
    waiting: int
    dropped: int


class State(Enum):
    OPEN = auto()
    CLOSING = auto()
    """Nothing is accepted any more; what was accepted is written."""
    GIVING_UP = auto()
    """The time for that is over."""


class Buffer:
    """`take`, `settle`, `pause` and `abandon` are the writer thread's; the rest is any thread's.

    size, max_chars, batch, age: see `SinkQueue`; block: whether `accept` waits for room
    """

    def __init__(self, size: int, max_chars: int, batch: int, age: float, *, block: bool) -> None:
        self._size = size
        self._max_chars = max_chars
        self._batch = min(batch, size)
        self._batch_chars = min(_BATCH_CHARS, max_chars)
        self._age = age
        self._block = block
        self.writer: int | None = None  # the ident of the thread who must not wait for room, which only he makes

        self._lock = threading.Lock()  # guards what follows
        self._work = threading.Condition(self._lock)  # the writer has something to do
        self._room = threading.Condition(self._lock)  # a blocked message may be accepted now
        self._progress = threading.Condition(self._lock)  # something was written, or never will be
        self._items: deque[Item] = deque()
        self._state = State.OPEN
        self._held = 0  # messages in `_items` and in the writer's hand
        self._chars = 0  # theirs
        self._blocked = 0  # threads that wait for room
        self._accepted = 0
        self._written = 0
        self._refused = 0
        self._lost = 0
        self._dropped = 0
        self._wanted = 0  # `await_settled` waits for so many messages to be settled

    @property
    def counts(self) -> Counts:
        """All figures of one moment."""
        with self._lock:
            return Counts(self._accepted, self._written, self._refused, self._lost, self._held, self._dropped)

    @property
    def state(self) -> State:
        """It only goes forward."""
        return self._state

    def accept(self, item: Item) -> bool:
        """Takes a message in, waiting for room if it may; False where it is dropped."""
        chars = len(item[0])
        with self._lock:
            if (
                self._state is not State.OPEN
                or self._held >= self._size
                or (self._chars + chars > self._max_chars and self._held)
            ) and not self._make_room(chars):
                self._dropped += 1
                return False
            self._items.append(item)
            self._accepted += 1
            self._held += 1
            self._chars += chars
            waiting = len(self._items)
            if waiting == 1 or waiting == self._batch or self._chars >= self._batch_chars:
                self._work.notify()
        return True

    def _make_room(self, chars: int) -> bool:
        """With the lock: waits for room if it may. A message larger than all room is taken when it is alone."""
        if not self._block or threading.get_ident() == self.writer:
            return False
        self._blocked += 1
        self._work.notify()  # what waits to grow old is written at once
        try:
            self._room.wait_for(
                lambda: (
                    self._state is not State.OPEN
                    or self._held == 0
                    or (self._held < self._size and self._chars + chars <= self._max_chars)
                )
            )
        finally:
            self._blocked -= 1
        return self._state is State.OPEN

    def _settled(self) -> int:
        return self._written + self._refused + self._lost

    def take(self, before: float) -> tuple[list[Item], float]:
        """The next batch, once it is due, and from when on what comes after it counts as waiting.

        before: what the last call returned. An empty batch means the end.
        """
        with self._lock:
            since = before if self._items else None
            while self._state is State.OPEN:
                now = time.monotonic()
                if self._items:
                    since = now if since is None else since
                    if self._due() or now >= since + self._age:
                        break
                self._work.wait(None if since is None else since + self._age - now)
            batch: list[Item] = []
            if self._state is not State.GIVING_UP:
                chars = 0
                while self._items and len(batch) < self._batch and chars < self._batch_chars:
                    batch.append(self._items.popleft())
                    chars += len(batch[-1][0])
            # what is left has waited long enough; what comes now, no longer than from now on
            return batch, float("-inf") if self._items else time.monotonic()

    def _due(self) -> bool:
        return (
            len(self._items) >= self._batch
            or self._chars >= self._batch_chars
            or self._blocked > 0
            or self._wanted > self._settled()
        )

    def pause(self, delay: float, until: State) -> bool:
        """Waits for `delay` seconds, or until the queue is in this state or a later one; whether it is."""
        with self._lock:
            return self._work.wait_for(lambda: self._state.value >= until.value, delay)

    def await_settled(self, timeout: float | None) -> tuple[int, int]:
        """Waits until all that was accepted so far is settled; how much of it is not, and how much is lost."""
        with self._lock:
            target = self._accepted
            self._wanted = max(self._wanted, target)
            self._work.notify()
            self._progress.wait_for(lambda: self._settled() >= target, timeout)
            return max(0, target - self._settled()), self._lost

    def settle(self, batch: list[Item], refused: int) -> None:
        """A batch was written, but for those that were refused."""
        chars = sum(len(item[0]) for item in batch)
        with self._lock:
            self._written += len(batch) - refused
            self._refused += refused
            self._held -= len(batch)
            self._chars -= chars
            if self._blocked:
                self._room.notify_all()
            self._progress.notify_all()

    def close(self, state: State) -> None:
        """Goes on to this state, unless it is there or beyond already."""
        with self._lock:
            if state.value > self._state.value:
                self._state = state
            self._work.notify()
            self._room.notify_all()

    def abandon(self) -> None:
        """What is still here will never be written."""
        with self._lock:
            self._state = State.GIVING_UP
            self._lost += self._held
            self._held = self._chars = 0
            self._items.clear()
            self._room.notify_all()
            self._progress.notify_all()
