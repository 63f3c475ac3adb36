"""Stories for the tests of tasks: some made by hand, most by hypothesis, with text that means harm."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from gateway.tasks.story import Story
from protocol.audio import AudioFormat
from protocol.control import SessionConfig
from protocol.events import (
    DurableEvent,
    Gap,
    GapReason,
    Queue,
    QueueLabel,
    Service,
    ServiceStatus,
    ShiftDirection,
    Speaker,
    SpeakerLabel,
    Task,
    Tone,
    Transcript,
    Word,
)

RATE = 16_000

HOSTILE = [
    "-->",
    "a --> b",
    "00:00:01.000 --> 00:00:02.000\n\nfake",
    "<v Mallory>hello</v>",
    "&lt;b&gt; & <i>",
    "{\\an8}up",
    '=HYPERLINK("http://evil.example","x")',
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "'=1",
    "＝1",
    'quo"te, comma; semi',
    "1\n00:00:00,000 --> 00:00:01,000\nfake",
    "NOTE this",
    "line\u2028break\u2029here\x85and\x0bthere",
    "nul\x00bell\x07\ufeff",
    "\u202eright to left",
    "x" * 200,
    "日本語" * 40,
    "   ",
    "🙂🙂",
]

TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAMES = st.sampled_from(["Speaker A", "Speaker B", None]) | TEXT
SCORES = st.floats(0, 1)


def story(*events: DurableEvent, rate: int = RATE, next_sample: int | None = None, **given: Any) -> Story:
    """A story of `events`, which get their numbers; as long as they reach unless told otherwise."""
    numbered = tuple(replace(event, seq=number) for number, event in enumerate(events, 1))
    reach = max((getattr(event, "end_sample", 0) for event in events), default=0)
    counts = {"next_sample": reach if next_sample is None else next_sample, "pending_samples": 0}
    return Story(
        **{
            "session_id": "s" * 22,
            "created_at": 1_700_000_000.0,
            "audio": AudioFormat(sample_rate=rate),
            "config": SessionConfig(),
            "status": "closed",
            "counts": counts,
            "events": numbered,
            **given,
        }
    )


def place(start_s: float, end_s: float, rate: int = RATE) -> dict[str, Any]:
    """Where an event lies, by seconds; its number comes with the story."""
    return {
        "seq": 1,
        "session_id": "s" * 22,
        "timestamp": end_s,
        "start_sample": round(start_s * rate),
        "end_sample": round(end_s * rate),
    }


def tone(start_s: float, end_s: float, label: str = "Calm", **given: Any) -> Tone:
    """A tone."""
    return Tone(**place(start_s, end_s), **{"label": label, "confidence": 0.5, **given})


def said(start_s: float, end_s: float, text: str, **given: Any) -> Transcript:
    """An utterance."""
    return Transcript(**place(start_s, end_s), **{"text": text, "is_final": True, "revision": 0, **given})


def queue(start_s: float, end_s: float, label: QueueLabel, **given: Any) -> Queue:
    """A state of the call."""
    return Queue(**place(start_s, end_s), **{"label": label, "confidence": 0.9, **given})


def gap(start_s: float, end_s: float, reason: GapReason = GapReason.OVERLOAD) -> Gap:
    """A gap."""
    return Gap(**place(start_s, end_s), reason=reason)


# Made by hypothesis -----------------------------------------------------------------------------------------


@st.composite
def _places(draw: st.DrawFn, longest: int = 20 * 48_000) -> dict[str, Any]:
    start = draw(st.integers(0, 10_000_000))
    end = start + draw(st.integers(0, 3) | st.integers(0, longest))
    return {
        "seq": 1,
        "session_id": "s" * 22,
        "timestamp": end / RATE,
        "start_sample": start,
        "end_sample": end,
    }


@st.composite
def _transcripts(draw: st.DrawFn) -> Transcript:
    where = draw(_places())
    text = draw(TEXT | st.lists(TEXT, max_size=12).map(" ".join))
    words = None
    if draw(st.booleans()):
        marks = sorted(
            draw(st.lists(st.integers(where["start_sample"], where["end_sample"]), min_size=2, max_size=40))
        )
        told = text.split() or ["?"]
        pairs = itertools.pairwise(marks)
        words = tuple(
            Word(text=told[number % len(told)], start_sample=start, end_sample=end)
            for number, (start, end) in enumerate(pairs)
        )
    return Transcript(**where, text=text, speaker_id=draw(NAMES), is_final=True, revision=0, words=words)


_TONES = st.builds(
    lambda where, label, confidence, speaker_id, subtext, direction, magnitude: Tone(
        **where,
        label=label,
        confidence=confidence,
        speaker_id=speaker_id,
        subtext=subtext,
        shift_direction=direction,
        shift_magnitude=magnitude,
    ),
    _places(5 * 48_000),
    st.sampled_from(["Calm", "Tense", "Animated"]) | TEXT,
    SCORES,
    NAMES,
    st.none() | TEXT,
    st.none() | st.sampled_from(ShiftDirection),
    st.none() | SCORES,
)
_SPEAKERS = st.builds(
    lambda where, label, who, confidence: Speaker(
        **where, label=label, speaker_id=who, confidence=confidence
    ),
    _places(),
    st.sampled_from(SpeakerLabel),
    NAMES,
    SCORES,
)
_QUEUES = st.builds(
    lambda where, label, confidence, digits: Queue(
        **where, label=label, confidence=confidence, digits=digits
    ),
    _places(),
    st.sampled_from(QueueLabel),
    SCORES,
    st.none() | TEXT,
)
_GAPS = st.builds(lambda where, reason: Gap(**where, reason=reason), _places(), st.sampled_from(GapReason))
_OTHERS = st.builds(
    lambda detail: Service(
        seq=1, session_id="s" * 22, timestamp=1.0, status=ServiceStatus.WARNING, detail=detail
    ),
    TEXT,
) | st.builds(
    lambda kind: Task(seq=1, session_id="s" * 22, timestamp=1.0, task_id="t", task_type=kind, state="queued"),
    TEXT,
)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Any story there could be, in the order in which its events came."""
    events: Sequence[DurableEvent] = draw(
        st.lists(st.one_of(_transcripts(), _TONES, _SPEAKERS, _QUEUES, _GAPS, _OTHERS), max_size=25)
    )
    rate = draw(st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000]) | st.integers(8_000, 48_000))
    return story(*events, rate=rate, truncated=draw(st.booleans()), unreadable=draw(st.integers(0, 2)))
