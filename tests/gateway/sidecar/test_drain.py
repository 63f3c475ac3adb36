"""How a sidecar goes: with the last answer once all is quiet, and never later than its time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.sidecar.drain import HURRY_S, QUIET_S, STEP_S, WORK_SHARE, SidecarDrain
from tests.virtual_time import VirtualLoop, run


class Hall:
    """As much of a desk as a drain looks at."""

    def __init__(self) -> None:
        self.held = 0
        self.closed = False
        self.called_at = float("-inf")


Meanwhile = Callable[[Hall, asyncio.Event], Coroutine[Any, Any, None]]


def took_s(hall: Hall, meanwhile: Meanwhile | None = None, grace_s: float = 10.0) -> float:
    """Seconds until it is over."""

    async def main(loop: VirtualLoop) -> float:
        hurry = asyncio.Event()
        hall.called_at = max(hall.called_at, loop.monotonic() - 60)
        drain = SidecarDrain(hall, loop, grace_s=grace_s)  # type: ignore[arg-type]
        began = loop.monotonic()
        states = [drain.draining]
        assert drain.begin().end == began + grace_s
        assert [*states, drain.draining, hall.closed] == [False, True, True]
        other = asyncio.create_task(meanwhile(hall, hurry)) if meanwhile else None
        await drain.run(hurry)
        if other is not None:
            await other
        return loop.monotonic() - began

    return run(main)


def test_idle_it_is_over_at_once() -> None:
    """Nobody is waited for."""
    assert took_s(Hall()) == 0


def test_it_waits_for_answers() -> None:
    """And no longer."""
    hall = Hall()
    hall.held = 3

    async def answered(hall: Hall, _: asyncio.Event) -> None:
        await asyncio.sleep(4.0)
        hall.held = 0

    assert 4.0 <= took_s(hall, answered) <= 4.0 + 2 * STEP_S


def test_it_waits_until_callers_know() -> None:
    """Each that calls is told to close its connection; after a second without any it goes."""

    hall = Hall()
    hall.called_at = 1_000.0  # when a virtual loop begins

    async def calling(hall: Hall, _: asyncio.Event) -> None:
        for _call in range(4):
            await asyncio.sleep(0.5)
            hall.called_at = asyncio.get_running_loop().time()

    assert 2.0 + QUIET_S <= took_s(hall, calling) <= 2.0 + QUIET_S + 2 * STEP_S


def test_it_waits_no_longer_than_its_share() -> None:
    """Whoever still has no answer loses it."""
    hall = Hall()
    hall.held = 1
    assert WORK_SHARE * 10 <= took_s(hall) <= WORK_SHARE * 10 + STEP_S


def test_a_second_signal_hurries_it() -> None:
    """A second for what is under way; quiet is not waited for."""
    hall = Hall()
    hall.held = 1

    async def hurried(_: Hall, hurry: asyncio.Event) -> None:
        await asyncio.sleep(1.0)
        hurry.set()

    assert 1.0 + HURRY_S <= took_s(hall, hurried, grace_s=3_600.0) <= 1.0 + HURRY_S + 2 * STEP_S
