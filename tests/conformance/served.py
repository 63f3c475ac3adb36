"""The ways in which the gateway's WebSockets are served, and one connection's outcome under each."""

import enum
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos.frames import NO_CLOSE_FRAME, Op, close, frame, text
from tests.chaos.raw import RawPeer

QUIET_S = 2.0
"""Seconds after which a connection that should have been failed is taken to live on."""
_SENTINEL = "the sentinel"
VOICE = "/ws/voice?features=queue&encoding=mulaw&sample_rate=48000"
"""One byte is one sample, and 64 KiB are less than two seconds."""


class Lane(enum.StrEnum):
    """Who reads the frames."""

    FAST = "fast"
    """`undertone serve`: our own protocol class, frames straight to the session."""
    PORTABLE = "portable"
    """Stock uvicorn with `websockets-sansio`, messages through ASGI."""
    HYPERCORN = "hypercorn"
    """The same application under another ASGI server, which has nothing of uvicorn's."""


COMMANDS: Mapping[Lane, tuple[str, ...]] = {
    Lane.FAST: (),
    Lane.PORTABLE: ("tests.conformance.portable",),
    Lane.HYPERCORN: ("tests.conformance.under_hypercorn",),
}
"""What `tests.e2e.conftest.start_gateway` is to run."""


class Delivery(enum.StrEnum):
    """How bytes are cut into segments, which may change nothing."""

    AT_ONCE = "at once"
    BY_FRAME = "frame by frame"
    CHOPPED = "chopped"
    """Octet by octet; larger ones in pieces that fit no frame."""

    def cut(self, frames: Sequence[bytes]) -> list[bytes]:
        """`frames` as they are to be sent."""
        data = b"".join(frames)
        match self:
            case Delivery.AT_ONCE:
                return [data]
            case Delivery.BY_FRAME:
                return list(frames)
            case Delivery.CHOPPED:
                size = 1 if len(data) <= _OCTETS else _CHOP
                return [data[at : at + size] for at in range(0, len(data), size)]


_OCTETS = 600
_CHOP = 997


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a connection, as far as its peer can tell."""

    code: int | None = None
    """The server's close code; None where the connection lives on."""
    pongs: tuple[bytes, ...] = ()
    """Payloads of pong frames."""
    said: tuple[str, ...] = ()
    """`t` of each `pong` event, `code` of each `error` event. A reply that is on its way when the connection
    is closed may be lost, so cases that end in that ask for none."""
    heard: int = 0
    """Bytes of audio that the session counts as received."""


@dataclass(frozen=True, slots=True)
class Case:
    """Frames that a client sends once it is welcome, and what is to become of the connection."""

    name: str
    sends: tuple[bytes, ...]
    expects: Outcome


def asks(t: str) -> str:
    """A control message that is answered with `t`: what an echo is elsewhere."""
    return json.dumps({"type": "ping", "t": t}, ensure_ascii=False)


def asks_in(size: int) -> str:
    """The same in so many bytes, answered with the number; white space makes up for the rest."""
    return asks(str(size)).ljust(size)


def audio(size: int) -> bytes:
    """So many bytes, the same each time, of which none is the same as those a few places further."""
    return random.Random(size).randbytes(size)


@dataclass(frozen=True, slots=True)
class Served:
    """A running gateway."""

    lane: Lane
    port: int
    http: httpx.Client

    def dial(self, target: str = VOICE) -> tuple[RawPeer, str]:
        """A peer with a session of its own, and the session's id."""
        peer = RawPeer.dial(self.port, target)
        assert peer.welcome is not None
        return peer, peer.welcome["session_id"]

    def outcome(self, sends: Sequence[bytes], lives: bool, lingers: bool = False) -> Outcome:
        """What becomes of a connection over which `sends` go; one that `lives` is closed in the end. One that
        `lingers` need not end after its close frame."""
        peer, session = self.dial()
        with peer:
            peer.send(*sends)
            if lives:
                peer.send(text(json.dumps({"type": "ping", "t": _SENTINEL})))
            code, pongs, said = _listen(peer, lingers)
            heard = self.stats(session)["received_samples"]
            if code is None and lives:
                peer.send(close(1000))
                assert peer.ending()[1] == 1000
        return Outcome(code, pongs, said, heard)

    def stats(self, session: str) -> dict[str, Any]:
        """What the gateway counts of a session."""
        answer = self.http.get(f"/api/v1/sessions/{session}/stats")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


def _listen(peer: RawPeer, lingers: bool) -> tuple[int | None, tuple[bytes, ...], tuple[str, ...]]:
    """Up to the sentinel's answer, or to the end of the connection: its code, and what was said."""
    peer.socket.settimeout(QUIET_S)
    code: int | None = None
    pongs: list[bytes] = []
    said: list[str] = []
    try:
        while (one := peer.frame()) is not None:
            if one.op is Op.PONG:
                pongs.append(one.payload)
            elif one.op is Op.CLOSE:
                assert code is None, "two close frames"
                code = one.code
                peer.send(frame(Op.CLOSE, one.payload))
            elif (answer := _answer(json.loads(one.payload))) == _SENTINEL:
                break
            elif answer is not None:
                said.append(answer)
        else:
            code = NO_CLOSE_FRAME if code is None else code
    except TimeoutError:
        assert code is None or lingers, f"closed with {code}, but the connection has not ended"
    return code, tuple(pongs), tuple(said)


def _answer(event: dict[str, Any]) -> str | None:
    match event["type"]:
        case "pong":
            return str(event["t"])
        case "error":
            return str(event["code"])
    return None
