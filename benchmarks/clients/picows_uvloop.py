"""picows on uvloop."""

import uvloop

from . import picows_asyncio

uvloop.install()

feed = picows_asyncio.feed
calls = picows_asyncio.calls
feed_calls = picows_asyncio.feed_calls
window = picows_asyncio.window
memory = picows_asyncio.memory
