"""A server that does what a test's script says, byte by byte: for what no honest server would do.

    def script(peer: Peer) -> None:
        peer.welcome()
        call = peer.receive()
        peer.reply(call, id=1)

    with PeerServer(script) as server:
        client = WSClient(server.url)

Each connection is accepted by a thread of its own, its opening handshake is answered by hand, then the script has
it. Nothing waits for ever: each wait of a peer ends after `PATIENCE` seconds with an AssertionError, which fails
the test when the server is left. Client frames are checked as they come (RFC 6455, section 5).
"""

import base64
import hashlib
import json
import queue
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

PATIENCE: Final = 10.0
"""Seconds that a peer, or a test, waits for what must happen."""

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NONCE: Final = base64.b64encode(bytes(range(16))).decode()

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Gone(Exception):
    """The client ended the connection: it ends a script that waits for more, and is no failure."""


class Frame(NamedTuple):
    """A client's frame, unmasked."""

    opcode: int
    payload: bytes


def accept_key(key: str) -> str:
    """What a server must answer to a Sec-WebSocket-Key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def encode(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = False,
    length: int | None = None,
) -> bytes:
    """A server's frame; wrong in whichever way is asked for. `length` is announced in place of the true one."""
    size = len(payload) if length is None else length
    head = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if size < 126:
        header = bytes((head, mask_bit | size))
    elif size < 65536:
        header = struct.pack(">BBH", head, mask_bit | 126, size)
    else:
        header = struct.pack(">BBQ", head, mask_bit | 127, size)
    # a mask of zeros leaves the payload as it is
    return header + (bytes(4) if masked else b"") + payload


