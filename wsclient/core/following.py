"""Watches as they begin and end: those of the user's own calls, and those that a listener follows."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Protocol

from ..errors import CommandError, NotSent, TransportError, WSClientError
from .dialect import Dialect, Message
from .lifecycle import Lifecycle
from .reply import Reply
from .watches import Listener, Watch, Watches


class Submit(Protocol):
    """Makes a call; see `Connection.submit`."""

    def __call__(
        self, request: Message, *, stale_after: float | None = None, watch: Watch | None = None
    ) -> Reply[Any]: ...


class Following:
    """Begins and ends watches through calls, and knows what their answers mean for them. Any thread's."""

    __slots__ = ("_asked", "_dialect", "_latest", "_life", "_lock", "_submit", "_watches")

    def __init__(self, dialect: Dialect, life: Lifecycle[Any], submit: Submit) -> None:
        self._dialect = dialect
        self._life = life
        self._watches: Watches = life.watches
        self._submit = submit
        self._lock = threading.Lock()  # guards what follows
        self._asked: dict[Hashable, Future[None]] = {}  # done when the request of a listener has its outcome
        self._latest: dict[Hashable, Watch] = {}  # of the listeners that follow, or wait for an end to do so

    # -- watches of the user's own

    def on_answer(self, request: Message, stale_after: float | None) -> Callable[[Message], None]:
        """What a good answer to a request to watch, or no longer, is told to."""
        begins, ends, leaves = self._dialect.watching(request)

        def all_ends() -> list[Hashable]:
            left = () if leaves is None else (watch.key for watch in self._watches.kept() if leaves(watch.key))
            return [*ends, *left]

        self._watches.refuse_if_followed(all_ends())

        def on_answer(message: Message) -> None:
            for key in self._watches.ended(all_ends()):
                self._life.renew(key)  # a listener was quicker, and its watch has ended with the user's
            if begins:
                self._watches.began([Watch(key, stale_after) for key in begins], message)

        return on_answer

    # -- watches with a listener

    def follow(self, key: Hashable, listener: Listener, stale_after: float | None, fed: bool) -> None:
        """See `Connection.follow`."""
        watch = Watch(key, stale_after, listener, fed)
        with self._lock:
            self._latest[key] = watch
            earlier = self._asked.get(key)
        if earlier is None or self._watches.asked(key):
            try:
                self._follow(watch)
            except BaseException as error:
                self._failed(watch, error)
                raise
        else:  # another listener has given up before its answer, which will end what it has begun
            earlier.add_done_callback(lambda _: self._go_on(watch, self._follow))

    def _follow(self, watch: Watch) -> None:
        known = self._watches.get(watch.key)
        if known is not None and known.listener is None:
            # the user's own: only a new beginning brings the state as it is
            self._take_over(watch, known)
        ending = self._watches.ending(watch.key)
        if ending is None:
            self._begin(watch)
        else:  # what is still told of the old watch must not be taken for the new one's
            ending.add_done_callback(lambda _: self._go_on(watch, self._begin))

    def unfollow(self, key: Hashable, listener: Listener) -> None:
        """See `Connection.unfollow`."""
        with self._lock:
            latest = self._latest.get(key)
            if latest is not None and latest.listener is listener:
                latest.given_up = True  # it may still wait to be begun
                del self._latest[key]
        ending = self._watches.release(key, listener)
        if ending is None:
            return
        if self._life.open_session is not None:
            self._end(key, ending)
        else:
            self._watches.ended_at_last(key, ending)  # with its connection, unless that is being restored
            self._life.post(lambda: self._end_left(key))

    def began(self, watch: Watch, message: Message) -> None:
        """The request of a listener had a good answer; on the event thread."""
        if self._watches.awaits(watch):
            self._watches.began([watch], message)
            if watch.doubtful:
                watch.doubtful = False
                self._life.renew(watch.key)
        elif watch.key in self._watches:
            pass  # it was released meanwhile, and somebody else wants it
        elif watch.shared:
            self._watches.give_back(watch)
        else:
            self._end(watch.key, self._watches.ends(watch.key))

    def _begin(self, watch: Watch) -> None:
        self._watches.ask(watch)
        if watch.given_up and watch.listener is not None:  # while that was decided
            self._watches.release(watch.key, watch.listener)
            self._leave(watch)
            return
        asked: Future[None] = Future()
        with self._lock:
            self._asked[watch.key] = asked
        self._ask(watch, asked)

    def _ask(self, watch: Watch, asked: Future[None]) -> None:
        try:
            reply = self._made(self._beginning(watch.key), watch)
        except BaseException as error:
            self._answered(watch, asked, error)
            raise
        reply.add_done_callback(lambda _: self._answered(watch, asked, reply.exception()))

    def _go_on(self, watch: Watch, step: Callable[[Watch], None]) -> None:
        """What it waited for is over."""
        if watch.given_up:
            self._leave(watch)
            return
        try:
            step(watch)
        except BaseException as error:
            self._failed(watch, error)
            if not isinstance(error, WSClientError):
                raise

    def _failed(self, watch: Watch, error: BaseException) -> None:
        """It couldn't be begun: its listener is told, once."""
        if not isinstance(error, WSClientError):  # a Ctrl-C, for instance
            kind = TransportError if watch.sent else NotSent
            told = kind(f"asking for {watch.key} was interrupted: {error!r}")
            told.__cause__ = error
            error = told
        if watch.shared and (not isinstance(error, CommandError) or self._dialect.watches_already(error)):
            self._watches.give_back(watch)
        self._watches.forget(watch, error)

    def _answered(self, watch: Watch, asked: Future[None], error: BaseException | None) -> None:
        if (
            isinstance(error, CommandError)
            and self._dialect.watches_already(error)
            and self._watches.awaits(watch)
            and not watch.again
        ):
            self._ask_again(watch, asked)
            return
        if error is not None:
            self._failed(watch, error)
        with self._lock:
            if self._asked.get(watch.key) is asked:
                del self._asked[watch.key]
        asked.set_result(None)  # after what its end has begun, for those who come next

    def _ask_again(self, watch: Watch, asked: Future[None]) -> None:
        """The user's own request was quicker, and only a new beginning brings the state as it is."""
        watch.again = True
        if watch.listener is not None:
            watch.listener.lost()  # notices were of the other watch so far
        self._take_over(watch, self._watches.get(watch.key))
        ending = self._watches.ending(watch.key)
        if ending is None:
            self._go_on_asking(watch, asked)
        else:
            ending.add_done_callback(lambda _: self._go_on_asking(watch, asked))

    def _go_on_asking(self, watch: Watch, asked: Future[None]) -> None:
        if self._watches.awaits(watch):
            try:
                self._ask(watch, asked)
            except WSClientError:
                pass  # the listener was told
        else:  # it was released meanwhile, or the connection was lost, and the next one brings it back
            self._leave(watch)
            self._answered(watch, asked, None)

    def _take_over(self, watch: Watch, known: Watch | None) -> None:
        """Ends the user's own watch, so that it can begin anew for both."""
        if known is not None:
            watch.shared, watch.users_stale_after = True, known.stale_after
            self._watches.ended([watch.key])
        self._end(watch.key, self._watches.ends(watch.key))

    def _leave(self, watch: Watch) -> None:
        """It isn't wanted any more: the user has back what was taken over for it."""
        if not watch.shared or watch.key in self._watches:
            return
        self._watches.give_back(watch)
        try:
            self._made(self._beginning(watch.key), stale_after=watch.users_stale_after)
        except WSClientError:
            pass  # the next connection brings it back

    def _end_left(self, key: Hashable) -> None:
        """It was released before there was a session to end it on; what is restored later looks itself."""
        if self._life.open_session is not None and self._life.keepsakes.end_released(key):
            self._end(key, self._watches.ends(key))

    def _end(self, key: Hashable, ending: Future[None]) -> None:
        reply = None
        try:
            for request in self._dialect.unsubscriptions([key]):
                reply = self._made(request)
        except BaseException as error:
            self._watches.ended_at_last(key, ending)
            if not isinstance(error, WSClientError):
                raise
            return  # the watch has ended with its connection, or ends with it
        if reply is None:
            self._watches.ended_at_last(key, ending)
        else:
            reply.add_done_callback(lambda _: self._watches.ended_at_last(key, ending))

    def _beginning(self, key: Hashable) -> Message:
        [(request, _)] = self._dialect.subscriptions([key])
        return request

    def _made(self, request: Message, watch: Watch | None = None, stale_after: float | None = None) -> Reply[Any]:
        """Makes a call whose answer is due in time: nobody else would find out that it doesn't come."""
        reply = self._submit(request, stale_after=stale_after, watch=watch)
        if reply.carrier is not None:
            self._expect(reply)
        else:  # made on the event thread, to be sent later
            before = reply.on_sending

            def on_sending() -> None:
                if before is not None:
                    before()
                self._expect(reply)

            reply.on_sending = on_sending
        return reply

    def _expect(self, reply: Reply[Any]) -> None:
        session = self._life.open_session
        if session is not None:
            session.post(lambda: session.expect(reply))
