"""The page of a load run: whole by itself, with plots and the same in tables."""

import dataclasses
from xml.etree import ElementTree

import pytest

from gateway.commands.load import Measured
from gateway.commands.load_page import page
from gateway.commands.load_plots import clock, nice_ticks, percentile_shares, rates, thinned
from gateway.commands.load_profiles import Profile
from tests.gateway.commands.fake import Fake
from tests.gateway.commands.test_load import run


@pytest.fixture(scope="module")
def measured() -> Measured:
    """A short run, as if it had been looked at each second."""
    short = run(Fake(), sessions=2)
    moments = [dataclasses.replace(one, at_s=float(at)) for at, one in enumerate(short.moments)]
    return dataclasses.replace(short, moments=moments)


def parsed(text: str) -> ElementTree.Element:
    """The page is in the syntax that HTML and XML share."""
    return ElementTree.fromstring(text.partition("\n")[2])


def test_the_page_stands_by_itself(measured: Measured) -> None:
    """Nothing is loaded or run, ids are unique, and each plot has its words and a table."""
    text = page(measured, ["expected <x>"], None, 1_700_000_000.0)
    root = parsed(text)
    assert "<script" not in text
    assert not [one for one in root.iter() if "src" in one.attrib]
    ids = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(ids) == len(set(ids))
    for drawing in root.iter("svg"):
        assert drawing.attrib["aria-labelledby"] in ids
        assert drawing.attrib["aria-describedby"] in ids
        assert drawing.attrib["role"] == "img"
    keys = {one.attrib["aria-labelledby"].rsplit("-", 2)[0] for one in root.iter("svg")}
    assert {"percentiles", "latencies", "live", "events", "gaps", "cpu"} <= keys
    captions = ["".join(one.itertext()) for one in root.iter("caption")]
    assert "Latency by percentile." in captions
    assert "Sessions live: live." in captions
    assert "expected &lt;x&gt;" in text
    assert "14 November 2023, 22:13 UTC" in text
    assert "prefers-color-scheme: dark" in text


def test_refused_latencies_are_not_drawn(measured: Measured) -> None:
    """The page says why, and holds no plot or table of them."""
    text = page(dataclasses.replace(measured, late_frames=1), [], None, 0.0)
    assert "Latencies are not told. The load tool was short of CPU" in text
    assert "percentiles-wide" not in text
    assert "latencies-wide" not in text
    assert "live-wide" in text


def test_steps_of_a_ramp_are_a_table(measured: Measured) -> None:
    """With the capacity on top."""
    options = dataclasses.replace(measured.options, profile=Profile.RAMP)
    text = page(dataclasses.replace(measured, options=options), [], 4, 0.0)
    assert "Each step of the ramp" in text
    assert "4 sessions" in text


def test_percentiles_go_in_even_steps_of_nines() -> None:
    """From 0 to the share that leaves one value above."""
    shares = percentile_shares(1_000)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(99.9)
    assert [one for one in shares if abs(one - 90) < 1]
    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("top", "ticks"),
    [
        (0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (253, [0, 100, 200, 300]),
        (5_000, [0, 1_000, 2_000, 3_000, 4_000, 5_000]),
    ],
)
def test_ticks_are_round(top: float, ticks: list[float]) -> None:
    """And reach the highest value."""
    assert nice_ticks(top) == pytest.approx(ticks)


def test_thinning_keeps_what_stands_out() -> None:
    """The highest of each group of neighbours."""
    points = [(float(at), 9.0 if at == 7 else 1.0) for at in range(100)]
    assert len(thinned(points, 10)) == 10
    assert (7.0, 9.0) in thinned(points, 10)
    assert thinned([], 10) == []


def test_rates_skip_intervals_that_are_too_short() -> None:
    """Two looks a moment apart would make a spike of nothing."""
    assert rates([(0.0, 0.0), (1.0, 10.0), (1.01, 12.0), (2.0, 20.0)]) == [(1.0, 10.0), (2.0, 10.0)]


def test_clock_has_hours_where_there_are_any() -> None:
    """Minutes and seconds otherwise."""
    assert (clock(90), clock(7_290)) == ("1:30", "2:01:30")
