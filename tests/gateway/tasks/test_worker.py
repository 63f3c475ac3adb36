"""The work itself: it rests, tells how far it is, stops when told, and has a bound."""

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.sessions.ports import Recorded
from gateway.tasks.collector import NEVER
from gateway.tasks.model import Recipe
from gateway.tasks.recipes import recipe
from gateway.tasks.story import Story
from gateway.tasks.worker import RELEASED, REST_S, STRETCH_S, Cancelled, Job, Material, TooLarge
from protocol.codec import encode_event
from protocol.version import Encoding
from tests.gateway.sessions.kit import session, tone

PIECES = 10


def material(events: int = 20) -> Material:
    """A session with some tones."""
    record = tuple(
        Recorded(number, encode_event(tone(number), Encoding.MSGPACK)) for number in range(1, events + 1)
    )
    return Material(session(), record, {"next_sample": 16_000}, False)


def tens(_: Story) -> Iterator[bytes]:
    """A hundred bytes in ten pieces."""
    yield from (b"x" * 10 for _ in range(PIECES))


MADE = replace(recipe("summary", None), write=tens)


class Stopwatch:
    """Time that passes with each look, and what was slept."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step
        self.rests: list[float] = []

    def look(self) -> float:
        self.now += self.step
        return self.now

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)


def test_a_result_is_named_after_its_session() -> None:
    """The file has the start of the id, and the format's ending."""
    of = material()
    result = Job(recipe("export", {"format": "vtt"}), 1_000_000).run(of)
    assert result.filename == f"undertone-{of.session.id[:8]}.vtt"
    assert result.media_type == "text/vtt; charset=utf-8"
    assert result.chunks[0].startswith(b"WEBVTT\n")
    assert b"x" not in Job(MADE, 100).run(of).filename.encode().partition(b".")[2]
    assert Job(MADE, 100).run(of).chunks == (b"x" * 100,)


@pytest.mark.parametrize("step", [STRETCH_S, STRETCH_S / 2, STRETCH_S / 100])
def test_it_rests_after_each_stretch(step: float) -> None:
    """While reading the record and while writing: no stretch lasts longer than it may, but for one piece."""
    watch = Stopwatch(step)
    Job(MADE, 1_000, watch.look, watch.rest).run(material(100))
    worked = watch.now / STRETCH_S
    assert set(watch.rests) <= {REST_S}
    assert len(watch.rests) >= int(worked / 3)


def test_progress_grows_from_nothing_to_the_end() -> None:
    """Half of it is the reading; it never goes back, and there is no more than all."""
    seen: list[float] = []

    def looking(story: Story) -> Iterator[bytes]:
        for piece in tens(story):
            seen.append(job.progress)
            yield piece

    job = Job(replace(MADE, write=looking), 1_000)
    assert job.progress == 0.0
    job.run(material())
    seen.append(job.progress)
    assert seen == sorted(seen)
    assert 0.45 <= seen[0] <= 0.5 < seen[-1] <= 1.0


@pytest.mark.parametrize("at", [0, 3, PIECES])
def test_it_stops_between_two_pieces_when_told(at: int) -> None:
    """At once, in the middle, after the last piece: there is no result."""
    written = 0

    def stopping(_: Story) -> Iterator[bytes]:
        nonlocal written
        for number in range(PIECES + 1):
            if number == at:
                job.cancel()
            written += 1
            yield b"x"

    job = Job(replace(MADE, write=stopping), 1_000)
    with pytest.raises(Cancelled):
        job.run(material())
    assert written == at + 1


def test_one_that_was_cancelled_before_does_nothing() -> None:
    """Not even the record is read."""

    def never(_: Story) -> Iterator[bytes]:
        raise AssertionError("it was written")

    job = Job(replace(MADE, write=never), 1_000)
    job.cancel()
    with pytest.raises(Cancelled):
        job.run(material())


@pytest.mark.parametrize(("at_most", "fits"), [(100, True), (99, False), (1, False)])
def test_a_result_has_a_bound(at_most: int, fits: bool) -> None:
    """One byte more is too much, and is found out before all is written."""
    made: Recipe = MADE
    if fits:
        assert Job(made, at_most).run(material()).size == at_most
    else:
        with pytest.raises(TooLarge):
            Job(made, at_most).run(material())


def test_no_full_collection_walks_through_a_record_in_use() -> None:
    """The collector's threshold is out of reach while any job runs, and as it was after the last."""
    usual = gc.get_threshold()
    seen: list[int] = []

    def looking(story: Story) -> Iterator[bytes]:
        seen.append(gc.get_threshold()[2])
        if len(seen) == 1:
            Job(replace(MADE, write=looking), 1_000).run(material())
            seen.append(gc.get_threshold()[2])
        yield from tens(story)

    Job(replace(MADE, write=looking), 1_000).run(material())
    assert seen == [NEVER] * 3
    with pytest.raises(TooLarge):
        Job(MADE, 1).run(material())
    assert gc.get_threshold() == usual


def test_a_story_is_let_go_in_small_parts() -> None:
    """When the result is whole nothing holds the events any more, and rests came in between."""
    watch = Stopwatch(STRETCH_S)
    kept: list[weakref.ref[list[int]]] = []

    class Marked(list[int]):
        pass

    def write(story: Story) -> Iterator[bytes]:
        mark = Marked()
        kept.append(weakref.ref(mark))
        vars(story)["mark"] = mark
        yield b"x"

    Job(replace(MADE, write=write), 1_000, watch.look, watch.rest).run(material(RELEASED * 10))
    assert kept[0]() is None
    assert len(watch.rests) >= 10
