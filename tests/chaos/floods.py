"""Flooders: peers that send, as fast as they can, what costs them nothing and a server some work each."""

import json
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos.frames import NO_CLOSE_FRAME, Op, ServerFrames, binary, close, frame, more, ping, pong, text
from tests.chaos.raw import RawPeer

GIVE_UP_S = 15.0
"""Seconds after which a flooder has won."""
_AT_ONCE = 64 * 1024
"""Bytes handed to the kernel at once, about."""
_READ = 64 * 1024
_FLOATS = "encoding=pcm_f32le"


@dataclass(frozen=True, slots=True)
class Flood:
    """What one kind of flooder sends."""

    repeats: bytes
    """Frames, for ever."""
    codes: frozenset[int]
    """The close codes that it may be told; the error before has the code's name."""
    begins: bytes = b""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """How it ended."""

    told_s: float | None
    """Seconds from the first byte to the server's close frame; None where it never came."""
    gone_s: float
    """Seconds to the end of the connection: nothing is read, and nothing is taken."""
    code: int
    errors: tuple[str, ...]
    """Codes of the errors that it was told."""
    sent: int
    """Bytes that the kernel took, of which the server may have read fewer."""


def _many(one: bytes) -> bytes:
    return one * max(1, _AT_ONCE // len(one))


_FLOOD = frozenset({4009})
_ANSWERED = frozenset({4009, 4101})
"""What is answered, one by one, may also pile up before the budget is spent."""
_NEVER_ENDED = binary(b"", fin=False)

FLOODS: Mapping[str, Flood] = {
    "empty continuations": Flood(_many(more()), _FLOOD, _NEVER_ENDED),
    "one-byte fragments": Flood(_many(more(b"\0")), _FLOOD, _NEVER_ENDED),
    "one-byte frames": Flood(_many(binary(b"\0")), _FLOOD),
    "empty frames": Flood(_many(binary(b"")), _FLOOD),
    "empty pings": Flood(_many(ping()), _FLOOD),
    "pings of 125 bytes": Flood(_many(ping(bytes(125))), _FLOOD),
    "pongs": Flood(_many(pong()), _FLOOD),
    "pings amid fragments": Flood(_many(ping() + more(b"\0")), _FLOOD, _NEVER_ENDED),
    "empty texts": Flood(_many(text("")), _ANSWERED),
    "control messages": Flood(_many(text('{"type":"ping"}')), _ANSWERED),
    "flushes": Flood(_many(binary(bytes(160)) + text('{"type":"flush"}')), _ANSWERED),
    "positions": Flood(_many(text('{"type":"position","sample":7}')), _FLOOD),
    "large texts": Flood(_many(text("x" * 16_384)), _FLOOD),
    "texts that never end": Flood(_many(more("x" * 16_000)), frozenset({4009, 1009}), text("", fin=False)),
    "audio": Flood(_many(binary(bytes(3_200))), _FLOOD),
    "audio in the largest messages": Flood(_many(binary(bytes(65_536))), _FLOOD),
    "audio past its limit": Flood(_many(binary(bytes(3_200))), frozenset({4010}), query="delivery=lossless"),
    "audio that is no number": Flood(_many(binary(b"\xff\xff\xff\xff" * 40)), _ANSWERED, query=_FLOATS),
    "fragments that never end": Flood(_many(more(bytes(4_096))), frozenset({1009}), _NEVER_ENDED),
    "closes": Flood(_many(close()), frozenset({1000})),
    "garbage": Flood(_many(frame(0x3, bytes(64))), frozenset({1002})),
}
"""By what they send."""


def flood(port: int, kind: Flood) -> Cut:
    """Send `kind` until the connection is gone.

    Raises:
        TimeoutError: it is still there.
    """
    with RawPeer.dial(port, f"/ws/voice?{kind.query}") as peer:
        return _Flooder(peer, kind).run()


class _Flooder:
    """Reads all the while: a peer that doesn't could say that it was never told."""

    def __init__(self, peer: RawPeer, kind: Flood) -> None:
        self._socket = peer.socket
        self._socket.setblocking(False)
        self._repeats = kind.repeats
        self._left = memoryview(kind.begins + kind.repeats)
        self._reader = ServerFrames()
        self._began = time.monotonic()
        self._told_s: float | None = None
        self._code = NO_CLOSE_FRAME
        self._errors: list[str] = []
        self._sent = 0

    def run(self) -> Cut:
        """Until nothing goes either way."""
        reads = writes = True
        while reads or writes:
            left = self._began + GIVE_UP_S - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"after {self._sent} bytes it is still there")
            readable, writable, _ = select.select(
                [self._socket] if reads else [], [self._socket] if writes else [], [], left
            )
            reads = reads and (not readable or self._read())
            writes = writes and (not writable or self._write())
        return Cut(self._told_s, self._elapsed(), self._code, tuple(self._errors), self._sent)

    def _write(self) -> bool:
        """Whether the server may take more."""
        try:
            taken = self._socket.send(self._left)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._sent += taken
        self._left = self._left[taken:] if taken < len(self._left) else memoryview(self._repeats)
        return True

    def _read(self) -> bool:
        """Whether the server may say more."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for one in self._reader.feed(data):
            if one.op is Op.CLOSE:
                self._code, self._told_s = one.code, self._elapsed()
            elif one.op is Op.TEXT and (event := json.loads(one.payload))["type"] == "error":
                self._errors.append(event["code"])
        return bool(data)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began
