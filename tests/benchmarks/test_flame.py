"""The flame graph: a whole file without a script, boxes as wide as their samples, legible on any paper."""

import re
from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from benchmarks import flame
from benchmarks.drawings import DARK, LIGHT
from benchmarks.stacks import Frame, Part, Stack

_SVG = "{http://www.w3.org/2000/svg}"
_PUMP = Frame("Writer._pump", "gateway/api/writer.py")
_SEND = Frame("Lane.send", "gateway/server/lane.py")
_HEAR = Frame("Hearing.hear", "gateway/api/hearing.py")
STACKS: Counter[Stack] = Counter(
    {
        (): 400,
        (_HEAR,): 300,
        (_PUMP,): 50,
        (_PUMP, _SEND): 245,
        (_PUMP, Frame("<rare>", "a&b.py")): 2,
        (_PUMP, Frame("rarer", "a.py")): 1,
        (Frame("once", "b.py"),): 2,
    }
)


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_boxes_are_as_wide_as_their_samples_and_stand_on_their_callers() -> None:
    """What is called is never wider than who calls; neighbours never overlap."""
    found = flame.boxes(STACKS)
    assert [(one.name, round(one.left, 6), one.width, one.depth, one.part) for one in found] == [
        ("all samples", 0.0, 1.0, 0, Part.LOOP),
        (str(_HEAR), 0.0, 0.3, 1, Part.RING),
        (str(_PUMP), 0.3, 0.298, 1, Part.OUT),
        (str(_SEND), 0.3, 0.245, 2, Part.OUT),
        ("2 narrower", 0.545, 0.003, 2, Part.OUT),
        ("1 narrower", 0.598, 0.002, 1, Part.ELSE),
    ]


def test_widths_sum_up_to_what_was_sampled() -> None:
    """Of all that one function called, with its own samples: narrow ones become one box, none is lost."""
    found = flame.boxes(STACKS)
    assert sum(one.width for one in found if one.depth == 1) == pytest.approx(1 - 0.4)
    assert sum(one.width for one in found if one.depth == 2) == pytest.approx(0.298 - 0.05)
    for depth in range(3):
        row = sorted((one for one in found if one.depth == depth), key=lambda one: one.left)
        for before, after in pairwise(row):
            assert before.left + before.width <= after.left + 1e-9


def test_the_document_is_well_formed_and_holds_no_script() -> None:
    """Each box has a title with its name, its share and its microseconds."""
    root = ElementTree.fromstring(flame.svg(STACKS, 600.0, "Where <it> goes"))
    kinds = {one.tag.removeprefix(_SVG) for one in root.iter()}
    assert kinds == {"svg", "title", "desc", "style", "rect", "g", "text"}
    assert not [name for one in root.iter() for name in one.attrib if name.startswith("on") or "href" in name]
    told = [one.findtext(f"{_SVG}title") for one in root.iter(f"{_SVG}g")]
    assert (
        f"{_HEAR}: 30.0% of samples, 180.0 µs with all it calls; its own are frame: session and ring" in told
    )
    assert len(told) == len(flame.boxes(STACKS))
    texts = [one.text for one in root.iter(f"{_SVG}text")]
    assert {f"{Part.OUT.value}: 179 µs, 30%", "Hearing.hear"} <= set(texts)


def test_a_name_is_shortened_to_its_box() -> None:
    """Without its class where that helps, cut off where it doesn't; a box too narrow for letters has none."""
    parts: Counter[Stack] = Counter({(Frame("Some.class_of_ours.function", "x.py"),): 1})
    shown = {}
    for others in (0, 8, 14, 500):
        parts[()] = others
        root = ElementTree.fromstring(flame.svg(parts, 1.0, "t"))
        shown[others] = [one.text for one in root.iter(f"{_SVG}text")][len(Part) + 1 :]
    assert shown == {0: ["Some.class_of_ours.function"], 8: ["function"], 14: ["function"], 500: []}


def test_the_same_samples_draw_the_same_file() -> None:
    """In whatever order they came."""
    turned = Counter(dict(reversed(STACKS.items())))
    assert flame.svg(turned, 600.0, "t") == flame.svg(STACKS, 600.0, "t")


def test_no_samples_are_an_empty_drawing() -> None:
    """Not an error: a server may have slept all the while."""
    assert flame.boxes(Counter()) == []
    ElementTree.fromstring(flame.svg(Counter(), 0.0, "t"))


@pytest.mark.parametrize(("scheme", "paper"), [(0, LIGHT), (1, DARK)])
def test_letters_stand_out_from_every_box(scheme: int, paper: dict[str, str]) -> None:
    """At least 4.5 to 1 (WCAG 2.2, 1.4.3), and every colour is in the file."""
    ink = _luminance(paper["ink"])
    text = flame.svg(STACKS, 600.0, "t").split("@media")[scheme]
    for part, fills in flame.FILLS.items():
        ground = _luminance(fills[scheme])
        lighter, darker = max(ink, ground), min(ink, ground)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, part
        assert re.search(rf"\.flame \.{part.name.lower()} {{ fill: {fills[scheme]}; }}", text)
