"""The voice detector: the real network on real sounds."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transcribe.segmenter import Action, Begin, End, Segmenter, Speech
from gateway.transcribe.whisper.silero import FRAME, SileroDetector, SileroMissing, network
from tests.gateway.transcribe.fakes import Samples, sound
from tests.gateway.transcribe.recordings import go_forward, librivox
from tests.needs import need_module


@pytest.fixture(autouse=True)
def _silero() -> None:
    need_module("faster_whisper")


def spans(actions: list[Action]) -> list[tuple[int, int]]:
    """The utterances as [first, last)."""
    begins = [action.start16k for action in actions if isinstance(action, Begin)]
    ends = [action.end16k for action in actions if isinstance(action, End)]
    return list(zip(begins, ends, strict=True))


def cut(samples: Samples, block: int = 1_600, start: int = 0) -> list[Action]:
    segmenter = Segmenter(start, SileroDetector())
    actions: list[Action] = []
    for at in range(0, len(samples), block):
        actions += segmenter.feed(samples[at : at + block])
    return actions + list(segmenter.flush())


def test_it_scores_as_the_library_does() -> None:
    """Speech frame by frame, whichever way it is split; the context goes from block to block."""
    from faster_whisper.vad import get_vad_model

    speech = librivox()[0][0]
    speech = speech[: len(speech) // FRAME * FRAME]
    frames = speech.reshape(-1, FRAME)
    expected = get_vad_model()(speech.astype(np.float32) / 32_768)
    whole, pieces = SileroDetector(), SileroDetector()
    assert np.allclose(whole.scores(frames)[:-1], expected[:-1], atol=0.03)
    found = [score for at in range(0, len(frames), 3) for score in pieces.scores(frames[at : at + 3])]
    assert np.allclose(found[:-1], expected[:-1], atol=0.03)


def test_speech_is_found_with_its_first_sound() -> None:
    """The utterance begins a little before, and ends a little after."""
    samples = np.concatenate((np.zeros(32_000, np.int16), go_forward(), np.zeros(32_000, np.int16)))
    ((begin, end),) = spans(cut(samples, start=160_000))
    assert 160_000 + 32_000 <= begin <= 160_000 + 32_000 + 7_360
    assert abs(end - (160_000 + 32_000 + len(go_forward()))) <= 16_000


def test_noise_and_tones_are_no_speech() -> None:
    """A loud hiss and a dial tone, which the level alone takes for speech."""
    clock = np.arange(48_000) / 16_000
    tone = (8_000 * (np.sin(2 * np.pi * 440 * clock) + np.sin(2 * np.pi * 480 * clock))).astype(np.int16)
    for samples in (sound([(1, False), (3, True), (1, False)]), tone):
        assert spans(cut(samples)) == []


def test_no_utterance_is_longer_than_five_seconds() -> None:
    """Somebody who reads without a pause is split, and no sample of it is lost or doubled."""
    reading = np.concatenate([samples for samples, _ in librivox()])
    actions = cut(reading)
    assert len(spans(actions)) >= 5
    assert all(0 < end - begin <= 80_000 for begin, end in spans(actions))
    for (begin, end), heard in zip(spans(actions), utterances(actions), strict=True):
        assert np.array_equal(heard, reading[begin:end])


def utterances(actions: list[Action]) -> list[Samples]:
    """The samples of each."""
    heard: list[list[Samples]] = []
    for action in actions:
        if isinstance(action, Begin):
            heard.append([])
        elif isinstance(action, Speech):
            heard[-1].append(action.samples)
    return [np.concatenate(parts) for parts in heard]


@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=30), st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_the_same_audio_gives_the_same_utterances(blocks: list[int], quiet: int) -> None:
    """However it is split into blocks, silence in its midst or not."""
    speech = go_forward().copy()
    speech[16_000 : 16_000 + quiet * 4_000] = 0
    segmenter, at = Segmenter(0, SileroDetector()), 0
    actions: list[Action] = []
    for block in (*blocks, len(speech)):
        actions += segmenter.feed(speech[at : at + block])
        at += block
    actions += segmenter.flush()
    assert spans(actions) == spans(cut(speech))


def test_silence_isnt_shown_to_the_network() -> None:
    """A muted microphone costs nothing."""

    class Counting:
        shown = 0

        def run(self, _: object, given: dict[str, Any]) -> list[Any]:
            self.shown += len(given["input"])
            return [np.full(len(given["input"]), 0.9, np.float32), given["h"], given["c"]]

    counting = Counting()
    detector = SileroDetector(counting)
    quiet, loud = np.full((4, FRAME), 3, np.int16), np.full((2, FRAME), 3_000, np.int16)
    assert detector.scores(quiet) == [0.0] * 4
    assert counting.shown == 0
    assert (
        detector.scores(np.concatenate((quiet, loud, quiet)))
        == [0.0] * 4 + [pytest.approx(0.9)] * 2 + [0.0] * 4
    )
    assert counting.shown == 2


def test_where_it_isnt_there_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the package, without the file, with another file."""
    network.cache_clear()
    try:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(SileroMissing, match="isn't installed"):
            network()
        there = ModuleSpec("faster_whisper", None, origin=str(tmp_path / "__init__.py"))
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: there)
        with pytest.raises(SileroMissing, match="can't be loaded"):
            network()
        (tmp_path / "assets").mkdir()
        (tmp_path / "assets" / "silero_vad_v6.onnx").write_bytes(b"not a network")
        with pytest.raises(SileroMissing, match="can't be loaded"):
            network()
    finally:
        network.cache_clear()
