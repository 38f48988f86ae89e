"""Many streams, few connections: who wants which stream, and on which connection each is."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ..core.reconnect import Reconnect
from ..errors import ClientClosed
from .carrier import Line
from .lane import Lane, Renewal
from .stream import Sink, Stream


class Multiplexer:
    """Gives sinks the streams that they want. Streams with the same name are one, whoever wants it.

    fill: fetches trades that were missed, and calls `Stream.filled`
    """

    def __init__(
        self, line: Line, reconnect: Reconnect, renewal: Renewal, fill: Callable[[Stream], object] | None = None
    ) -> None:
        self._line = line
        self._reconnect = reconnect
        self._renewal = renewal
        self._fill = fill
        self._lock = threading.Lock()  # guards what follows, and `Lane.streams` for writing
        self._streams: dict[str, tuple[Stream, Lane]] = {}
        self._lanes: list[Lane] = []
        self._stopped = False

    def begin(self, sink: Sink, names: Sequence[str]) -> "Future[None]":
        """Tells a sink of these streams from now on; the future, when they are subscribed to."""
        ready = _All(len(names))
        awake: set[Lane] = set()
        streams: list[Stream] = []
        again: list[Stream] = []
        with self._lock:
            if self._stopped:
                raise ClientClosed("the manager was stopped: make a new one")
            for name in names:
                known = self._streams.get(name)
                if known is not None and not known[0].over:
                    stream = known[0]
                    if stream.ready.done():
                        again.append(stream)
                else:
                    if known is not None:
                        self._remove(known)
                    stream, lane = Stream(name, self._fill), self._lane()
                    self._streams[name] = stream, lane
                    lane.streams[name] = stream
                    awake.add(lane)
                stream.sinks = (*stream.sinks, sink)
                streams.append(stream)
        for lane in awake:
            lane.wake()
        for stream in streams:
            stream.ready.add_done_callback(ready.one_done)
        if again:
            sink.subscribed()
        return ready.future

    def end(self, sink: Sink, names: Sequence[str]) -> None:
        """Tells a sink of these streams no longer."""
        awake: set[Lane] = set()
        with self._lock:
            for name in names:
                known = self._streams.get(name)
                if known is None or sink not in known[0].sinks:
                    continue
                stream, lane = known
                stream.sinks = tuple(other for other in stream.sinks if other is not sink)
                if not stream.sinks:
                    self._remove(known)
                    awake.add(lane)
        for lane in awake:
            lane.wake()

    def stop(self, timeout: float) -> None:
        """Ends everything: each sink has failed."""
        with self._lock:
            self._stopped = True
            lanes, streams = list(self._lanes), [stream for stream, _ in self._streams.values()]
        for lane in lanes:
            lane.stop()
        for lane in lanes:
            lane.join(timeout)
        for stream in streams:
            stream.refuse(ClientClosed("the manager was stopped"))

    def on_thread(self) -> bool:
        """Whether the caller's is one of the threads that bring the streams, and so can't wait for them."""
        with self._lock:
            lanes = list(self._lanes)
        return any(lane.on_thread() for lane in lanes)

    @property
    def missed(self) -> int:
        """Trades that were missed and couldn't be fetched, of the streams that there are now."""
        with self._lock:
            return sum(stream.missed for stream, _ in self._streams.values())

    # -- with the lock held

    def _lane(self) -> Lane:
        """One with room; the fullest, so that few are needed."""
        lane = min((lane for lane in self._lanes if lane.room), key=lambda lane: lane.room, default=None)
        if lane is None:
            name = f"wsclient binance {self._line.endpoint.safe_url} {len(self._lanes) + 1}"
            lane = Lane(name, self._line, self._reconnect, self._renewal, self._lane_failed)
            self._lanes.append(lane)
        return lane

    def _remove(self, known: tuple[Stream, Lane]) -> None:
        stream, lane = known
        del self._streams[stream.name]
        lane.streams.pop(stream.name, None)

    # -- a lane's thread

    def _lane_failed(self, lane: Lane) -> list[Stream]:
        """Takes away what a lane can't carry; what is wanted from now on begins afresh."""
        with self._lock:
            gone = [known for known in self._streams.values() if known[1] is lane]
            for known in gone:
                self._remove(known)
            return [stream for stream, _ in gone]


class _All:
    """The future of several: done when all are, or one has failed."""

    def __init__(self, count: int) -> None:
        self.future: Future[None] = Future()
        self._lock = threading.Lock()  # guards what follows
        self._left = count

    def one_done(self, one: "Future[None]") -> None:
        error = one.exception()
        with self._lock:
            self._left = 0 if error is not None and self._left > 0 else self._left - 1
            last = self._left == 0
            if last:
                self._left = -(10**9)
        if not last:
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)
