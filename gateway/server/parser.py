"""Bytes → frames, by picows, without picows' socket.

picows parses and unmasks frames in C, but only inside its own asyncio protocol, which reads as much as the
kernel holds, answers violations by itself and logs them. Here that protocol gets a transport that leads
nowhere: what it writes there is how it tells of a violation, and nothing of it reaches a socket or a log.

What picows checks: opcodes, masks, lengths (minimal ones only), the size and the FIN bit of control frames,
the size of data frames, codes and reasons of close frames (not all: see `gateway.server.lane`). What it does
not: reserved bits, the order of fragments, UTF-8 of messages.

picows hands over a frame only when it has looked at the next one. A violation is therefore reported after
all frames that came before it, by `feed`.
"""

from typing import Any, Protocol

from picows import WSAutoPingStrategy, WSListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # its stubs leave it out

PIECE_BYTES = 8 * 1024
"""What is read from the kernel at once: a peer that sends as fast as it can gets this much, then its budgets
are looked at. A frame of 100 ms at 16 kHz fits, at 48 kHz it takes two."""
_BUFFER_BYTES = 4 * 1024
"""The parser's buffer in the beginning; it grows with the frames, to twice the largest one."""

_UPGRADE = (
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
"""picows parses frames only behind a handshake; the real one is done elsewhere."""


class Violation(Exception):
    """The peer broke RFC 6455; the connection is to be failed (section 7.1.7).

    Args:
        code: the close code.
        reason: for the close frame.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Frame(Protocol):
    """What is read of a `picows.WSFrame`, as it is; its stubs are less exact."""

    msg_type: int
    fin: int
    rsv1: int
    rsv2: int
    rsv3: int
    payload_size: int
    """Bytes."""

    def get_payload_as_bytes(self) -> bytes:
        """A copy, unmasked; the frame itself is gone once `on_ws_frame` returns."""


class FrameParser:
    """Hands each frame to `listener.on_ws_frame`. Needs a running event loop."""

    __slots__ = ("_nowhere", "_picows")

    def __init__(self, listener: WSListener, max_frame_bytes: int) -> None:
        self._nowhere = _Nowhere()
        self._picows = WSProtocol(
            None,  # host_port
            None,  # ws_path
            False,  # is_client_side
            lambda _: listener,
            _SILENT,
            True,  # disconnect_on_exception
            None,  # websocket_handshake_timeout
            False,  # enable_auto_ping
            None,  # auto_ping_idle_timeout
            None,  # auto_ping_reply_timeout
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # enable_auto_pong
            max_frame_bytes,
            None,  # extra_headers
            _BUFFER_BYTES,
        )
        self._picows.connection_made(self._nowhere)
        self.buffer()[: len(_UPGRADE)] = _UPGRADE
        self._picows.buffer_updated(len(_UPGRADE))
        self._nowhere.said = b""

    def buffer(self) -> memoryview:
        """Where the next bytes go; never empty, at most `PIECE_BYTES`."""
        room: memoryview = self._picows.get_buffer(-1)
        return room[:PIECE_BYTES]

    def feed(self, nbytes: int) -> None:
        """`nbytes` were put into `buffer()`.

        Raises:
            Violation: nothing may be fed any more.
        """
        self._picows.buffer_updated(nbytes)
        if self._nowhere.said:
            raise self._nowhere.violation()


class _Nowhere:
    """A transport without a socket. Of what is written to it only the last is kept: a close frame."""

    __slots__ = ("said",)

    def __init__(self) -> None:
        self.said = b""

    def violation(self) -> Violation:
        """What the close frame tells; picows' never has more than 125 bytes of payload."""
        return Violation(int.from_bytes(self.said[2:4]), self.said[4:].decode(errors="replace"))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": _NO_SOCKET, "ssl_object": _NO_SOCKET}.get(name, default)

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said = bytes(data)

    def close(self) -> None:
        """Ten milliseconds after a violation; the connection's owner has ended it by then."""


class _NoSocket:
    """Takes the options that picows sets. It also stands for TLS, so that picows keeps to the transport."""

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *_: object) -> None:
        pass

    def getsockopt(self, *_: object) -> int:
        return 0


class _Silence:
    """A logger that says nothing: hostile peers must not write our log. (A real one would be copied by picows
    for each connection.)"""

    def isEnabledFor(self, _: int) -> bool:  # noqa: N802 (logging's name)
        return False

    def log(self, *_: object, **__: object) -> None:
        pass

    debug = info = warning = error = exception = log


_NO_SOCKET = _NoSocket()
_SILENT = _Silence()
