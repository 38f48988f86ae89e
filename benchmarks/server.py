"""The server of all rows: a process of its own, that does as little as it can for each message.

`python -m benchmarks.server` prints its port, serves until its standard input ends, and tells a line of JSON for
each connection: how busy it was, and how many notices it sent. Paths and options:

/echo                       answers each command with a minimal reply that carries its tag
/feed?count=N               the same; a command with a `total` begins N notices as fast as they go, then a Close
/feedcalls?rate=N           the same; there it begins a feed of N notices a second, in small bursts
/coinbase?count=N           Coinbase's feed: subscribe messages are answered; one for the channel `status` begins
                            N messages of the full channel, then a Close
/binance/N/…               Binance's: requests are answered; SUBSCRIBE, or streams in the URL, begin N + 1 events
&welcome=1                  greets first, as CoinFLEX does

It knows as much of RFC 6455 as these clients need: commands in one frame of less than 64 KiB.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from . import orders, streams, texts

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_BYE = b"\x88\x02\x03\xe8"  # a Close frame with the code 1000
_START = b'"total"'
_BEGIN = f'"{orders.START}"'.encode()
_TAG = re.compile(rb'"tag": ?(\d+)')
_TAIL = b',"error_code":0}'
_HEADS = [b"", *(bytes((0x81, 7 + digits + len(_TAIL))) + b'{"tag":' for digits in range(1, 20))]
_BURST = 0.001  # seconds between the bursts of a paced feed
_telling = threading.Lock()


def answer(command: bytes) -> bytes:
    """The frame that answers a command."""
    found = _TAG.search(command)
    if found is None:
        raise ValueError(f"a command without a tag: {command!r}")
    tag = found[1]
    return _HEADS[len(tag)] + tag + _TAIL


class Commands:
    """Takes what a client sends apart."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are complete now: opcode and payload."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        frames = []
        while end - at >= 6:
            length = data[at + 1] & 127
            start = at + 6
            if length == 126:
                if end - at < 8:
                    break
                length = data[at + 2] << 8 | data[at + 3]
                start = at + 8
            elif length == 127:
                raise ValueError("a frame of 64 KiB or more")
            stop = start + length
            if stop > end:
                break
            frames.append((data[at] & 15, texts.unmasked(data[start - 4 : start], data[start:stop])))
            at = stop
        self._rest = data[at:]
        return frames


class Feed:
    """The notices, framed beforehand in large blocks."""

    def __init__(self) -> None:
        self.frames = [texts.frame(text) for text in texts.notices()]
        self._length = len(self.frames[0])
        self._block = memoryview(b"".join(self.frames))

    def all_at_once(self, sock: socket.socket, count: int) -> None:
        whole, part = divmod(count, len(self.frames))
        for _ in range(whole):
            sock.sendall(self._block)
        sock.sendall(self._block[: part * self._length])

    def burst(self, start: int, count: int) -> memoryview:
        """`count` notices from the `start`-th on, or fewer where the block ends."""
        at = start % len(self.frames)
        return self._block[at * self._length : (at + count) * self._length]


class Speech(NamedTuple):
    """How requests are answered, and what in one begins a feed."""

    answer: Callable[[bytes], bytes]
    begins: bytes


_COINFLEX = Speech(answer, _START)
_COINBASE = Speech(orders.answer, _BEGIN)
_BINANCE = Speech(streams.answer, streams.START)


