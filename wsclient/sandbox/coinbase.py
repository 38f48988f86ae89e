"""Coinbase's feed as the exchange speaks it: subscriptions read and answered, everything else told as it happens.

Pure, as `coinflex.py` is. Every market of the engine is a product here, under Coinbase's name, and an order
placed in any venue's dialect is seen on this feed. A product's `sequence` counts the messages of its full
channel, whoever listens; what other channels carry is the sequence as it stands then.

A session is told once of each event, however many of its channels (full, matches, user) would tell it; the owner
of an order is told whose it is, if he has authenticated for the channel. Heartbeats and batches come by the
sandbox's clock.

Source: protocol page "Coinbase Exchange WebSocket feed".
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wsclient.sandbox import coinbase_messages as messages
from wsclient.sandbox.coinbase_auth import FIELDS, BadLogin, Keyring
from wsclient.sandbox.coinbase_products import Product, currencies, products
from wsclient.sandbox.coinbase_rest import RestPages
from wsclient.sandbox.coinbase_subscriptions import (
    DATA_NEEDS_LOGIN,
    LOGIN_FOR_DATA,
    FeedError,
    Subscriber,
    Subscriptions,
    Verb,
    failure,
    read_wishes,
)
from wsclient.sandbox.coinbase_tape import Entry, Matched, Tape, Traded
from wsclient.sandbox.engine import Engine
from wsclient.sandbox.events import BalanceChanged, Event, TradeVolumeChanged
from wsclient.sandbox.limits import Rate, RollingWindow
from wsclient.sandbox.users import User
from wsclient.sandbox.venue import Action, HangUp, Page, Request, Say, Venue, encode

MAX_TEXT: Final = 65_536
"""Longer messages (characters) are refused unread."""
MAX_SHOWN: Final = 1_000
"""The fields of longer messages (characters) are not kept in the ledger."""
MAX_NAME: Final = 64
CLIENT_MESSAGES: Final = Rate(100, 1)
"""How many messages of a client the feed takes."""
POLICY_VIOLATION: Final = 1008


@dataclass(frozen=True, slots=True)
class CoinbaseSettings:
    """How the feed behaves; all times in seconds, by the sandbox's clock.

    `require_auth` keeps level2 and full from whoever has not authenticated, as the live feed does; without, only
    the user channel needs it, as the older documents have it. A connection has `subscribe_within` to subscribe
    first. `timestamp_tolerance` is how far a signature's timestamp may be off.
    """

    require_auth: bool = True
    subscribe_within: float = 5.0
    heartbeat: float = 1.0
    level2_batch: float = 0.05
    ticker_batch: float = 5.0
    status: float = 5.0
    timestamp_tolerance: float = 30.0


@dataclass(slots=True)
class _Session:
    """A connection. `deadline` (microseconds) is None once it has subscribed; `direct`: it came by that path."""

    subscriber: Subscriber
    direct: bool
    deadline: int | None
    user: int | None = None


@dataclass(slots=True)
class _Feed:
    """A product and its tape; what is due to the batched channels."""

    product: Product
    tape: Tape
    levels: set[tuple[bool, int]] = field(default_factory=set)
    traded: bool = False


class _Due:
    """Something that is done every so often, and never made up for."""

    def __init__(self, seconds: float) -> None:
        self._period = round(seconds * 1_000_000)
        self._next: int | None = None

    def __call__(self, now: int) -> bool:
        """Whether it is time; asking for the first time sets the clock going."""
        due = self._next is not None and now >= self._next
        if due or self._next is None:
            self._next = now + self._period
        return due


class CoinbaseVenue(Venue):
    """One exchange's Coinbase feed. All methods are called on the sandbox's one thread.

    It follows the engine's events from its construction on, when none may be waiting.
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
        self._engine = engine
        self._clock = clock
        self._settings = settings or CoinbaseSettings()
        self.beat_seconds = min(self._settings.level2_batch, self._settings.heartbeat, 0.05)
        keys = {user.id: user.coinbase for user in users}
        self._keys = Keyring(keys, tolerance=self._settings.timestamp_tolerance)
        self._window = RollingWindow(CLIENT_MESSAGES) if limited else None
        self._feeds = [
            _Feed(product, Tape(engine.book(*product.pair, None))) for product in products(engine.markets.values())
        ]
        self._by_pair = {feed.product.pair: feed for feed in self._feeds}
        self._by_id = {feed.product.id: feed for feed in self._feeds}
        pages = {feed.product.id: (feed.product, feed.tape) for feed in self._feeds}
        self._rest = RestPages(engine, pages, clock)
        self._sessions: dict[int, _Session] = {}
        self._subscriptions = Subscriptions()
        self._busy: _Feed | None = None
        self._actions: list[Action] = []
        self._heartbeat = _Due(self._settings.heartbeat)
        self._level2_batch = _Due(self._settings.level2_batch)
        self._ticker_batch = _Due(self._settings.ticker_batch)
        self._status = _Due(self._settings.status)

    # ------------------------------------------------------------ connections

    def serves(self, path: str) -> bool:
        """The market data feed and the direct one, which is for authenticated users only."""
        return path in (self.path, self.direct_path)

    def page(self, target: str) -> Page | None:
        """A page of the REST API, see `coinbase_rest`."""
        return self._rest.page(target)

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
        try:
            if self._window is not None and not self._window.admit(session, self._clock()):
                self._actions.append(HangUp(session, POLICY_VIOLATION, "ErrSlowRead"))
                return {"type": "error", "message": "ErrSlowRead"}
            match request.method:
                case "subscribe":
                    self._subscribe(state, request.fields)
                case "unsubscribe":
                    wishes = read_wishes("unsubscribe", request.fields, self._by_id)
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
        verb: Verb = "subscribe"
        wishes = read_wishes(verb, fields, self._by_id)
        try:
            user = self._keys.check(fields, self._clock())
        except BadLogin as error:
            raise FeedError("Authentication Failed", str(error)) from None
        channels = {wish.channel for wish in wishes}
        if user is None:
            if "user" in channels:
                raise failure(verb, "user channel requires authentication")
            if state.direct:
                raise failure(verb, "This feed requires authentication")
            if self._settings.require_auth and channels & LOGIN_FOR_DATA:
                raise failure(verb, DATA_NEEDS_LOGIN)
        else:
            state.user = user
        state.deadline = None
        for channel, product in self._subscriptions.join(state.subscriber, wishes, user):
            told = self._opening(channel, self._by_id.get(product))
            if told is not None:
                self._actions.append(Say(encode(told), [state.subscriber.session]))

    def _opening(self, channel: str, feed: _Feed | None) -> dict[str, Any] | None:
        """What a channel begins with, if it does not just wait for what happens."""
        if feed is None:
            return self._status_message() if channel == "status" else None
        match channel:
            case "level2" | "level2_50":
                return messages.snapshot(feed.product, feed.tape)
            case "matches" if feed.tape.last is not None:
                return messages.last_match(feed.product, feed.tape.last)
            case "ticker" | "ticker_1000":
                return self._ticker(feed)
        return None

    # ------------------------------------------------------------ what has happened

    def notices(self, events: Iterable[Event]) -> Iterator[tuple[str, Collection[int]]]:
        """Every message that events lead to, with the sessions that get it."""
        for event in events:
            if isinstance(event, BalanceChanged):
                continue
            if isinstance(event, TradeVolumeChanged):
                yield from self._finish()
                continue
            feed = self._by_pair.get((event.base, event.counter))
            if feed is not self._busy:
                yield from self._finish()
            if feed is not None:
                for entry in feed.tape.apply(event):
                    yield from self._tell(feed, entry)
                self._busy = feed if feed.tape.busy else None
        yield from self._finish()

    def _finish(self) -> Iterator[tuple[str, Collection[int]]]:
        """A command is through: tell what was held back until then."""
        feed, self._busy = self._busy, None
        if feed is not None:
            for entry in feed.tape.finish():
                yield from self._tell(feed, entry)

    def _tell(self, feed: _Feed, entry: Entry) -> Iterator[tuple[str, Collection[int]]]:
        product, of = feed.product, self._subscriptions.of
        if isinstance(entry, Traded):
            feed.traded = True
            if (listeners := of("ticker", product.id)) and (told := self._ticker(feed)):
                yield encode(told), list(listeners)
            return
        full, own = of("full", product.id), of("user", product.id)
        matches = of("matches", product.id) if isinstance(entry, Matched) else {}
        if full or own or matches:
            owners = {
                session: user
                for of_user in (own, full)
                for session, user in of_user.items()
                if user in entry.users
            }
            told = messages.message(product, entry)
            if others := [session for session in {**full, **matches} if session not in owners]:
                yield encode(told), others
            for user in dict.fromkeys(owners.values()):
                if user is not None:
                    mine = [session for session, owner in owners.items() if owner == user]
                    yield encode({**told, **messages.own(entry, user)}), mine
        if entry.levels:
            if listeners := of("level2", product.id):
                yield encode(messages.l2update(product, entry.levels, entry.time)), list(listeners)
            if of("level2_50", product.id):
                feed.levels.update((bid, price) for bid, price, _ in entry.levels)

    def _ticker(self, feed: _Feed) -> dict[str, Any] | None:
        day = self._engine.ticker(*feed.product.pair)
        return messages.ticker(feed.product, feed.tape, day, self._clock())

    def _status_message(self) -> dict[str, Any]:
        listed = [feed.product for feed in self._feeds]
        return {
            "type": "status",
            "products": [product.describe() for product in listed],
            "currencies": currencies(listed, self._engine.decimals),
        }

    # ------------------------------------------------------------ what is due by the clock

    def beat(self) -> None:
        """Find out who hasn't subscribed in time, and what the clock makes due."""
        now, of = self._clock(), self._subscriptions.of
        for session, state in self._sessions.items():
            if state.deadline is not None and now >= state.deadline:
                state.deadline = None
                self._actions.append(HangUp(session, POLICY_VIOLATION, "no subscribe message in time"))
        if self._heartbeat(now):
            for feed in self._feeds:
                if listeners := of("heartbeat", feed.product.id):
                    self._say(messages.heartbeat(feed.product, feed.tape, now), listeners)
        if self._level2_batch(now):
            self._tell_levels(now)
        if self._ticker_batch(now):
            for feed in self._feeds:
                traded, feed.traded = feed.traded, False
                if traded and (listeners := of("ticker_1000", feed.product.id)):
                    self._say(self._ticker(feed), listeners)
        if self._status(now) and (listeners := of("status")):
            self._say(self._status_message(), listeners)

    def _tell_levels(self, now: int) -> None:
        for feed in self._feeds:
            if feed.levels:
                changed, feed.levels = feed.levels, set()
                if listeners := self._subscriptions.of("level2_50", feed.product.id):
                    levels = [(bid, price, feed.tape.levels[bid].get(price, 0)) for bid, price in sorted(changed)]
                    self._say(messages.l2update(feed.product, levels, now), listeners)

    def _say(self, told: Mapping[str, Any] | None, listeners: Iterable[int]) -> None:
        if told is not None:
            self._actions.append(Say(encode(told), list(listeners)))

    def actions(self) -> Iterable[Action]:
        """What is to be said besides, and who is to go."""
        actions, self._actions = self._actions, []
        return actions
