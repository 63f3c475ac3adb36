"""The whole classifier: what it tells of real sounds, in batches, over short windows, and from any state."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest

from gateway.classify.acoustic import speaker
from gateway.classify.acoustic.classifier import AcousticClassifier, analyse
from gateway.classify.acoustic.features import Features
from gateway.classify.port import (
    AnalysisState,
    ClassifierError,
    HealthStatus,
    Observation,
    QueueObservation,
    SpeakerObservation,
    ToneObservation,
    Window,
)
from tests import signals
from tests.acoustic import TEXT, cut, listen, tones
from tests.signals import RATE, Pcm, Signal

ORDER = [SpeakerObservation, ToneObservation, QueueObservation]


def prompt() -> Pcm:
    """Some seconds of a real voice."""
    return signals.recording(signals.ASTERISK_SOUNDS / "demo-congrats.wav", 12.0)


def queue_labels(told: Sequence[Sequence[Observation]]) -> set[str]:
    return {said.label for window in told for said in window if isinstance(said, QueueObservation)}


def plain(told: Sequence[Sequence[Observation]]) -> list[list[tuple[str, Any]]]:
    return [[(type(said).__name__, said) for said in window] for window in told]


def test_speech_has_a_tone_within_the_first_window() -> None:
    """Real speech has a speaker and a tone from its first second on, and in nearly every one."""
    told = listen(prompt())
    assert isinstance(told[0][0], SpeakerObservation)
    assert isinstance(told[0][1], ToneObservation)
    said = tones(told)
    assert len(said) >= 0.8 * len(told)
    assert said[0].speaker_id == "Speaker A"
    assert {one.model for one in said} == {"acoustic-1"}
    assert said[0].confidence >= 0.10


@pytest.mark.parametrize(
    "sound",
    [
        signals.silence(5.0),
        signals.white(5.0, 0.05),
        signals.white(5.0, 0.0005),
        signals.dtmf("0123456789*#ABCD"),
        signals.ringback("US"),
        signals.busy("US"),
        signals.vowel(120.0, 5.0),
    ],
    ids=["silence", "noise", "faint noise", "DTMF", "ringback", "busy", "held vowel"],
)
def test_no_tone_without_speech(sound: Signal) -> None:
    """Silence, noise, keys, call progress and a held note have no tone."""
    assert tones(listen(sound)) == []


@pytest.mark.parametrize("path", signals.music_files(), ids=lambda path: path.stem)
def test_hold_music_has_no_tone(path: Path) -> None:
    """A minute of hold music is told as such and leads to at most one tone before it is recognised."""
    told = listen(signals.recording(path, 60.0))
    assert "hold_music" in queue_labels(told)
    assert tones(told[4:]) == []
    assert len(tones(told[:4])) <= 1


def test_keys_pressed_while_talking_are_no_speech(tmp_path: Path) -> None:
    """A DTMF tone between words is masked out of the speech before anything is measured."""
    words = signals.spoken(TEXT, "rms", tmp_path)[: 2 * RATE]
    keys = signals.pcm(signals.dtmf("159", 0.2, 0.1))
    told = listen(np.concatenate([words, keys, words])[: 4 * RATE])
    assert "dtmf_tone" in queue_labels(told)
    assert tones(told[:2])


def test_order_of_observations(tmp_path: Path) -> None:
    """Within a window come the speaker, then the tone, then the state of the call."""
    keys = signals.pcm(signals.dtmf("12"))
    words = signals.spoken(TEXT, "slt", tmp_path)
    told = listen(np.concatenate([words[:RATE], np.concatenate([words[: RATE - len(keys)], keys])]))
    found = [[ORDER.index(type(said)) for said in window] for window in told]
    assert all(window == sorted(window) for window in found)
    assert {0, 1, 2} <= {kind for window in found for kind in window}


@pytest.mark.parametrize("hop_s", [1.0, 0.333])
def test_state_survives_msgpack(hop_s: float) -> None:
    """Sent through msgpack after every window, the state leads to just the same observations."""
    sound = np.concatenate([prompt(), signals.recording(signals.music_files()[0], 6.0)])
    packed: dict[str, Any] = {}
    told = []
    for window in cut(sound, {}, hop_s=hop_s):
        moved = Window(window.samples, window.owned, window.end_s, packed)
        ((observations, packed["acoustic"]),) = analyse([moved])
        raw = msgpack.packb(packed)
        assert len(raw) <= 4096
        packed = msgpack.unpackb(raw)
        told.append(observations)
    assert plain(told) == plain(listen(sound, hop_s=hop_s))


def test_a_batch_is_its_windows() -> None:
    """40 windows of many lengths in one call are told as each would be alone."""
    pcm = prompt()
    lengths = [16_000, 8_000, 15_999, 4_800, 160, 16_000, 1, 700]
    windows = [
        Window(pcm[4_000 * i : 4_000 * i + lengths[i % 8]], lengths[i % 8], 1.0, {}, str(i))
        for i in range(40)
    ]
    together = [observations for observations, _ in analyse(windows)]
    alone = [analyse([window])[0][0] for window in windows]
    assert len(together) == 40
    for batch, single in zip(together, alone, strict=True):
        assert [type(said) for said in batch] == [type(said) for said in single]
        for a, b in zip(tones([batch]), tones([single]), strict=True):
            assert a.label == b.label
            assert [a.arousal, a.confidence] == pytest.approx([b.arousal, b.confidence], abs=0.01)


def test_more_windows_than_a_pass_takes() -> None:
    """Windows beyond the 32 of one pass are classified as well, each once."""
    windows = cut(prompt()[: 2 * RATE], {}) * 17 + cut(signals.silence(1.0), {})
    told = [observations for observations, _ in analyse(windows)]
    assert len(told) == 35
    assert [bool(tones([one])) for one in told] == [True] * 34 + [False]


@pytest.mark.parametrize("length", [1, 159, 160, 639, 640, 4_800])
def test_short_windows(length: int) -> None:
    """A flushed window of any length is classified, before a whole one and after."""
    pcm, state = prompt(), dict[str, Any]()
    for start in (0, RATE, RATE + length):
        window = Window(pcm[start : start + length], length, (start + length) / RATE, state)
        ((_, state["acoustic"]),) = analyse([window])


def test_tone_of_short_windows() -> None:
    """Windows of 300 ms have a tone in most places where somebody speaks."""
    told = listen(prompt(), window_s=0.3, hop_s=0.3)
    assert len(tones(told)) > 0.7 * len(told)


@pytest.mark.parametrize("value", [-32768, 32767, 0, 1000])
def test_constant_input_says_nothing_of_people(value: int) -> None:
    """Direct current at any level, full scale included, has no tone and no speaker."""
    told = listen(np.full(4 * RATE, value, dtype=np.int16))
    kinds = {type(said) for window in told for said in window}
    assert ToneObservation not in kinds
    assert not any(getattr(said, "speaker_id", None) for window in told for said in window)


def test_clipped_speech_still_has_finite_numbers() -> None:
    """Speech driven 30 dB into clipping is told in finite numbers within their ranges."""
    clipped = np.clip(prompt().astype(np.float64) * 32.0, -32768, 32767).astype(np.int16)
    for one in tones(listen(clipped)):
        assert one.arousal is not None
        assert 0.0 <= one.confidence <= 0.6
        assert 0.0 <= one.arousal <= 1.0


def test_classify_in_order_and_remember() -> None:
    """The coroutine answers in order and leaves each window's state with it."""

    async def scenario() -> None:
        classifier = AcousticClassifier(workers=2)
        assert classifier.name == "acoustic"
        assert classifier.health().status is HealthStatus.READY
        speech = cut(prompt(), {})[0]
        quiet = cut(signals.silence(1.0), {})[0]
        answers = await classifier.classify([quiet, speech, quiet])
        told = [answer for answer in answers if isinstance(answer, list)]
        assert [bool(tones([answer])) for answer in told] == [False, True, False]
        assert "Speaker A" in speech.state["acoustic"]["tone"]["voices"]
        await classifier.aclose()
        await classifier.aclose()
        assert classifier.health().status is HealthStatus.ERROR
        with pytest.raises(ClassifierError):
            await classifier.classify([speech])

    asyncio.run(scenario())


