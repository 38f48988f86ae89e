"""What a client has subscribed to, and gets back after a lost connection."""

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ..errors import InvalidRequest, WSClientError
from .dialect import Dialect, Message

Key = Hashable
"""What a watch watches, in its dialect's words."""


class Listener(Protocol):
    """Follows one watch: a local book, for instance. Called in the order of the wire, and without any lock held.

    `asked` may be called on the thread of whoever subscribes, everything else on the event thread.
    """

    def asked(self) -> None:
        """The request is about to be sent, or sent again. Notices may come from now on, also before its answer."""

    def answered(self, message: Message) -> None:
        """The answer came, and was no refusal."""

    def notice(self, message: Message) -> None:
        """A notice of this watch, decoded. Others have it too: it isn't to be changed."""

    def lost(self) -> None:
        """The connection ended, or ends: what is known may be wrong from now on. It may be told twice."""

    def failed(self, error: WSClientError) -> None:
        """The watch couldn't be had, or not again: it has ended."""

    def given_up(self, error: WSClientError) -> None:
        """No connection can be had. The watch is kept, and `asked` for again when there is one."""


@dataclass(slots=True, eq=False)
class Watch:
    """One subscription.

    stale_after: seconds without a message of it after which it counts as stale; None for never
    fed: the venue's own stream brings its listener the notices, and tells `Watches.heard` of what has to come in
        any market; so silence after a renewal too shows that the connection is dead
    shared: the user has asked for it besides its listener, and keeps it when that is done
    users_stale_after: what the user has given then
    """

    key: Key
    stale_after: float | None = None
    listener: Listener | None = None
    fed: bool = False
    shared: bool = False
    users_stale_after: float | None = None
    given_up: bool = False  # its listener follows no longer, and it isn't to be begun
    tried: bool = False  # it is being begun, or was
    sent: bool = False  # a listener's request may have left
    heard: float = 0.0  # when the last message of it came; the event thread's
    renewing: bool = False  # it was stale and is asked for again; the event thread's
    mute: bool = False  # nothing was heard of it since it was stale; the event thread's
    doubtful: bool = False  # the user has ended it, before its request or after it; likewise
    again: bool = False  # another one of the user's was quicker, and it is asked for once more; likewise

    @property
    def patience(self) -> float | None:
        """Seconds of silence after which it is stale: the shorter time, where two were given.

        A venue that feeds its listener itself tells of signs of life that are rarer than messages, so that the
        user's doesn't count there before it is his own again.
        """
        if self.users_stale_after is None or self.fed:
            return self.stale_after
        return min(self.users_stale_after, self.stale_after or self.users_stale_after)


