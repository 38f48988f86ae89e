"""A server in a process of its own: numbered notices as fast as they are read, and an answer to each call between
them. python -m tests.integration.feeder NOTICES [CERTIFICATE]; prints its port."""

import base64
import hashlib
import json
import socket
import ssl
import struct
import sys


def frame(text: bytes) -> bytes:
    head = struct.pack(">BB", 0x81, len(text)) if len(text) < 126 else struct.pack(">BBH", 0x81, 126, len(text))
    return head + text


def commands(buffer: bytearray) -> list[dict[str, object]]:
    """Takes the whole commands out of what was received; an empty dict for a Close frame."""
    found: list[dict[str, object]] = []
    while len(buffer) >= 2:
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < start + 4 + size:
            break
        mask, body = buffer[start : start + 4], buffer[start + 4 : start + 4 + size]
        opcode = buffer[0] & 0xF
        del buffer[: start + 4 + size]
        if opcode == 0x8:
            found.append({})
        elif opcode == 0x1:
            found.append(json.loads(bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))))
    return found


def serve(connection: socket.socket, notices: int) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n") if b": " in line)
    key = lines[b"Sec-WebSocket-Key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accepted = base64.b64encode(hashlib.sha1(key).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
    )
    sent = 0
    buffer = bytearray()
    while True:
        connection.settimeout(0 if sent < notices else 60)
        try:
            received = connection.recv(65536)
            if not received:
                return
            buffer += received
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        out = []
        for command in commands(buffer):
            if not command:
                connection.settimeout(60)
                connection.sendall(b"\x88\x02\x03\xe8")
                return
            out.append(
                frame(json.dumps({"error_code": 0, "echo": command["base"], "tag": command["tag"]}).encode())
            )
        block = range(sent, min(sent + 200, notices))
        out += [frame(b'{"notice":"Number","number":%d}' % number) for number in block]
        sent += len(block)
        connection.settimeout(60)
        connection.sendall(b"".join(out))


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2])
        connection = context.wrap_socket(connection, server_side=True)
    serve(connection, int(sys.argv[1]))


if __name__ == "__main__":
    main()
