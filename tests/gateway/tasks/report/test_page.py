"""The page: what it tells, to whom, and what it never does."""

import base64
import hashlib
import re
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.tasks.report import render_html, render_svg
from gateway.tasks.report.sentences import HONEST
from gateway.tasks.report.tables import MOST_ROWS
from gateway.tasks.report.talk import MOST_CHARS, MOST_LINES
from gateway.tasks.story import Story
from protocol.control import SessionConfig
from protocol.events import (
    DurableEvent,
    Environ,
    Gap,
    GapReason,
    Queue,
    QueueLabel,
    Service,
    ServiceStatus,
    ShiftDirection,
    Speaker,
    SpeakerLabel,
    Tone,
    Transcript,
)
from tests.gateway.tasks.report.stories import (
    ID,
    RATE,
    at,
    call,
    counts,
    day,
    empty,
    gap,
    queue,
    quiet,
    said,
    story,
    tone,
)
from tests.gateway.tasks.report.test_markup import HOSTILE, Reader

STORIES: dict[str, Callable[[], Story]] = {
    "call": call,
    "day": lambda: day(2),
    "quiet": quiet,
    "empty": empty,
}


def read(document: str) -> ElementTree.Element:
    """The page: it is written in the syntax that HTML and XML share."""
    return ElementTree.fromstring(document.removeprefix("<!DOCTYPE html>").encode())


def words(root: ElementTree.Element) -> str:
    """All that is written, one blank between."""
    return " ".join(" ".join(root.itertext()).split())


def shown(told: Story) -> str:
    """All that the page of `told` says outside its head."""
    body = read(render_html(told)).find("body")
    assert body is not None
    return words(body)


@pytest.mark.parametrize("name", STORIES)
def test_it_stands_by_itself(name: str) -> None:
    """No script, no handler, no address outside of the page, and each one inside leads somewhere."""
    document = render_html(STORIES[name]())
    root = read(document)
    tags = {one.tag.rpartition("}")[2] for one in root.iter()}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form", "input", "base", "use"}
    names = {key.rpartition("}")[2] for one in root.iter() for key in one.attrib}
    assert not [key for key in names if key.startswith("on") or key in ("style", "src", "srcset", "action")]
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    assert {one.get("href") for one in root.iter("a")} <= {f"#{key}" for key in ids}
    for key in ("aria-labelledby", "aria-describedby"):
        assert {one.get(key) for one in root.iter()} <= {None, *ids}
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\")|@import|url\((?!#)", document)


def test_only_its_own_style_is_allowed() -> None:
    """The policy stands before the style, which it knows by its hash."""
    document = render_html(call())
    head = read(document).find("head")
    assert head is not None
    policy = next(one.get("content") for one in head if one.get("http-equiv") == "Content-Security-Policy")
    style = head.findtext("style") or ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert document.index("Content-Security-Policy") < document.index("<style>")
    assert document.count("<style>") == 1


def test_a_call_is_told_whole() -> None:
    """Tones, speakers, words, states, gaps with reasons, latency and the account are all in the text."""
    told = shown(call())
    for expected in (
        HONEST,
        "Begun 21 September 2026, 14:13 UTC",
        "Speaker A",
        "I have given it twice already. Twice!",
        "Sounds tense.",
        "hold music",
        "4 keys dialled",
        "the gateway was too busy",
        "not sent, or sent as something that is no audio",
        "Windows: in the classifier",
        "classified_samples",
        "60,000",
        "Every sample is accounted for",
        "Warning at 0:06: words are late",
        "acoustic-1",
        "Language: en.",
    ):
        assert expected in told
    assert "4711" not in told


def test_the_session_s_id_is_not_given_away() -> None:
    """Whoever gets the page must not get the session: only the beginning of its id is there."""
    document = render_html(call())
    assert ID not in document
    assert ID[:8] in document
    assert ID[:9] not in document


def test_tables_say_what_they_are() -> None:
    """Each has a caption, a scoped head for every column and one for every row, and a frame to scroll by."""
    root = read(render_html(call()))
    frames = [one for one in root.iter("div") if one.get("class") == "scroll"]
    tables = [frame.find("table") for frame in frames]
    assert len(tables) == len(list(root.iter("table"))) >= 8
    for frame, table in zip(frames, tables, strict=True):
        assert table is not None
        caption = table.find("caption")
        assert caption is not None
        assert words(caption)
        assert (frame.get("tabindex"), frame.get("aria-labelledby")) == ("0", caption.get("id"))
        heads = table.findall("thead/tr/th")
        assert all(head.get("scope") == "col" and words(head) for head in heads)
        for row in table.findall("tbody/tr"):
            assert [one.get("scope") for one in row.findall("th")] == ["row"]
            assert len(row) == len(heads)


