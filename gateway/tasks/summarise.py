"""What a session amounts to in numbers.

Each part is a generator that yields while it counts, so that whoever runs it can pause and stop, and returns
its figures. Where windows overlap, each owns only what the ones before left (as in the accounting of
samples), so no second counts twice.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import orjson

from gateway.tasks.export.lanes import START
from gateway.tasks.story import Story
from protocol.events import AudioEvent, DurableEvent, Queue, QueueLabel, ShiftDirection, Tone, Transcript

MOST_SHIFTS = 20
"""Shifts that are told one by one: the largest."""
LASTS_S = 10.0
"""Seconds after which a state of the call that lasts is told again (`gateway.classify.acoustic.queue`)."""

_QUIET = frozenset((QueueLabel.SILENCE, QueueLabel.DEAD_AIR))

E = TypeVar("E", bound=AudioEvent)

Part: TypeAlias = Generator[bytes, None, Any]
"""Yields while it counts, and returns plain values for JSON."""
PAUSE = b""
"""A piece of nothing, at which the work may pause."""

Span: TypeAlias = tuple[int, int]
"""First sample index, and one past the last."""


def summarise(story: Story) -> dict[str, Any]:
    """The summary as plain values for JSON; seconds are of the session's audio."""
    summary: dict[str, Any] = orjson.loads(b"".join(write(story)))
    return summary


def write(story: Story) -> Iterator[bytes]:
    """The same as a JSON document: many empty pieces, then the whole."""
    summary: dict[str, Any] = {}
    for name, tell in _PARTS.items():
        summary[name] = yield from tell(story)
    yield orjson.dumps(summary) + b"\n"


@dataclass(slots=True)
class _Share:
    samples: int = 0
    certain: float = 0.0
    """Confidence, times samples."""


def _owned(events: Iterable[E]) -> Iterator[tuple[E, int]]:
    """Each event with the number of samples that it owns, in order of their start."""
    covered = 0
    for event in sorted(events, key=START):
        owned = max(event.end_sample - max(event.start_sample, covered), 0)
        covered = max(covered, event.end_sample)
        yield event, owned


def _by_type(story: Story) -> Part:
    counts: Counter[str] = Counter()
    for event in story.events:
        counts[event.type] += 1
        yield PAUSE
    return counts


def _words(story: Story) -> Part:
    words = 0
    for said in story.transcripts:
        words += len(said.text.split())
        yield PAUSE
    return words


def _samples(story: Story) -> Mapping[str, int]:
    named = {name: number for name, number in story.counts.items() if name.endswith("_samples")}
    return {"next_sample": story.counts.get("next_sample", 0), **named}


def _talk_time(story: Story) -> Part:
    """Seconds of voice per speaker, the most talkative first; by words where there are no tones."""
    heard: dict[str | None, int] = {}
    voices: Sequence[Tone | Transcript] = story.tones or story.transcripts
    for event, owned in _owned(voices):
        heard[event.speaker_id] = heard.get(event.speaker_id, 0) + owned
        yield PAUSE
    total = sum(heard.values())
    ranked = sorted(heard.items(), key=lambda one: (-one[1], one[0] or ""))
    return [
        {"speaker_id": speaker, "seconds": _seconds(story, samples), "share": _share(samples, total)}
        for speaker, samples in ranked
    ]


def _distribution(story: Story) -> Part:
    """Tones by the time they took, the longest first."""
    shares: dict[str, _Share] = {}
    for tone, owned in _owned(story.tones):
        share = shares.setdefault(tone.label, _Share())
        share.samples += owned
        share.certain += tone.confidence * owned
        yield PAUSE
    total = sum(share.samples for share in shares.values())
    ranked = sorted(shares.items(), key=lambda one: (-one[1].samples, one[0]))
    return [
        {
            "label": label,
            "seconds": _seconds(story, share.samples),
            "share": _share(share.samples, total),
            "mean_confidence": round(share.certain / share.samples, 3) if share.samples else None,
        }
        for label, share in ranked
    ]


