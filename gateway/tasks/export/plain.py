"""A transcript to read: one line for each thing said or heard, in order."""

from collections.abc import Iterator

from gateway.tasks.export.cues import described
from gateway.tasks.export.lanes import Lane, in_lanes
from gateway.tasks.export.text import clean, humanised
from gateway.tasks.export.times import date, decimal, milliseconds, timecode
from gateway.tasks.story import Story
from protocol.events import AudioEvent, Gap, Queue, Speaker, Tone, Transcript


def write(story: Story, lanes: frozenset[Lane]) -> Iterator[bytes]:
    """What the session was, then its lines; a tone and a speaker are told when they change."""
    yield _head(story)
    rate = story.audio.sample_rate
    felt: tuple[str, str] | None = None
    heard = ""
    for lane, event in in_lanes(story, lanes):
        match event:
            case Tone():
                manner = (clean(event.speaker_id), humanised(event.label))
                if manner == felt:
                    continue
                felt = manner
            case Speaker():
                who = clean(event.speaker_id) or humanised(event.label)
                if who == heard:
                    continue
                heard = who
        at = timecode(milliseconds(event.start_sample, rate))
        yield f"[{at}] {_told(story, lane, event, lanes)}\n".encode()


def _head(story: Story) -> bytes:
    length = timecode(milliseconds(story.counts.get("next_sample", 0), story.audio.sample_rate))
    lines = [
        f"Undertone session {clean(story.name)}",
        f"{date(story.created_at)}, {length} of audio, {story.status}",
    ]
    if story.truncated:
        lines.append("The record reached its bound: later events are missing.")
    if story.unreadable:
        lines.append(f"{story.unreadable} events of the record could not be read.")
    return "".join(f"{line}\n" for line in [*lines, ""]).encode()


def _told(story: Story, lane: Lane, event: AudioEvent, lanes: frozenset[Lane]) -> str:
    match event:
        case Transcript():
            who = clean(event.speaker_id) if Lane.SPEAKER in lanes else ""
            return f"{who}: {clean(event.text)}" if who else clean(event.text)
        case Tone():
            who = clean(event.speaker_id)
            manner = f"{humanised(event.label)} {event.confidence:.2f}"
            return f"({manner}, {who})" if who else f"({manner})"
        case Speaker():
            return f"({clean(event.speaker_id) or humanised(event.label)} is heard)"
        case Queue():
            return f"({described(event)})"
        case Gap():
            lasted = decimal(event.end_sample - event.start_sample, story.audio.sample_rate)
            return f"({described(event)}, {lasted} s)"
        case _:
            return f"({lane})"
