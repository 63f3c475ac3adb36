"""The offline transcriber as the gateway uses it: real processes, real model, real recordings."""

import asyncio
import importlib.util
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.classify.port import HealthStatus
from gateway.transcribe.pocketsphinx import PocketSphinxTranscriber, understands
from gateway.transcribe.port import Transcriber, TranscriberUnavailable, TranscriptStream, TranscriptUpdate
from gateway.transcribe.process import DecoderProcess
from gateway.transcribe.worker import PocketSphinx, Word
from tests.gateway.transcribe.fakes import Samples
from tests.gateway.transcribe.recordings import errors, go_forward, librivox, synthesised
from tests.needs import need_module

BLOCK = 1_600


class Session:
    """One stream of a transcriber and all it said."""

    def __init__(self, transcriber: Transcriber, language: str | None = "en-US") -> None:
        self.updates: list[TranscriptUpdate] = []
        self.warnings: list[str] = []
        self.news = asyncio.Event()
        self.at = 0
        self.stream: TranscriptStream = transcriber.open(
            emit=self._on_update, warn=self._on_warning, language=language
        )

    def _on_update(self, update: TranscriptUpdate) -> None:
        self.updates.append(update)
        self.news.set()

    def _on_warning(self, detail: str) -> None:
        self.warnings.append(detail)
        self.news.set()

    def hear(self, samples: Samples) -> None:
        """Feed in blocks of 100 ms, as fast as it goes."""
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK]
            self.stream.feed(block, self.at)
            self.at += len(block)

    async def something(self) -> None:
        """Return at the next update or warning."""
        self.news.clear()
        async with asyncio.timeout(30):
            await self.news.wait()

    @property
    def finals(self) -> list[str]:
        """The words of all finals."""
        return " ".join(update.text for update in self.updates if update.is_final).split()


@asynccontextmanager
async def transcriber(
    decoders: int = 1,
) -> AsyncIterator[tuple[PocketSphinxTranscriber, list[DecoderProcess]]]:
    """A started transcriber, and the processes it launches."""
    need_module("pocketsphinx")
    launched: list[DecoderProcess] = []

    def make() -> DecoderProcess:
        launched.append(DecoderProcess())
        return launched[-1]

    made = PocketSphinxTranscriber(decoders=decoders, flush_s=60, make=make)
    await made.start()
    try:
        yield made, launched
    finally:
        await made.aclose()


def test_a_command_is_understood() -> None:
    """Interims lead up to the right words, each with its place in the session."""

    async def main() -> None:
        async with transcriber() as (made, _):
            session = Session(made)
            session.hear(np.concatenate((np.zeros(32_000, np.int16), go_forward())))
            await session.stream.flush()
            final = session.updates[-1]
            assert final.text == "go forward ten meters"
            assert [update.revision for update in session.updates] == list(range(len(session.updates)))
            assert [update.is_final for update in session.updates].count(True) == 1
            assert len(session.updates) > 3
            assert len({update.text for update in session.updates[:-1]}) == len(session.updates) - 1
            assert [word.text for word in final.words] == final.text.split()
            places = [at for word in final.words for at in (word.start_sample16k, word.end_sample16k)]
            assert places == sorted(places)
            assert final.start_sample16k <= places[0]
            assert places[-1] <= final.end_sample16k
            assert abs(places[0] - (32_000 + 7_360)) <= 1_600
            assert session.warnings == []
            assert made.utterances() == {"decoded": 1}

    asyncio.run(main())


def test_a_reading_is_understood_within_bounds() -> None:
    """Of 71 words read by a LibriVox volunteer, at most a third is wrong (0.24 when this was written)."""

    async def main() -> None:
        wrong = total = 0
        async with transcriber() as (made, _):
            for samples, expected in librivox():
                session = Session(made)
                session.hear(samples)
                await session.stream.flush()
                await session.stream.aclose()
                wrong += errors(expected, session.finals)
                total += len(expected)
        assert total == 71
        assert wrong / total <= 0.33

    asyncio.run(main())


