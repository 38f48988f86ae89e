"""Importing and building a feed, or one of its faces, does nothing."""

import subprocess
import sys

import wsclient.coinbase

CODE = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event))
from wsclient.coinbase import Feed, Stream, Token, WebsocketClient
token = Token("key", "c2VjcmV0", "passphrase")
Feed(auth=token, on_gap=print)
Feed("wss://host.invalid", key="key", secret="c2VjcmV0", passphrase="passphrase")
Stream(token)
WebsocketClient(channels=["ticker"])
print([e for e in seen if e.startswith(("socket.", "_thread.start", "subprocess"))])
print([m for m in ("asyncio", "urllib.request", "pymongo", "ecdsa", "wsclient.sinks") if m in sys.modules])
"""


def test_importing_and_building_opens_nothing_starts_no_thread_and_loads_little() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n") == ["[]", "[]", ""]


def test_every_public_name_is_there_and_no_other() -> None:
    for name in wsclient.coinbase.__all__:
        assert getattr(wsclient.coinbase, name) is not None
        assert name in dir(wsclient.coinbase)
    assert not hasattr(wsclient.coinbase, "Fed")