class Watches:
    """The watches of one client. Any thread begins and ends them; the event thread brings what comes."""

    __slots__ = ("_asked", "_clock", "_dialect", "_ending", "_kept", "_lock", "attentive", "timed")

    def __init__(self, dialect: Dialect, clock: Callable[[], float]) -> None:
        self._dialect = dialect
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows, for writing; single look-ups need none
        self._kept: dict[Key, Watch] = {}  # in the order in which they began
        self._asked: dict[Key, Watch] = {}  # whose listener waits for the answer
        self._ending: dict[Key, Future[None]] = {}  # done when the end of one has its outcome
        self.attentive = False  # whether somebody needs notices decoded; for others to read
        self.timed = False  # whether a watch may become stale; likewise

    # -- any thread

    def ask(self, watch: Watch) -> None:
        """A listener is about to subscribe: it is told of notices, and of losses, from now on."""
        assert watch.listener is not None
        with self._lock:
            for known in (self._kept.get(watch.key), self._asked.get(watch.key)):
                if known is not None and known.listener is not None:
                    raise InvalidRequest(f"{watch.key} is followed already")
            self._asked[watch.key] = watch
            watch.tried = True
            self._look()

    def sending(self, watch: Watch) -> None:
        """A listener's request is about to go out; it isn't told if it has given up meanwhile."""
        watch.sent = True
        if watch.listener is not None and self.awaits(watch):
            watch.listener.asked()

    def forget(self, watch: Watch, error: WSClientError) -> None:
        """The request of a listener failed; it is told so, unless it gave up itself or is brought back anyway."""
        with self._lock:
            if self._asked.get(watch.key) is watch:
                del self._asked[watch.key]
                self._look()
            elif watch.tried:
                return
            watch.tried = True
        if watch.listener is not None and not watch.given_up:
            watch.listener.failed(error)

    def began(self, watches: Iterable[Watch], message: Message) -> None:
        """A request to watch was answered; told before its caller is, so that a loss after that finds it kept."""
        watches = list(watches)
        now = self._clock()
        with self._lock:
            for watch in watches:
                watch.heard = now
                watch.renewing = watch.again = False
                known = self._kept.get(watch.key)
                if known is not None and watch.listener is None and known.listener is not None:
                    known.shared, known.users_stale_after = True, watch.stale_after
                    continue
                if known is not None and known.listener is None and watch.listener is not None:
                    watch.shared, watch.users_stale_after = True, known.stale_after
                self._kept[watch.key] = watch
                if self._asked.get(watch.key) is watch:
                    del self._asked[watch.key]
            self._look()
        for watch in watches:
            if watch.listener is not None:
                watch.listener.answered(message)

    def ended(self, keys: Iterable[Key]) -> list[Key]:
        """A request to watch no longer was answered; what a listener lives on by now is kept, and given back."""
        followed = []
        with self._lock:
            for key in keys:
                known, asked = self._kept.get(key), self._asked.get(key)
                if asked is not None and asked.sent and not asked.again:
                    asked.doubtful = True
                if known is not None and known.listener is not None:
                    followed.append(key)
                else:
                    self._kept.pop(key, None)
            self._look()
        return followed

    def refused(self, keys: Iterable[Key], error: WSClientError) -> None:
        """These can't be restored."""
        with self._lock:
            gone = [watch for key in keys if (watch := self._kept.pop(key, None)) is not None]
            self._look()
        for watch in gone:
            if watch.listener is not None:
                watch.listener.failed(error)

    def refuse_if_followed(self, keys: Iterable[Key]) -> None:
        """A watch that a listener lives on isn't ended behind its back."""
        for key in keys:
            known = self._kept.get(key)
            if known is not None and known.listener is not None:
                raise InvalidRequest(f"{known.listener!r} lives on this watch: close it instead")

    def ends(self, key: Key) -> Future[None]:
        """Something is about to be ended. Whoever does that says so when it is: a new beginning waits for it."""
        with self._lock:
            return self._ends(key)

    def ending(self, key: Key) -> Future[None] | None:
        """What a new beginning has to wait for."""
        return self._ending.get(key)

    def ended_at_last(self, key: Key, ending: Future[None]) -> None:
        """The exchange has told that something has ended, or it has ended with its connection."""
        with self._lock:
            if self._ending.get(key) is ending:
                del self._ending[key]
        ending.set_result(None)

    def gave_up(self, error: WSClientError) -> None:
        """No connection could be had: they are kept for when somebody asks for one again."""
        for watch in self.kept():
            if watch.listener is not None:
                watch.listener.given_up(error)

    def asked(self, key: Key) -> bool:
        """Whether a listener waits for the answer to its request."""
        return key in self._asked

    def awaits(self, watch: Watch) -> bool:
        """Whether the answer to a listener's request is waited for."""
        return self._asked.get(watch.key) is watch

    def get(self, key: Key) -> Watch | None:
        return self._kept.get(key)

    def release(self, key: Key, listener: Listener) -> Future[None] | None:
        """A listener follows no longer; see `ends`, if there is a watch of its that has to be ended."""
        with self._lock:
            asked, kept = self._asked.get(key), self._kept.get(key)
            if asked is not None and asked.listener is listener:
                del self._asked[key]  # its answer ends it
            following = kept is not None and kept.listener is listener
            ends = None
            if kept is not None and following:
                del self._kept[key]
                if kept.shared:
                    self._kept[key] = self._users(kept)
                else:
                    ends = self._ends(key)
            self._look()
            return ends

    def kept(self) -> list[Watch]:
        with self._lock:
            return list(self._kept.values())

    def give_back(self, watch: Watch) -> None:
        """The user's own watch was to be shared, and isn't: it is kept as it was, for the next connection too."""
        with self._lock:
            if watch.key not in self._kept:
                self._kept[watch.key] = self._users(watch)
            self._look()

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def _users(self, shared: Watch) -> Watch:
        """The user's own again."""
        return Watch(shared.key, shared.users_stale_after, heard=self._clock())

    def _ends(self, key: Key) -> Future[None]:
        ending = self._ending[key] = Future()
        return ending

    def _look(self) -> None:
        watches = [*self._kept.values(), *self._asked.values()]
        self.timed = any(watch.patience is not None for watch in watches)
        self.attentive = any(
            not watch.fed and (watch.listener is not None or watch.patience is not None) for watch in watches
        )

    # -- the event thread

    def notice(self, message: Message) -> None:
        """A message came that is no answer: passes it to the watch that it belongs to."""
        for key in self._dialect.watched(message):
            watch = self._asked.get(key) or self._kept.get(key)
            if watch is not None and not watch.fed:
                watch.heard = self._clock()
                if watch.listener is not None:
                    watch.listener.notice(message)

    def heard(self, key: Key) -> None:
        """A message came that shows that a fed watch is alive."""
        watch = self._kept.get(key)
        if watch is not None:
            watch.heard = self._clock()
            watch.mute = False

    def stale_at(self) -> float | None:
        """When the next watch becomes stale, if nothing of it comes."""
        times = [
            watch.heard + patience
            for watch in self.kept()
            if (patience := watch.patience) is not None and not watch.renewing
        ]
        return min(times, default=None)

    def stale(self, now: float) -> list[Watch]:
        """The watches of which nothing came for too long; each is told once, until it is renewed."""
        stale = []
        for watch in self.kept():
            patience = watch.patience
            if patience is not None and not watch.renewing and now >= watch.heard + patience:
                watch.renewing = True
                stale.append(watch)
        return stale

    def keep_sent(self) -> None:
        """The connection ended, and took listeners' requests with it: they are brought back like the others."""
        with self._lock:
            for key, watch in [*self._asked.items()]:
                if watch.sent:
                    self._kept[key] = self._asked.pop(key)

    def lost(self) -> None:
        """The connection ended: nothing that is known can be relied on."""
        with self._lock:
            watches = [*self._kept.values(), *self._asked.values()]
        for watch in watches:
            watch.renewing = watch.mute = watch.again = watch.doubtful = False
            if watch.listener is not None:
                watch.listener.lost()
