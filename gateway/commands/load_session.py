"""One paced session of a load run, kept cheap: websockets' sans-I/O client on an asyncio protocol.

No task, timer or queue per session. Outgoing frames are ready-made bytes shared by all sessions; of incoming
events only the few fields that are counted are looked at.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from gateway.commands.load_stats import LATENCY_TYPES, Tally
from protocol.close import NO_CLOSE_FRAME
from protocol.codec import MAX_MESSAGE_BYTES, encode_control
from protocol.control import End
from protocol.version import PROTOCOL, Encoding

_SUBPROTOCOL = Subprotocol(f"{PROTOCOL}.{Encoding.MSGPACK}")


def ready_made(pcm: bytes) -> bytes:
    """A binary WebSocket message, masked and complete (RFC 6455 section 5.2), to be written as it is.

    The mask is the same each time it is sent, which is fine towards a server under test and nowhere else.
    """
    return Frame(Opcode.BINARY, pcm).serialize(mask=True)


class LoadSession(asyncio.Protocol):
    """From the opening handshake to the summary. `beat` is called once a frame by the wheel."""

    def __init__(
        self,
        url: str,
        frames: Sequence[bytes],
        *,
        first: int,
        count: int,
        frame_samples: int,
        sample_rate: int,
        tally: Tally,
        now: Callable[[], float],
        on_done: Callable[["LoadSession"], None],
        bearer: str | None = None,
    ) -> None:
        self._frames = frames
        self._first = first
        self._count = count
        self._frame_samples = frame_samples
        self._rate = sample_rate
        self._tally = tally
        self._now = now
        self._on_done = on_done
        self._bearer = bearer
        self._wire = ClientProtocol(parse_uri(url), subprotocols=[_SUBPROTOCOL], max_size=MAX_MESSAGE_BYTES)
        self._transport: asyncio.Transport | None = None
        self._origin: float | None = None
        self._summary: dict[str, Any] | None = None
        self._fatal: str | None = None
        self._done = False
        self.sent = 0
        """Frames"""
        self.open = False
        """Between welcome and the end of the socket"""

    def beat(self, due: float) -> bool:
        """Send the frame whose last sample is due at `due` (monotonic seconds); False once all are sent."""
        if self._done or self._transport is None:
            return False
        if not self.open:
            return True
        if self._origin is None:
            self._origin = due - self._frame_samples / self._rate
        if self.sent == self._count:
            self.sent += 1
            self._wire.send_text(encode_control(End()).encode())
            self._flush()
            return False
        self._transport.write(self._frames[(self._first + self.sent) % len(self._frames)])
        self.sent += 1
        self._tally.frames += 1
        return True

    def give_up(self, reason: str) -> None:
        """Stop waiting for this session and count it as failed."""
        if self._transport is not None:
            self._transport.abort()
        self._finish(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        request = self._wire.connect()
        if self._bearer is not None:
            request.headers["Authorization"] = f"Bearer {self._bearer}"
        self._wire.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._wire.receive_data(data)
        for event in self._wire.events_received():
            if isinstance(event, Response):
                if self._wire.handshake_exc is not None:
                    self._finish(f"not opened: HTTP {event.status_code}")
            elif isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                self._receive(msgpack.unpackb(event.data))
        self._flush()

    def eof_received(self) -> bool:
        self._wire.receive_eof()
        self._flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._wire.state is State.OPEN or self._wire.close_code is not None:
            self._tally.closes[self._wire.close_code or NO_CLOSE_FRAME] += 1
        self._finish(self._verdict())

    def _receive(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        self._tally.events[kind] += 1
        if kind in LATENCY_TYPES and self._origin is not None:
            now = self._now()
            due = self._origin + event["end_sample"] / self._rate
            self._tally.latencies[kind].add(now - due, now)
        elif kind == "welcome":
            self.open = True
            self._tally.welcomed += 1
        elif kind == "gap":
            self._tally.gaps[event["reason"]] += event["end_sample"] - event["start_sample"]
        elif kind == "error":
            self._tally.errors[event["code"]] += 1
            if event["fatal"]:
                self._fatal = f"{event['code']}: {event['message']}"
        elif kind == "summary":
            self._summary = event
            self._tally.classified_samples += event["classified_samples"]

    def _verdict(self) -> str | None:
        """Why this session failed; None where it did what it should."""
        summary, sent = self._summary, min(self.sent, self._count) * self._frame_samples
        if self._fatal is not None:
            return self._fatal
        if summary is None:
            code = self._wire.close_code
            lost = code is None or code == NO_CLOSE_FRAME
            return "lost without a summary" if lost else f"closed with {code}, no summary"
        if summary["next_sample"] != sent:
            return "the summary counts other audio than was sent"
        if summary["classified_samples"] + summary["gap_samples"] != summary["next_sample"]:
            return "the summary does not add up"
        return None if self.sent > self._count else "ended before all audio was sent"

    def _finish(self, failure: str | None) -> None:
        if self._done:
            return
        self._done = True
        self.open = False
        if failure is None:
            self._tally.finished += 1
        else:
            self._tally.failures[failure] += 1
        self._on_done(self)

    def _flush(self) -> None:
        """Write what the protocol wants written; an empty piece means half-close (the end)."""
        if self._transport is None:
            return
        for data in self._wire.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
