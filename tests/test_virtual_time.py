"""Virtual time: steps instead of waiting, and says so where nothing could ever happen."""

import asyncio
import time

import pytest

from tests.virtual_time import VirtualLoop, run


def test_an_hour_of_timers_takes_no_time() -> None:
    """Sleeps, timeouts and what runs beside them happen in the order of their times."""

    async def steps(clock: VirtualLoop) -> list[float]:
        began, seen = clock.monotonic(), []

        async def wake(after: float) -> None:
            await asyncio.sleep(after)
            seen.append(clock.monotonic() - began)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600):
                await asyncio.gather(wake(1_800), wake(900), wake(7_200))
        return [*seen, clock.monotonic() - began]

    before = time.monotonic()
    assert run(steps) == pytest.approx([900, 1_800, 3_600])
    assert time.monotonic() - before < 60


def test_waiting_for_nothing_is_told() -> None:
    """A real loop would hang."""

    async def steps(clock: VirtualLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        run(steps)
