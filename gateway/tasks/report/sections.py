"""The parts of the page that show sessions in tables."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gateway.tasks.report.facts import MOST_MOMENTS, Facts, Heard, given
from gateway.tasks.report.latency import QUANTILES, latencies
from gateway.tasks.report.markup import Markup, Node, element
from gateway.tasks.report.spans import Run, Span, step_above
from gateway.tasks.report.tables import MOST_ROWS, Column, at, lasting, name, table
from gateway.tasks.report.words import (
    GAP_WORDS,
    SHIFT_WORDS,
    SPEAKER_WORDS,
    count,
    listed,
    percent,
    score,
    short,
    tone_name,
)
from gateway.tasks.story import Story
from protocol.events import GapReason, SpeakerLabel, Transcript

_START, _LENGTH = Column("From"), Column("Length", True)
_CONFIDENCE = Column("Confidence", True)
_MOST_KINDS = 20
"""Rows of tables by kind, whose number a sidecar decides."""


def tone_shares(facts: Facts) -> Iterator[Node]:
    """How much of each tone there was."""
    if not facts.shares:
        yield element("p", "No tone was told in this session.")
        return
    total = sum(seconds for _, seconds, _ in facts.shares)
    shown, left = facts.shares[:_MOST_KINDS], facts.shares[_MOST_KINDS:]
    rows = [
        (name(label), lasting(seconds), percent(seconds / total), score(mean))
        for label, seconds, mean in shown
    ]
    also = f" {count(len(left), 'rarer label')} left out." if left else ""
    yield table(
        "shares",
        f"Each tone: for how long, its share of the time that has a tone, and its mean confidence.{also}",
        [Column("Tone"), Column("Time", True), Column("Share", True), _CONFIDENCE],
        rows,
    )


def moments(facts: Facts) -> Iterator[Node]:
    """The clearest changes of tone, with what was being said."""
    if not facts.moments:
        return
    rows: list[Sequence[Node]] = []
    for one in facts.moments:
        rows.append(_moment(facts, one))
        yield None
    columns = [Column("At"), Column("Change"), Column("Speaker"), Column("Tone"), Column("Said then")]
    yield element("h3", "Clear changes")
    yield table(
        "moments",
        f"Where the tone moved furthest, {MOST_MOMENTS} moments at most; 1.00 is as far as it can move.",
        columns,
        rows,
    )


def _moment(facts: Facts, one: Heard) -> Sequence[Node]:
    story = facts.story
    said = max(story.transcripts, key=lambda line: _overlap(story, line, one.span), default=None)
    if said is not None and _overlap(story, said, one.span) <= 0:
        said = None
    change = f"{SHIFT_WORDS[one.shift]}, {score(one.magnitude)}" if one.shift else ""
    words = element("bdi", short(said.text, 90), lang=language_of(said.language)) if said else name(None)
    return at(one.span.end_s), change, name(one.speaker), name(one.label), words


def _overlap(story: Story, line: Transcript, span: Span) -> float:
    """Seconds that both share; negative where they are apart."""
    return min(story.seconds(line.end_sample), span.end_s) - max(
        story.seconds(line.start_sample), span.start_s
    )


def stretches(facts: Facts) -> Iterator[Node]:
    """The timeline as a table: each stretch of one tone, or, where they are too many, each bin of time."""
    if not facts.stretches:
        return
    yield element("h3", "Moment by moment")
    yield _each(facts) if len(facts.stretches) <= MOST_ROWS else _summed(facts)


def _each(facts: Facts) -> Markup:
    rows = [
        (
            at(one.span.start_s),
            lasting(one.span.length_s),
            name(one.label),
            name(one.speaker),
            _range(one.confidences),
        )
        for one in facts.stretches
    ]
    columns = [_START, _LENGTH, Column("Tone"), Column("Speaker"), _CONFIDENCE]
    caption = "Each stretch of one tone and one speaker, with the least and the greatest confidence in it."
    return table("stretches", caption, columns, rows)


def _summed(facts: Facts) -> Markup:
    bin_s = step_above(facts.extent_s / MOST_ROWS)
    bins: dict[int, list[Heard]] = {}
    for tone in facts.tones:
        bins.setdefault(int(tone.span.start_s // bin_s), []).append(tone)
    caption = element(
        "span",
        f"{count(len(facts.stretches), 'stretch', 'stretches')} are too many to list, so each row sums up ",
        lasting(bin_s),
        ": its tones by their time, who spoke, and the mean confidence. Rows without a tone are left out.",
    )
    columns = [_START, Column("Tones"), Column("Speakers"), _CONFIDENCE]
    rows = [_bin(number * bin_s, tones) for number, tones in bins.items()]
    return table("stretches", caption, columns, rows)


def _range(confidences: Sequence[float]) -> str:
    low, high = score(min(confidences)), score(max(confidences))
    return low if low == high else f"{low} to {high}"


def _bin(start_s: float, tones: Sequence[Heard]) -> Sequence[Node]:
    seconds: Counter[str] = Counter()
    for tone in tones:
        seconds[tone.label] += max(1, round(tone.span.length_s * 1_000))
    total = seconds.total()
    told = [f"{label} {percent(held / total)}" for label, held in seconds.most_common(3)]
    if len(seconds) > len(told):
        told.append("others")
    who = list(dict.fromkeys(tone.speaker for tone in tones if tone.speaker))
    speakers = name(listed([*who[:3], *(["others"] if len(who) > 3 else [])])) if who else name(None)
    mean = sum(tone.confidence for tone in tones) / len(tones)
    return at(start_s), name(", ".join(told)), speakers, score(mean)


def speakers(facts: Facts) -> Iterator[Node]:
    """Who was heard, for how long."""
    heard = Counter(event.label for event in facts.story.speakers)
    heard.pop(SpeakerLabel.HUMAN_SINGLE, None)
    heard.pop(SpeakerLabel.NO_SPEAKER, None)
    if facts.voices:
        columns = [Column("Speaker"), Column("Time", True), Column("Turns", True), Column("Utterances", True)]
        rows = [
            (name(one.name), lasting(one.seconds), f"{len(one.spans):,}", f"{one.utterances:,}")
            for one in facts.voices
        ]
        rest = f" {count(facts.nameless, 'further speaker')} left out." if facts.nameless else ""
        caption = f"Speakers in order of appearance: the time in which a tone of theirs was told.{rest}"
        yield table("speakers", caption, columns, rows)
        yield element("p", "Names are turns told apart by voice, not identities: nobody was recognised.")
    else:
        yield element("p", "No speakers were told apart.")
    if heard:
        told = [f"{SPEAKER_WORDS[label]} ({count(number, 'time')})" for label, number in heard.items()]
        yield element("p", f"Also heard: {listed(told)}.")


def calls(facts: Facts) -> Iterator[Node]:
    """In which states the call was."""
    if not facts.calls:
        yield element("p", "No hold music, ringing, dialling or long silence was told.")
        return
    columns = [_START, Column("At least for", True), Column("State"), _CONFIDENCE]
    rows = [
        (at(call.span.start_s), lasting(call.span.length_s), call.name, _score(call.confidence))
        for call in facts.calls[:MOST_ROWS]
    ]
    caption = "States of the call, in order, each until it was last told." + _left_out(facts.calls)
    yield table("calls", caption, columns, rows)
    if any(queue.digits for queue in facts.story.queues):
        keys = sum(len(queue.digits or "") for queue in facts.story.queues)
        yield element("p", f"{count(keys, 'key')} dialled; which ones is not shown, as they may be a secret.")


def gaps(facts: Facts) -> Iterator[Node]:
    """What was not analysed, and why."""
    if not facts.gaps:
        yield element("p", "No gaps are on record.")
        return
    by_reason: dict[str, list[Run]] = {}
    for gap in facts.gaps:
        by_reason.setdefault(gap.key, []).append(gap)
    reasons = [
        (GAP_WORDS[GapReason(reason)], f"{len(runs):,}", lasting(sum(run.span.length_s for run in runs)))
        for reason, runs in by_reason.items()
    ]
    columns = [Column("Reason"), Column("Gaps", True), Column("Time", True)]
    yield table("reasons", "Audio that was not analysed, by reason.", columns, reasons)
    rows = [
        (at(gap.span.start_s), lasting(gap.span.length_s), GAP_WORDS[GapReason(gap.key)])
        for gap in facts.gaps[:MOST_ROWS]
    ]
    caption = "Each gap, in order." + _left_out(facts.gaps)
    yield table("gaps", caption, [_START, _LENGTH, Column("Reason")], rows)


def _left_out(rows: Sequence[object]) -> str:
    left = len(rows) - MOST_ROWS
    return f" The first {MOST_ROWS} are listed; {left:,} more are left out." if left > 0 else ""


def surroundings(facts: Facts) -> Iterator[Node]:
    """What a sidecar said of the place and the accent, where one did."""
    told: dict[tuple[str, str], list[float | None]] = {}
    for event in facts.around:
        told.setdefault((event.type, tone_name(event.label)), []).append(given(event.confidence))
    if not told:
        return
    kinds = {"environ": "surroundings", "scene": "scene", "accent": "accent"}
    rows = [
        (name(label), kinds[kind], f"{len(scores):,}", _score(_mean(scores)))
        for (kind, label), scores in sorted(told.items(), key=lambda one: -len(one[1]))[:_MOST_KINDS]
    ]
    columns = [Column("What"), Column("Kind"), Column("Times", True), _CONFIDENCE]
    yield table(
        "around", "What was told of the place and the accent, the most frequent first.", columns, rows
    )


def speed(facts: Facts) -> Iterator[Node]:
    """How quickly the events came."""
    rows = [
        (one.what, *(_milliseconds(value) for value in (*one.quantiles, one.longest)), f"{one.number:,}")
        for one in latencies(facts.story)
    ]
    if not rows:
        yield element("p", "No event carried a receipt of its times.")
        return
    heads = ["Half within", *(f"{share * 100:g} % within" for share in QUANTILES[1:]), "Longest", "Number"]
    columns = [Column("Step"), *(Column(head, True) for head in heads)]
    yield table("speed", "How long it took, in milliseconds.", columns, rows)


def _milliseconds(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


_COUNTS = (
    ("next_sample", "all audio, sent or not"),
    ("classified_samples", "analysed"),
    ("gap_samples", "not analysed"),
    ("client_gap_samples", "of those: never sent by the client"),
    ("received_samples", "received"),
    ("pending_samples", "waiting to be analysed"),
)


def totals(facts: Facts) -> Iterator[Node]:
    """The account: what became of each sample, and how many events there are."""
    story = facts.story
    counts = {key: story.counts.get(key, 0) for key, _ in _COUNTS}
    rows = [
        (words, element("code", key), f"{counts[key]:,}", lasting(story.seconds(counts[key])))
        for key, words in _COUNTS
    ]
    columns = [Column("What became of it"), Column("Name"), Column("Samples", True), Column("Time", True)]
    yield table("totals", "The audio, exact to the sample.", columns, rows)
    settled = counts["classified_samples"] + counts["gap_samples"] + counts["pending_samples"]
    balanced = counts["next_sample"] == settled
    received = counts["received_samples"] == counts["next_sample"] - counts["client_gap_samples"]
    if facts.account_lost:
        verdict = "The account of this session was lost; what is told of it comes from its record alone."
    elif balanced and received:
        verdict = "Every sample is accounted for: all audio = analysed + not analysed + waiting."
    else:
        verdict = "These counts do not add up, which is a fault of the gateway worth reporting."
    yield element("p", verdict)
    kinds = Counter(event.type for event in story.events)
    if kinds:
        types = [(kind, f"{number:,}") for kind, number in kinds.most_common()]
        yield table("kinds", "Events on record, by type.", [Column("Type"), Column("Number", True)], types)


def language_of(tag: str | None) -> str:
    """What to put in `lang`: empty, which says that nobody knows, unless it looks like BCP 47."""
    return tag if tag and len(tag) <= 35 and tag.isascii() and tag.replace("-", "").isalnum() else ""


def _score(confidence: float | None) -> Node:
    return name(None) if confidence is None else score(confidence)


def _mean(confidences: Sequence[float | None]) -> float | None:
    """Of those that were given."""
    known = [one for one in confidences if one is not None]
    return sum(known) / len(known) if known else None
