"""The Binance dialect as the exchange speaks it: connections to market streams and to the request API.

Both keep the line alive and come to their end alike: the exchange pings and expects the payload back, ends a
connection after a day, and announces a shutdown. Pure, as every dialect: it knows connections by number, and
returns what is to be done.

Source: protocol page.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, cast
from urllib.parse import unquote

from wsclient.sandbox.binance_account import AccountMethods
from wsclient.sandbox.binance_api import EVERYBODY, ApiSession, RequestApi, failure
from wsclient.sandbox.binance_controls import METHODS, StreamRequests
from wsclient.sandbox.binance_errors import UNKNOWN, BinanceError
from wsclient.sandbox.binance_limits import BinanceSettings
from wsclient.sandbox.binance_public import PublicMethods
from wsclient.sandbox.binance_state import BinanceState
from wsclient.sandbox.binance_streams import LONGEST_NAME, Listener, wrapped
from wsclient.sandbox.binance_trading import TradingMethods
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import Event
from wsclient.sandbox.limits import RollingWindow
from wsclient.sandbox.users import User
from wsclient.sandbox.venue import Action, Denial, FrameKind, HangUp, Ping, Refusal, Request, Say, Venue, encode

__all__ = ["API", "BinanceSettings", "BinanceVenue"]

RAW: Final = "/ws"
COMBINED: Final = "/stream"
API: Final = "/ws-api/v3"
CONNECT_WEIGHT: Final = 2

MAX_TEXT: Final = 131_072
"""Longer messages (characters) are refused unread: 1024 names of streams have a fourth of that."""
MAX_SHOWN: Final = 2_000
"""The parameters of longer messages (characters) are not kept in the ledger."""
MAX_METHOD: Final = 64
SECRETS: Final = frozenset({"apiKey", "signature", "listenKey"})
POLICY: Final = 1008
GOING_AWAY: Final = 1001
SECOND: Final = 1_000_000


@dataclass(slots=True)
class _Link:
    """The life of a connection of either kind. Times are microseconds."""

    opened: int
    next_ping: int
    pings: dict[bytes, int] = field(default_factory=dict)
    """Those without an answer, and when they were sent."""
    ends: int | None = None


class BinanceVenue(Venue):
    """One exchange's Binance front door. All methods are called on the sandbox's one thread."""

    path = RAW
    beat_seconds = 0.05

    def __init__(
        self,
        engine: Engine,
        users: Iterable[User],
        *,
        clock: Callable[[], int],
        settings: BinanceSettings | None = None,
    ) -> None:
        self.state = BinanceState(engine, users, settings or BinanceSettings(), clock)
        self._settings = self.state.settings
        self._clock = clock
        self._api = RequestApi(self.state)
        self._api.add(PublicMethods(self.state).methods())
        self._api.add(TradingMethods(self.state).methods())
        self._api.add(AccountMethods(self.state, self._api).methods())
        self._streams = StreamRequests(self.state)
        self._links: dict[int, _Link] = {}
        self._sessions: dict[int, ApiSession] = {}
        messages, connections = self._settings.messages, self._settings.connections
        self._messages = RollingWindow(messages) if messages else None
        self._connections = RollingWindow(connections) if connections else None

    @property
    def methods(self) -> Collection[str]:
        """The request API's, and those of market streams."""
        return (*self._api.methods, *METHODS)

    # ------------------------------------------------------------ connections

    def serves(self, path: str) -> bool:
        """`/ws` and `/ws/<streams>`, `/stream`, `/ws-api/v3`."""
        return path in (RAW, COMBINED, f"{COMBINED}/", API) or path.startswith(f"{RAW}/")

    def admit(self, target: str, address: str) -> Denial | None:
        """Refuse who connects too often, is banned, or asks for too many streams at once."""
        now = self._clock()
        if self._connections is not None and not self._connections.admit(address, now):
            retry = str(max(1, round(self._settings.connections.seconds if self._settings.connections else 1)))
            return Denial(429, "Too many connection attempts.\n", {"Retry-After": retry})
        path, names, _ = _target(target)
        if path != API:
            long = any(len(name) > LONGEST_NAME for name in names)
            return Denial(400, "Invalid stream names.\n") if long or self._streams.too_many(names) else None
        try:
            self.state.limits.weigh(EVERYBODY, CONNECT_WEIGHT, now)
        except BinanceError as error:
            return Denial(error.status, error.message + "\n")
        return None

    def open(self, session: int, target: str) -> None:
        """Begin a connection, with the streams that its target names."""
        now = self._clock()
        self._links[session] = _Link(now, now + _micros(self._settings.ping_interval))
        path, names, options = _target(target)
        if path == API:
            shows = options.get("returnRateLimits", "true") != "false"
            self._sessions[session] = ApiSession(session, now, shows)
            return
        listener = self.state.hub.open(session, combined=path.startswith(COMBINED))
        self._streams.join(listener, names)

    def close(self, session: int) -> None:
        """End a connection: its subscriptions; no order ends with it."""
        self._links.pop(session, None)
        self._sessions.pop(session, None)
        for name in self.state.hub.close(session):
            self.state.feed.end(name)
        self.state.user_data.close(session)
        if self._messages is not None:
            self._messages.forget(session)

    def user(self, session: int) -> int | None:
        """Who has logged on to a session of the request API."""
        state = self._sessions.get(session)
        return state.user if state else None

    def sender(self, session: int, request: Request) -> int | None:
        """Whose API key a request carries, or who has logged on."""
        params = request.fields.get("params")
        owner = self._api.owner(params.get("apiKey")) if isinstance(params, dict) else None
        return self.user(session) if owner is None else owner

    @property
    def sessions(self) -> tuple[int, ...]:
        """The connections that are open, by number."""
        return tuple(self._links)

    # ------------------------------------------------------------ requests

    def read(self, text: str) -> Request:
        """Decode a message. Numbers with a point stay the text that was signed."""
        if len(text) > MAX_TEXT:
            return Request(None, refusal=Refusal(0, "This message is too long."))
        try:
            message = json.loads(text, parse_float=str, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            place = f"expected value at line {error.lineno} column {error.colno}"
            return Request(None, refusal=Refusal(0, f"Invalid JSON: {place}"))
        except (ValueError, RecursionError):
            return Request(None, refusal=Refusal(0, "Invalid JSON: expected value at line 1 column 1"))
        if not isinstance(message, dict):
            return Request(None, refusal=Refusal(2, "Invalid request: expected an object"))
        method, tag = message.get("method"), message.get("id")
        if not (isinstance(tag, str) or (type(tag) is int and -(2**63) <= tag < 2**63)):
            tag = None
        shown = _shown(message) if len(text) <= MAX_SHOWN else {"length": len(text)}
        return Request(method[:MAX_METHOD] if isinstance(method, str) else None, tag, message, shown)

    def execute(self, session: int, request: Request) -> dict[str, Any]:
        """Run a request: its reply, which may be an error."""
        listener = self.state.hub.get(session)
        if listener is not None:
            return self._streams.execute(listener, request)
        return self._api.execute(self._sessions[session], request)

    def code(self, reply: Mapping[str, Any]) -> int:
        """The code of an error of any form; that of an unknown property is 0, which would look like success."""
        error = reply.get("error", reply if "msg" in reply else None)
        return 0 if error is None else int(error["code"]) or UNKNOWN

    def failed(self, request: Request) -> dict[str, Any]:
        """Status 500, for a request on which the exchange itself failed."""
        return failure(request)

    # ------------------------------------------------------------ the line

    def heard(self, session: int, kind: FrameKind, payload: bytes) -> None:
        """Count what arrives on market streams, and see which Pings are answered."""
        link = self._links.get(session)
        if link is None:
            return
        if kind == "pong" and payload in link.pings:
            # an answer to a Ping answers those before it
            for ping in list(link.pings):
                del link.pings[ping]
                if ping == payload:
                    break
        if self._messages is None or session in self._sessions:
            return
        if not self._messages.admit(session, self._clock()):
            self.hang_up(session, POLICY, "Too many requests")

    def beat(self) -> None:
        """Send what is due, ping, and end what is over."""
        now = self._clock()
        self.state.do(self.state.feed.beat())
        self.state.do(self.state.user_data.expire(now))
        patience, lifetime = _micros(self._settings.pong_timeout), _micros(self._settings.lifetime)
        for session, link in list(self._links.items()):
            if any(now - sent >= patience for sent in link.pings.values()):
                self.hang_up(session, POLICY, "Pong timeout")
            elif now - link.opened >= lifetime:
                self.end_day([session])
            elif link.ends is not None and now >= link.ends:
                self.hang_up(session, GOING_AWAY, "The server is shutting down")
            elif now >= link.next_ping:
                self.ping(session)

    def ping(self, session: int) -> None:
        """Ping a connection now, and again after the usual time."""
        link, now = self._links[session], self._clock()
        link.next_ping = now + _micros(self._settings.ping_interval)
        payload = str(now // 1000).encode()
        link.pings.setdefault(payload, now)
        self.state.do([Ping(session, payload)])

    def hang_up(self, session: int, code: int, reason: str) -> None:
        """End a connection; nothing more happens to it after that."""
        if self._links.pop(session, None) is not None:
            self.state.do([HangUp(session, code, reason)])

    def end_day(self, sessions: Iterable[int]) -> None:
        """End connections as the exchange does when they are a day old."""
        for session in sessions:
            self.hang_up(session, GOING_AWAY, "The connection has reached the end of its life")

    def shut_down(self, sessions: Iterable[int], seconds: float) -> None:
        """Announce to connections that the server shuts down, and end them after that time."""
        now = self._clock()
        text = encode(event := {"e": "serverShutdown", "E": now // 1000})
        for session in sessions:
            if session not in self._links:
                continue
            self._links[session].ends = now + _micros(seconds)
            listener: Listener | None = self.state.hub.get(session)
            if listener is None:
                said = encode({"event": event})
            else:
                said = wrapped("!serverShutdown", text) if listener.combined else text
            self.state.do([Say(said, (session,))])

    # ------------------------------------------------------------ what is said

    def notices(self, events: Iterable[Event]) -> Iterator[tuple[str, Collection[int]]]:
        """Take in what has happened; what is to be said of it comes as actions."""
        self.state.settle(cast(Sequence[Event], events))
        return iter(())

    def actions(self) -> list[Action]:
        """What is to be done now."""
        return self.state.take_actions()


def _target(target: str) -> tuple[str, list[str], dict[str, str]]:
    """A request target's path (without names of streams), those names, and its other options."""
    path, _, query = target.partition("?")
    options = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        options[unquote(name)] = unquote(value)
    names = ""
    if path.startswith(f"{RAW}/"):
        path, names = RAW, unquote(path.removeprefix(f"{RAW}/"))
    elif path.startswith(COMBINED):
        names = options.pop("streams", "")
    return path, list(dict.fromkeys(name for name in names.split("/") if name)), options


def _shown(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as the ledger may keep it."""
    shown = dict(message)
    if isinstance(params := message.get("params"), dict):
        shown["params"] = {name: value for name, value in params.items() if name not in SECRETS}
    elif isinstance(params, list):
        # the name of a listenKey's stream is a secret: every other one has an @
        shown["params"] = [name if "@" in str(name) else "…" for name in params]
    return shown


def _micros(seconds: float) -> int:
    return round(seconds * SECOND)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
