"""Plots beside the results: whole files, with labelled axes, legible on light and dark paper."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import drawings
from gateway.commands.load_plots import Axis, Line, Plot

LATENCY = Plot(
    "latency",
    "Latency <by> percentile",
    "Half of them 5 ms.",
    "event latency, ms",
    [
        Line("ours, 1,500 sessions", [(0.0, 1.0), (50.0, 5.0), (99.9, 80.0)]),
        Line("usual, 25 sessions", [(0.0, 2.0)]),
    ],
    Axis.PERCENTILES,
)
CPU = Plot(
    "cpu",
    "CPU",
    "Flat.",
    "CPU, µs",
    [Line("ours", [(100, 900.0), (300, 700.0), (5_000, 500.0)])],
    Axis.SESSIONS,
)


def texts(plot: Plot) -> list[str]:
    """What stands in the drawing."""
    root = ElementTree.fromstring(drawings.svg(plot))
    return [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_both_axes_are_named_with_their_units() -> None:
    """What the values are, what lies below, the ticks of both, and the lines."""
    found = texts(LATENCY)
    assert {"event latency, ms", "percentile", "0 %", "90 %", "99.9 %", "80"} <= set(found)
    assert {"ours, 1,500 sessions", "usual, 25 sessions"} <= set(found)
    assert {"CPU, µs", "live sessions (logarithmic)", "100", "300", "5,000", "1,000"} <= set(texts(CPU))


def test_a_count_is_drawn_on_a_logarithmic_axis() -> None:
    """From the smallest to the largest, across the whole width."""
    places = [float(one) for one in re.findall(r"[ML](\d+\.\d) ", drawings.svg(CPU))]
    assert places[0] == 64.0
    assert places[-1] == 764.0
    assert places[1] == pytest.approx(64 + 700 * 0.281, abs=1)


@pytest.mark.parametrize("plot", [LATENCY, CPU])
def test_all_colours_are_opaque_and_on_a_ground_of_their_own(plot: Plot) -> None:
    """A drawing on somebody's dark page must not be black on black."""
    text = drawings.svg(plot)
    assert "var(" not in text
    assert "opacity" not in text
    assert "prefers-color-scheme: dark" in text
    root = ElementTree.fromstring(text)
    style = next(one for one in root.iter("{http://www.w3.org/2000/svg}style")).text or ""
    for part in style.split("@media"):
        for selector in (".plot text", ".plot .paper", ".plot .first", ".plot .second"):
            rule = re.search(rf"{re.escape(selector)} {{([^}}]*)}}", part)
            assert rule is not None, selector
            assert re.search(r"(fill|stroke): #[0-9a-f]{6};", rule[1])


def test_files_lie_beside_the_page_that_names_them(tmp_path: Path) -> None:
    """In a folder of their own, whole documents."""
    drawings.write(tmp_path, [LATENCY, CPU])
    for plot in (LATENCY, CPU):
        found = re.search(r"\]\((.+)\)$", drawings.reference(plot))
        assert found is not None
        ElementTree.parse(tmp_path / found[1])
    assert drawings.reference(CPU) == "CPU:\n\n![Flat.](plots/cpu.svg)"
