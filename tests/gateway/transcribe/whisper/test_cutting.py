"""Streams of several sessions, cut in the thread."""

import asyncio
import logging
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from gateway.transcribe.segmenter import Action, Begin, End, PowerDetector, Samples, Segmenter
from gateway.transcribe.whisper.cutting import Cut, Cutter
from tests.gateway.transcribe.fakes import sound

TALK = sound([(1.0, False), (1.0, True), (1.0, False), (1.0, True)])


class Ear:
    """One stream's place and what came back."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.threads: set[str] = set()
        self.cut = Cut(self._hear)

    def _hear(self, actions: Sequence[Action]) -> None:
        self.threads.add(threading.current_thread().name)
        self.actions += actions

    @property
    def spans(self) -> list[int]:
        return [
            action.start16k if isinstance(action, Begin) else action.end16k
            for action in self.actions
            if isinstance(action, Begin | End)
        ]


def expected(samples: Samples, start: int = 0) -> list[int]:
    segmenter, ear = Segmenter(start), Ear()
    ear.actions += segmenter.feed(samples)
    ear.actions += segmenter.flush()
    return ear.spans


def test_many_streams_are_cut_as_each_alone() -> None:
    """However their blocks mingle; and the results come on the event loop's thread."""

    async def main() -> None:
        cutter, ears = Cutter(PowerDetector), [Ear() for _ in range(100)]
        cutter.start()
        for at in range(0, len(TALK), 1_600):
            for number, ear in enumerate(ears):
                cutter.feed(ear.cut, TALK[at : at + 1_600], number * 16_000 + at)
            await asyncio.sleep(0)
        await asyncio.gather(*(cutter.flush(ear.cut) for ear in ears))
        for number, ear in enumerate(ears):
            assert ear.spans == expected(TALK, number * 16_000)
            assert ear.threads == {threading.current_thread().name}
        await cutter.aclose()
        await cutter.aclose()

    asyncio.run(main())


def test_a_jump_ends_the_utterance() -> None:
    """What follows is cut anew, at its own place."""

    async def main() -> None:
        cutter, ear = Cutter(PowerDetector), Ear()
        cutter.start()
        cutter.feed(ear.cut, TALK[:32_000], 0)
        cutter.feed(ear.cut, TALK[:32_000], 160_000)
        await cutter.flush(ear.cut)
        assert [at // 16_000 for at in ear.spans] == [0, 2, 10, 12]
        await cutter.aclose()

    asyncio.run(main())


class Breaking(PowerDetector):
    """A detector that breaks at the third block."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def scores(self, frames: Samples) -> list[float]:
        self.count += 1
        if self.count == 3:
            raise RuntimeError("by hand")
        return super().scores(frames)


def test_a_detector_that_breaks_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """Its stream goes on by the level, once told in the log, and no sample is passed over."""

    async def main() -> None:
        cutter, ear = Cutter(Breaking), Ear()
        cutter.start()
        for at in range(0, len(TALK), 1_600):
            cutter.feed(ear.cut, TALK[at : at + 1_600], at)
            await asyncio.sleep(0)
        await cutter.flush(ear.cut)
        assert ear.spans == expected(TALK)
        assert ear.cut.failed
        await cutter.aclose()

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert len(caplog.records) == 1


def test_a_receiver_that_fails_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    """The others of the round hear theirs."""

    def fail(_: Sequence[Action]) -> None:
        raise ValueError("by hand")

    async def main() -> None:
        cutter, bad, ear = Cutter(PowerDetector), Cut(fail), Ear()
        cutter.start()
        cutter.feed(bad, TALK, 0)
        cutter.feed(ear.cut, TALK, 0)
        await asyncio.gather(cutter.flush(bad), cutter.flush(ear.cut))
        assert ear.spans == expected(TALK)
        await cutter.aclose()

    asyncio.run(main())
    assert "could not take" in caplog.text


def test_closing_lets_go_of_who_waits() -> None:
    """A flush returns when its stream is forgotten, and when all is closed."""

    async def main() -> None:
        cutter, ears = Cutter(PowerDetector), [Ear(), Ear()]
        flushes = [asyncio.create_task(cutter.flush(ear.cut)) for ear in ears]
        await asyncio.sleep(0)
        cutter.forget(ears[0].cut)
        await flushes[0]
        await cutter.aclose()
        await flushes[1]

    asyncio.run(main())


def test_nothing_is_shared_with_the_feeder() -> None:
    """The samples given may be overwritten once they were cut."""

    async def main() -> None:
        cutter, ear = Cutter(PowerDetector), Ear()
        cutter.start()
        block = TALK.copy()
        cutter.feed(ear.cut, block, 0)
        await cutter.flush(ear.cut)
        heard = [action.samples for action in ear.actions if hasattr(action, "samples")]
        block[:] = 0
        assert np.any(np.concatenate(heard))
        await cutter.aclose()

    asyncio.run(main())
