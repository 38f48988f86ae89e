"""Watches that have gone quiet while their connection lives, asked for again; and answers that are due in time."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from ..errors import CommandError, StaleFeed, WSClientError
from .dialect import Dialect, Message, Outcome
from .handlers import Caller
from .reply import Reply
from .watches import Watch, Watches


class Owner(Protocol):
    """The session on which they are asked for."""

    def ask(self, request: Message, then: Callable[[Outcome | None], None]) -> Reply[Any]: ...

    def give_up(self, error: WSClientError) -> None: ...

    @property
    def over(self) -> bool: ...


class Renewals:
    """Watches over one session's watches. The event thread's.

    name: of the peer, for errors
    timeout: seconds for each answer
    """

    __slots__ = ("_asked", "_caller", "_clock", "_dialect", "_late", "_name", "_session", "_timeout", "_watches")

    def __init__(
        self,
        session: Owner,
        *,
        name: str,
        dialect: Dialect,
        caller: Caller[Any],
        watches: Watches,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._name = name
        self._dialect = dialect
        self._caller = caller
        self._watches = watches
        self._timeout = timeout
        self._clock = clock
        self._asked: dict[Future[Any], float] = {}  # the requests under way, until when they have to be answered
        self._late: list[Future[Any]] = []  # those that weren't, though their answers may have come

    @property
    def timed(self) -> bool:
        """Whether anything may become due."""
        return self._watches.timed or bool(self._asked)

    def next(self) -> float | None:
        """When the next one is due, if nothing comes."""
        stale = self._watches.stale_at()
        return min((*self._asked.values(), *(() if stale is None else (stale,))), default=None)

    def check(self, now: float, idle: bool) -> None:
        """Renews what has gone quiet; gives the connection up if that doesn't help.

        idle: there is nothing to read
        """
        for reply, until in [*self._asked.items()]:
            if now < until:
                continue
            if idle or reply in self._late:
                self._session.give_up(
                    StaleFeed(f"{self._name} owes an answer after {self._timeout:g} s: {reply!r}")
                )
                return
            # a handler was slow, perhaps, and the answer has come meanwhile
            self._late.append(reply)
            self._asked[reply] = now + self._timeout
        for watch in self._watches.stale(now):
            title = self._dialect.watch_title(watch.key)
            if watch.mute and watch.fed:
                self._session.give_up(StaleFeed(f"{self._name} says nothing of {title}, though asked again"))
                return
            watch.mute = True
            silence = f"nothing came of {title} for {watch.patience:g} s: asking again"
            self._caller.error(StaleFeed(silence))
            self.renew(watch)

    def renew(self, watch: Watch) -> None:
        """Subscribes anew; whether that is answered shows whether anybody is there.

        The new subscription is asked for when the old one has ended. What is told in between is of neither, and
        must not be taken for news that come after the snapshot.
        """
        watch.renewing = True
        if watch.listener is not None:
            watch.listener.lost()
        endings = self._dialect.unsubscriptions([watch.key])
        if not endings:
            self._subscribe(watch)
            return
        for request in endings[:-1]:
            self._ask(request, lambda outcome: None)
        self._ask(endings[-1], lambda outcome: self._subscribe(watch))

    def _subscribe(self, watch: Watch) -> None:
        if self._session.over or self._watches.get(watch.key) is not watch:
            return  # the next connection brings it back, or it was ended meanwhile
        if watch.listener is not None:
            watch.listener.asked()
        for request, _ in self._dialect.subscriptions([watch.key]):
            self._ask(request, lambda outcome: self._renewed(watch, outcome))

    def _ask(self, request: Message, then: Callable[[Outcome | None], None]) -> None:
        self.expect(self._session.ask(request, then))

    def expect(self, reply: Reply[Any]) -> None:
        """The connection is given up unless this has its outcome in time."""
        if not reply.done():
            self._asked[reply] = self._clock() + self._timeout
            reply.add_done_callback(self._answered)

    def _answered(self, reply: Future[Any]) -> None:
        self._asked.pop(reply, None)
        if reply in self._late:
            self._late.remove(reply)

    def _renewed(self, watch: Watch, outcome: Outcome | None) -> None:
        if isinstance(outcome, dict) and self._watches.get(watch.key) is watch:
            self._watches.began([watch], outcome)
        elif isinstance(outcome, CommandError) and self._dialect.watches_already(outcome) and not watch.again:
            watch.again = True  # the user's own request came between the two halves
            self.renew(watch)
        elif isinstance(outcome, CommandError):
            self._watches.refused([watch.key], outcome)
            if watch.shared and self._dialect.watches_already(outcome):
                self._watches.give_back(watch)
            self._caller.error(outcome)