class Peer:
    """One connection, as the server's script sees it."""

    def __init__(self, sock: socket.socket, number: int, ending: threading.Event) -> None:
        self.socket = sock
        self.number = number
        """Which connection of its server this is, from 0."""
        self.request = ""
        """The head of the opening handshake's request."""
        self.frames: list[Frame] = []
        """Every frame that came, control frames too."""
        self._ending = ending
        self._buffer = b""
        sock.settimeout(PATIENCE)

    # -- the opening handshake

    def read_request(self) -> str:
        """The head of an HTTP request."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.request = head.decode("latin-1")
        return self.request

    def header(self, name: str) -> str | None:
        """A header of the request."""
        for line in self.request.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return None

    def respond(self, status: str, *headers: str, body: bytes = b"") -> None:
        """An HTTP response."""
        self.raw("\r\n".join((f"HTTP/1.1 {status}", *headers, "", "")).encode() + body)

    def upgrade(self, *headers: str, accept: str | None = None) -> None:
        """Reads the request and switches protocols, with extra headers or a wrong key where asked for."""
        self.read_request()
        key = self.header("Sec-WebSocket-Key")
        assert key is not None, "the client sent no Sec-WebSocket-Key"
        self.respond(
            "101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key) if accept is None else accept}",
            *headers,
        )

    # -- saying something

    def raw(self, data: bytes) -> None:
        """These very bytes."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def frame(self, opcode: int, payload: bytes = b"", **how: Any) -> None:
        """A frame; see `encode` for the ways in which it can be wrong."""
        self.raw(encode(opcode, payload, **how))

    def send_text(self, message: object) -> None:
        """A text message: a str as it is, anything else as JSON."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.frame(TEXT, text.encode())

    def send_bytes(self, data: bytes) -> None:
        """A binary message."""
        self.frame(BINARY, data)

    def ping(self, payload: bytes = b"") -> None:
        self.frame(PING, payload)

    def welcome(self, nonce: object = NONCE) -> None:
        """CoinFLEX's first message."""
        self.send_text({"notice": "Welcome", "nonce": nonce})

    def reply(self, to: dict[str, Any] | int, *, error_code: object = 0, **fields: Any) -> None:
        """Answers a message, or just a tag."""
        tag = to if isinstance(to, int) else to["tag"]
        self.send_text({"error_code": error_code, "tag": tag, **fields})

    def log_in(self) -> dict[str, Any]:
        """Welcomes and lets anybody in; returns the Authenticate message."""
        self.welcome()
        message = self.receive("Authenticate")
        self.reply(message)
        return message

    # -- hearing something

    def receive(self, method: str | None = None) -> dict[str, Any]:
        """The next message, which must be a text and a JSON object; other frames are passed over."""
        while True:
            frame = self.receive_frame()
            if frame.opcode == TEXT:
                message = json.loads(frame.payload)
                assert isinstance(message, dict), f"the client sent {message!r}"
                if method is not None:
                    assert message["method"] == method, f"the client sent {message['method']}, not {method}"
                return message
            if frame.opcode == CLOSE:
                raise Gone

    def receive_frame(self) -> Frame:
        """The client's next frame, of whatever kind."""
        head, second = self._take(2)
        assert head & 0x70 == 0, f"the client set a reserved bit: {head:#x}"
        assert head & 0x80, "the client fragmented a message"
        assert second & 0x80, "the client sent an unmasked frame"
        opcode = head & 0xF
        assert opcode in (TEXT, CLOSE, PING, PONG), f"the client sent the opcode {opcode:#x}"
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self._take(2), "big")
        elif size == 127:
            size = int.from_bytes(self._take(8), "big")
        assert opcode < CLOSE or size <= 125, f"the client sent a control frame of {size} bytes"
        mask = self._take(4)
        data = self._take(size)
        key = (mask * (size // 4 + 1))[:size]
        payload = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
        frame = Frame(opcode, payload)
        self.frames.append(frame)
        return frame

    def wait_for(self, opcode: int) -> Frame:
        """The client's next frame of this kind."""
        while True:
            frame = self.receive_frame()
            if frame.opcode == opcode:
                return frame

    def wait_for_close(self) -> int | None:
        """Reads on until the client's Close frame, and returns its code; None if the client just ended."""
        try:
            payload = self.wait_for(CLOSE).payload
        except Gone:
            return None
        return int.from_bytes(payload[:2], "big") if payload else 1005

    def wait_for_end(self) -> None:
        """Reads, whatever comes, until the client has ended the TCP connection."""
        self._buffer = b""
        try:
            while True:
                self._fill()
        except Gone:
            pass

    def wait_for_test(self) -> None:
        """Does nothing, and reads nothing, until the test leaves the server."""
        self._ending.wait(PATIENCE)

    # -- ending

    def close_frame(self, code: int | None = 1000, reason: str = "") -> None:
        payload = b"" if code is None else struct.pack(">H", code) + reason.encode()
        self.frame(CLOSE, payload)

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Ends in good order: a Close frame, the client's, then TCP."""
        self.close_frame(code, reason)
        self.wait_for_close()
        self.end()

    def end(self) -> None:
        """Ends the TCP connection, without a Close frame."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self.socket.close()

    def abort(self) -> None:
        """Ends the TCP connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # -- inside

    def _take(self, size: int) -> bytes:
        if len(self._buffer) < size:
            parts = [self._buffer]
            have = len(self._buffer)
            while have < size:
                self._buffer = b""
                self._fill()
                parts.append(self._buffer)
                have += len(self._buffer)
            self._buffer = b"".join(parts)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _fill(self) -> None:
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            raise AssertionError(f"the client sent nothing for {PATIENCE:g} s") from None
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._buffer += data


Script = Callable[[Peer], object]


class PeerServer:
    """Listens on a port of this machine, and gives each connection to a script, in a thread of its own.

    scripts: one for all connections, or one for each, of which the last stays
    tls: the server's side of it
    handshake: whether the opening handshake is done before the script begins
    receive_buffer: bytes that the system takes before the client has to wait; fixed before connecting
    """

    def __init__(
        self,
        scripts: Script | Sequence[Script],
        *,
        tls: ssl.SSLContext | None = None,
        handshake: bool = True,
        receive_buffer: int | None = None,
        path: str = "/v1",
    ) -> None:
        self._scripts = list(scripts) if isinstance(scripts, Sequence) else [scripts]
        self._tls = tls
        self._handshake = handshake
        self._path = path
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self._accepted = 0
        self.said: queue.Queue[Any] = queue.Queue()
        """What scripts return, one after the other, as they end."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="peer acceptor", daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"{'ws' if self._tls is None else 'wss'}://127.0.0.1:{self.port}{self._path}"

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far."""
        return self._accepted

    def result(self) -> Any:
        """What the next script to end returned."""
        return take(self.said)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._acceptor.join(PATIENCE)
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(PATIENCE)
        for sock in sockets:
            sock.close()
        if error is None and self._failures:
            raise self._failures[0]

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = self._accepted
            self._accepted += 1
            thread = threading.Thread(target=self._serve, args=(sock, number), name=f"peer {number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with self._lock:
            self._sockets.append(sock)
        script = self._scripts[min(number, len(self._scripts) - 1)]
        result = None
        try:
            if self._tls is not None:
                sock.settimeout(PATIENCE)
                sock = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._sockets.append(sock)
            peer = Peer(sock, number, self._ending)
            if self._handshake:
                peer.upgrade()
            result = script(peer)
        except (Gone, OSError):
            pass  # the client has ended the connection
        except BaseException as error:
            if not self._ending.is_set():
                self._failures.append(error)
        finally:
            sock.close()
            self.said.put(result)


class Drip:
    """Sends bytes one at a time, for ever, with a pause after each, until the client gives up."""

    def __init__(self, data: bytes, pause: float = 0.02) -> None:
        self._data = data
        self._pause = pause

    def __call__(self, peer: Peer) -> None:
        for byte in self._data:
            peer.raw(bytes((byte,)))
            if peer._ending.wait(self._pause):
                return
        peer.wait_for_end()


def take(source: "queue.Queue[Any]", timeout: float = PATIENCE) -> Any:
    """The next thing in a queue; an AssertionError if there is none in time."""
    try:
        return source.get(timeout=timeout)
    except queue.Empty:
        raise AssertionError(f"nothing came within {timeout:g} s") from None


class Stopwatch:
    """How long something took: `with Stopwatch() as watch: …`, then `watch.seconds`."""

    seconds = 0.0

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds = time.monotonic() - self._start


class Recorder:
    """Handlers that keep what they were told, each kind in a queue of its own."""

    def __init__(self) -> None:
        self.messages: queue.Queue[str] = queue.Queue()
        self.errors: queue.Queue[Exception] = queue.Queue()
        self.opened: queue.Queue[None] = queue.Queue()
        self.closed: queue.Queue[tuple[int | None, str | None]] = queue.Queue()
        self.pings: queue.Queue[bytes] = queue.Queue()
        self.pongs: queue.Queue[bytes] = queue.Queue()

    def handlers(self, *, errors: bool = True) -> dict[str, Callable[..., object]]:
        """Keyword arguments for a client; `errors`: whether with an err_handler."""
        told: dict[str, Callable[..., object]] = {
            "msg_handler": lambda client, text: self.messages.put(text),
            "open_handler": lambda client: self.opened.put(None),
            "close_handler": lambda client, code, reason: self.closed.put((code, reason)),
            "ping_handler": lambda client, payload: self.pings.put(payload),
            "pong_handler": lambda client, payload: self.pongs.put(payload),
        }
        if errors:
            told["err_handler"] = lambda client, error: self.errors.put(error)
        return told

    def error(self) -> Exception:
        error: Exception = take(self.errors)
        return error

    def message(self) -> str:
        text: str = take(self.messages)
        return text

    def closing(self) -> tuple[int | None, str | None]:
        closing: tuple[int | None, str | None] = take(self.closed)
        return closing

    def all_errors(self) -> list[Exception]:
        """Those told so far, and not taken yet."""
        return drained(self.errors)


def drained(source: "queue.Queue[Any]") -> list[Any]:
    """All that a queue holds now."""
    found = []
    while True:
        try:
            found.append(source.get_nowait())
        except queue.Empty:
            return found
