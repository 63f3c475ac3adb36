"""One paced session of a load run, kept cheap: no task, timer or queue of its own.

Outgoing frames are ready-made bytes shared by all sessions; of incoming events only the few fields that are
counted are looked at.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack  # type: ignore[import-untyped]

from gateway.commands.load_stats import LATENCY_TYPES, Tally
from gateway.commands.load_wire import LoadWire, text_message
from protocol.close import NO_CLOSE_FRAME
from protocol.codec import encode_control
from protocol.control import End
from protocol.version import PROTOCOL, Encoding

SUBPROTOCOL = f"{PROTOCOL}.{Encoding.MSGPACK}"
_END = text_message(encode_control(End()))


@dataclass(frozen=True, slots=True)
class Load:
    """What all sessions of a run share."""

    url: str
    """With the audio's format and the session's settings"""
    frames: Sequence[bytes]
    """Ready-made messages, sent over and over"""
    frame_samples: int
    sample_rate: int
    tally: Tally
    now: Callable[[], float]
    on_done: Callable[["LoadSession"], None]
    bearer: str | None = None


class LoadSession(LoadWire):
    """From the opening handshake to the summary. `beat` is called once a frame by the wheel.

    Args:
        load: what it shares with the others.
        first: the frame it begins with.
        count: frames it sends.
        group: where its latencies are counted, too.
        welcome: called with the session's id once it is there.
    """

    def __init__(
        self,
        load: Load,
        *,
        first: int,
        count: int,
        group: str | None = None,
        welcome: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._load = load
        self._tally = load.tally
        self._frames_out = load.frames
        self._first = first
        self._count = count
        self._group = group
        self._welcome = welcome
        self._origin: float | None = None
        self._summary: dict[str, Any] | None = None
        self._fatal: str | None = None
        self._last_seq = 0
        self._missed = 0
        self._repeated = 0
        self._told = False
        """The server said that events are lost"""
        self._stopped = False
        self.done = False
        self.ended = False
        """`end` was sent"""
        self.sent = 0
        """Frames"""
        self.open = False
        """Between welcome and the end of the socket"""

    def beat(self, due: float) -> bool:
        """Send the frame whose last sample is due at `due` (monotonic seconds); False once all are sent."""
        if self.done:
            return False
        transport = self._ready(due)
        if transport is None:
            return True
        if self.sent == self._count:
            self._end()
            return False
        self._send(transport)
        return True

    def _ready(self, due: float) -> asyncio.Transport | None:
        """Where to send what is due; None while the session isn't open. The first time its audio begins."""
        if not self.open or self._transport is None:
            return None
        if self._origin is None:
            self._begin(due)
        return self._transport

    def stop(self) -> None:
        """Send nothing that was not sent yet, and end as if that were all.

        Latencies are not counted any more: the window that `end` cuts short has waited for it.
        """
        self._stopped = True
        self._count = self.sent

    def give_up(self, reason: str) -> None:
        """Stop waiting for this session and count it as failed."""
        self.cut()
        self._finish(reason)

    def opening(self) -> tuple[str, list[str], str | None]:
        return self._load.url, [SUBPROTOCOL], self._load.bearer

    def received(self, message: bytes) -> None:
        event = msgpack.unpackb(message)
        kind = event["type"]
        seq = event.get("seq")
        if seq is not None and not self._in_order(seq):
            return
        self._tally.events[kind] += 1
        if kind in LATENCY_TYPES:
            self._timed(kind, event["end_sample"])
        elif kind == "welcome":
            self.welcomed(event, message)
        elif kind == "gap":
            self._tally.gaps[event["reason"]] += event["end_sample"] - event["start_sample"]
        elif kind == "error":
            self._tally.errors[event["code"]] += 1
            if event["fatal"]:
                self._fatal = f"{event['code']}: {event['message']}"
        elif kind == "summary":
            self._summary = event
            self._tally.classified_samples += event["classified_samples"]

    def welcomed(self, event: dict[str, Any], message: bytes) -> None:
        """The session is there."""
        self.open = True
        self._opened(event["session_id"])

    def refused(self, reason: str, status: int | None) -> None:
        self._finish(reason)

    def lost(self, code: int | None) -> None:
        self.open = False
        if code is not None:
            self._tally.closes[code] += 1
        self._finish(self._verdict(code))

    def _timed(self, kind: str, end_sample: int) -> None:
        if self._origin is None or self._stopped:
            return
        now = self._load.now()
        due = self._origin + end_sample / self._load.sample_rate
        self._tally.record(kind, now - due, now, self._group)

    def _opened(self, session_id: str) -> None:
        self._tally.welcomed += 1
        if self._welcome is not None:
            self._welcome(session_id)

    def _begin(self, due: float) -> None:
        self._origin = due - self._load.frame_samples / self._load.sample_rate

    def _send(self, transport: asyncio.Transport) -> None:
        transport.write(self._next_frame())

    def _next_frame(self) -> bytes:
        """Counted as sent."""
        frame = self._frames_out[(self._first + self.sent) % len(self._frames_out)]
        self.sent += 1
        self._tally.frames += 1
        return frame

    def _end(self) -> None:
        self.ended = True
        self._write(_END)

    def _in_order(self, seq: int) -> bool:
        """Whether a durable event is new; those left out and those that came before are counted."""
        expected = self._last_seq + 1
        if seq < expected:
            self._repeated += 1
            self._tally.repeated += 1
            return False
        self._missed += seq - expected
        self._tally.missed += seq - expected
        self._last_seq = seq
        return True

    def _verdict(self, code: int | None) -> str | None:
        """Why this session failed; None where it did what it should."""
        summary, sent = self._summary, self.sent * self._load.frame_samples
        if self._fatal is not None:
            return self._fatal
        if summary is None:
            lost = code is None or code == NO_CLOSE_FRAME
            return "lost without a summary" if lost else f"closed with {code}, no summary"
        if summary["next_sample"] != sent:
            return "the summary counts other audio than was sent"
        if summary["classified_samples"] + summary["gap_samples"] != summary["next_sample"]:
            return "the summary does not add up"
        if self._missed and not self._told:
            return "events were missed, and nobody said so"
        if self._repeated:
            return "events came twice"
        return None if self.ended else "ended before all audio was sent"

    def _finish(self, failure: str | None) -> None:
        if self.done:
            return
        self.done = True
        self.open = False
        if failure is None:
            self._tally.finished += 1
        else:
            self._tally.failures[failure] += 1
        self._load.on_done(self)
