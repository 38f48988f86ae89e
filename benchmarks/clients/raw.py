"""A bare socket that parses nothing: how fast the server alone is, and the shortest time that a call can take."""

import json
import socket
import threading
from urllib.parse import urlsplit

from .. import measure, orders, streams, texts
from ..measure import Figures
from ..texts import CALL, START

_REQUEST = (
    "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    sock = socket.create_connection((parts.hostname, parts.port or 80))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    query = parts.query.replace("welcome", "unwelcome")
    sock.sendall(_REQUEST.format(target=f"{parts.path}?{query}", host=parts.netloc).encode())
    response = b""
    while not response.endswith(b"\r\n\r\n"):
        response += sock.recv(1)
    return sock


def _masked(request: dict[str, object]) -> bytes:
    return texts.masked(json.dumps({**request, "tag": 1000}))


def _skip(sock: socket.socket, size: int) -> None:
    buffer = bytearray(1 << 20)
    while size > 0:
        got = sock.recv_into(buffer, min(size, len(buffer)))
        if not got:
            raise EOFError("the server ended")
        size -= got


def feed(url: str, count: int, parse: bool) -> Figures:
    with _connect(url) as sock:
        timed = measure.Timed(count)
        sock.sendall(_masked(START))
        _skip(sock, _answer_size() + count * (texts.SIZE + 4))
        return timed.ended()


def book(url: str, count: int) -> Figures:
    sizes = orders.Tape().sizes
    size = sum(sizes) * (count // len(sizes)) + sum(sizes[: count % len(sizes)])
    with _connect(url) as sock:
        request = json.dumps({"type": "subscribe", "channels": [orders.START]})
        sock.sendall(texts.masked(request))
        _skip(sock, len(orders.answer(request.encode())) + len(texts.frame('{"type":"status"}')))
        timed = measure.Timed(count)
        _skip(sock, size)
        return timed.ended()


def calls(url: str, count: int, warm_up: int, handler: bool) -> Figures:
    with _connect(url) as sock:
        request = _masked(CALL)

        def call() -> None:
            sock.sendall(request)
            sock.recv(4096)

        return measure.latencies(call, count, warm_up)


def feed_calls(url: str, count: int, warm_up: int) -> Figures:
    """Looks for the end of a reply, which no notice has."""
    with _connect(url) as sock:
        request = _masked(CALL)
        end = b',"error_code":0}'
        sock.sendall(_masked(START))
        sock.recv(_answer_size(), socket.MSG_WAITALL)

        def call() -> None:
            sock.sendall(request)
            received = b""
            while end not in received:
                received = received[-len(end) :] + sock.recv(65536)

        return measure.latencies(call, count, warm_up)


def threads(url: str, threads: int, each: int, warm_up: int) -> Figures:
    """As many calls as the threads have in flight, sent in one piece; the next ones when all are answered."""
    return window(url, threads, threads * each, warm_up)


def window(url: str, size: int, count: int, warm_up: int) -> Figures:
    """Two halves of the window in turn, so that the server never waits for us."""
    with _connect(url) as sock:
        half = max(1, size // 2)
        requests = _masked(CALL) * half
        sending = threading.Thread(target=sock.sendall, args=(requests * (max(1, warm_up // half)),))
        sending.start()
        _skip(sock, _answer_size() * half * max(1, warm_up // half))
        sending.join()
        timed = measure.Timed(count)
        sock.sendall(requests)
        for _ in range(count // half - 1):
            sock.sendall(requests)
            _skip(sock, _answer_size() * half)
        _skip(sock, _answer_size() * half)
        return timed.ended()


def _answer_size() -> int:
    return len(texts.frame('{"tag":1000,"error_code":0}'))


def multiplex(url: str, count: int) -> Figures:
    with _connect(f"{url}/stream?streams=all") as sock:
        tape = streams.Tape()
        size = sum(len(tape.block(min(left, len(tape)))) for left in range(count, 0, -len(tape)))
        timed = measure.Timed(count)
        _skip(sock, size)
        return timed.ended()


def signed_window(url: str, size: int, count: int, warm_up: int) -> Figures:
    with _connect(url) as sock:
        request = json.dumps({"id": 1, "method": "order.status"})
        length, batch = len(streams.answer(request.encode())), texts.masked(request) * size
        timed = measure.Timed(count // size * size)
        for _ in range(count // size):
            sock.sendall(batch)
            _skip(sock, length * size)
        return timed.ended()


def signed_calls(url: str, count: int, warm_up: int) -> Figures:
    with _connect(url) as sock:
        request = json.dumps({"id": 1, "method": "order.status"})
        length = len(streams.answer(request.encode()))

        def call() -> None:
            sock.sendall(texts.masked(request))
            _skip(sock, length)

        return measure.latencies(call, count, warm_up)