def test_a_window_that_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the state that it had; the others of its batch are told as they would be without it."""
    first, second = cut(prompt(), {})[:2]
    first = Window(first.samples, first.owned, first.end_s, {})
    alone = analyse([first])[0][0]
    second = Window(second.samples, second.owned, second.end_s, {})
    observe = speaker.observe

    def failing(features: Features, i: int, state: AnalysisState, window: Window) -> list[SpeakerObservation]:
        if window is second:
            raise FloatingPointError("no such luck")
        return observe(features, i, state, window)

    monkeypatch.setattr(speaker, "observe", failing)

    async def scenario() -> None:
        classifier = AcousticClassifier()
        heard, failure = await classifier.classify([first, second])
        await classifier.aclose()
        assert isinstance(heard, list)
        assert heard == alone
        assert isinstance(failure, ClassifierError)
        assert "FloatingPointError" in str(failure)

    asyncio.run(scenario())
    assert first.state
    assert second.state == {}


@pytest.mark.parametrize("state", [1, [], {"tone": 3}, {"queue": None}, {"speaker": {"current": 1.5}}])
def test_a_state_of_no_use_fails_its_window(state: object) -> None:
    """Whatever it is, it is an error of that window's and of no other."""
    good, bad = cut(prompt(), {})[:2]
    good = Window(good.samples, good.owned, good.end_s, {})
    bad = Window(bad.samples, bad.owned, bad.end_s, {"acoustic": state})

    async def scenario() -> None:
        classifier = AcousticClassifier()
        heard, _ = await classifier.classify([good, bad])
        await classifier.aclose()
        assert isinstance(heard, list)

    asyncio.run(scenario())


def test_a_cancelled_call_changes_no_state() -> None:
    """A batch whose caller gave up leaves no trace, though its thread may still finish it."""

    async def scenario() -> None:
        classifier = AcousticClassifier()
        window = cut(prompt(), {})[0]
        call = asyncio.create_task(classifier.classify([window]))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await classifier.aclose()
        assert window.state == {}

    asyncio.run(scenario())


def test_analysis_leaves_the_given_state_alone() -> None:
    """What `analyse` is given stays as it was, down to nested lists: only its answer holds the new state."""
    state: dict[str, Any] = {}
    listen(prompt()[: 6 * RATE], state)
    before = msgpack.packb(state)
    window = cut(prompt(), state)[6]
    ((_, after),) = analyse([window])
    assert msgpack.packb(state) == before
    assert msgpack.packb({"acoustic": after}) != before