def test_headings_make_an_outline() -> None:
    """One h1, and no level is skipped on the way down."""
    levels = [
        int(one.tag[1]) for one in read(render_html(call())).iter() if re.fullmatch("h[1-6]", str(one.tag))
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_language_of_words_is_marked() -> None:
    """As it was told where it looks like a tag, and as unknown otherwise."""
    lines = [said(0, 1, "ja", language="de-AT"), said(1, 2, "hm"), said(2, 3, "oh", language='x" onclick="')]
    root = read(render_html(story(lines, counts(3 * RATE))))
    marked = [
        (one.text, one.get("lang"), one.get("dir")) for one in root.iter("p") if one.get("class") == "said"
    ]
    assert marked == [("ja", "de-AT", "auto"), ("hm", "", "auto"), ("oh", "", "auto")]
    assert root.get("lang") == "en"


def test_a_confidence_that_is_no_number_is_not_shown() -> None:
    """Unknown certainty of words is left out rather than made up."""
    lines = [
        said(0, 1, "one", confidence=float("nan")),
        said(1, 2, "two"),
        said(2, 3, "three", confidence=0.5),
    ]
    told = shown(story(lines, counts(3 * RATE)))
    assert told.count("· words") == 1
    assert "· words 0.50" in told


def test_a_confidence_that_nobody_gave_is_not_a_small_one() -> None:
    """States of the call and the surroundings say "not told", and a mean is of what was told."""
    scenes = [
        Environ(**at(start, start + 1), label=label, confidence=confidence)
        for start, (label, confidence) in enumerate([("street", None), ("street", 0.4), ("train", None)])
    ]
    calls = [
        queue(0, 1, QueueLabel.HOLD_MUSIC, confidence=None),
        queue(5, 6, QueueLabel.RINGBACK, confidence=None),
        queue(7, 8, QueueLabel.RINGBACK, confidence=0.7),
    ]
    told = shown(story([*scenes, *calls], counts(9 * RATE)))
    assert "0.00" not in told
    assert told.count("not told") == 2
    assert "0.40" in told
    assert "0.70" in told


def test_little_is_told_kindly() -> None:
    """A session without audio, and one in which nobody spoke, say so and offer no empty sections."""
    assert "No audio reached this session" in shown(empty())
    assert "A quiet stretch looks just like this" in shown(quiet())
    for told in (empty(), quiet()):
        assert "Timeline" not in shown(told)
        assert not list(read(render_html(told)).iter("{http://www.w3.org/2000/svg}svg"))
    assert "Totals" in shown(quiet())


def test_what_is_missing_is_said() -> None:
    """Truncation, unreadable entries, gaps, a running session, thresholds and unwanted features."""
    config = SessionConfig(min_confidence=0.25, features=frozenset())
    told = shown(
        story(
            [tone(0), gap(1, 2)],
            counts(10 * RATE, gap=RATE),
            truncated=True,
            unreadable=1,
            status="live",
            config=config,
        )
    )
    for expected in (
        "what came after 0:02 is missing",
        "1 entry of the record could not be read and is left out",
        "Of the audio, 10 % (1.0 s) was not analysed",
        "The session was still going on",
        "Only what reached a confidence of 0.25 was told",
        "did not ask for tones or speakers or a transcript or the state of the call",
    ):
        assert expected in told
    assert "Before you read on" not in shown(story([tone(0)], counts(RATE)))


def test_an_account_that_does_not_balance_is_not_praised() -> None:
    """Counts that disagree are called a fault."""
    wrong = counts(RATE) | {"classified_samples": 1}
    assert "do not add up" in shown(story([tone(0)], wrong))


def test_a_lost_account_is_not_an_empty_one() -> None:
    """Of a session that failed only the record is left: its gaps are told, and no balance is claimed."""
    told = shown(story([tone(0), gap(1, 3)], counts(0), status="failed"))
    assert "Of the audio, 67 % (2.0 s) was not analysed" in told
    assert "The account of this session was lost" in told
    assert "Every sample is accounted for" not in told


def test_a_day_stays_bounded_and_says_so() -> None:
    """Of tens of thousands of events every table and list is cut or summed up, in as many words."""
    document = render_html(day())
    root = read(document)
    assert len(document) < 2_000_000
    assert max(len(table.findall("tbody/tr")) for table in root.iter("table")) <= MOST_ROWS + 1
    assert len(list(root.iter("li"))) <= MOST_LINES + 20
    told = words(root)
    for expected in (
        "stretches are too many to list, so each row sums up",
        "There are 8,640 utterances; the first 2,000 are shown",
        f"The first {MOST_ROWS} are listed; 760 more are left out.",
        "There is more than can be drawn, so lanes go in steps of up to 2 min",
        "2 further speakers left out.",
        "Other tones",
    ):
        assert expected in told


def test_long_words_are_bounded_by_their_length() -> None:
    """A thousand endless utterances come to no more than the bound in characters."""
    lines = [said(number, number + 1, "so " * 20_000) for number in range(1_000)]
    root = read(render_html(story(lines, counts(1_000 * RATE))))
    spoken = [one.text or "" for one in root.iter("p") if one.get("class") == "said"]
    assert sum(map(len, spoken)) <= MOST_CHARS
    assert len(spoken) == MOST_CHARS // 4_000


WHERE = st.one_of(st.integers(-5, 400_000), st.integers(0, 2**53))
FIGURE = st.one_of(st.none(), st.floats(), st.floats(min_value=0, max_value=1))


@st.composite
def odd_events(draw: st.DrawFn) -> DurableEvent:
    """An event of any kind with figures that no classifier should give."""
    start, end, figure = draw(WHERE), draw(WHERE), draw(FIGURE)
    place = {**at(0, 1), "start_sample": start, "end_sample": end, "timestamp": draw(st.floats())}
    kind = draw(st.sampled_from([Tone, Transcript, Queue, Gap, Speaker, Service]))
    if kind is Tone:
        direction = draw(st.sampled_from([None, *ShiftDirection]))
        more = {"shift_magnitude": figure, "shift_direction": direction, "queued_ms": figure}
        return tone(0, draw(st.sampled_from("ab")), draw(st.floats()), **place, **more)
    if kind is Transcript:
        return said(0, 0, "so", draw(st.sampled_from([None, "A"])), confidence=figure, **place)
    if kind is Queue:
        return queue(0, 0, draw(st.sampled_from(QueueLabel)), **(place | {"confidence": draw(st.floats())}))
    if kind is Gap:
        return Gap(**place, reason=draw(st.sampled_from(GapReason)))
    if kind is Speaker:
        return Speaker(**place, label=draw(st.sampled_from(SpeakerLabel)), speaker_id="A", confidence=0.5)
    return Service(
        seq=1, session_id=ID, timestamp=place["timestamp"], status=ServiceStatus.WARNING, detail="slow"
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(odd_events(), max_size=12), st.integers(0, 2**53), st.booleans())
def test_odd_figures_break_nothing(events: list[DurableEvent], end: int, truncated: bool) -> None:
    """Endless, inverted, negative and far-away figures still give a page and a drawing that can be read."""
    told = story(events, counts(end), truncated=truncated)
    assert "nan" not in re.sub(r"[^a-z ]", " ", shown(told)).split()
    assert not re.search(r'="[^"]*\b(nan|inf)\b', render_html(told))
    ElementTree.fromstring(render_svg(told).encode())


def hostile_story(texts: list[str]) -> Story:
    """A story in which everything that can hold text holds one of `texts`."""
    one, two, three, four = texts
    place = at(0, 1)
    events = [
        tone(
            0, one, speaker_id=two, subtext=three, model=four, prosody_flags=(one,), trend=two, affect=three
        ),
        tone(1, two, speaker_id=three, extra={one: two}),
        Speaker(**place, label=SpeakerLabel.HUMAN_SINGLE, speaker_id=four, confidence=0.5),
        said(0, 1, "x" + one, two, language=three),
        queue(2, 3, QueueLabel.DTMF_TONE, digits=four),
        Environ(**place, label=one, confidence=0.4, privacy_risk=two),
        Service(seq=1, session_id=ID, timestamp=1.0, status=ServiceStatus.ERROR, detail=three),
        gap(3, 4),
    ]
    return story(events, counts(4 * RATE, RATE))


def shape(document: str) -> list[tuple[str, list[str]]]:
    """Elements and the names of their attributes, in order, as a browser's tokenizer finds them."""
    reader = Reader()
    reader.feed(document)
    reader.close()
    assert len(reader.others) == 1
    return [(tag, list(attributes)) for tag, attributes in reader.tags]


HARMLESS = [
    part
    for told in (hostile_story(["a", "b", "c", "d"]), hostile_story([""] * 4), call())
    for part in shape(render_html(told))
]
ALLOWED = {tag for tag, _ in HARMLESS}
NAMES = {name for _, names in HARMLESS for name in names}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(HOSTILE, min_size=4, max_size=4))
def test_no_text_becomes_markup(texts: list[str]) -> None:
    """Hostile labels, names, words, models and details add no element and no attribute, in either syntax."""
    document = render_html(hostile_story(texts))
    document.encode()
    found = shape(document)
    assert {tag for tag, _ in found} <= ALLOWED
    assert {name for _, names in found for name in names} <= NAMES
    read(document)
