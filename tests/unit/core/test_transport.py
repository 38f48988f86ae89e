"""The transport over a real socket pair: order, combining, back pressure, and what counts as left."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from wsclient.core import frames
from wsclient.core.transport import Gone, Transport


@dataclass
class Call:
    left: bool = False


@contextmanager
def pair(timeout: float = 5.0) -> Iterator[tuple[Transport, socket.socket]]:
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport = Transport(ours, timeout)
    try:
        yield transport, theirs
    finally:
        transport.close()
        theirs.close()


def unmasked(stream: bytes) -> list[tuple[int, bytes]]:
    """The client's frames in a stream, which must be whole frames."""
    found = []
    at = 0
    while at < len(stream):
        size = stream[at + 1] & 0x7F
        start = at + 2
        if size == 126:
            size, start = int.from_bytes(stream[start : start + 2], "big"), start + 2
        elif size == 127:
            size, start = int.from_bytes(stream[start : start + 8], "big"), start + 8
        mask, body = stream[start : start + 4], stream[start + 4 : start + 4 + size]
        assert len(body) == size, "the stream ends inside a frame"
        found.append((stream[at] & 0xF, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))))
        at = start + 4 + size
    return found


def read_all(sock: socket.socket) -> bytes:
    stream = b""
    while data := sock.recv(65536):
        stream += data
    return stream


def test_frames_arrive_whole_and_in_order_whoever_sends_them() -> None:
    with pair() as (transport, peer):
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(read_all(peer)))
        reader.start()

        def send(who: int) -> None:
            for number in range(50):
                transport.send(frames.TEXT, f"{who} {number} ".encode() + b"x" * (who * 300), Call())

        senders = [threading.Thread(target=send, args=(who,)) for who in range(8)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(20)
        transport.shut()
        reader.join(20)
        seen: dict[int, list[int]] = {who: [] for who in range(8)}
        for _, body in unmasked(received[0]):
            who, number, _ = body.split(b" ", 2)
            seen[int(who)].append(int(number))
        assert seen == {who: list(range(50)) for who in range(8)}


def test_a_sender_waits_for_a_slow_peer_and_gives_the_connection_up_in_time() -> None:
    with pair(timeout=0.2) as (transport, _):
        call = Call()
        with pytest.raises(TimeoutError):
            transport.send(frames.TEXT, b"x" * 10_000_000, call)
        assert call.left
        with pytest.raises(Gone):
            transport.send(frames.TEXT, b"y", Call())
        assert isinstance(transport.error, TimeoutError)


def test_without_waiting_the_rest_goes_out_while_the_reader_waits() -> None:
    with pair() as (transport, peer):
        first, second = Call(), Call()
        transport.send(frames.TEXT, b"a" * 100_000, first, wait=False)
        transport.send(frames.TEXT, b"b" * 100_000, second, wait=False)
        assert (first.left, second.left) == (True, False)
        received: list[bytes] = []

        def read() -> None:
            while sum(map(len, received)) < 200_028:
                received.append(peer.recv(65536))
            peer.sendall(b"\x81\x04done")

        reader = threading.Thread(target=read)
        reader.start()
        while not transport.wait(10):
            pass  # it has sent on
        assert transport.receive() == b"\x81\x04done"
        reader.join(5)
        assert [body[:1] for _, body in unmasked(b"".join(received))] == [b"a", b"b"]
        assert second.left


def test_a_frame_that_waits_behind_others_when_the_connection_ends_has_not_left() -> None:
    with pair() as (transport, _):
        first, second = Call(), Call()
        transport.send(frames.TEXT, b"a" * 1_000_000, first, wait=False)
        transport.send(frames.TEXT, b"b", second, wait=False)
        transport.shut()
        assert (first.left, second.left) == (True, False)


def test_a_peer_that_never_reads_ends_the_connection_though_nobody_waits_to_write() -> None:
    with pair(timeout=0.2) as (transport, _):
        transport.send(frames.TEXT, b"a" * 1_000_000, wait=False)
        while not transport.wait(10):
            pass  # the peer may have taken a little
        assert isinstance(transport.error, TimeoutError)
        assert transport.receive() == b""


def test_the_outbox_has_a_bound_for_those_who_do_not_wait() -> None:
    with pair() as (transport, _):
        transport.send(frames.TEXT, b"a" * 2_000_000, wait=False)
        with pytest.raises(Gone):
            transport.send(frames.PONG, b"", wait=False)
        assert isinstance(transport.error, TimeoutError)


def test_nothing_follows_a_close_frame() -> None:
    with pair() as (transport, peer):
        transport.send(frames.TEXT, b"last")
        transport.send(frames.CLOSE, frames.close_payload(1000))
        call = Call()
        with pytest.raises(Gone):
            transport.send(frames.TEXT, b"late", call)
        transport.shut()
        assert [opcode for opcode, _ in unmasked(read_all(peer))] == [frames.TEXT, frames.CLOSE]
        assert not call.left


def test_shutting_brings_a_blocked_sender_back() -> None:
    with pair(timeout=30) as (transport, peer):
        outcome: list[BaseException] = []

        def send() -> None:
            try:
                transport.send(frames.TEXT, b"x" * 10_000_000, Call())
            except OSError as error:
                outcome.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        assert peer.recv(1)  # it is in the middle of its frame
        transport.close()
        sender.join(5)
        assert not sender.is_alive()
        assert len(outcome) == 1


def test_reading_tells_nothing_yet_from_the_end() -> None:
    with pair() as (transport, peer):
        assert not transport.wait(0)
        assert transport.receive() is None
        peer.sendall(b"hello")
        assert transport.wait(5)
        assert transport.receive() == b"hello"
        peer.close()
        assert transport.wait(5)
        assert transport.receive() == b""
