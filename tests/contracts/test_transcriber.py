"""What every transcriber must do. A new adapter adds a factory to `TRANSCRIBERS`, and nothing else."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gateway.classify.port import HealthStatus
from gateway.transcribe.pocketsphinx import PocketSphinxTranscriber
from gateway.transcribe.port import Transcriber, TranscriptUpdate
from gateway.transcribe.process import DecoderProcess
from gateway.transcribe.whisper.transcriber import WhisperOptions, WhisperTranscriber
from tests.gateway.transcribe.fakes import Samples, until
from tests.gateway.transcribe.recordings import go_forward, synthesised
from tests.gateway.transcribe.test_pocketsphinx import Session
from tests.needs import need_module

SECOND = np.zeros(16_000, np.int16)


@dataclass
class Stage:
    """A started transcriber of one decoder, the processes it launched, and something to say."""

    transcriber: Transcriber
    launched: list[DecoderProcess]
    speech: Samples

    def session(self) -> Session:
        """A stream in English that waits for a decoder as long as it takes."""
        session = Session(self.transcriber, "en")
        session.stream.patient = True
        return session


Launch = Callable[..., DecoderProcess]


def pocketsphinx(launch: Launch, _: Path) -> Transcriber:
    need_module("pocketsphinx")
    return PocketSphinxTranscriber(decoders=1, flush_s=60, make=launch)


def whisper(launch: Launch, model: Path) -> Transcriber:
    return WhisperTranscriber(WhisperOptions(str(model), device="cpu", decoders=1), flush_s=60, make=launch)


TRANSCRIBERS: dict[str, Callable[[Launch, Path], Transcriber]] = {
    "pocketsphinx": pocketsphinx,
    "whisper": whisper,
}
"""Each with one decoder process, made by the launcher it is given."""

Scenario = Callable[[Stage], Awaitable[None]]
Play = Callable[[Scenario], None]


@pytest.fixture(params=TRANSCRIBERS.values(), ids=list(TRANSCRIBERS))
def play(request: pytest.FixtureRequest, tiny_whisper: Path, tmp_path: Path) -> Play:
    """Plays a scenario with a fresh transcriber."""
    speech = np.concatenate((synthesised("please hold the line while i look", tmp_path), SECOND))

    @asynccontextmanager
    async def started() -> AsyncIterator[Stage]:
        launched: list[DecoderProcess] = []

        def launch(*command: tuple[str, ...]) -> DecoderProcess:
            launched.append(DecoderProcess(*command))
            return launched[-1]

        made = request.param(launch, tiny_whisper)
        await made.start()
        try:
            yield Stage(made, launched, speech)
        finally:
            await made.aclose()

    def play(scenario: Scenario) -> None:
        async def on_stage() -> None:
            async with started() as stage:
                await scenario(stage)

        asyncio.run(on_stage())

    return play


def finals(updates: list[TranscriptUpdate]) -> list[TranscriptUpdate]:
    return [update for update in updates if update.is_final]


def check_order(updates: list[TranscriptUpdate]) -> None:
    """Revisions count up to the final; utterances follow one another and don't interleave."""
    for before, after in pairwise(updates):
        if before.is_final:
            assert after.revision == 0
            assert after.start_sample16k >= before.end_sample16k
        else:
            assert after.revision == before.revision + 1
            assert after.start_sample16k == before.start_sample16k
        assert after.end_sample16k >= before.end_sample16k
    for update in updates:
        assert update.start_sample16k <= update.end_sample16k
        assert update.is_final or update.words == ()
        places = [at for word in update.words for at in (word.start_sample16k, word.end_sample16k)]
        assert places == sorted(places)
        assert all(update.start_sample16k <= at <= update.end_sample16k for at in places)


