"""The timeline as SVG."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from gateway.tasks.report import render_svg
from gateway.tasks.report.drawing import NARROW, WIDE, Form, draw
from gateway.tasks.report.facts import Facts
from gateway.tasks.report.lanes import lanes_of
from gateway.tasks.report.looks import looks_of
from gateway.tasks.story import Story
from tests.gateway.tasks.report.stories import RATE, call, counts, day, empty, gap, quiet, said, story, tone
from tests.gateway.tasks.report.test_markup import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
STORIES = {"call": call, "day": lambda: day(3), "quiet": quiet, "empty": empty}


def read(document: str) -> ElementTree.Element:
    """The SVG, as an XML parser sees it."""
    return ElementTree.fromstring(document.encode())


def texts(root: ElementTree.Element) -> list[str]:
    """What is written in it."""
    return [one.text or "" for one in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", STORIES)
def test_it_stands_by_itself(name: str) -> None:
    """An SVG document with a size, a name, a description, and nothing from elsewhere."""
    document = render_svg(STORIES[name]())
    root = read(document)
    assert (root.tag, root.get("role")) == (f"{SVG}svg", "img")
    told = {one.get("id"): one.text for one in root if one.tag in (f"{SVG}title", f"{SVG}desc")}
    assert told[root.get("aria-labelledby")] == "Timeline"
    assert (told[root.get("aria-describedby")] or "").startswith("From 0:00 to ")
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert not re.search(
        r"https?://(?!www\.w3\.org/2000/svg\")|href|@import|<script|<image|<foreign", document
    )
    for used in re.findall(r"url\(#([^)]+)\)", document):
        assert f'id="{used}"' in document


@pytest.mark.parametrize("form", [WIDE, NARROW])
@pytest.mark.parametrize("name", STORIES)
def test_all_is_inside_the_frame(name: str, form: Form) -> None:
    """No shape begins or ends outside of the drawing, and no number is missing."""
    drawn, _ = draw(Facts.of(STORIES[name]()), form, "it")
    root = read(drawn.text)
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    for shape in root.iter():
        if shape.tag not in (f"{SVG}rect", f"{SVG}line", f"{SVG}text"):
            continue
        left, top = (float(shape.get(key) or shape.get(f"{key}1") or 0) for key in "xy")
        right = float(shape.get("x2") or left + float(shape.get("width") or 0))
        bottom = float(shape.get("y2") or top + float(shape.get("height") or 0))
        assert -1 <= left <= right <= width + 3, ElementTree.tostring(shape)
        assert -1 <= top <= bottom <= height + 1, ElementTree.tostring(shape)


def test_a_bar_is_as_high_as_it_is_sure() -> None:
    """Twice the confidence, twice the height, and the same foot."""
    root = read(render_svg(story([tone(0, "Calm", 0.3), tone(1, "Calm", 0.6), tone(2, "Tense", 0.6)])))
    bars = [one for one in root.iter(f"{SVG}rect") if (one.get("class"), one.get("height")) != ("bar", "14")]
    bars = [one for one in bars if one.get("class") == "bar"]
    low, high, other = (float(one.get("height") or 0) for one in bars)
    assert high == pytest.approx(2 * low)
    assert high == other
    feet = {round(float(one.get("y") or 0) + float(one.get("height") or 0), 1) for one in bars}
    assert len(feet) == 1
    assert bars[0].get("fill") == bars[1].get("fill") != bars[2].get("fill")


def test_tones_are_told_apart_without_colour() -> None:
    """Each has a pattern and a letter of its own, as long as there are patterns; the rest share one."""
    labels = [
        "Calm",
        "Cross",
        "Neutral",
        "Curt",
        "Tense",
        "Cool",
        "Warm",
        "123",
        "生气",
        "Sad",
        "Glad",
        "Odd",
    ]
    looks = looks_of(labels)
    own = [looks[label] for label in labels if looks[label].label == label]
    assert len(own) == 9
    assert len({look.pattern for look in own}) == len({look.letter for look in own}) == len(own)
    shared = {looks[label] for label in labels} - set(own)
    assert [(look.label, look.pattern) for look in shared] == [("Other tones", "plus")]


def test_labels_are_written_where_there_is_room() -> None:
    """A long stretch has its word, a short one its letter; the legend has both."""
    events = [tone(second, "Calm", 0.4) for second in range(50)] + [
        tone(50, "Tense", 0.4),
        tone(51, "Tense", 0.5),
    ]
    written = texts(read(render_svg(story(events))))
    assert {"Calm", "T", "C Calm", "T Tense"} <= set(written)
    assert "Tense" not in written


def test_the_shortest_gap_can_be_seen() -> None:
    """A tenth of a second in a day is still drawn, and a truncated record shows what it lacks."""
    lone = story([gap(40_000, 40_000.1)], counts(86_400 * RATE))
    narrowest = [
        float(one.get("width") or 0)
        for one in read(render_svg(lone)).iter(f"{SVG}rect")
        if (one.get("fill") or "").endswith("-missing)") and one.get("height") != "14"
    ]
    assert narrowest == [2.5]
    cut = story([tone(0)], counts(60 * RATE), truncated=True)
    assert "Not analysed or not on record" in texts(read(render_svg(cut)))


def test_a_day_is_no_larger_than_it_need_be() -> None:
    """Of tens of thousands of events no lane has more runs than its form allows."""
    told = day(24)
    assert len(told.events) > 50_000
    assert len(render_svg(told)) < 600_000
    facts = Facts.of(told)
    looks = looks_of([label for label, _, _ in facts.shares])
    lanes = lanes_of(facts, looks, WIDE.most)
    assert max(len(lane.runs) for lane in lanes) <= WIDE.most


def shapes(told: Story) -> set[str]:
    """The kinds of elements in the drawing."""
    return {one.tag.removeprefix(SVG) for one in read(render_svg(told)).iter()}


PLAIN = shapes(story([tone(0, "Calm", speaker_id="A"), tone(1, "Curt"), said(0, 1, "yes", "A")]))


@settings(max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE)
def test_hostile_names_stay_names(label: str, name: str) -> None:
    """Labels and speakers with markup in them add no element to the drawing."""
    told = story([tone(0, label, speaker_id=name), tone(1, name), said(0, 1, label, name)])
    assert shapes(told) <= PLAIN
