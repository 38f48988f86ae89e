"""The sandbox's server: connections over the `websockets` package, each given to the venue of its path.

All of it runs on one event loop. A message is read, run, answered and told to others in one go, with no task of
its own, so commands run in the order received and what a connection is told fits together: a snapshot in a reply
holds exactly what was not noticed before it and will not be noticed after it.
"""

import asyncio
import itertools
import logging
import socket
import ssl
from collections.abc import Collection, Iterable
from functools import partial
from typing import Final, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from wsclient.sandbox.delivery import Delivery
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import BalanceChanged, TradeVolumeChanged
from wsclient.sandbox.faults import Faults
from wsclient.sandbox.ledger import (
    Arrived,
    Closed,
    Command,
    Faulted,
    Fetched,
    Happened,
    Ledger,
    Noticed,
    Opened,
    Refused,
    Struck,
    Trouble,
)
from wsclient.sandbox.line import CLOSE_TIMEOUT, Line, Pool, WatchedConnection
from wsclient.sandbox.turn import Turn
from wsclient.sandbox.venue import FrameKind, HangUp, Page, Ping, Say, Venue, encode
from wsclient.sandbox.wire import Wire

WRITE_LIMIT: Final = 256 * 1024
"""Bytes waiting for a client from which on its commands wait, too."""
STOP_GRACE: Final = 0.5
"""How long (seconds) clients may take to answer the Close frame when the sandbox stops."""
LONGEST_PATH: Final = 200
"""How much of a path nobody knows is kept in the ledger."""
MESSAGES_IN_A_ROW: Final = 64
"""How many messages of one connection are served before the others get their turn."""

_log = logging.getLogger("wsclient.sandbox")
# the package reports what clients do wrong; here clients doing wrong are everyday business, and in the ledger
_quiet = logging.getLogger("wsclient.sandbox.websockets")
_quiet.propagate = False
_quiet.setLevel(logging.CRITICAL)