def test_results_dont_depend_on_who_spoke_before(tmp_path: Path) -> None:
    """A talker's words are the same on a fresh decoder as on one that another talker has just used."""
    other = synthesised("please hold the line while i look up your account", tmp_path)

    async def main() -> None:
        async with transcriber() as (made, launched):
            texts = []
            for samples in (go_forward(), other, go_forward()):
                session = Session(made)
                session.hear(samples)
                await session.stream.flush()
                texts.append([update.text for update in session.updates])
            assert len(launched) == 1
            assert texts[0] == texts[2] != texts[1]

    asyncio.run(main())


def test_a_killed_decoder_costs_one_utterance() -> None:
    """Of two sessions only the one whose process was killed loses its words, once; then both go on."""

    async def main() -> None:
        async with transcriber(decoders=2) as (made, launched):
            victim, other = Session(made), Session(made)
            speech = go_forward()
            victim.hear(speech[:32_000])
            await victim.something()
            other.hear(speech[:32_000])
            await other.something()
            pid = launched[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while not victim.warnings:
                await victim.something()
            other.hear(speech[32_000:])
            await other.stream.flush()
            assert other.updates[-1].text == "go forward ten meters"
            assert other.warnings == []
            assert victim.updates[-1].is_final
            assert made.health().status is HealthStatus.WARNING
            await victim.stream.flush()
            victim.at = 160_000
            victim.hear(speech)
            await victim.stream.flush()
            assert victim.updates[-1].text == "go forward ten meters"
            assert len(victim.warnings) == 1
            assert made.utterances() == {"decoder_died": 1, "decoded": 2}

    asyncio.run(main())


def test_without_a_free_decoder_a_session_is_told() -> None:
    """With one decoder and somebody else at it, an utterance is given up after two seconds, and said so."""

    async def main() -> None:
        async with transcriber(decoders=1) as (made, _):
            talker, waiting = Session(made), Session(made)
            talker.hear(go_forward()[:32_000])
            await talker.something()
            waiting.hear(go_forward())
            await waiting.stream.flush()
            assert waiting.warnings == ["no transcript for now: no decoder is free"]
            assert waiting.updates == []
            talker.hear(go_forward()[32_000:])
            await talker.stream.flush()
            assert talker.updates[-1].text == "go forward ten meters"

    asyncio.run(main())


def test_other_languages_are_not_decoded() -> None:
    """A session in German is told so once and launches nothing."""

    async def main() -> None:
        async with transcriber() as (made, launched):
            session = Session(made, "de-AT")
            session.hear(go_forward())
            await session.stream.flush()
            assert session.warnings == ["no transcript for de-AT"]
            assert launched == []
            assert made.health().status is HealthStatus.READY

    asyncio.run(main())


@pytest.mark.parametrize("language", [None, "en", "en-GB", "EN_us", "eng"])
def test_english_is_understood(language: str | None) -> None:
    """English by any tag, or no tag."""
    assert understands(language)


def test_close_ends_the_processes() -> None:
    """After close, in mid-utterance and twice, no process is left."""

    async def main() -> None:
        async with transcriber() as (made, launched):
            session = Session(made)
            session.hear(go_forward()[:32_000])
            await session.something()
            await made.aclose()
            pid = launched[0].pid
            assert pid is not None
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    asyncio.run(main())


def test_without_the_module_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pocketsphinx isn't installed the constructor says so, so that another choice can be made."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TranscriberUnavailable, match="embedded"):
        PocketSphinxTranscriber()


def test_words_are_the_same_whichever_decoder_they_come_from() -> None:
    """To the last digit of a confidence: one that is fresh, one that heard noise, or the two by turns."""
    need_module("pocketsphinx")

    def decode(engine: PocketSphinx, pcm: bytes, profile: str | None) -> tuple[list[Word], str | None]:
        engine.begin(profile)
        engine.process(pcm)
        return engine.finish()[:2]

    def read(engines: list[PocketSphinx]) -> list[list[Word]]:
        profile, heard = None, []
        for number, (samples, _) in enumerate(librivox()[:3]):
            words, learned = decode(engines[number % len(engines)], samples[:48_000].tobytes(), profile)
            profile = learned or profile
            heard.append(words)
        return heard

    fresh, used = PocketSphinx(), PocketSphinx()
    noise = (np.random.default_rng(1).standard_normal(32_000) * 3_000).astype("<i2")
    decode(used, noise.tobytes(), None)
    said = read([fresh])
    assert any(said)
    assert read([used]) == said
    assert read([fresh, used]) == said
