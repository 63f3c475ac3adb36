"""Events as a gateway would send them, made short for the tests of what is shown."""

from typing import Any

from protocol import events as ev
from protocol.audio import AudioFormat
from protocol.control import Delivery

RATE = 16_000
SESSION = "3f2a91bcdd0123456789abcdef012345"


def at(kind: type[ev.AudioEvent], start_s: float, end_s: float, **fields: Any) -> Any:
    """An event of `kind` about the audio from `start_s` to `end_s`."""
    return kind(
        seq=1,
        session_id=SESSION,
        timestamp=end_s,
        start_sample=round(start_s * RATE),
        end_sample=round(end_s * RATE),
        **fields,
    )


def tone(second: int, label: str, **fields: Any) -> Any:
    """A tone of one second."""
    return at(ev.Tone, second, second + 1, label=label, confidence=0.5, **fields)


def queue(start_s: float, end_s: float, label: str, **fields: Any) -> Any:
    """A queue state."""
    return at(ev.Queue, start_s, end_s, label=ev.QueueLabel(label), confidence=0.8, **fields)


def words(start_s: float, end_s: float, text: str, *, final: bool, who: str | None = None) -> Any:
    """A transcript."""
    return at(ev.Transcript, start_s, end_s, text=text, is_final=final, revision=0, speaker_id=who)


def service(detail: str, at_s: float = 1.0) -> ev.Service:
    """A warning."""
    status = ev.ServiceStatus.WARNING
    return ev.Service(seq=1, session_id=SESSION, timestamp=at_s, status=status, detail=detail)


def flow(received_s: float, *, state: str = "ok", lag_ms: float = 300.0) -> ev.Flow:
    """A report of pressure."""
    return ev.Flow(
        received=round(received_s * RATE),
        classified=0,
        limit=None,
        lag_ms=lag_ms,
        dropped_ms=0.0,
        state=ev.FlowState(state),
    )


def summary(next_s: float, *, gap_s: float = 0.0, lost: int = 0, client_gap: int = 0) -> ev.Summary:
    """A summary whose counts add up, but for `lost`."""
    total, gaps = round(next_s * RATE), round(gap_s * RATE)
    return ev.Summary(
        seq=9,
        session_id=SESSION,
        timestamp=next_s,
        next_sample=total,
        classified_samples=total - gaps - lost,
        gap_samples=gaps,
        client_gap_samples=client_gap,
        received_samples=total - client_gap,
        events={"tone": 12, "queue": 3, "gap": 0},
        duration_s=next_s,
        speakers=("Speaker A", "Speaker B"),
        record_truncated=False,
    )


def welcome(**fields: Any) -> ev.Welcome:
    """The first event."""
    given: dict[str, Any] = {
        "protocol": "undertone.v1",
        "session_id": SESSION,
        "epoch": "e",
        "next_seq": 1,
        "next_sample": 0,
        "recovered": False,
        "replay_from": None,
        "replay_to": None,
        "resume_token": "secret-token",
        "audio": AudioFormat(),
        "window_ms": 1_000,
        "hop_ms": 1_000,
        "delivery": Delivery.REALTIME,
        "limit": None,
        "limits": {},
        "heartbeat_s": 20.0,
    }
    return ev.Welcome(**{**given, **fields})