class SandboxServer:
    """Serves an engine through its venues. Everything but the constructor belongs to the event loop."""

    def __init__(
        self,
        engine: Engine,
        venues: Iterable[Venue],
        ledger: Ledger,
        faults: Faults,
        *,
        idle_timeout: float | None,
        max_message_size: int,
        max_connections: int,
        max_backlog: int,
    ) -> None:
        self._engine = engine
        self._venues = tuple(venues)
        self._beats: list[asyncio.Task[None]] = []
        self._ledger = ledger
        self._faults = faults
        self._idle_timeout = idle_timeout
        self._max_message_size = max_message_size
        self._max_connections = max_connections
        self._max_backlog = max_backlog
        self._numbers = itertools.count(1)
        self._lines: dict[int, Line] = {}
        self._pool = Pool(limit=max_connections * 2, connections=set(), arrived=self._arrived)
        self._arrivals = itertools.count(1)
        self._server: Server | None = None

    # ------------------------------------------------------------ life

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Listen on a bound socket."""
        self._server = await serve(
            self._handle,
            sock=sock,
            ssl=tls,
            process_request=self._admit,
            create_connection=cast(type[ServerConnection], partial(WatchedConnection, pool=self._pool)),
            ping_interval=None,  # keeping the line alive is the client's duty
            close_timeout=CLOSE_TIMEOUT,
            max_size=self._max_message_size,
            write_limit=WRITE_LIMIT,
            logger=_quiet,
            server_header=None,
        )
        loop = asyncio.get_running_loop()
        self._beats = [
            loop.create_task(self._beat(venue, venue.beat_seconds))
            for venue in self._venues
            if venue.beat_seconds is not None
        ]

    async def stop(self) -> None:
        """Close every connection (1001), soon by force, and leave nothing behind."""
        server, self._server = self._server, None
        if server is None:
            return
        for beat in self._beats:
            beat.cancel()
        server.close()
        closed = asyncio.ensure_future(server.wait_closed())
        if not (await asyncio.wait([closed], timeout=STOP_GRACE))[0]:
            for connection in list(self._pool.connections):
                connection.transport.abort()
            # what is left now hasn't finished its TLS handshake, and ends with the loop
            await asyncio.wait([closed], timeout=STOP_GRACE)

    def cut_all(self) -> int:
        """Cut every open connection, without a Close frame; how many that were."""
        lines = [line for line in self._lines.values() if not line.ended]
        for line in lines:
            line.abort()
        return len(lines)

    # ------------------------------------------------------------ connections

    def _arrived(self, connection: WatchedConnection, transport: asyncio.Transport) -> Wire | None:
        """Note a TCP connection, and lay a wire of its own for one that a fault waits for."""
        number, peer = next(self._arrivals), _address(transport.get_extra_info("peername"))
        self._ledger.add(Arrived, peer)
        fault = self._faults.for_wire()
        if fault is None:
            return None
        wire = Wire(
            transport,
            number,
            loop=connection.loop,
            deliver=connection.take,
            meant=partial(self._faults.has, fault),
            struck=lambda wire, how: self._struck(connection, peer, wire, how),
        )
        fault.on_wire(wire)
        return wire

    def _struck(self, connection: WatchedConnection, peer: str, wire: Wire, how: str) -> None:
        self._ledger.add(Struck, connection.session, peer, how, wire.received, wire.sent)

    def _admit(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        """Decide about a connection in its handshake: None lets it in."""
        path = request.path.partition("?")[0]
        page = self._page(request.path)
        fault = self._faults.for_connection(path, plain=page is not None)
        if fault is not None:
            self._ledger.add(Faulted, None, fault)
            response = connection.respond(fault.status, fault.body)
            for name, value in fault.headers.items():
                response.headers[name] = value
        elif page is not None:
            self._ledger.add(Fetched, request.path[:LONGEST_PATH], page.status)
            response = connection.respond(page.status, page.body)
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "application/json; charset=utf-8"
            return response
        elif (venue := self._venue(path)) is None:
            known = ", ".join(venue.path for venue in self._venues)
            response = connection.respond(404, f"There is nothing here; try {known}.\n")
        elif len(self._lines) >= self._max_connections:
            response = connection.respond(503, "There are too many connections.\n")
        elif denial := venue.admit(request.path, _host(connection.remote_address)):
            response = connection.respond(denial.status, denial.body)
            for name, value in denial.headers.items():
                response.headers[name] = value
        else:
            return None
        self._ledger.add(Refused, path[:LONGEST_PATH], response.status_code)
        return response

    async def _handle(self, connection: ServerConnection) -> None:
        """The life of one connection, from its handshake to its end."""
        assert isinstance(connection, WatchedConnection)
        assert connection.request is not None
        target = connection.request.path
        path = target.partition("?")[0]
        venue = self._venue(path)
        assert venue is not None, "the handshake has let it in"
        line = Line(next(self._numbers), connection, max_backlog=self._max_backlog)
        line.slow_notice = venue.slow_notice.encode() if venue.slow_notice is not None else None
        self._lines[line.id] = line
        connection.session = line.id
        self._ledger.add(Opened, line.id, path, _address(connection.remote_address))
        if self._idle_timeout is not None:
            self._watch_idleness(line, self._idle_timeout)
        try:
            self._greet(line, venue, target)
            connection.on_frame = partial(self._heard, line, venue)
            await self._listen(line, venue)
        except ConnectionClosed:
            pass
        except Exception as error:
            self.trouble(line.id, error)
            line.close(CloseCode.INTERNAL_ERROR, "the exchange failed")
        finally:
            try:
                await connection.wait_closed()
            finally:
                self._end(line, venue)

    def _page(self, target: str) -> Page | None:
        """What a plain GET of a target is answered with, if any venue has something there."""
        for venue in self._venues:
            try:
                if page := venue.page(target):
                    return page
            except Exception as error:
                self.trouble(None, error)
                return Page(500, encode({"message": "Internal server error"}))
        return None

    def _venue(self, path: str) -> Venue | None:
        return next((venue for venue in self._venues if venue.serves(path)), None)

    def _greet(self, line: Line, venue: Venue, target: str) -> None:
        greeting = venue.open(line.id, target)
        if greeting is None:
            self._act(venue)
            return
        fault = self._faults.for_greeting()
        if fault is None:
            line.send(encode(greeting))
        else:
            self._ledger.add(Faulted, line.id, fault)
            fault.on_greeting(line, greeting)
        self._act(venue)

    def _heard(self, line: Line, venue: Venue, kind: FrameKind, payload: bytes) -> None:
        """A message or control frame has arrived."""
        if line.ended:
            return
        try:
            venue.heard(line.id, kind, payload)
        except Exception as error:
            self.trouble(line.id, error)
        self._act(venue)

    async def _listen(self, line: Line, venue: Venue) -> None:
        """Serve a connection's messages, one after the other, until it ends."""
        connection = line.connection
        for count in itertools.count(1):
            message = await connection.recv()
            if line.ended:  # it came after the cut, so for the client it never arrived
                return
            if isinstance(message, bytes):
                line.close(CloseCode.UNSUPPORTED_DATA, "only text messages are understood")
                return
            self._serve(line, venue, message)
            await connection.writable()
            if count % MESSAGES_IN_A_ROW == 0:
                await asyncio.sleep(0)

    def _serve(self, line: Line, venue: Venue, message: str) -> None:
        """Give one message its turn, or to the fault that waits for it."""
        request = venue.read(message)
        user = venue.sender(line.id, request)
        command = self._ledger.add(Command, line.id, user, request.method, request.tag, request.shown)
        turn = Turn(self, self._ledger, venue, line, request, command)
        fault = self._faults.for_command(turn, user)
        if fault is None:
            turn.run()
            return
        self._ledger.add(Faulted, line.id, fault)
        try:
            fault.on_command(turn)
        finally:
            self.publish()

    def _end(self, line: Line, venue: Venue) -> None:
        """A connection is gone: so are its watches, and its orders that were not to persist."""
        line.ended = True
        self._lines.pop(line.id, None)
        try:
            venue.close(line.id)
        except Exception as error:
            self.trouble(line.id, error)
        code, reason = line.said_goodbye or (line.connection.close_code, line.connection.close_reason)
        self._ledger.add(Closed, line.id, code or CloseCode.ABNORMAL_CLOSURE, reason or "")
        self.publish()

    def _watch_idleness(self, line: Line, timeout: float) -> None:
        """Drop a connection once nothing has passed for `timeout` seconds, in either direction."""
        if line.ended:
            return
        quiet = line.connection.loop.time() - max(line.last_said, line.connection.last_heard)
        if quiet >= timeout:
            line.close(CloseCode.GOING_AWAY, f"no traffic for {timeout:g} s")
        else:
            line.later(timeout - quiet, partial(self._watch_idleness, line, timeout))

    # ------------------------------------------------------------ what the engine says

    def publish(self) -> int:
        """Tell everybody concerned, in every venue's words, what the engine has done since the last time.

        Returns how much of it can be seen on a market; what balances and volumes do is their owners' affair.
        """
        events = self._engine.take_events()
        for event in events:
            self._ledger.add(Happened, event)
        for venue in self._venues:
            try:
                for text, sessions in venue.notices(events):
                    self._tell(text, sessions)
            except Exception as error:
                self.trouble(None, error)
            self._act(venue)
        return sum(not isinstance(event, BalanceChanged | TradeVolumeChanged) for event in events)

    async def _beat(self, venue: Venue, seconds: float) -> None:
        """Let a venue look at the clock, as often as it wants."""
        while True:
            await asyncio.sleep(seconds)
            try:
                venue.beat()
            except Exception as error:
                self.trouble(None, error)
            self._act(venue)

    def _act(self, venue: Venue) -> None:
        """Do what a venue wants done."""
        try:
            for action in venue.actions():
                match action:
                    case Say(text, sessions):
                        self._tell(text, sessions)
                    case Ping(session, payload):
                        if line := self._lines.get(session):
                            line.ping(payload)
                    case HangUp(session, code, reason):
                        if line := self._lines.get(session):
                            line.close(code, reason)
        except Exception as error:
            self.trouble(None, error)

    def _tell(self, text: str, sessions: Collection[int]) -> None:
        encoded = text.encode()
        for session in sessions:
            line = self._lines.get(session)
            if line is None or line.unfed:
                continue
            if self._faults.none and not line.memory:  # by far the most common case costs nothing
                line.send_text(encoded)
            else:
                self._deliver(Delivery(line, text))
        if self._ledger.keep_notices:
            self._ledger.add(Noticed, text, tuple(sessions))

    def _deliver(self, delivery: Delivery) -> None:
        """Send a notice, or leave it to the fault that waits for it."""
        fault = self._faults.for_notice(delivery)
        if fault is None:
            delivery.send()
            return
        self._ledger.add(Faulted, delivery.line.id, fault)
        fault.on_notice(delivery)

    def trouble(self, session: int | None, error: BaseException) -> None:
        """Note an exception that nobody expected; the exchange goes on."""
        _log.error("the sandbox met an unexpected exception (connection %s)", session, exc_info=error)
        self._ledger.add(Trouble, session, error)


def _host(address: object) -> str:
    return str(address[0]) if isinstance(address, tuple) else str(address)


def _address(address: object) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
