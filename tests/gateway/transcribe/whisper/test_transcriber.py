"""Whisper as the gateway uses it: real processes, real loading, real speech, a tiny model."""

import asyncio
import importlib.util
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gateway.classify.port import HealthStatus
from gateway.spawn import environment
from gateway.transcribe.port import TranscriberUnavailable
from gateway.transcribe.process import DecoderProcess
from gateway.transcribe.whisper.model import ModelUnusable
from gateway.transcribe.whisper.transcriber import WhisperOptions, WhisperTranscriber
from tests.gateway.transcribe.fakes import BLOCK, Samples, until
from tests.gateway.transcribe.recordings import synthesised
from tests.gateway.transcribe.test_pocketsphinx import Session

SENTENCE = "please hold the line while i look up your account number and the address"
SECOND = np.zeros(16_000, np.int16)


@asynccontextmanager
async def whisper(
    model: Path, decoders: int = 1
) -> AsyncIterator[tuple[WhisperTranscriber, list[DecoderProcess]]]:
    """A started transcriber, and the processes it launches."""
    launched: list[DecoderProcess] = []

    def make(command: tuple[str, ...]) -> DecoderProcess:
        launched.append(DecoderProcess(command))
        return launched[-1]

    options = WhisperOptions(str(model), device="cpu", decoders=decoders)
    made = WhisperTranscriber(options, flush_s=60, make=make)
    await made.start()
    try:
        yield made, launched
    finally:
        await made.aclose()


def ready(made: WhisperTranscriber) -> Callable[[], bool]:
    return lambda: made.decoders()["idle"] > 0


async def talk(session: Session, samples: Samples) -> None:
    """Feed it some times faster than anybody speaks, so that there is time for drafts."""
    for start in range(0, len(samples), BLOCK):
        session.hear(samples[start : start + BLOCK])
        await asyncio.sleep(0.02)


@pytest.fixture
def spoken(tmp_path: Path) -> Samples:
    """A sentence between two seconds of silence."""
    return np.concatenate((SECOND, synthesised(SENTENCE, tmp_path), SECOND))


def test_it_loads_at_start_and_is_ready_then(tiny_whisper: Path) -> None:
    """Before anybody speaks; loading until then."""

    async def main() -> None:
        async with whisper(tiny_whisper, 2) as (made, launched):
            assert made.health().status is HealthStatus.LOADING
            await until(ready(made))
            assert made.health().status is HealthStatus.READY
            assert len(launched) == 1

    asyncio.run(main())


def test_speech_gives_revisions_and_finals(tiny_whisper: Path, spoken: Samples) -> None:
    """Interims lead up to finals; words have places in the session, in order, inside their utterance."""

    async def main() -> None:
        async with whisper(tiny_whisper) as (made, _):
            await until(ready(made))
            session = Session(made, None)
            await talk(session, spoken)
            await session.stream.flush()
            assert session.warnings == []
            finals = [update for update in session.updates if update.is_final]
            assert any(not update.is_final for update in session.updates)
            assert any(update.text for update in finals)
            for before, after in pairwise(session.updates):
                assert after.revision == (0 if before.is_final else before.revision + 1)
                assert after.start_sample16k >= before.start_sample16k
            for update in finals:
                places = [at for word in update.words for at in (word.start_sample16k, word.end_sample16k)]
                assert places == sorted(places)
                assert all(update.start_sample16k <= at <= update.end_sample16k for at in places)
                assert all(0 <= (word.confidence or 0) <= 1 for word in update.words)
                assert update.end_sample16k - update.start_sample16k <= 80_000
            assert {update.language for update in session.updates if update.text} <= {"de", None}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("language", "told", "warnings"),
    [("fr-CA", "fr", 0), ("nb", "no", 0), ("tlh", "de", 1)],
)
def test_a_language_is_asked_for_or_detected(
    tiny_whisper: Path, spoken: Samples, language: str, told: str, warnings: int
) -> None:
    """One that Whisper doesn't know has it detected, and that is said."""

    async def main() -> None:
        async with whisper(tiny_whisper) as (made, _):
            session = Session(made, language)
            session.stream.patient = True
            session.hear(spoken)
            await session.stream.flush()
            assert {update.language for update in session.updates if update.text} == {told}
            assert len(session.warnings) == warnings

    asyncio.run(main())


