"""Trades in the sandbox's Binance markets, made behind every dialect's back, and managers that follow them."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.peers import PATIENCE
from wsclient import Reconnect
from wsclient.binance import BinanceSocketManager, Client
from wsclient.sandbox import Sandbox
from wsclient.sandbox.assets import CODES
from wsclient.sandbox.engine import Engine

MARKETS = {
    "BNBBTC": ("BNB", "XBT", 10**6),
    "NEOBTC": ("NEO", "XBT", 10**6),
    "BTCUSDT": ("XBT", "USDT", 90_000_000),
}
"""Base, counter, and a price that both sides can pay."""


def trade(exchange: Sandbox, symbol: str = "BNBBTC", count: int = 1) -> None:
    """Let there be so many trades, each between the same two users."""
    base, counter, price = MARKETS[symbol]
    seller, buyer = exchange.users[0].id, exchange.users[1].id
    quantity = 10 if symbol == "BTCUSDT" else 10**6

    def match(engine: Engine) -> None:
        market = {"base": CODES[base], "counter": CODES[counter], "price": price}
        engine.place(seller, quantity=-quantity, **market)
        engine.place(buyer, quantity=quantity, **market)

    for _ in range(count):
        exchange.run(match)


@contextmanager
def trading(exchange: Sandbox, pause: float = 0.005) -> Iterator[None]:
    """One trade after the other in all three markets, as long as the block runs."""
    done = threading.Event()

    def go_on() -> None:
        symbols = itertools.cycle(MARKETS)
        while not done.wait(pause):
            trade(exchange, next(symbols))

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def managers(exchange: Sandbox) -> Iterator[Callable[..., BinanceSocketManager]]:
    """What makes managers of the sandbox's streams, which are stopped in the end; for a fixture."""
    made: list[BinanceSocketManager] = []

    def make(client: Client | None = None, **options: Any) -> BinanceSocketManager:
        options = {"socket_timeout": PATIENCE, "reconnect": Reconnect(base=0), **options}
        made.append(BinanceSocketManager(client, url=exchange.binance_url, **options))
        return made[-1]

    yield make
    for manager in made:
        manager.stop()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, within a generous time."""

    async def in_time() -> Any:
        return await asyncio.wait_for(coroutine, PATIENCE)

    return asyncio.run(in_time())
