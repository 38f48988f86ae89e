"""A product's sequence numbers: what is missing, what came twice, what came late. Pure.

Source: protocol page, "sequence".
"""

from dataclasses import dataclass
from typing import Final, Literal

_MOST: Final = 1000  # holes that are remembered, to tell what is late from what is repeated


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a product's messages weren't one after the other.

    kind: "gap" when numbers are missing; "late" when one comes that was missing; "repeat" when one comes again
    first, last: the sequence numbers that this is about, both included
    """

    product_id: str
    kind: Literal["gap", "late", "repeat"]
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many messages this is about."""
        return self.last - self.first + 1


class Sequence:
    """Follows the numbers of one product. It begins with the first that comes, or where a heartbeat says it is.

    It begins anew where the first that comes of a new connection is lower: the exchange counts from another place
    then, and what was missed before can't be known.

    next: the number that is due; None before the first
    """

    __slots__ = ("_begun", "_holes", "_owed", "_product", "_resumed", "next")

    def __init__(self, product: str) -> None:
        self._product = product
        self.next: int | None = None
        self._begun = 0  # the first number
        self._holes: list[tuple[int, int]] = []  # what is missing, in rising order
        self._owed = 0  # the number that the last heartbeat has told
        self._resumed: int | None = None  # the number that was due when the last connection ended

    def lost(self) -> None:
        """The connection ended. The next one should go on from here."""
        self._resumed = self.next

    def take(self, number: int) -> Gap | None:
        """A message with this number came. Quick where it is the one that is due: `next` is to be asked first."""
        due = self.next
        if due is None:
            self._begun = number
            self.next = number + 1
            return None
        if number < due and due == self._resumed:
            self._begin_anew()
            return self.take(number)
        if number < due:
            return Gap(self._product, "late" if self._fill(number) else "repeat", number, number)
        self.next = number + 1
        return None if number == due else self._missing(due, number - 1)

    def told(self, number: int) -> Gap | None:
        """A heartbeat told that the sequence stands at this number.

        Heartbeats may overtake other messages, so what is missing has to be missing at the next one still.
        """
        owed, self._owed = self._owed, number
        due = self.next
        if due is None:
            if owed:
                self._begun = self.next = owed + 1
            return None
        if number < due - 1 and due == self._resumed:
            self._begin_anew()
            self._owed = number
            return None
        if owed < due:
            return None
        self.next = owed + 1
        return self._missing(due, owed)

    def _begin_anew(self) -> None:
        self.next = self._resumed = None
        self._owed = self._begun = 0
        self._holes.clear()

    def _missing(self, first: int, last: int) -> Gap:
        self._holes.append((first, last))
        del self._holes[:-_MOST]
        return Gap(self._product, "gap", first, last)

    def _fill(self, number: int) -> bool:
        """Whether a number was missing so far."""
        if number < self._begun:
            return True  # it was before the first
        for at, (first, last) in enumerate(self._holes):
            if first <= number <= last:
                self._holes[at : at + 1] = [
                    hole for hole in ((first, number - 1), (number + 1, last)) if hole[0] <= hole[1]
                ]
                return True
        return False
