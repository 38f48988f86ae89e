"""Coinbase's front door: connections, and subscriptions read and answered; `coinbase_feed.py` says the rest.

Pure, as `coinflex.py` is. Every market of the engine is a product here, under Coinbase's name, and an order
placed in any venue's dialect is seen on this feed. A product's `sequence` counts the messages of its full
channel, whoever listens; what other channels carry is the sequence as it stands then.

Source: protocol page "Coinbase Exchange WebSocket feed".
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wsclient.sandbox.coinbase_auth import FIELDS, BadLogin, Keyring
from wsclient.sandbox.coinbase_feed import CoinbaseFeed
from wsclient.sandbox.coinbase_rest import RestPages
from wsclient.sandbox.coinbase_settings import CoinbaseSettings
from wsclient.sandbox.coinbase_subscriptions import (
    DATA_NEEDS_LOGIN,
    LOGIN_FOR_DATA,
    FeedError,
    Subscriber,
    Subscriptions,
    failure,
    read_wishes,
)
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import Event
from wsclient.sandbox.limits import Rate, RollingWindow
from wsclient.sandbox.users import User
from wsclient.sandbox.venue import Action, HangUp, Page, Request, Say, Venue, encode

__all__ = ["CoinbaseSettings", "CoinbaseVenue"]

MAX_TEXT: Final = 65_536
"""Longer messages (characters) are refused unread."""
MAX_SHOWN: Final = 1_000
"""The fields of longer messages (characters) are not kept in the ledger."""
MAX_NAME: Final = 64
CLIENT_MESSAGES: Final = Rate(100, 1)
"""How many messages of a client the feed takes, where limits are applied."""
POLICY_VIOLATION: Final = 1008
BEAT: Final = 0.05
"""How often (seconds) the clock is looked at."""


@dataclass(slots=True)
class _Session:
    """A connection. `deadline` (microseconds) is None once it has subscribed; `direct`: it came by that path."""

    subscriber: Subscriber
    direct: bool
    deadline: int | None
    user: int | None = None


class CoinbaseVenue(Venue):
    """One exchange's Coinbase feed. All methods are called on the sandbox's one thread.

    `limited` applies the limit of client messages. No events may wait in the engine when a venue is made.
    """

    slow_notice: str | None = encode({"type": "error", "message": "ErrSlowConsume"})

    def __init__(
        self,
        engine: Engine,
        users: Iterable[User],
        *,
        clock: Callable[[], int],
        settings: CoinbaseSettings | None = None,
        limited: bool = False,
        path: str = "/coinbase",
    ) -> None:
        self.path = path
        self.direct_path = f"{path}-direct"
        self._clock = clock
        self._settings = settings = settings or CoinbaseSettings()
        self.beat_seconds = min(settings.level2_batch, settings.heartbeat, BEAT)
        keys = {user.id: user.coinbase for user in users}
        self._keys = Keyring(keys, tolerance=settings.timestamp_tolerance)
        self._window = RollingWindow(CLIENT_MESSAGES) if limited else None
        self._subscriptions = Subscriptions()
        self._feed = CoinbaseFeed(engine, self._subscriptions, clock=clock, settings=settings)
        self._rest = RestPages(engine, self._feed.stalls, clock)
        self._sessions: dict[int, _Session] = {}
        self._actions: list[Action] = []

    # ------------------------------------------------------------ connections

    def serves(self, path: str) -> bool:
        """The market data feed and the direct one, which is for authenticated users only."""
        return path in (self.path, self.direct_path)

    def page(self, target: str) -> Page | None:
        """A page of the REST API, see `coinbase_rest`."""
        return self._rest.page(target)

    @property
    def methods(self) -> Collection[str]:
        """The types of messages that it takes."""
        return ("subscribe", "unsubscribe")

    def open(self, session: int, target: str = "") -> None:
        """Begin a connection; nothing is said before it has subscribed."""
        deadline = self._clock() + round(self._settings.subscribe_within * 1_000_000)
        direct = target.partition("?")[0] == self.direct_path
        self._sessions[session] = _Session(Subscriber(session), direct, deadline)

    def close(self, session: int) -> None:
        """End a connection."""
        state = self._sessions.pop(session, None)
        if state is not None:
            self._subscriptions.forget(state.subscriber)
            if self._window is not None:
                self._window.forget(session)

    def user(self, session: int) -> int | None:
        """Who has authenticated last on a connection."""
        state = self._sessions.get(session)
        return state.user if state is not None else None

    # ------------------------------------------------------------ requests

    def read(self, text: str) -> Request:
        """Decode a message; its type is the method. What can't be read has no method, and is refused."""
        if len(text) > MAX_TEXT:
            return Request(None, shown={"length": len(text)})
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return Request(None)
        if not isinstance(message, dict):
            return Request(None)
        shown = {name: value for name, value in message.items() if name not in FIELDS}
        method = message.get("type")
        return Request(
            method[:MAX_NAME] if isinstance(method, str) else None,
            fields=message,
            shown=shown if len(text) <= MAX_SHOWN else {"length": len(text)},
        )

    def execute(self, session: int, request: Request) -> dict[str, Any]:
        """Subscribe or unsubscribe; the answer lists all that the session is subscribed to now."""
        state = self._sessions[session]
        if self._window is not None and not self._window.admit(session, self._clock()):
            self._actions.append(HangUp(session, POLICY_VIOLATION, "ErrSlowRead"))
            return {"type": "error", "message": "ErrSlowRead"}
        try:
            match request.method:
                case "subscribe":
                    self._subscribe(state, request.fields)
                case "unsubscribe":
                    wishes = read_wishes("unsubscribe", request.fields, self._feed.stalls)
                    self._subscriptions.leave(state.subscriber, wishes)
                case None if not request.fields:
                    raise FeedError("Malformed JSON", "A message has to be a JSON object of a sensible length")
                case _:
                    raise FeedError("Unknown message type", "The type has to be subscribe or unsubscribe")
        except FeedError as error:
            return {"type": "error", "message": error.message, "reason": error.reason}
        return state.subscriber.listing()

    def code(self, reply: Mapping[str, Any]) -> int:
        """1 for an error, which has no number on this feed."""
        return int(reply.get("type") == "error")

    def failed(self, request: Request) -> dict[str, Any]:
        """For a request on which the exchange itself failed."""
        return {
            "type": "error",
            "message": "Internal server error",
            "reason": "The exchange failed on this message",
        }

    def _subscribe(self, state: _Session, fields: Mapping[str, Any]) -> None:
        wishes = read_wishes("subscribe", fields, self._feed.stalls)
        try:
            user = self._keys.check(fields, self._clock())
        except BadLogin as error:
            raise FeedError("Authentication Failed", str(error)) from None
        if user is not None:
            state.user = user
        else:
            self._check_public({wish.channel for wish in wishes}, direct=state.direct)
        state.deadline = None
        for channel, product in self._subscriptions.join(state.subscriber, wishes, user):
            if told := self._feed.opening(channel, product):
                self._actions.append(Say(encode(told), [state.subscriber.session]))

    def _check_public(self, channels: set[str], *, direct: bool) -> None:
        """Refuse what nobody gets without authenticating."""
        if "user" in channels:
            raise failure("subscribe", "user channel requires authentication")
        if self._settings.require_auth and channels & LOGIN_FOR_DATA:
            raise failure("subscribe", DATA_NEEDS_LOGIN)
        if direct:
            raise failure("subscribe", "This feed requires authentication")

    # ------------------------------------------------------------ what is said unasked

    def notices(self, events: Iterable[Event]) -> Iterator[tuple[str, Collection[int]]]:
        """What events are to be told to whom, see `coinbase_feed`."""
        return self._feed.notices(events)

    def beat(self) -> None:
        """Find out who hasn't subscribed in time, and what the clock makes due."""
        now = self._clock()
        for session, state in self._sessions.items():
            if state.deadline is not None and now >= state.deadline:
                state.deadline = None
                self._actions.append(HangUp(session, POLICY_VIOLATION, "no subscribe message in time"))
        self._actions.extend(Say(text, sessions) for text, sessions in self._feed.beat(now))

    def actions(self) -> Iterable[Action]:
        """What a channel opens with, what the clock has made due, and who is to go."""
        actions, self._actions = self._actions, []
        return actions
