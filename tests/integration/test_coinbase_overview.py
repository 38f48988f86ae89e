"""Document 002: the feed's own messages, and its end-to-end example.

Each example stands here as the document has it, also where it could be shorter; what a test has to know of it is
added around it.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# fmt: off

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import websockets

from tests.integration.coinbase_market import feed
from tests.peers import PATIENCE
from wsclient.sandbox import Sandbox

ASKED: dict[str, Any] = {
    "type": "subscribe",
    "product_ids": ["ETH-USD", "ETH-EUR"],
    "channels": [
        "level2",
        "heartbeat",
        {
            "name": "ticker",
            "product_ids": ["ETH-BTC", "ETH-USD"]
        }
    ]
}


def test_the_requests_of_the_document_are_sent_as_they_stand(exchange: Sandbox) -> None:
    with feed(exchange) as ours:
        shown = ours.send(ASKED).result(PATIENCE)
        assert {channel["name"]: set(channel["product_ids"]) for channel in shown["channels"]} == {
            "level2": {"ETH-USD", "ETH-EUR"},
            "heartbeat": {"ETH-USD", "ETH-EUR"},
            "ticker": {"ETH-USD", "ETH-EUR", "ETH-BTC"},
        }
        shown = ours.send({"type": "unsubscribe", "channels": ["heartbeat"]}).result(PATIENCE)
        assert {channel["name"] for channel in shown["channels"]} == {"level2", "ticker"}
        shown = ours.send(
            {"type": "unsubscribe", "product_ids": ["ETH-USD", "ETH-EUR"], "channels": ["ticker"]}
        ).result(PATIENCE)
        assert {"name": "ticker", "product_ids": ["ETH-BTC"]} in shown["channels"]


def test_the_end_to_end_example_signs_as_our_token_does(exchange: Sandbox) -> None:
    API_KEY, SECRET_KEY, PASSPHRASE = (  # noqa: N806
        exchange.users[0].coinbase.key, exchange.users[0].coinbase.secret, exchange.users[0].coinbase.passphrase,
    )
    URI = exchange.coinbase_url  # noqa: N806
    SIGNATURE_PATH = '/users/self/verify'  # noqa: N806
    told: list[dict[str, Any]] = []
    channel = 'level2'
    product_ids = 'ETH-USD'

    async def generate_signature():
        timestamp = str(time.time())
        message = f'{timestamp}GET{SIGNATURE_PATH}'
        hmac_key = base64.b64decode(SECRET_KEY)
        signature = hmac.new(
            hmac_key,
            message.encode('utf-8'),
            digestmod=hashlib.sha256).digest()
        signature_b64 = base64.b64encode(signature).decode().rstrip('\n')
        return signature_b64, timestamp

    async def websocket_listener():
        signature_b64, timestamp = await generate_signature()
        subscribe_message = json.dumps({
            'type': 'subscribe',
            'channels': [{'name': channel, 'product_ids': [product_ids]}],
            'signature': signature_b64,
            'key': API_KEY,
            'passphrase': PASSPHRASE,
            'timestamp': timestamp
        })

        async with websockets.connect(URI, ping_interval=None) as websocket:
            await websocket.send(subscribe_message)
            for _ in range(2):
                response = await websocket.recv()
                json_response = json.loads(response)
                print(json_response)
                told.append(json_response)

    asyncio.run(websocket_listener())
    assert {message["type"] for message in told} == {"subscriptions", "snapshot"}

    # the same through ours: a message that is signed already goes out as it is
    signature_b64, timestamp = asyncio.run(generate_signature())
    with feed(exchange, user=None) as ours:
        ours.send({
            'type': 'subscribe',
            'channels': [{'name': channel, 'product_ids': [product_ids]}],
            'signature': signature_b64,
            'key': API_KEY,
            'passphrase': PASSPHRASE,
            'timestamp': timestamp
        }).result(PATIENCE)
