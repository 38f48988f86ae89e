"""Books whose snapshot isn't told where their notices are, so that it has to be fetched elsewhere."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Protocol, TypeAlias

from .books import Book, Levels
from .core.reconnect import jittered
from .core.worker import Job
from .errors import ClientClosed, CommandError, ProtocolError, RateLimited, TooFast, WSClientError
from .live import ASKED, Message

_BASE: Final = 0.5  # seconds before a snapshot is fetched once more; see `jittered`
_CAP: Final = 10.0

Outcome: TypeAlias = Message | Exception
"""A snapshot, or what went wrong.

To ask again is of no use after `ClientClosed`, nor after a `CommandError` other than `RateLimited`. That and
`TooFast` may say by a `retry_after`, in seconds, when to ask again at the earliest.
"""


class Fetch(Protocol):
    """Begins to fetch a snapshot."""

    def __call__(self, delay: float, told: Callable[[Outcome], object], /) -> Job:
        """Has it fetched so many seconds from now, and `told` called with what comes of it, on any one thread."""


class FetchedBook(Book[Decimal]):
    """Fetches its snapshot when notices begin to come, and again, later and later, until one makes it whole.

    fetch: begins to fetch one
    report: told what came to nothing
    random: gives a number from 0 to 1; for tests
    options: see `Live`
    """

    def __init__(
        self,
        levels: Levels[Decimal],
        *,
        fetch: Fetch,
        report: Callable[[Exception], object],
        random: Callable[[], float] = random.random,
        **options: Any,
    ) -> None:
        super().__init__(levels, renew=self.begin, **options)
        self._begin_to_fetch = fetch
        self._report = report
        self._random = random
        self._ticket = 0  # of the snapshot that is awaited; guarded by the lock, as what follows
        self._tries = 0  # to get one, since the last that made it whole
        self._fetching: tuple[int, Job] | None = None  # the last one begun, and its ticket

    def begin(self) -> None:
        """Notices come from now on, and are held until the snapshot is there, which is fetched."""
        self.asked()
        self._fetch()

    def _fetch(self, not_before: float = 0.0) -> None:
        """Has a snapshot fetched that is begun after this: at once, or later if the last was of no use.

        not_before: seconds that have to pass first
        """
        with self._lock:
            if self._phase is not ASKED:
                return  # it ended, or was lost, and begins again then
            self._ticket = ticket = self._ticket + 1
            delay = max(not_before, jittered(self._tries, _BASE, _CAP, self._random))
            self._tries += 1
        self._drop()
        job = self._begin_to_fetch(delay, lambda outcome: self._fetched(ticket, outcome))
        with self._lock:
            self._fetching = ticket, job

    def _fetched(self, ticket: int, outcome: Outcome) -> None:
        if ticket != self._ticket:
            return  # it was begun before something that has happened since
        if isinstance(outcome, (CommandError, ClientClosed)) and not isinstance(outcome, RateLimited):
            self.failed(outcome)
        elif isinstance(outcome, Exception):
            limited = isinstance(outcome, (RateLimited, TooFast))
            self._fetch(getattr(outcome, "retry_after", 0.0) if limited else 0.0)
        else:
            try:
                self.answered(outcome)
                return
            except ProtocolError as error:
                outcome = error
            self.begin()
        self._report(outcome)

    def answered(self, message: Message) -> None:
        """A snapshot came. One that is older than what is held is fetched once more."""
        ticket = self._ticket
        super().answered(message)
        if self.stale:
            if ticket == self._ticket:  # nothing was lost by it, which would have begun anew
                self._fetch()
        else:
            with self._lock:
                self._tries = 0

    def failed(self, error: WSClientError) -> None:
        """As `Live.failed`; nothing more is fetched."""
        super().failed(error)
        self._drop()

    def lost(self) -> None:
        """As `Live.lost`; nothing more is fetched until it begins again."""
        super().lost()
        self._drop()

    def _drop(self) -> None:
        """What is being fetched isn't needed, if something else has happened since."""
        with self._lock:
            if self._fetching is None or self._fetching[0] == self._ticket:
                return
            job, self._fetching = self._fetching[1], None
        job.cancel()

    # -- with the lock held

    def _lose(self, error: WSClientError | None = None) -> None:
        super()._lose(error)
        self._ticket += 1  # what is on its way comes too late