def _shifts(story: Story) -> Mapping[str, Any]:
    """Tones that escalated or calmed down; those that stayed stable are none."""
    moved = [tone for tone in story.tones if tone.shift_direction not in (None, ShiftDirection.STABLE)]
    by_size = sorted(moved, key=lambda tone: (-(tone.shift_magnitude or 0.0), tone.seq))
    largest = sorted(by_size[:MOST_SHIFTS], key=lambda tone: tone.seq)
    return {
        "escalating": sum(tone.shift_direction is ShiftDirection.ESCALATING for tone in moved),
        "de_escalating": sum(tone.shift_direction is ShiftDirection.DE_ESCALATING for tone in moved),
        "largest": [
            {
                "seq": tone.seq,
                "at_s": _seconds(story, tone.start_sample),
                "label": tone.label,
                "speaker_id": tone.speaker_id,
                "direction": tone.shift_direction,
                "magnitude": tone.shift_magnitude,
            }
            for tone in largest
        ],
    }


def _gaps(story: Story) -> Mapping[str, float]:
    """Seconds not classified, by reason."""
    lost: dict[str, int] = {}
    for gap in story.gaps:
        reason = gap.reason.value
        lost[reason] = lost.get(reason, 0) + gap.end_sample - gap.start_sample
    return {reason: _seconds(story, samples) for reason, samples in lost.items()}


def _longest_silence(story: Story) -> Part:
    """The longest stretch of analysed audio without voice, music or signals; None where nothing tells."""
    listened: Sequence[DurableEvent] = (*story.tones, *story.transcripts, *story.queues)
    end = story.counts.get("next_sample", 0) - story.counts.get("pending_samples", 0)
    if not listened or end <= 0:
        return None
    busy = [(one.start_sample, one.end_sample) for one in (*story.tones, *story.transcripts, *story.gaps)]
    longest, free_from = (0, 0), 0
    for start, stop in sorted([*busy, *_signals(story), (end, end)]):
        if min(start, end) - free_from > longest[1] - longest[0]:
            longest = (free_from, min(start, end))
        free_from = max(free_from, stop)
        yield PAUSE
    start, stop = longest
    return {
        "start_s": _seconds(story, start),
        "end_s": _seconds(story, stop),
        "seconds": _seconds(story, stop - start),
    }


def _signals(story: Story) -> Iterator[Span]:
    """Where music or a signal was heard: from when it is told until something else is, or for ten seconds."""
    changes = sorted((*story.queues, *story.tones), key=START)
    lasts = round(LASTS_S * story.audio.sample_rate)
    for index, event in enumerate(changes):
        if not isinstance(event, Queue) or event.label in _QUIET:
            continue
        stop = event.end_sample
        if event.label is not QueueLabel.DTMF_TONE:
            stop += lasts
            if index + 1 < len(changes):
                stop = max(event.end_sample, min(stop, changes[index + 1].start_sample))
        yield event.start_sample, stop


def _seconds(story: Story, samples: int) -> float:
    return round(story.seconds(samples), 3)


def _share(part: int, total: int) -> float:
    return round(part / total, 4) if total else 0.0


def _at_once(tell: Callable[[Story], Any]) -> Callable[[Story], Part]:
    """A part that takes no time worth a pause."""

    def part(story: Story) -> Part:
        yield PAUSE
        return tell(story)

    return part


_PARTS: Mapping[str, Callable[[Story], Part]] = MappingProxyType(
    {
        "session_id": _at_once(lambda story: story.session_id),
        "status": _at_once(lambda story: story.status),
        "duration_s": _at_once(lambda story: round(story.duration_s, 3)),
        "samples": _at_once(_samples),
        "events": _by_type,
        "words": _words,
        "talk_time": _talk_time,
        "tones": _distribution,
        "shifts": _at_once(_shifts),
        "gaps": _at_once(_gaps),
        "longest_silence": _longest_silence,
        "truncated": _at_once(lambda story: story.truncated),
        "unreadable": _at_once(lambda story: story.unreadable),
    }
)
"""What a summary holds, in this order."""
