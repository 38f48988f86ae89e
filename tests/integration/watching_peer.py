"""An exchange of which only the watches matter, and a caller of it."""

from typing import Any

from tests.peers import PATIENCE, Peer
from wsclient import Reconnect, WSClient

BASE, COUNTER = 63488, 65283
PAIR: dict[str, Any] = {"base": BASE, "counter": COUNTER}
SOON = Reconnect(tries=20, base=0.01, cap=0.05)


def serve(peer: Peer) -> None:
    """Watches as the protocol page says, refusals included; nothing happens in its markets."""
    watching: set[tuple[int, int]] = set()
    while True:
        answer(peer, peer.receive(), watching)


def answer(peer: Peer, asked: dict[str, Any], watching: set[tuple[int, int]]) -> None:
    market = asked["base"], asked["counter"]
    if asked["method"] != "WatchOrders":
        peer.reply(asked, quantity=1, total=1)
    elif asked["watch"] and market in watching:
        peer.reply(asked, error_code=2, error_msg="watching already")
    elif asked["watch"]:
        watching.add(market)
        peer.reply(asked, orders=[])
    elif market in watching:
        watching.discard(market)
        peer.reply(asked)
    else:
        peer.reply(asked, error_code=1, error_msg="not watching")


def ask(client: WSClient) -> None:
    """A call, after whose reply everything before it has been taken in."""
    client.EstimateMarketOrder(**PAIR, quantity=1).result(PATIENCE)