def test_an_english_only_model_serves_english_alone(tiny_whisper_english: Path, spoken: Samples) -> None:
    """Others are told so once; whoever doesn't say is taken to speak English."""

    async def main() -> None:
        async with whisper(tiny_whisper_english) as (made, _):
            english, unsaid, german = (Session(made, language) for language in ("en-GB", None, "de"))
            for session in (english, unsaid, german):
                session.stream.patient = True
                session.hear(spoken)
                await session.stream.flush()
            assert {update.language for update in (*english.updates, *unsaid.updates)} == {"en"}
            assert german.updates == []
            assert german.warnings == ["no transcript for de"]

    asyncio.run(main())


def test_a_killed_worker_costs_no_more_than_a_warning(tiny_whisper: Path, spoken: Samples) -> None:
    """Killed in mid-utterance: a warning, a new process after a pause, and the next utterance is decoded."""

    async def main() -> None:
        async with whisper(tiny_whisper) as (made, launched):
            await until(ready(made))
            session = Session(made, None)
            await talk(session, spoken[: 2 * 16_000])
            while made.decoders()["busy"] == 0:
                await talk(session, spoken[session.at :][:BLOCK])
            pid = launched[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: bool(session.warnings))
            assert made.health().status is HealthStatus.WARNING
            await session.stream.flush()
            before = len(session.updates)
            session.stream.patient = True
            session.hear(spoken)
            await session.stream.flush()
            assert any(update.is_final and update.text for update in session.updates[before:])
            assert len(session.warnings) == 1
            assert len(launched) == 2

    asyncio.run(main())


def test_a_worker_that_hangs_is_replaced(tiny_whisper: Path, spoken: Samples) -> None:
    """It is stopped in mid-utterance; when it is overdue it is killed, and another one takes its place."""

    async def main() -> None:
        async with whisper(tiny_whisper) as (made, launched):
            await until(ready(made))
            pid = launched[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            session = Session(made, None)
            session.hear(spoken)
            await until(lambda: made.decoders()["busy"] > 0)
            launched[0].kill()  # what the pool does when a result is overdue
            await until(lambda: bool(session.warnings))
            await until(ready(made))
            session.stream.patient = True
            session.hear(spoken)
            await session.stream.flush()
            assert any(update.is_final and update.text for update in session.updates)

    asyncio.run(main())


def test_close_ends_the_processes(tiny_whisper: Path, spoken: Samples) -> None:
    """In mid-utterance and twice; no process is left."""

    async def main() -> None:
        async with whisper(tiny_whisper) as (made, launched):
            await until(ready(made))
            session = Session(made, None)
            await talk(session, spoken[: 3 * 16_000])
            await made.aclose()
            await made.aclose()
            pid = launched[0].pid
            assert pid is not None
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    asyncio.run(main())


def test_a_model_that_cant_be_loaded_is_an_error_with_its_reason(tiny_whisper: Path) -> None:
    """What only the loader can tell is in the health, in the loader's words."""

    async def main() -> None:
        options = WhisperOptions(str(tiny_whisper), device="cuda")
        made = WhisperTranscriber(options)
        await made.start()
        try:
            await until(lambda: made.health().status is HealthStatus.WARNING)
            assert "RuntimeError" in made.health().detail or "ValueError" in made.health().detail
        finally:
            await made.aclose()

    from ctranslate2 import get_cuda_device_count

    if get_cuda_device_count():
        pytest.skip("there is a GPU here, which loads it")
    asyncio.run(main())


def test_without_a_model_there_is_no_transcriber(tmp_path: Path) -> None:
    """A wrong directory is told by the constructor."""
    with pytest.raises(ModelUnusable, match=r"model\.bin"):
        WhisperTranscriber(WhisperOptions(str(tmp_path)))


def test_without_the_module_it_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The constructor says which extra is missing."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TranscriberUnavailable, match="extra: whisper"):
        WhisperTranscriber(WhisperOptions(str(tmp_path)))


def test_a_worker_sees_no_secrets() -> None:
    """Of the environment it gets what an interpreter and a GPU need."""
    base = {"PATH": "/bin", "HF_TOKEN": "secret", "CUDA_VISIBLE_DEVICES": "1", "UNDERTONE_X": "secret"}
    seen = environment(base, ("CUDA_VISIBLE_DEVICES",))
    assert "secret" not in str(seen)
    assert seen["CUDA_VISIBLE_DEVICES"] == "1"
