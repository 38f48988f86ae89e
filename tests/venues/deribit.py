"""Deribit, which speaks JSON-RPC 2.0: as little as makes a venue of the core's.

Source: docs.deribit.com, "public/auth", "Subscription management", "Session management", "Error codes".
"""

from typing import Any

from wsclient import errors
from wsclient.core.connect import Endpoint
from wsclient.core.connection import Connection
from wsclient.core.dialect import Answer, Demand, Dialect, Examined, Message, Subscription, Watching
from wsclient.core.handlers import Handlers
from wsclient.core.reconnect import Reconnect
from wsclient.core.reply import Reply

KINDS = {10004: errors.NotFound, 10009: errors.InsufficientFunds, 10028: errors.RateLimited}


class JsonRpc(Dialect):
    """A watch is known by its channel, and the heartbeat by its seconds."""

    reply_mark, alarm_mark = '"id"', '"test_request"'

    def examine(self, request: Message) -> Examined:
        scope, _, verb = request["method"].partition("/")
        if verb == "auth":
            raise errors.InvalidRequest("the client logs in by itself, before its first private call")
        return Examined(scope == "private", None, verb.endswith(("subscribe", "unsubscribe_all", "_heartbeat")))

    def tagged(self, request: Message, tag: int) -> Message:
        return {"jsonrpc": "2.0", "id": tag, **request}

    def read(self, message: Message) -> Answer | Demand | None:
        match message:
            case {"id": int(tag)}:
                return Answer(tag, "error" not in message)
            case {"method": "heartbeat", "params": {"type": "test_request"}}:
                return Demand({"method": "public/test", "params": {}})
        return None

    def result(self, message: Message) -> Any:
        return message.get("result")

    def refusal(self, message: Message, request: Message) -> errors.WSClientError:
        match message["error"]:
            case {"code": 13888, "message": text}:
                return errors.OutcomeUnknown(f"{request['method']} was sent, but the exchange timed out: {text}")
            case {"code": int(code), "message": str(text)}:
                return KINDS.get(code, errors.CommandError)(code, text, request)
        return errors.CommandError(None, "no reason given", request)

    def watching(self, request: Message) -> Watching:
        verb, params = request["method"].partition("/")[2], request["params"]
        if verb.endswith("subscribe"):
            return Watching(params["channels"]) if verb == "subscribe" else Watching(ends=params["channels"])
        begins = [params["interval"]] if verb == "set_heartbeat" else []
        return Watching(begins, leaves=lambda key: isinstance(key, str) is (verb == "unsubscribe_all"))

    def subscriptions(self, keys: Any) -> list[Subscription]:
        channels = [key for key in keys if isinstance(key, str)]
        scope = "private" if any(channel.startswith("user.") for channel in channels) else "public"
        asked = [("public/set_heartbeat", {"interval": key}, [key]) for key in keys if not isinstance(key, str)]
        asked += [(f"{scope}/subscribe", {"channels": channels}, channels)] if channels else []
        return [Subscription({"method": method, "params": params}, begun) for method, params, begun in asked]

    def login(self, credentials: Any, greeting: object) -> Message:
        return {"method": "public/auth", "params": {"grant_type": "client_credentials", **credentials}}


class Deribit:
    """A client: `Deribit(url).call("public/ticker", instrument_name="BTC-PERPETUAL")`.

    credentials: client_id and client_secret, for the private methods
    """

    venue = "deribit"

    def __init__(self, url: str, credentials: dict[str, str] | None = None, **handlers: Any) -> None:
        how = Handlers[Deribit](**handlers)
        self.connection = Connection(self, Endpoint(url), JsonRpc(), how, reconnect=Reconnect())
        self.connection.credentials = credentials
        self.tap, self.close = self.connection.tap, self.connection.stop

    def submit(self, method: str, **params: Any) -> Reply[Any]:
        return self.connection.submit({"method": method, "params": params})

    def call(self, method: str, **params: Any) -> Any:
        return self.connection.call({"method": method, "params": params}, timeout=None)
