"""What waits for slow handlers, and what gives way when it is too much. Pure: no threads.

Texts and events (the connection is open, a Ping came …) wait in one line. Events never give way; texts do so by
the policy. Where nothing gives way, whoever brings more has to wait until there is room.
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

Policy: TypeAlias = Literal["block", "drop_oldest", "drop_newest", "conflate"]
POLICIES: Final[tuple[str, ...]] = get_args(Policy)


class Event(NamedTuple):
    """Something to call with these arguments."""

    call: Callable[..., object]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many texts were dropped since this was told last."""

    count: int


Item: TypeAlias = str | Event | Dropped

_GAP: Final = Dropped(
    0
)  # stands in the line where the first text is missing; the count is made up when it is told


class Backlog:
    """What waits, in order.

    size: how many texts may wait; and how many events, which share that number where texts don't give way
    policy: what happens when it is full. "block": nothing gives way. "drop_oldest", "drop_newest": the text that
        waits longest does, or the one that just came. "conflate": a text gives way to a newer one with the same
        key, full or not, and nothing else does
    """

    def __init__(self, size: int, policy: Policy) -> None:
        self.size = size
        self._policy = policy
        self._line: OrderedDict[Hashable, Item] = OrderedDict()  # by number, or by key where conflated
        self._batch: OrderedDict[Hashable, Item] = OrderedDict()  # conflating: what is being handed over
        self._numbers = itertools.count()
        self._oldest: deque[int] = deque()  # drop_oldest: the numbers of the texts
        self._texts = 0
        self._events = 0
        self._untold = 0
        self.dropped = 0  # texts, ever
        self.conflated = 0  # texts, ever

    def __len__(self) -> int:
        return self._texts + self._events

    def room(self, *, event: bool, allowance: int = 0) -> bool:
        """Whether one more may come now. allowance: how many more than `size` may wait."""
        if self._policy in ("block", "conflate"):
            return len(self) < self.size + allowance
        # texts make room themselves; of Pings the peer sends as many as it likes, and so there is an end to them
        return not event or self._events < self.size + allowance

    def put_event(self, event: Event) -> None:
        self._line[next(self._numbers)] = event
        self._events += 1

    def put_text(self, text: str, key: Hashable | None = None) -> None:
        """Adds a text. By the policy another one gives way, or this one does.

        key: for conflating, what the text is the whole news of; None if no newer one makes it superfluous
        """
        if self._policy == "conflate":
            self._put_conflating(text, key)
            return
        number = next(self._numbers)
        if self._texts >= self.size and self._policy != "block":
            if self._policy == "drop_newest":
                self._drop(number)
                return
            self._drop(self._oldest.popleft())
            self._texts -= 1
        self._line[number] = text
        self._texts += 1
        if self._policy == "drop_oldest":
            self._oldest.append(number)

    def take(self) -> Item | None:
        """The next one; None if there is nothing."""
        line = self._line
        if self._policy == "conflate":
            if not self._batch:
                self._batch, self._line = self._line, self._batch
            line = self._batch
        if not line:
            return None
        item = line.popitem(last=False)[1]
        if item.__class__ is str:
            self._texts -= 1
            if self._policy == "drop_oldest":
                self._oldest.popleft()
        elif item is _GAP:
            item, self._untold = Dropped(self._untold), 0
        else:
            self._events -= 1
        return item

    def discard_texts(self) -> int:
        """Drops the texts that wait, and doesn't tell of them in the line; gives their number."""
        discarded = self._texts
        for line in (self._line, self._batch):
            for number in [number for number, item in line.items() if item.__class__ is str]:
                del line[number]
        self._oldest.clear()
        self._texts = 0
        self.dropped += discarded
        return discarded

    def _put_conflating(self, text: str, key: Hashable | None) -> None:
        if key is None:
            self._line[next(self._numbers)] = text
        else:
            place = ("key", key)
            # The newer one comes last: what came in between may be older news of something that it tells too. That
            # keeps nobody from its turn: all that waits is handed over as one batch, while the next one gathers.
            if self._line.pop(place, None) is not None:
                self.conflated += 1
                self._texts -= 1
            self._line[place] = text
        self._texts += 1

    def _drop(self, number: int) -> None:
        """Drops the text with this number, and marks its place unless there is a mark that wasn't told yet."""
        self.dropped += 1
        if self._untold:
            self._line.pop(number, None)
        else:
            self._line[number] = _GAP
        self._untold += 1
