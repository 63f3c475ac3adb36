"""Audacity's label track: start, end and label of each stretch, to lay beside one's own copy of the audio."""

from collections.abc import Iterator

from gateway.tasks.export.cues import described
from gateway.tasks.export.lanes import Lane, in_lanes
from gateway.tasks.export.text import clean, humanised
from gateway.tasks.export.times import decimal
from gateway.tasks.story import Story
from protocol.events import AudioEvent, Speaker, Tone, Transcript

PLACES = 6
"""Decimals of a second, as Audacity writes them."""


def write(story: Story, lanes: frozenset[Lane]) -> Iterator[bytes]:
    """One line an event; the label begins with its lane."""
    rate = story.audio.sample_rate
    for lane, event in in_lanes(story, lanes):
        start, end = decimal(event.start_sample, rate, PLACES), decimal(event.end_sample, rate, PLACES)
        yield f"{start}\t{end}\t{lane}: {_told(event, lanes)}\n".encode()


def _told(event: AudioEvent, lanes: frozenset[Lane]) -> str:
    match event:
        case Transcript():
            who = clean(event.speaker_id) if Lane.SPEAKER in lanes else ""
            return f"{who}: {clean(event.text)}" if who else clean(event.text)
        case Tone():
            who = clean(event.speaker_id)
            manner = f"{humanised(event.label)} {event.confidence:.2f}"
            return f"{manner} ({who})" if who else manner
        case Speaker():
            return clean(event.speaker_id) or humanised(event.label)
        case _:
            return described(event)
