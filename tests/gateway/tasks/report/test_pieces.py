"""Reports are written in pieces, so that their making can rest, be followed and be stopped."""

import pytest

from gateway.sessions.ports import Recorded
from gateway.tasks.recipes import REPORTS, recipe
from gateway.tasks.report import render_html, render_svg
from gateway.tasks.worker import STRETCH_S, Cancelled, Job, Material
from protocol.codec import encode_event
from protocol.version import Encoding
from tests.gateway.sessions.kit import session
from tests.gateway.tasks.report.stories import call, day
from tests.gateway.tasks.report.test_page import STORIES


def material() -> Material:
    """The record of a call."""
    told = call()
    events = [Recorded(one.seq, encode_event(one, Encoding.MSGPACK)) for one in told.events]
    return Material(session(), tuple(events), told.counts, False)


@pytest.mark.parametrize("story", STORIES)
def test_the_pieces_are_the_report(story: str) -> None:
    """All of it, in order."""
    told = STORIES[story]()
    for name, render in (("html", render_html), ("svg", render_svg)):
        write = recipe("report", {"format": name}).write
        assert b"".join(write(told)).decode() == render(told)


@pytest.mark.parametrize("name", REPORTS)
def test_there_are_as_many_pieces_as_tones(name: str) -> None:
    """And of a page none is most of it."""
    told = day()
    pieces = [len(piece) for piece in recipe("report", {"format": name}).write(told)]
    assert len(pieces) >= len(told.tones)
    assert name == "svg" or max(pieces) < sum(pieces) / 2


@pytest.mark.parametrize("name", REPORTS)
def test_its_progress_is_seen(name: str) -> None:
    """It grows all the way while the report is written."""
    seen: list[float] = []
    ticks = iter(range(1_000_000))
    job = Job(
        recipe("report", {"format": name}),
        10_000_000,
        lambda: next(ticks) * STRETCH_S,
        lambda _: seen.append(job.progress),
    )
    job.run(material())
    later = [progress for progress in seen if progress > 0.5]
    assert seen == sorted(seen)
    assert len(set(later)) >= 50
    assert later[len(later) // 2] < 0.99


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("rests", [1, 20, 40])
def test_it_stops_soon_after_it_was_cancelled(name: str, rests: int) -> None:
    """Wherever it is: there is no other rest."""
    after = 0

    def rest(_: float) -> None:
        nonlocal after
        after += job.progress > 0.5
        if after == rests:
            job.cancel()

    ticks = iter(range(1_000_000))
    job = Job(recipe("report", {"format": name}), 10_000_000, lambda: next(ticks) * STRETCH_S, rest)
    with pytest.raises(Cancelled):
        job.run(material())
    assert after >= rests
