"""The lanes of a session: what runs beside its transcript, each a row of stretches of audio."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType

from gateway.tasks.story import Story
from protocol.events import AudioEvent, Gap, Queue, Speaker, Tone, Transcript


class Lane(StrEnum):
    """What can be written or left out."""

    TRANSCRIPT = "transcript"
    TONE = "tone"
    SPEAKER = "speaker"
    QUEUE = "queue"
    GAP = "gap"


ALL = frozenset(Lane)

LANE_OF: Mapping[type[AudioEvent], Lane] = MappingProxyType(
    {
        Transcript: Lane.TRANSCRIPT,
        Tone: Lane.TONE,
        Speaker: Lane.SPEAKER,
        Queue: Lane.QUEUE,
        Gap: Lane.GAP,
    }
)

START = attrgetter("start_sample")
"""Sorts events by where they begin; those that a story has in order stay in the order of their numbers."""
_PLACE = attrgetter("start_sample", "seq")


def in_lanes(story: Story, lanes: frozenset[Lane]) -> Iterator[tuple[Lane, AudioEvent]]:
    """The events of `lanes` by where they begin, then by number; transcripts without words are none."""
    rows: dict[Lane, Sequence[AudioEvent]] = {
        Lane.TRANSCRIPT: story.transcripts,
        Lane.TONE: story.tones,
        Lane.SPEAKER: story.speakers,
        Lane.QUEUE: story.queues,
        Lane.GAP: story.gaps,
    }
    wanted = [sorted(row, key=START) for lane, row in rows.items() if lane in lanes]
    for event in heapq.merge(*wanted, key=_PLACE):
        yield LANE_OF[type(event)], event