class Line:
    """One connection, on its own thread."""

    def __init__(self, sock: socket.socket, feed: Feed) -> None:
        self._sock = sock
        self._feed = feed
        self._commands = Commands()
        self._options: dict[str, str] = {}
        self._coinbase = False
        self._binance = False
        self._sent = 0  # notices
        self._began: float | None = None  # the paced feed
        self._started = (0.0, 0.0)  # when the first command came: by the wall, of this thread's CPU time

    def run(self) -> None:
        with self._sock:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._shake_hands()
            try:
                self._talk()
            except (BrokenPipeError, ConnectionResetError):
                pass
        self._tell()

    def _shake_hands(self) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            data = self._sock.recv(4096)
            if not data:
                raise EOFError("no handshake")
            request += data
        first, *lines = request.decode("latin-1").split("\r\n")
        target = urlsplit(first.split(" ")[1])
        self._options = dict(parse_qsl(target.query))
        self._coinbase = target.path == "/coinbase"
        _, place, count, *_ = f"{target.path}//".split("/")
        self._binance = place == "binance"
        if count:
            self._options["count"] = count
        headers = {name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
        digest = hashlib.sha1((headers["sec-websocket-key"] + _GUID).encode()).digest()
        response = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
        ).encode()
        if "welcome" in self._options:
            nonce = base64.b64encode(secrets.token_bytes(16)).decode()
            response += texts.frame(json.dumps({"notice": "Welcome", "nonce": nonce}))
        self._sock.sendall(response)
        if self._binance and "streams=" in target.query:
            self._begin()

    def _talk(self) -> None:
        recv, sendall = self._sock.recv, self._sock.sendall
        speech = _BINANCE if self._binance else _COINBASE if self._coinbase else _COINFLEX
        while True:
            if self._began is not None and not self._burst():
                continue
            data = recv(65536)
            if not data:
                return
            if not self._started[0]:
                self._started = (time.perf_counter(), time.thread_time())
            replies = []
            begins = False
            for opcode, payload in self._commands.feed(data):
                if opcode == _TEXT:
                    replies.append(speech.answer(payload))
                    begins = begins or speech.begins in payload
                elif opcode == _PING:
                    replies.append(bytes((0x80 | _PONG, len(payload))) + payload)
                elif opcode == _CLOSE:
                    sendall(b"".join(replies) + _BYE)
                    return
            sendall(replies[0] if len(replies) == 1 else b"".join(replies))
            if begins:
                self._begin()

    def _begin(self) -> None:
        if self._coinbase:
            self._tell_orders(int(self._options["count"]))
        elif self._binance:
            self._tell_events(int(self._options["count"]) + 1)
        elif "count" in self._options:
            self._started = (time.perf_counter(), time.thread_time())
            self._sent = int(self._options["count"])
            self._feed.all_at_once(self._sock, self._sent)
            self._sock.sendall(_BYE)
        elif "rate" in self._options:
            self._began = time.perf_counter()

    def _tell_orders(self, count: int) -> None:
        tape = orders.Tape()
        self._sent = count
        step = 20_000
        blocks = [tape.block(at, min(step, count - at)) for at in range(0, count, step)]
        self._sock.sendall(texts.frame('{"type":"status"}'))  # from here on it is measured
        self._started = (time.perf_counter(), time.thread_time())
        for block in blocks:
            self._sock.sendall(block)
        self._sock.sendall(_BYE)

    def _tell_events(self, count: int) -> None:
        self._started = (time.perf_counter(), time.thread_time())
        self._sent = count
        tape = streams.Tape()
        while count:
            self._sock.sendall(tape.block(count))
            count -= min(count, len(tape))

    def _burst(self) -> bool:
        """Sends the notices that are due; whether a command came before the next ones are."""
        assert self._began is not None
        now = time.perf_counter()
        due = int((now - self._began) * int(self._options["rate"])) - self._sent
        while due > 0:
            notices = self._feed.burst(self._sent, due)
            self._sock.sendall(notices)
            sent = len(notices) // len(self._feed.frames[0])
            self._sent += sent
            due -= sent
        bursts = int((now - self._began) / _BURST) + 1
        left = self._began + bursts * _BURST - time.perf_counter()
        return bool(select.select([self._sock], [], [], max(0.0, left))[0])

    def _tell(self) -> None:
        """How busy this thread was from the first command to the end, and what it sent."""
        wall, cpu = self._started
        if wall:
            seconds = time.perf_counter() - wall
            busy = (time.thread_time() - cpu) / seconds
            line = json.dumps({"seconds": seconds, "busy": busy, "notices": self._sent})
            with _telling:
                print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", type=int, help="the core to run on")
    cpu = parser.parse_args().cpu
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    lines: list[threading.Thread] = []
    threading.Thread(target=_accept, args=(listener, Feed(), lines), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()  # ends with whoever started us
    deadline = time.monotonic() + 2
    for line in lines:  # each tells how busy it was when its client is gone
        line.join(max(0.0, deadline - time.monotonic()))


def _accept(listener: socket.socket, feed: Feed, lines: list[threading.Thread]) -> None:
    while True:
        sock, _ = listener.accept()
        line = threading.Thread(target=_serve, args=(sock, feed), daemon=True)
        lines.append(line)
        line.start()


def _serve(sock: socket.socket, feed: Feed) -> None:
    with contextlib.suppress(EOFError):
        Line(sock, feed).run()


if __name__ == "__main__":
    main()
