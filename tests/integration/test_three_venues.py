"""One order book, three exchanges' languages, three clients of ours."""

import json
import queue
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.peers import PATIENCE
from wsclient import WSClient, to_wire
from wsclient.binance import Client
from wsclient.coinbase import Feed
from wsclient.sandbox import Sandbox


@pytest.fixture
def still(no_socket_left: None) -> Iterator[Sandbox]:
    """An exchange in which nobody trades but the test."""
    with Sandbox(traders=0) as exchange:
        yield exchange
    assert not exchange.ledger.troubles


def test_an_order_of_binances_fills_one_of_coinflexs_and_coinbases_feed_shows_the_match(still: Sandbox) -> None:
    seller, buyer = still.users[0], still.users[1]
    told: queue.Queue[dict[str, Any]] = queue.Queue()

    def on_message(feed: Feed, text: str) -> None:
        told.put(json.loads(text))

    with (
        WSClient(still.url) as coinflex,
        Client(buyer.binance.api_key, buyer.binance.api_secret, url=still.binance_api_url) as binance,
        Feed(still.coinbase_url, on_message) as coinbase,
    ):
        coinflex.set_auth_data(seller.id, seller.cookie, seller.passphrase)
        coinbase.subscribe(["matches"], ["BTC-USDT"]).result(PATIENCE)
        book = coinflex.order_book("XBT", "USDT").wait(PATIENCE)

        asked = coinflex.PlaceOrder(base="XBT", counter="USDT", quantity=-to_wire("1.5"), price=to_wire("9000"))
        assert asked.result(PATIENCE)["id"]
        filled = binance.order_place("BTCUSDT", "BUY", "LIMIT", Decimal("0.5"), Decimal("9000")).result(PATIENCE)

        assert filled["status"] == "FILLED"
        assert Decimal(filled["executedQty"]) == Decimal("0.5")
        while (match := told.get(timeout=PATIENCE))["type"] != "match":
            pass
        assert match["product_id"] == "BTC-USDT"
        assert (Decimal(match["price"]), Decimal(match["size"])) == (Decimal("9000"), Decimal("0.5"))
        assert match["side"] == "sell"  # the maker's
        [left] = coinflex.GetOrders().result(PATIENCE)["orders"]
        assert left["quantity"] == -to_wire("1")
        assert book.best_ask is not None
        assert binance.open_orders_status().result(PATIENCE) == []
