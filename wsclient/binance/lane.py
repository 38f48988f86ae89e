"""Streams that share a connection, and what becomes of them when it ends: the next one takes over.

All of it happens on one thread of the lane's own, since connecting and subscribing have to wait: for the network,
and for the exchange's limit of messages. The connections' event threads only bring the events.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..core.reconnect import Backoff, Reconnect, jittered
from ..core.worker import Job, Worker
from ..errors import ClientClosed, RateLimited, TransportError, WSClientError
from .carrier import Carrier, Line
from .errors import MAX_RETRIES
from .stream import Stream
from .streams import MAX_STREAMS

logger = logging.getLogger("wsclient")

_QUIET: Final = 1.0
"""Seconds after which the trades of a market are asked for of which nothing came since it was got back."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """When connections are replaced.

    after: seconds after which a connection is replaced; the exchange ends it after 24 hours
    overlap: seconds for which both run, so that what comes late on one of them isn't missed
    """

    after: float = 23.5 * 3600
    overlap: float = 2.0


class Lane:
    """Up to 1024 streams, on one connection after another.

    failed: called on the lane's thread with this when no connection can be had; gives the streams that
        it takes away
    """

    def __init__(
        self,
        name: str,
        line: Line,
        reconnect: Reconnect,
        renewal: Renewal,
        failed: "Callable[[Lane], list[Stream]]",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.streams: dict[str, Stream] = {}  # those that are wanted; written by the manager, with its lock held
        self._line = line
        self._renewal = renewal
        self._failed = failed
        self._clock = clock
        self._worker = Worker(name, clock)
        # touched by the worker's thread alone:
        self._reconnect = reconnect
        self._backoff = Backoff(reconnect)
        self._carrier: Carrier | None = None  # whose events count
        self._next: Carrier | None = None  # that replaces it
        self._again: Job | None = None  # the next try
        self._renew: Job | None = None  # the next replacement
        self._vain = 0  # replacements that came to nothing, in a row
        self._later: Job | None = None  # the next try to carry what the exchange has put off
        self._limited = 0  # how often it did, in a row
        self._lost: WSClientError | None = None  # why there is no connection though there was one
        self._lock = threading.Lock()  # guards what follows
        self._carriers: set[Carrier] = set()  # those that may be open
        self._awake = False  # a look at what is wanted is due
        self._stopped = False

    # -- any thread

    @property
    def room(self) -> int:
        """How many streams more it can carry."""
        return MAX_STREAMS - len(self.streams)

    def on_thread(self) -> bool:
        """Whether the caller's is one of the threads that bring the streams."""
        with self._lock:
            carriers = list(self._carriers)
        return self._worker.on_thread() or any(carrier.on_event_thread() for carrier in carriers)

    def wake(self) -> None:
        """Something else is wanted."""
        with self._lock:
            if self._awake:
                return
            self._awake = True
        self._worker.do(self._work)

    def stop(self) -> None:
        """Ends everything; see `join`."""
        with self._lock:
            self._stopped = True
            carriers = list(self._carriers)
        self._worker.stop()
        for carrier in carriers:
            carrier.stop()

    def join(self, timeout: float) -> None:
        self._worker.join(timeout)

    # -- the worker's thread: what is wanted

    def _work(self) -> None:
        with self._lock:
            self._awake = False
        carrier = self._next or self._carrier
        if not self.streams:
            self._idle()
        elif carrier is not None:
            self._carry(carrier)
        elif self._again is None:
            self._open()

    def _idle(self) -> None:
        """Nothing is wanted: nothing is kept."""
        for job in (self._again, self._renew, self._later):
            if job is not None:
                job.cancel()
        self._again = self._renew = self._later = self._lost = None
        self._backoff.reset()
        self._vain = self._limited = 0
        for carrier in (self._carrier, self._next):
            if carrier is not None:
                self._discard(carrier)
        self._carrier = self._next = None

    def _carry(self, carrier: Carrier) -> None:
        """Subscribes to what is wanted and isn't carried, and the reverse."""
        wanted = {name: stream for name, stream in self.streams.copy().items() if not stream.over}
        fresh = []
        for name, stream in wanted.items():
            known = carrier.carried.get(name)
            if known is stream:
                continue
            stream.begin(carrier)
            if known is None:
                fresh.append(stream)
            else:  # another one of this name was wanted, and its subscription goes on
                carrier.carried[name] = stream
                stream.subscribed()
        try:
            carrier.remove([name for name in carrier.carried if name not in wanted])
            refused = carrier.add(fresh)
        except RateLimited as error:
            logger.info("subscribing goes on later: %s", error)
            self._carry_later()
        except (TransportError, ClientClosed) as error:
            logger.info("subscribing was interrupted: %s", error)  # the connection's end is on its way
        else:
            self._limited = 0
            for stream, refusal in refused:
                stream.refuse(refusal)

    def _carry_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
        self._limited += 1
        self._later = self._worker.do(self._work, self._pause(self._limited))

    def _pause(self, tries: int) -> float:
        """Seconds before something is tried again that came to nothing so many times in a row."""
        policy = self._reconnect
        return jittered(tries, policy.base, policy.cap, policy.random)

    # -- connections

    def _open(self) -> None:
        """Makes a connection where there is none, and carries everything on it."""
        self._again = None
        try:
            carrier = self._opened()
        except WSClientError as error:
            self._missed(error)
            return
        self._carrier = carrier
        self._carry(carrier)
        carrier.whole()
        self._lost = None
        self._worker.do(self._catch_up, _QUIET)
        self._renew_in_time(carrier)

    def _opened(self) -> Carrier:
        carrier = Carrier(self._line, self.streams, self._on_end, self._on_announcement, self._clock)
        with self._lock:
            if self._stopped:
                raise ClientClosed("the manager was stopped")
            self._carriers.add(carrier)
        try:
            carrier.open()
        except BaseException:
            self._discard(carrier)
            raise
        return carrier

    def _discard(self, carrier: Carrier) -> None:
        carrier.stop()
        with self._lock:
            self._carriers.discard(carrier)

    def _missed(self, error: WSClientError) -> None:
        """There is no connection: tries again, if there was one before, or gives up."""
        if self._stopped or not self.streams:
            return
        delay = self._backoff.next() if self._lost is not None else None
        if delay is not None:
            logger.info("Binance's streams aren't back yet: %s", error)
            self._again = self._worker.do(self._open, delay)
            return
        if self._lost is not None:
            gave_up = TransportError(MAX_RETRIES)
            gave_up.__cause__ = error
            error = gave_up
        self._lost = None
        self._backoff.reset()
        for stream in self._failed(self):
            stream.refuse(error)

    def _on_end(self, carrier: Carrier) -> None:
        self._worker.do(lambda: self._ended(carrier))

    def _ended(self, carrier: Carrier) -> None:
        self._discard(carrier)
        error = carrier.error or TransportError("the connection has ended")
        if carrier is self._next:
            self._next = None
            for stream in self.streams.copy().values():
                stream.separate(carrier, self._carrier)
            if self._carrier is not None:
                self._carry(self._carrier)  # what has begun on the other one
                self._renew_later(self._carrier)
        elif carrier is self._carrier:
            if carrier.proved:
                self._backoff.reset()
            self._carrier, self._next = self._next, None
            if self._carrier is not None:
                self._take_over(self._carrier)
                self._worker.do(self._catch_up, _QUIET)
                return
            for stream in self.streams.copy().values():
                stream.lose()
            self._lost = error
            self._missed(error)

    def _catch_up(self) -> None:
        if self._next is not None:
            self._worker.do(self._catch_up, _QUIET)  # when one connection alone counts
        elif self._carrier is not None:
            for stream in list(self._carrier.carried.values()):
                stream.catch_up()

    # -- replacements

    def _on_announcement(self, carrier: Carrier) -> None:
        self._worker.do(lambda: self._replace(carrier))

    def _renew_in_time(self, carrier: Carrier) -> None:
        """Before the exchange ends it; not just when other lanes do the same."""
        self._renew_after(carrier, 0.0 if carrier.leaving else self._renewal.after * (1 - random.random() / 50))

    def _renew_later(self, carrier: Carrier) -> None:
        """Once more, since its replacement came to nothing."""
        self._vain += 1
        self._renew_after(carrier, self._renewal.overlap + self._pause(self._vain))

    def _renew_after(self, carrier: Carrier, seconds: float) -> None:
        if self._renew is not None:
            self._renew.cancel()
        self._renew = self._worker.do(lambda: self._replace(carrier), seconds)

    def _replace(self, old: Carrier) -> None:
        """Carries everything on a second connection too, before the first one ends."""
        if old is not self._carrier or self._next is not None or not self.streams:
            return
        try:
            carrier = self._next = self._opened()
        except WSClientError as error:
            logger.info("a connection to Binance's streams can't be replaced yet: %s", error)
            self._renew_later(old)
            return
        wanted = [stream for stream in self.streams.copy().values() if not stream.over]
        for stream in wanted:
            if old.carried.get(stream.name) is stream:
                stream.overlap(carrier)
            else:
                stream.begin(carrier)
        try:
            refused = carrier.add(wanted)
            not_here = next((error for stream, error in refused if stream.name in old.carried), None)
        except (TransportError, ClientClosed) as error:
            logger.info("subscribing was interrupted: %s", error)  # the connection's end is on its way
            return
        except RateLimited as error:
            not_here = error
        if not_here is not None:  # the other connection carries it as before
            logger.info("a connection to Binance's streams can't be replaced yet: %s", not_here)
            self._ended(carrier)
            return
        for stream, refusal in refused:
            stream.refuse(refusal)
        carrier.whole()
        self._worker.do(lambda: self._finish(old, carrier), self._renewal.overlap)

    def _finish(self, old: Carrier, carrier: Carrier) -> None:
        """Ends the first of two connections."""
        if old is not self._carrier or carrier is not self._next:
            return
        try:
            old.reach()
        except (TransportError, ClientClosed):
            return  # it has ended, which is told
        self._discard(old)
        self._carrier, self._next = carrier, None
        self._take_over(carrier)

    def _take_over(self, carrier: Carrier) -> None:
        """The connection before this tells nothing more."""
        for stream in list(carrier.carried.values()):
            stream.switch(carrier)
        self._vain = 0
        self._carry(carrier)  # what was wanted, or no longer, meanwhile
        self._renew_in_time(carrier)
