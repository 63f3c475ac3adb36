"""The transcript: who said what, when, and how it sounded."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from gateway.tasks.report.facts import Facts, name_of, unit
from gateway.tasks.report.markup import Markup, Node, element
from gateway.tasks.report.sections import language_of
from gateway.tasks.report.spans import Span, step_above
from gateway.tasks.report.tables import at
from gateway.tasks.report.words import clock, count, score, short
from protocol.control import Feature
from protocol.events import Transcript

MOST_LINES = 2_000
MOST_CHARS = 200_000
"""Of all utterances shown: some four hours of talk."""
_MOST_OF_ONE = 4_000
_CHAPTERS = 12
_LEAST_CHAPTER_S = 300.0


def talk(facts: Facts) -> Iterator[Node]:
    """The transcript, in chapters where the session is long."""
    story = facts.story
    if not story.transcripts:
        wanted = Feature.TRANSCRIPT in story.config.features
        yield element("p", "No words were made out." if wanted else "This session asked for no transcript.")
        return
    lines = _bounded(story.transcripts)
    left = len(story.transcripts) - len(lines)
    yield element("p", _languages(lines))
    if left:
        said = count(len(story.transcripts), "utterance")
        yield element(
            "p", f"There are {said}; the first {len(lines):,} are shown. An export has all of them."
        )
    chapter_s = step_above(max(_LEAST_CHAPTER_S, facts.extent_s / _CHAPTERS))
    chapters = groupby(lines, key=lambda line: int(story.seconds(line.start_sample) // chapter_s))
    for number, members in chapters:
        if facts.extent_s > chapter_s:
            yield element("h3", f"From {clock(number * chapter_s)} to {clock((number + 1) * chapter_s)}")
        written: list[Markup] = []
        for line in members:
            written.append(_line(facts, line))
            yield None
        yield element("ol", *written, class_="talk", role="list")


def _bounded(lines: Sequence[Transcript]) -> Sequence[Transcript]:
    room = MOST_CHARS
    for number, line in enumerate(lines[:MOST_LINES]):
        room -= min(len(line.text), _MOST_OF_ONE)
        if room < 0:
            return lines[:number]
    return lines[:MOST_LINES]


def _languages(lines: Sequence[Transcript]) -> str:
    known = dict.fromkeys(language_of(line.language) for line in lines)
    tags = [tag for tag in known if tag][:8]
    language = f"Language: {', '.join(tags)}." if tags else "The language was not told."
    return (
        f"{language} Words are a machine’s, and may be wrong. The figures are confidences: of the tone heard "
        "most during the words, and of the words."
    )


def _line(facts: Facts, line: Transcript) -> Markup:
    story = facts.story
    start_s, end_s = story.seconds(line.start_sample), story.seconds(line.end_sample)
    tone = facts.during(Span(start_s, end_s))
    who = name_of(line.speaker_id)
    sounded: list[Node] = []
    if tone:
        sounded = [" · ", element("bdi", tone.label), f" {score(tone.confidence)}"]
    known = line.confidence is not None and math.isfinite(line.confidence)
    sure = f" · words {score(unit(line.confidence))}" if known else None
    return element(
        "li",
        element(
            "p",
            at(start_s),
            " ",
            element("b", element("bdi", who or "Somebody")),
            element("span", *sounded, sure, class_="tone"),
            class_="who",
        ),
        element(
            "p", short(line.text, _MOST_OF_ONE), lang=language_of(line.language), dir="auto", class_="said"
        ),
        element("p", element("bdi", tone.subtext), class_="subtext") if tone and tone.subtext else None,
    )
