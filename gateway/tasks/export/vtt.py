"""WebVTT (W3C Candidate Recommendation, 4 April 2019): captions with voices, or cues for a page's script.

Captions hold tones and speakers as `NOTE` blocks too, which players skip: JSON, one object a block.
"""

import heapq
from collections.abc import Iterator
from typing import Any

import orjson

from gateway.tasks.export.cues import Cue, captions
from gateway.tasks.export.lanes import Lane, in_lanes
from gateway.tasks.export.text import clean
from gateway.tasks.export.times import date, decimal, milliseconds, timecode
from gateway.tasks.story import Story
from protocol.events import AudioEvent, Gap, Queue, Speaker, Tone, Transcript

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_IN_JSON = {code: f"\\u{code:04x}" for code in (*map(ord, "<>&"), *range(0x7F, 0xA0), 0x2028, 0x2029)}
"""Escaped in JSON, too: the parts of an arrow and of markup, and all that some take for a new line."""
_NOTED = frozenset((Lane.TONE, Lane.SPEAKER))


def write_captions(story: Story, lanes: frozenset[Lane]) -> Iterator[bytes]:
    """Captions for people."""
    yield _head(story)
    cues = ((cue.start_ms, _caption(number, cue)) for number, cue in enumerate(captions(story, lanes), 1))
    rate = story.audio.sample_rate
    notes = (
        (milliseconds(event.start_sample, rate), b"NOTE " + _data(story, lane, event) + b"\n\n")
        for lane, event in in_lanes(story, lanes & _NOTED)
    )
    for _, block in heapq.merge(notes, cues, key=lambda one: one[0]):
        yield block


def write_metadata(story: Story, lanes: frozenset[Lane]) -> Iterator[bytes]:
    """Every event of `lanes` as a cue of JSON, for `<track kind="metadata">`."""
    yield _head(story)
    rate = story.audio.sample_rate
    for lane, event in in_lanes(story, lanes):
        start = milliseconds(event.start_sample, rate)
        end = max(milliseconds(event.end_sample, rate), start + 1)
        timing = f"{lane}-{event.seq}\n{timecode(start)} --> {timecode(end)}\n"
        yield timing.encode() + _data(story, lane, event) + b"\n\n"


def escaped(text: str) -> str:
    """`text` as cue text: nothing in it is markup, and no arrow can pass for a timing line's."""
    return text.translate(_ENTITIES)


def _head(story: Story) -> bytes:
    """The signature, and what the file is of."""
    facts = [
        f"Undertone session {clean(story.name)}, {date(story.created_at)}",
        f"{decimal(story.counts.get('next_sample', 0), story.audio.sample_rate)} seconds of audio",
    ]
    if story.truncated:
        facts.append("The record reached its bound: later events are missing.")
    if story.unreadable:
        facts.append(f"{story.unreadable} events of the record could not be read.")
    note = "\n".join(escaped(fact) for fact in facts)
    return f"WEBVTT\n\nNOTE\n{note}\n\n".encode()


def _caption(number: int, cue: Cue) -> bytes:
    text = "\n".join(map(escaped, cue.lines))
    if cue.speaker:
        # In an annotation a line break or `>` would end it; entities are read there as in text.
        text = f"<v {escaped(cue.speaker)}>{text}</v>"
    timing = f"{timecode(cue.start_ms)} --> {timecode(cue.end_ms)}"
    return f"{cue.lane}-{number}\n{timing}\n{text}\n\n".encode()


def _data(story: Story, lane: Lane, event: AudioEvent) -> bytes:
    """What an event says, on one line in which no arrow can stand."""
    seconds = story.seconds
    said: dict[str, Any] = {
        "lane": lane,
        "seq": event.seq,
        "start_s": round(seconds(event.start_sample), 6),
        "end_s": round(seconds(event.end_sample), 6),
        **_said(event),
    }
    known = {name: value for name, value in said.items() if value is not None}
    return orjson.dumps(known).decode().translate(_IN_JSON).encode()


def _said(event: AudioEvent) -> dict[str, Any]:
    match event:
        case Tone():
            names = ("label", "confidence", "speaker_id", "affect", "subtext", "valence", "arousal")
            shift = ("dominance", "shift_direction", "shift_magnitude")
            return {name: getattr(event, name) for name in (*names, *shift)}
        case Speaker():
            return {name: getattr(event, name) for name in ("label", "speaker_id", "confidence")}
        case Queue():
            return {name: getattr(event, name) for name in ("label", "confidence", "digits")}
        case Transcript():
            return {name: getattr(event, name) for name in ("text", "speaker_id", "language", "confidence")}
        case Gap():
            return {"reason": event.reason}
        case _:
            return {}
