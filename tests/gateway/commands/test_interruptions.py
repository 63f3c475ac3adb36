"""What is told of connections that were lost on the way."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from gateway.commands.interruptions import Chaos, Interruptions
from protocol.audio import AudioFormat
from protocol.client import Client
from tests.gateway.commands.made import summary, welcome


@dataclass
class Line:
    """As much of a client as is looked at."""

    away: bool = False
    resumes: int = 0
    missed: int = 0
    lost_samples: int = 0
    drops: int = 0
    audio: AudioFormat = field(default_factory=AudioFormat)

    def drop(self) -> None:
        self.drops += 1


def of(line: Line) -> Interruptions:
    return Interruptions(cast(Client, line))


def test_a_loss_is_told_once() -> None:
    """As long as it lasts; the next one is another."""
    line = Line()
    told = of(line)
    seen = []
    for away in (False, True, True, False, True):
        line.away = away
        seen.append(told.look())
    assert seen == [None, "connection lost, trying again", None, None, "connection lost, trying again"]


def test_what_was_missed_is_told_with_each_return() -> None:
    """Nothing, events, or audio: of this time, not of the times before."""
    line = Line()
    told = of(line)
    whole, partly = replace(welcome(), recovered=True), replace(welcome(), recovered=False)
    assert told.back(whole) == "reconnected, nothing missed"
    line.lost_samples = 24_000
    assert told.back(whole) == "reconnected, 1.5 s of audio could not be kept"
    line.lost_samples = 32_000
    assert told.back(partly) == (
        "reconnected, some events can't be had again and 0.5 s of audio could not be kept"
    )
    assert told.back(whole) == "reconnected, nothing missed"


@pytest.mark.parametrize(
    ("line", "cuts", "gaps", "report"),
    [
        (Line(), None, 0, ""),
        (Line(), 0, 0, "cut 0 times on purpose, reconnected 0 times; nothing missed"),
        (Line(), 0, None, "cut 0 times on purpose, reconnected 0 times"),
        (Line(resumes=1), None, 0, "lost on the way, reconnected once; nothing missed"),
        (Line(resumes=3), None, None, "lost on the way, reconnected 3 times"),
        (Line(lost_samples=24_000), None, 24_000, "held up on the way; 1.5 s of audio missed"),
        (Line(lost_samples=24_000), None, None, "held up on the way; 1.5 s of audio missed"),
        (Line(resumes=1), None, 124_800, "lost on the way, reconnected once; 7.8 s of audio missed"),
        (Line(resumes=7, missed=1), 8, 0, "cut 8 times on purpose, reconnected 7 times; 1 event missed"),
        (
            Line(resumes=2, missed=3, lost_samples=16_000),
            2,
            None,
            "cut twice on purpose, reconnected twice; 3 events and 1.0 s of audio missed",
        ),
    ],
)
def test_the_end_counts_it_all(line: Line, cuts: int | None, gaps: int | None, report: str) -> None:
    """Silence where nothing happened; else how often, and what it cost.

    Nothing is known to be whole without a summary, and nothing is whole that has gaps.
    """
    end = None if gaps is None else summary(20.0, gap_s=gaps / 16_000)
    assert of(line).report(cuts, end) == report


def test_chaos_is_the_same_for_a_seed_and_spares_who_is_away() -> None:
    """Pauses are within a half of what was asked; a client that is away is not cut."""
    pauses: list[float] = []
    line = Line()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        line.away = len(pauses) % 5 == 0
        if len(pauses) > 100:
            raise asyncio.CancelledError

    chaos = [Chaos(2.0, 7, sleep=sleep) for _ in range(2)]
    for one in chaos:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(one.run(cast(Client, line)))
        if one is chaos[0]:
            first, pauses[:] = pauses[:], []
    assert pauses == first
    assert all(1.0 <= one <= 3.0 for one in pauses)
    assert [one.cuts for one in chaos] == [80, 80]
    assert line.drops == 160