def test_a_flush_brings_all_finals_in_order(play: Play) -> None:
    """Of several utterances, the one that is still open included; then nothing is pending."""

    async def scenario(stage: Stage) -> None:
        session = stage.session()
        session.hear(np.concatenate((SECOND, stage.speech, stage.speech, stage.speech[:-16_000])))
        await session.stream.flush()
        assert len(finals(session.updates)) >= 3
        assert session.updates[-1].is_final
        check_order(session.updates)
        assert session.stream.pending_from16k is None
        assert session.warnings == []
        told = len(session.updates)
        await session.stream.flush()
        assert len(session.updates) == told

    play(scenario)


def test_silence_makes_no_words(play: Play) -> None:
    """Digital silence and a quiet room."""

    async def scenario(stage: Stage) -> None:
        session = stage.session()
        room = np.random.default_rng(0).standard_normal(64_000) * 8
        session.hear(np.concatenate((SECOND, SECOND, room.astype(np.int16))))
        await session.stream.flush()
        assert session.updates == []
        assert session.warnings == []

    play(scenario)


def test_a_gap_in_the_stream_starts_anew(play: Play) -> None:
    """The open utterance ends where the samples do; the next one begins behind the gap."""

    async def scenario(stage: Stage) -> None:
        session = stage.session()
        session.hear(stage.speech[:-20_000])
        heard = session.at
        session.at = 1_600_000
        session.hear(stage.speech)
        await session.stream.flush()
        check_order(session.updates)
        before = [update for update in session.updates if update.end_sample16k <= heard]
        behind = [update for update in session.updates if update.start_sample16k >= 1_600_000]
        assert len(before) + len(behind) == len(session.updates)
        assert finals(before)
        assert finals(behind)

    play(scenario)


def test_streams_dont_hear_each_other(play: Play) -> None:
    """Two sessions at one decoder say what each would say alone."""

    async def scenario(stage: Stage) -> None:
        texts = []
        for others in (0, 1):
            sessions = [stage.session() for _ in range(1 + others)]
            for session in sessions:
                session.hear(stage.speech if session is sessions[0] else go_forward())
            await asyncio.gather(*(session.stream.flush() for session in sessions))
            texts.append([update.text for update in finals(sessions[0].updates)])
        assert texts[0] == texts[1]

    play(scenario)


def test_closing_twice_says_nothing_more(play: Play) -> None:
    """Neither a stream nor the transcriber; what is fed afterwards is ignored."""

    async def scenario(stage: Stage) -> None:
        session = stage.session()
        session.hear(stage.speech[:-16_000])
        await session.stream.aclose()
        await session.stream.aclose()
        session.hear(stage.speech)
        await session.stream.flush()
        assert session.updates == []
        assert session.stream.pending_from16k is None
        await stage.transcriber.aclose()
        await stage.transcriber.aclose()
        assert sum(stage.transcriber.decoders().values()) == 0

    play(scenario)


def test_a_decoder_that_dies_is_told_and_replaced(play: Play) -> None:
    """A warning to the session it was busy with, none to others; then words come again."""

    async def scenario(stage: Stage) -> None:
        session, other = stage.session(), stage.session()
        session.hear(stage.speech[:-16_000])
        flushing = asyncio.create_task(session.stream.flush())
        await until(lambda: stage.transcriber.decoders()["busy"] > 0)
        pid = stage.launched[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: bool(session.warnings))
        assert stage.transcriber.health().status is HealthStatus.WARNING
        await flushing
        session.at += 160_000
        session.hear(stage.speech)
        await session.stream.flush()
        assert len(session.warnings) == 1
        assert other.warnings == []
        assert any(update.text for update in finals(session.updates))
        check_order(session.updates)

    play(scenario)


def test_utterances_are_counted(play: Play) -> None:
    """By what became of them; the decoders by state."""

    async def scenario(stage: Stage) -> None:
        session = stage.session()
        session.hear(stage.speech)
        await session.stream.flush()
        assert sum(stage.transcriber.utterances().values()) >= 1
        assert set(stage.transcriber.utterances()) <= {"decoded", "empty"}
        assert stage.transcriber.decoders() == {"idle": 1, "busy": 0, "loading": 0}
        assert stage.transcriber.health().status is HealthStatus.READY

    play(scenario)
