"""A sidecar that answers at once, so that what is measured is who asks it. Linux.

    python -m benchmarks.instant

It speaks both contracts, prints its address, and ends by a signal. Every window gets one tone and one event
of the surroundings. Of a request it looks at the path and the length; of a batch at the number of windows,
which stands in the header's first bytes. The rest is thrown away inside the kernel (`MSG_TRUNC`, tcp(7)), as
copying two megabytes a call would cost the core that it shares with the clients.
"""

import functools
import selectors
import socket
from typing import Final

import msgpack  # type: ignore[import-untyped]
import orjson

from gateway.classify.sidecar import batch, single
from gateway.classify.sidecar.health import PATH as HEALTH

BATCH: Final = "/v1/classify/batch"
MAX_WINDOWS: Final = 64
TONE: Final = {
    "event_type": "tone",
    "label": "Animated",
    "confidence": 0.47,
    "speaker_id": "Speaker A",
    "shift_magnitude": 0.31,
    "shift_direction": "escalating",
    "affect": "lively",
    "prosody_flags": ["loud", "fast"],
    "arousal": 0.74,
    "trend": "rising",
    "model": "bench-1",
}
ENVIRON: Final = {"event_type": "environ", "label": "street", "confidence": 0.81}

_HEAD_BYTES: Final = 8_192
"""Of a request that are read; what comes after them is its body."""
_COUNT_BYTES: Final = 64
"""Of a batch's body, in which the number of windows stands."""
_SCRAP: Final = bytearray(4 << 20)
"""Where bytes would go that are thrown away; nothing is written to it."""


def windows_in(body: bytes) -> int:
    """How many windows a batch asks about, from the first bytes of its body.

    Raises:
        msgpack.OutOfData: these are too few of them.
    """
    unpacker = msgpack.Unpacker()
    unpacker.feed(body[4:_COUNT_BYTES])
    for _ in range(unpacker.read_map_header()):
        if unpacker.unpack() == "windows":
            return int(unpacker.read_array_header())
        unpacker.skip()
    raise ValueError("a batch without windows")


@functools.cache
def _batch_answer(windows: int) -> bytes:
    told = batch.Told([TONE, ENVIRON])
    return _http(batch.encode_answer([told] * windows), batch.ANSWER_TYPE)


def _http(body: bytes, kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


_FIXED: Final = {
    HEALTH.encode(): _http(
        orjson.dumps({"status": "ready", "batch": {"path": BATCH, "max": MAX_WINDOWS}}), single.CONTENT_TYPE
    ),
    single.PATH.encode(): _http(orjson.dumps({"events": [TONE, ENVIRON]}), single.CONTENT_TYPE),
}


class _Connection:
    """Requests one after the other, each read to its end before it is answered."""

    __slots__ = ("_answer", "_left", "_out", "_seen", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._seen = b""
        """Of a request of which too little is known."""
        self._left = 0
        """Bytes of a request still to come."""
        self._answer = b""
        self._out = b""
        """Of an answer that the kernel has not taken."""

    def turn(self) -> int:
        """Do what can be done now; the selector's events to wait for, 0 once the peer is gone."""
        try:
            return self._turn()
        except BlockingIOError:
            return selectors.EVENT_WRITE if self._out else selectors.EVENT_READ
        except ConnectionError:
            return 0

    def _turn(self) -> int:
        while True:
            if self._out:
                self._out = self._out[self.socket.send(self._out) :]
                continue
            if self._left:
                most = min(self._left, len(_SCRAP))
                got = self.socket.recv_into(_SCRAP, most, socket.MSG_TRUNC)
                self._left -= got
            else:
                data = self.socket.recv(_HEAD_BYTES)
                got = len(data)
                if not self._understood(self._seen + data) and got:
                    continue
            if not got:
                return 0
            if not self._left:
                self._out = self._answer

    def _understood(self, data: bytes) -> bool:
        """Whether this is enough to know the answer, and the bytes still to come."""
        self._seen = data
        head, found, body = data.partition(b"\r\n\r\n")
        if not found:
            return False
        path = head.split(b" ", 2)[1]
        if path in _FIXED:
            self._answer = _FIXED[path]
        else:
            try:
                self._answer = _batch_answer(windows_in(body))
            except msgpack.OutOfData:
                return False
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        self._left = int(length.partition(b"\r\n")[0] or 0) - len(body)
        self._seen = b""
        return True


def serve() -> None:
    """Answer for ever."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1_024) as listener,
        selectors.DefaultSelector() as selector,
    ):
        listener.setblocking(False)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    _accept(listener, selector)
                else:
                    _turn(key, selector)


def _accept(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    try:
        connected, _ = listener.accept()
    except (BlockingIOError, ConnectionError):
        return
    connected.setblocking(False)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(connected, selectors.EVENT_READ, _Connection(connected))


def _turn(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
    connection: _Connection = key.data
    events = connection.turn()
    if not events:
        selector.unregister(connection.socket)
        connection.socket.close()
    elif events != key.events:
        selector.modify(connection.socket, events, connection)


if __name__ == "__main__":
    serve()
