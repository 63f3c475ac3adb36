"""What the report says in sentences: in short, what to know before reading, and what the figures are not."""

from collections.abc import Iterator

from gateway.sessions.model import TERMINAL
from gateway.tasks.report.facts import MOST_MOMENTS, Facts
from gateway.tasks.report.words import clock, count, length, listed, percent, short
from gateway.tasks.story import Story
from protocol.control import Feature, SessionConfig
from protocol.events import Service, ServiceStatus

HONEST = (
    "Tone labels are a machine’s estimates, led by how energetic a voice sounded against its usual: they "
    "don’t say what anybody felt or meant, and a confidence is a score from 0 to 1 for comparing moments "
    "with each other, not the chance that a label is right."
)
_MOST_TOLD = 4
_MOST_SERVICE = 8
_FEATURES = {
    Feature.TONE: "tones",
    Feature.SPEAKER: "speakers",
    Feature.TRANSCRIPT: "a transcript",
    Feature.QUEUE: "the state of the call",
}


def in_short(facts: Facts) -> Iterator[tuple[str, str]]:
    """What there is to know at a glance: a name and a value each."""
    story = facts.story
    yield "Length", length(facts.extent_s)
    if facts.shares:
        total = sum(seconds for _, seconds, _ in facts.shares)
        label, seconds, _ = facts.shares[0]
        yield "Most heard tone", f"{label} ({percent(seconds / total)} of the time that has a tone)"
        moments = len(facts.moments)
        yield "Clear changes of tone", f"{moments or 'none'}{' or more' if moments == MOST_MOMENTS else ''}"
    else:
        yield "Tones", "none told"
    voices = [short(voice.name) for voice in facts.voices[:_MOST_TOLD]]
    more = len(facts.voices) - len(voices) + facts.nameless
    if more:
        voices.append(f"{more} more")
    yield "Speakers", listed(voices) if voices else "none told apart"
    said = len(story.transcripts)
    yield "Words", count(said, "utterance") if said else "no transcript"
    yield "Not analysed", length(facts.missed_s) if facts.missed_s else "nothing"


def drawing_words(facts: Facts) -> str:
    """The drawing in words, for those who don't see it."""
    told = [f"From 0:00 to {clock(facts.extent_s)}."]
    total = sum(seconds for _, seconds, _ in facts.shares)
    shares = [f"{label} {percent(seconds / total)}" for label, seconds, _ in facts.shares[:_MOST_TOLD]]
    told.append(f"Tones: {listed(shares)}." if shares else "No tone was told.")
    if facts.moments:
        moments = [f"{one.shift} at {clock(one.span.end_s)}" for one in facts.moments]
        told.append(f"Clear changes: {listed(moments)}.")
    voices = [f"{voice.name} {length(voice.seconds)}" for voice in facts.voices if voice.spans]
    if voices:
        told.append(f"Speakers: {listed(voices)}.")
    if facts.calls:
        kinds = list(dict.fromkeys(call.name for call in facts.calls))
        told.append(f"State of the call: {listed(kinds)}.")
    gaps = f"Not analysed: {length(facts.missed_s)} in {count(len(facts.gaps), 'gap')}."
    told.append(gaps if facts.gaps else "No gaps.")
    return " ".join(told)


def notices(facts: Facts) -> Iterator[str]:
    """What to know before reading on."""
    story = facts.story
    if story.status not in TERMINAL:
        yield "The session was still going on when this report was made, so it tells of its beginning only."
    if story.truncated:
        yield (
            f"The record of this session reached its bound: what came after {clock(facts.told_s)} is missing "
            "from this report, except in the totals."
        )
    if story.unreadable:
        entries = count(story.unreadable, "entry", "entries")
        yield f"{entries} of the record could not be read and {_are(story.unreadable)} left out."
    if facts.missed_s:
        share = min(1.0, facts.missed_s / facts.extent_s)
        yield (
            f"Of the audio, {percent(share)} ({length(facts.missed_s)}) was not analysed: nothing is known "
            "about how things were said there."
        )
    if story.config.min_confidence > SessionConfig().min_confidence:
        least = f"{story.config.min_confidence:.2f}"
        yield f"Only what reached a confidence of {least} was told, as the session’s settings asked."
    unwanted = [words for feature, words in _FEATURES.items() if feature not in story.config.features]
    if unwanted:
        yield f"The session did not ask for {' or '.join(unwanted)}."
    yield from _troubles(story)


def empty(facts: Facts) -> str | None:
    """What to say where there is nothing to show; None where there is something."""
    story = facts.story
    if facts.extent_s == 0:
        return (
            "No audio reached this session, so there is nothing to look back on. If you expected some, see "
            "whether the microphone was muted, or its use refused."
        )
    if not any((facts.tones, facts.voices, facts.calls, facts.gaps, story.transcripts, facts.around)):
        return (
            f"{length(facts.extent_s)} of audio arrived, and nothing in it was told: no voice was clear "
            "enough for a tone, and no words were made out. A quiet stretch looks just like this."
        )
    return None


def _troubles(story: Story) -> Iterator[str]:
    """What the gateway warned of, each thing once."""
    bad = (ServiceStatus.WARNING, ServiceStatus.ERROR)
    told = [event for event in story.events if isinstance(event, Service) and event.status in bad]
    first = {short(event.detail, 200): event for event in reversed(told)}
    for detail, event in [*reversed(first.items())][:_MOST_SERVICE]:
        word = "Warning" if event.status is ServiceStatus.WARNING else "Error"
        yield f"{word} at {clock(event.timestamp)}: {detail}"
    if len(first) > _MOST_SERVICE:
        yield f"{count(len(first) - _MOST_SERVICE, 'other warning')} of that kind."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
