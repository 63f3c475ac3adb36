"""Requests whose heads are bombs: too many headers, too long ones, ones that never end."""

import contextlib
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos.raw import upgrade

MIB = 1024 * 1024
_HEAD = upgrade()[:-2]
_POST = b"POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Bomb:
    """A request."""

    data: bytes
    endless: bytes = b""
    """What follows, over and over."""


BOMBS: Mapping[str, Bomb] = {
    "65 headers": Bomb(_HEAD + b"X: y\r\n" * 65 + b"\r\n"),
    "10,000 headers": Bomb(_HEAD + b"X-Number: 1\r\n" * 10_000 + b"\r\n"),
    "a header of 17 KiB": Bomb(_HEAD + b"X: " + b"y" * 17 * 1024 + b"\r\n\r\n"),
    "a header of 1 MiB": Bomb(_HEAD + b"X: " + b"y" * MIB + b"\r\n\r\n"),
    "a name of 64 KiB": Bomb(_HEAD + b"x" * 65_536 + b": y\r\n\r\n"),
    "a query of 17 KiB": Bomb(upgrade("/ws/voice?" + "x" * 17 * 1024)),
    "a request line of 1 MiB": Bomb(upgrade("/" + "x" * MIB)),
    "a key of 64 KiB": Bomb(upgrade(changes={"Sec-WebSocket-Key": "A" * 65_536})),
    "subprotocols of 64 KiB": Bomb(upgrade(changes={"Sec-WebSocket-Protocol": "a," * 32_768})),
    "a cookie of 64 KiB": Bomb(upgrade(changes={"Cookie": "a=" + "b" * 65_536})),
    "a request line that never ends": Bomb(b"GET /", b"x" * 4_096),
    "a header that never ends": Bomb(_HEAD + b"X: ", b"y" * 4_096),
    "headers that never end": Bomb(_HEAD, b"X: y\r\n" * 512),
    "empty lines that never end": Bomb(b"", b"\r\n" * 2_048),
    "a body that never ends": Bomb(_CHUNKED, b"400\r\n" + b" " * 1_024 + b"\r\n"),
    "chunks of one byte that never end": Bomb(_CHUNKED, b"1\r\n \r\n" * 1_024),
    "a chunk's extension that never ends": Bomb(_CHUNKED + b"1;", b"x" * 4_096),
    "trailers that never end": Bomb(_CHUNKED + b"0\r\n", b"X: y\r\n" * 512),
    "a body of 1 GiB announced": Bomb(_POST + b"Content-Length: 1073741824\r\n\r\n", b" " * 4_096),
    "TLS": Bomb(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512)),
    "bytes": Bomb(bytes(range(256)) * 64),
}
"""By what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Blast:
    """What became of one."""

    status: int | None
    """Of the answer; None where there was none."""
    seconds: float
    """To the end of the connection."""
    sent: int
    """Bytes that the kernel took."""


def throw(port: int, bomb: Bomb, patience_s: float = 10.0) -> Blast:
    """Send it for as long as the connection takes it, then read the answer.

    Raises:
        TimeoutError: the connection is still there.
    """
    began = time.monotonic()
    sent, answer = 0, b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(bomb.data)
            sent = len(bomb.data)
            while bomb.endless and time.monotonic() < began + patience_s:
                connection.sendall(bomb.endless)
                sent += len(bomb.endless)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(65_536):
                answer += data
    status = int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else None
    return Blast(status, time.monotonic() - began, sent)
