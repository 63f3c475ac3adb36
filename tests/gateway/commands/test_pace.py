"""The sending schedule: exact over hours, and no flood after a stall."""

import asyncio

import pytest

from gateway.clock import ManualClock
from gateway.commands.pace import SLIP_S, Pacer


class Sleeper:
    """Sleeps by moving a manual clock, always 3 ms too long, as real sleeps are."""

    def __init__(self) -> None:
        self.clock = ManualClock()

    async def __call__(self, seconds: float) -> None:
        self.clock.advance(seconds + 0.003)


def pace(pacer: Pacer, *samples: int) -> None:
    async def run() -> None:
        for sample in samples:
            await pacer.until(sample)

    asyncio.run(run())


def test_no_drift_in_an_hour() -> None:
    """36,000 late wake-ups of 3 ms don't add up: after an hour the schedule is off by one of them."""
    sleep = Sleeper()
    pacer = Pacer(44_100, clock=sleep.clock, sleep=sleep)
    start = sleep.clock.monotonic()
    pace(pacer, *range(4_410, 4_410 * 36_000 + 1, 4_410))
    assert sleep.clock.monotonic() - start == pytest.approx(3_600, abs=0.004)
    assert pacer.slipped_s == 0.0


def test_small_delays_are_caught_up() -> None:
    """A frame that comes a little late is sent at once, and the next one on time."""
    sleep = Sleeper()
    pacer = Pacer(16_000, clock=sleep.clock, sleep=sleep)
    start = sleep.clock.monotonic()
    pace(pacer, 1_600)
    sleep.clock.advance(0.5)
    pace(pacer, 3_200, 4_800, 16_000)
    assert sleep.clock.monotonic() - start == pytest.approx(1.0, abs=0.01)


def test_stall_moves_the_schedule() -> None:
    """After a long stall the audio goes on at its pace instead of in a burst."""
    sleep = Sleeper()
    pacer = Pacer(16_000, clock=sleep.clock, sleep=sleep)
    pace(pacer, 1_600)
    sleep.clock.advance(SLIP_S + 10)
    pace(pacer, 3_200)
    resumed = sleep.clock.monotonic()
    pace(pacer, 3_200 + 16_000)
    assert sleep.clock.monotonic() - resumed == pytest.approx(1.0, abs=0.01)
    assert pacer.slipped_s > 10


def test_since_measures_from_when_audio_was_due() -> None:
    """The delay of an event counts from when its audio would have been heard."""
    sleep = Sleeper()
    pacer = Pacer(16_000, clock=sleep.clock, sleep=sleep)
    assert pacer.since(0) is None
    pace(pacer, 16_000)
    sleep.clock.advance(0.247)
    assert pacer.since(16_000) == pytest.approx(0.25, abs=1e-6)
