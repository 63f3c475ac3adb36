"""Streams of several sessions, cut in the thread."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from gateway.transcribe.segmenter import Action, Begin, End, PowerDetector, Samples, Segmenter
from gateway.transcribe.whisper.cutting import TOLD_AT_ONCE, Cut, Cutter
from tests.gateway.transcribe.fakes import sound

TALK = sound([(1.0, False), (1.0, True), (1.0, False), (1.0, True)])


class Ear:
    """One stream's place and what came back."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.threads: set[str] = set()
        self.pending: list[int | None] = []
        self.cut = Cut(self._hear, lambda: self.pending.append(self.cut.uncut_from16k))

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
        cutter, bad, ear = Cutter(PowerDetector), Cut(fail, lambda: None), Ear()
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


def test_what_waits_is_told_until_its_actions_were() -> None:
    """In the thread too: when there is progress, the actions so far were told and the rest still counts."""

    async def main() -> None:
        cutter, ear = Cutter(PowerDetector), Ear()
        meanwhile: list[int | None] = []
        ear.cut.on_actions = lambda _: meanwhile.append(ear.cut.uncut_from16k)
        ear.cut.on_progress()
        cutter.feed(ear.cut, TALK, 160_000)
        ear.cut.on_progress()
        cutter.start()
        await cutter.flush(ear.cut)
        assert meanwhile == [160_000, 176_000, 192_000, 208_000, None]
        assert ear.pending == [None, 160_000, 176_000, 192_000, 208_000, None, None]
        await cutter.aclose()

    asyncio.run(main())


def test_closing_forgets_what_the_thread_has() -> None:
    """A stream that is closed while it is cut has nothing pending, nor has one whose cutter is closed."""

    async def main() -> None:
        gate = threading.Event()

        class Gated(PowerDetector):
            def scores(self, frames: Samples) -> list[float]:
                gate.wait()
                return super().scores(frames)

        cutter, ears = Cutter(Gated), [Ear(), Ear()]
        cutter.start()
        for ear in ears:
            cutter.feed(ear.cut, TALK, 0)
        await asyncio.sleep(0)
        cutter.forget(ears[0].cut)
        assert [ear.cut.uncut_from16k for ear in ears] == [None, 0]
        await cutter.aclose()
        assert [ear.cut.uncut_from16k for ear in ears] == [None, None]
        gate.set()

    asyncio.run(main())


@pytest.mark.parametrize("blocks", [1, 300])
def test_a_burst_keeps_nobody_waiting(blocks: int) -> None:
    """Half a minute at once is cut a second at a time, with the others' turns in between."""

    async def main() -> None:
        told: list[str] = []

        class Noting(Ear):
            def __init__(self, name: str) -> None:
                super().__init__()
                self.cut.on_progress = lambda: told.append(name)

        cutter, burst, talker = Cutter(PowerDetector), Noting("burst"), Noting("talker")
        recording = np.resize(TALK, 30 * 16_000)
        for at, block in enumerate(np.split(recording, blocks)):
            cutter.feed(burst.cut, block, at * len(block))
        cutter.feed(talker.cut, TALK[:1_600], 0)
        cutter.start()
        await asyncio.gather(cutter.flush(burst.cut), cutter.flush(talker.cut))
        assert told.index("talker") == 1
        assert told.count("burst") >= 30
        assert burst.spans == expected(recording)
        await cutter.aclose()

    asyncio.run(main())


def test_others_have_their_turn_while_many_are_told() -> None:
    """What the first stream's progress has the event loop do isn't done after the last one was told."""

    async def main() -> None:
        told: list[int] = []
        turns: list[int] = []
        cutter, ears = Cutter(PowerDetector), [Ear() for _ in range(2 * TOLD_AT_ONCE)]

        def note(number: int) -> None:
            if not told:
                asyncio.get_running_loop().call_soon(lambda: turns.append(len(told)))
            told.append(number)

        for number, ear in enumerate(ears):
            ear.cut.on_progress = partial(note, number)
            cutter.feed(ear.cut, TALK[:1_600], 0)
        cutter.start()
        await asyncio.gather(*(cutter.flush(ear.cut) for ear in ears))
        assert turns == [TOLD_AT_ONCE]
        await cutter.aclose()

    asyncio.run(main())
