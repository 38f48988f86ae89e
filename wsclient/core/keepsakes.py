"""What a lost connection had, and a client gets back on the next: its login, its watches, calls to be settled."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ..errors import CommandError, WSClientError
from .dialect import Dialect, Subscription
from .outcomes import about, elsewhere, outcome_unknown
from .reply import Reply, fail, succeed
from .restoring import LOG_IN, Plan
from .watches import Watches


class Keepsakes:
    """Kept from one connection to the next. The event thread's.

    report: told what of it can't be had again
    resubmit: whether calls whose outcome is unknown are settled as a part of restoring
    """

    __slots__ = ("_begun", "_dialect", "_report", "_resubmit", "_watches", "logged_in", "unsettled")

    def __init__(
        self, dialect: Dialect, watches: Watches, report: Callable[[Exception], object], *, resubmit: bool
    ) -> None:
        self._dialect = dialect
        self._watches = watches
        self._report = report
        self._resubmit = resubmit
        self.unsettled: list[Reply[Any]] = []
        """The calls that left with a connection that was lost, to be settled on the next."""
        self.logged_in = False
        """Whether there was a login, which is one of the things to get back."""
        self._begun: dict[Hashable, None] = {}  # the watches that this connection was asked to begin again

    def resubmits(self, reply: Reply[Any]) -> bool:
        """Whether a call is settled on the next connection if this one ends before the reply."""
        return self._resubmit and self._dialect.can_settle(reply.request)

    def keep_calls(self, lost: Sequence[Reply[Any]]) -> set[int]:
        """Keeps those of the lost calls that can be settled; the identities of all that are kept."""
        for reply in lost:
            if reply.left:
                self._dialect.unanswered(reply.request)
        # not those of ours, by which others were being settled
        self.unsettled += [
            reply for reply in lost if reply.left and reply.began is not None and self.resubmits(reply)
        ]
        return set(map(id, self.unsettled))

    def fail_calls(self, error: WSClientError) -> None:
        """There is nothing to settle them on."""
        unsettled, self.unsettled = self.unsettled, []
        for reply in unsettled:
            fail(reply, outcome_unknown(error, reply))

    def plan(self, *, log_in: bool, account: Callable[[], Hashable]) -> Plan:
        """First the login, then each watch in the order in which they began, then the calls to be settled.

        account: who is logged in, asked after the login
        """
        if log_in:
            yield LOG_IN  # a refusal is told where logins are
        self._begun.clear()
        yield from self._watch_again(self._dialect.subscriptions([watch.key for watch in self._watches.kept()]))
        for reply in [reply for reply in self.unsettled if reply.account != account()]:
            self.unsettled.remove(reply)
            fail(reply, about(elsewhere(), reply))
        if self.unsettled:
            settled = list(self.unsettled)
            outcomes = yield from self._dialect.settle([reply.request for reply in settled])
            self.unsettled = self.unsettled[len(settled) :]
            for reply, outcome in zip(settled, outcomes, strict=True):
                if isinstance(outcome, dict):
                    succeed(reply, outcome)
                else:
                    fail(reply, about(outcome, reply))
        yield from self._end_released()

    def end_released(self, key: Hashable) -> bool:
        """Whether a watch that was released while all was being brought back has to be ended still."""
        if key not in self._begun or key in self._watches or self._watches.asked(key):
            return False
        self._begun.pop(key, None)
        return True

    def _end_released(self) -> Plan:
        """The watches that were released since they were begun again: calls couldn't end them yet."""
        while released := [key for key in self._begun if key not in self._watches]:
            for key in released:
                del self._begun[key]
            for ending in self._dialect.unsubscriptions(released):  # noqa: UP028
                yield ending  # `yield from` would send the outcome to a list, which takes none

    def _watch_again(self, requests: Sequence[Subscription]) -> Plan:
        for request, keys in requests:
            asked = [watch for key in keys if (watch := self._watches.get(key)) is not None]
            for watch in asked:
                if watch.listener is not None:
                    watch.listener.asked()
            outcome = yield request
            if isinstance(outcome, dict):
                self._begun.update(dict.fromkeys(keys))
                self._watches.began([watch for watch in asked if watch.key in self._watches], outcome)
            elif isinstance(outcome, CommandError) and len(keys) > 1:
                # one of them is what was refused: the others are found by asking for each half
                half = len(keys) // 2
                yield from self._watch_again(self._dialect.subscriptions(keys[:half]))
                yield from self._watch_again(self._dialect.subscriptions(keys[half:]))
            elif outcome is not None:
                self._watches.refused(keys, outcome)
                self._report(outcome)
