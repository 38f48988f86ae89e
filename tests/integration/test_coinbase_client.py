"""Document 001: the code about WebsocketClient, changed in import, url and credentials alone.

Each example stands here as the document has it, also where it could be shorter; what a test has to know of it is
added around it.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="var-annotated,assignment"
# fmt: off

import builtins
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import wsclient.coinbase as cbpro
from tests.integration.coinbase_market import PRICE, PRODUCT, Printed, feed, trade
from tests.integration.mongo_server import MongoServer
from tests.peers import PATIENCE
from wsclient import Reconnect
from wsclient.sandbox import Sandbox


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Printed:
    printed = Printed()
    monkeypatch.setattr(builtins, "print", printed)
    return printed


def test_the_code_about_client_initialization(exchange: Sandbox, printed: Printed) -> None:
    url = exchange.coinbase_url
    key = exchange.users[1].coinbase
    api_key, api_secret, api_passphrase = key.key, key.secret, key.passphrase

    # Public market data streaming
    ws_client = cbpro.WebsocketClient(
        url,
        products=['BTC-USD', 'ETH-USD'],
        channels=['ticker', 'matches']
    )

    # Authenticated streaming for private data
    auth_ws_client = cbpro.WebsocketClient(
        url,
        products=['BTC-USD'],
        channels=['user', 'ticker'],
        auth=True,
        api_key=api_key,
        api_secret=api_secret,
        api_passphrase=api_passphrase
    )
    assert exchange.ledger.connections == []
    for client in (ws_client, auth_ws_client):
        assert api_secret not in repr(client)
        client.start()
    printed.until(lambda lines: sum("subscriptions" in line for line in lines) == 2)
    trade(exchange)
    printed.until(lambda lines: any("'type': 'match'" in line and "maker_user_id" in line for line in lines))
    printed.until(lambda lines: sum("'type': 'ticker'" in line for line in lines) == 2)
    for client in (ws_client, auth_ws_client):
        client.close()
        assert client.error is None
    assert printed.lines.count("-- Socket Closed --") == 2


def test_the_code_about_connection_management(exchange: Sandbox, printed: Printed) -> None:
    ws_client = cbpro.WebsocketClient(
        exchange.coinbase_url, products=['BTC-USD'], channels=['ticker'], reconnect=Reconnect(tries=2, base=0.01)
    )

    def main() -> None:
        # Start streaming
        ws_client.start()

        try:
            # Keep main thread alive while streaming
            while True:
                time.sleep(0.01)
                # Can check ws_client.error for connection issues
                if ws_client.error:
                    print(f"WebSocket error: {ws_client.error}")
                    break
        except KeyboardInterrupt:
            print("Stopping WebSocket client...")
        finally:
            ws_client.close()

    streaming = threading.Thread(target=main)
    streaming.start()
    printed.line("{'type': 'subscriptions'")
    exchange.cut_all()  # which it gets over
    printed.until(lambda lines: sum("subscriptions" in line for line in lines) == 2)
    trade(exchange)
    printed.line("{'type': 'ticker'")
    assert streaming.is_alive()
    assert ws_client.error is None
    exchange.stop()
    streaming.join(PATIENCE)
    assert not streaming.is_alive()
    assert "gave up" in printed.line("WebSocket error: ")


def test_the_code_about_event_handlers(exchange: Sandbox, printed: Printed) -> None:
    class CustomWebsocketClient(cbpro.WebsocketClient):
        def __init__(self):
            super().__init__(
                exchange.coinbase_url,
                products=['BTC-USD', 'ETH-USD'],
                channels=['ticker', 'matches']
            )
            self.message_count = 0
            self.prices = {}

        def on_open(self):
            print("WebSocket connection established")
            print(f"Subscribed to: {self.products}")

        def on_message(self, msg):
            self.message_count += 1

            if msg.get('type') == 'ticker':
                product = msg.get('product_id')
                price = float(msg.get('price', 0))
                self.prices[product] = price
                print(f"{product}: ${price:,.2f}")

            elif msg.get('type') == 'match':
                product = msg.get('product_id')
                size = msg.get('size')
                price = msg.get('price')
                side = msg.get('side')
                print(f"Trade: {product} {side} {size} @ ${price}")

        def on_close(self):
            print(f"Connection closed. Processed {self.message_count} messages")

        def on_error(self, e, data=None):
            print(f"WebSocket error: {e}")
            if data:
                print(f"Error data: {data}")

    # Use custom client
    custom_client = CustomWebsocketClient()
    custom_client.start()

    assert printed.lines[:2] == ["WebSocket connection established", "Subscribed to: ['BTC-USD', 'ETH-USD']"]
    with feed(exchange) as other:  # once this is answered, so is that
        other.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)
        trade(exchange)
    assert printed.line("Trade: ").startswith("Trade: BTC-USD sell ")
    assert printed.line("BTC-USD: ") == "BTC-USD: $9,000.00"
    assert custom_client.prices == {"BTC-USD": 9000.0}
    custom_client.close()
    custom_client.close()
    assert printed.lines[-1] == "Connection closed. Processed 3 messages"
    assert not any("error" in line for line in printed.lines)


def test_the_code_about_price_monitoring_and_alerts(exchange: Sandbox, printed: Printed) -> None:
    class PriceMonitor(cbpro.WebsocketClient):
        def __init__(self, product_id, alert_price):
            super().__init__(
                exchange.coinbase_url,
                products=[product_id],
                channels=['ticker'],
                should_print=False
            )
            self.product_id = product_id
            self.alert_price = alert_price
            self.last_price = None

        def on_message(self, msg):
            if msg.get('type') == 'ticker' and msg.get('product_id') == self.product_id:
                current_price = float(msg.get('price', 0))

                if self.last_price and current_price >= self.alert_price and self.last_price < self.alert_price:
                    print(f"ALERT: {self.product_id} crossed ${self.alert_price}!")
                    print(f"Current price: ${current_price}")

                self.last_price = current_price

    # Monitor BTC price
    price_monitor = PriceMonitor('BTC-USD', 45000.0)
    price_monitor.start()

    with feed(exchange) as other:
        other.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)
    for price in (44_000_00, 44_999_00, 45_000_00, 46_000_00):
        trade(exchange, price)
    printed.line("Current price: $45000.0")
    price_monitor.close()
    assert [line for line in printed.lines if "ALERT" in line] == ["ALERT: BTC-USD crossed $45000.0!"]


def test_the_code_about_trade_volume_analysis(exchange: Sandbox, printed: Printed) -> None:
    class VolumeAnalyzer(cbpro.WebsocketClient):
        def __init__(self, product_id):
            super().__init__(
                exchange.coinbase_url,
                products=[product_id],
                channels=['matches'],
                should_print=False
            )
            self.product_id = product_id
            self.trades = []
            self.volume_1min = 0
            self.last_minute = None

        def on_message(self, msg):
            if msg.get('type') == 'match' and msg.get('product_id') == self.product_id:
                size = float(msg.get('size', 0))
                price = float(msg.get('price', 0))
                timestamp = msg.get('time')

                # Track volume per minute
                current_minute = timestamp[:16]  # YYYY-MM-DDTHH:MM

                if self.last_minute != current_minute:
                    if self.last_minute:
                        print(f"Volume {self.last_minute}: {self.volume_1min:.4f} {self.product_id.split('-')[0]}")
                    self.volume_1min = 0
                    self.last_minute = current_minute

                self.volume_1min += size
                self.trades.append({
                    'time': timestamp,
                    'price': price,
                    'size': size,
                    'value': price * size
                })
                told.set()

    told = threading.Event()
    volume_analyzer = VolumeAnalyzer('BTC-USD')
    volume_analyzer.start()

    with feed(exchange) as other:
        other.subscribe(["ticker"], [PRODUCT]).result(PATIENCE)
    trade(exchange)
    assert told.wait(PATIENCE)
    volume_analyzer.close()
    [known] = volume_analyzer.trades
    assert known["value"] == known["price"] * known["size"] == 9000.0 * known["size"]
    assert volume_analyzer.volume_1min == known["size"] > 0


def test_the_code_about_mongodb_data_persistence(exchange: Sandbox, tmp_path: Path, printed: Printed) -> None:
    with MongoServer(tmp_path) as server:
        # Setup MongoDB connection
        mongo_client = server.client
        db = mongo_client.crypto_data
        btc_collection = db.btc_ticks

        # Stream ticker data directly to MongoDB
        ws_client = cbpro.WebsocketClient(
            exchange.coinbase_url,
            products=['BTC-USD'],
            channels=['ticker'],
            mongo_collection=btc_collection,
            should_print=False
        )

        ws_client.start()

        with feed(exchange) as other:
            subscribed = other.subscribe(["ticker"], [PRODUCT])
            subscribed.result(PATIENCE)
            for number in range(3):
                trade(exchange, PRICE + number * 100)
            other.unsubscribe(["ticker"]).result(PATIENCE)
        ws_client.close()

        # Query stored data later
        recent_data = btc_collection.find({
            'time': {'$gte': (datetime.utcnow() - timedelta(hours=1)).isoformat()}
        }).sort('time', 1)

        for tick in recent_data:
            print(f"Price: ${tick['price']} at {tick['time']}")

        prices = [line.split()[1] for line in printed.lines if line.startswith("Price: ")]
        assert prices == ["$9000.00", "$9001.00", "$9002.00"]
        assert not any("Closed" in line for line in printed.lines)


def test_the_code_about_error_handling_and_reconnection(exchange: Sandbox, printed: Printed) -> None:
    def run_websocket_with_reconnect(ws_class, max_retries=5):
        retries = 0
        while retries < max_retries:
            ws_client = ws_class()
            ws_client.start()

            # Monitor for errors
            while not ws_client.error:
                time.sleep(0.01)

            print(f"WebSocket error occurred: {ws_client.error}")
            ws_client.close()

            retries += 1
            if retries < max_retries:
                print(f"Reconnecting in 5 seconds... (attempt {retries + 1}/{max_retries})")
                time.sleep(0.01)
            else:
                print("Max retries exceeded. Giving up.")
                break

    def without_recovery() -> cbpro.WebsocketClient:
        return cbpro.WebsocketClient(
            exchange.coinbase_url, ["BTC-USD"], channels=["ticker"], reconnect=False, socket_timeout=2
        )

    running = threading.Thread(target=run_websocket_with_reconnect, args=(without_recovery, 3))
    running.start()
    for number in range(3):
        printed.until(lambda lines, n=number: sum("subscriptions" in line for line in lines) > n)  # type: ignore[misc]
        exchange.cut_all()
    running.join(PATIENCE)
    assert not running.is_alive()
    assert sum(line.startswith("WebSocket error occurred: ") for line in printed.lines) == 3
    assert printed.lines[-1] == "Max retries exceeded. Giving up."
