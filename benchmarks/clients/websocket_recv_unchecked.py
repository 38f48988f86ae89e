"""websocket-client's `recv` with skip_utf8_validation."""

from functools import partial

from . import websocket_recv

feed = partial(websocket_recv.feed, check=False)
calls = partial(websocket_recv.calls, check=False)
