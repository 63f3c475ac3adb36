"""The state of a call, told when it begins and every ten seconds while it lasts."""

from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.acoustic import features, queue, tones
from gateway.classify.port import AnalysisState, QueueObservation, Window
from tests import signals
from tests.needs import need_file
from tests.signals import RATE, Pcm, Signal

HOPS_MS = [(1000, 1000), (500, 500), (333, 333), (1000, 333), (3000, 500), (2000, 2000)]
Told = tuple[float, QueueObservation]


def step(state: AnalysisState, samples: Pcm, owned: int, end_s: float) -> list[QueueObservation]:
    """One window through features, tones and queue."""
    batch: npt.NDArray[np.float32] = samples[None].astype(np.float32) / np.float32(32768)
    lengths = np.array([len(samples)])
    [blocks] = tones.detect(batch, lengths)
    window = Window(samples=samples, owned=owned, end_s=end_s, state={"acoustic": state})
    return queue.observe(features.extract(batch, lengths), 0, blocks, state, window)


def listen(sound: Signal | Pcm, window_ms: int = 1000, hop_ms: int | None = None) -> list[Told]:
    """(seconds, observation) of a whole call."""
    samples = sound if sound.dtype == np.int16 else signals.pcm(sound.astype(np.float64))
    state: AnalysisState = {}
    return [
        (end_s, observation)
        for window, owned, end_s in signals.windows(samples.astype(np.int16), window_ms, hop_ms)
        for observation in step(state, window, owned, end_s)
    ]


def labels(told: list[Told]) -> list[str]:
    """Labels without their repetitions."""
    seen = [observation.label for _, observation in told]
    return [label for i, label in enumerate(seen) if i == 0 or label != seen[i - 1]]


def talk(seconds: float = 4.0) -> Signal:
    """Real speech, its pauses included."""
    return signals.recording(signals.SPHINX_DATA / "numbers.raw", seconds) / 32768.0


def hiss(sound: Signal, level_db: float = -60.0) -> Signal:
    """With line noise."""
    return sound + signals.white(len(sound) / RATE, 10 ** (level_db / 20), 5)[: len(sound)]


@pytest.mark.parametrize(
    "path", signals.music_files() or [signals.ASTERISK_MUSIC], ids=lambda path: path.stem
)
@pytest.mark.parametrize(("window_ms", "hop_ms"), [(1000, 1000), (1000, 333), (500, 500)])
def test_hold_music_within_five_seconds(path: Path, window_ms: int, hop_ms: int) -> None:
    """Each of Asterisk's hold tunes is told within 5 s, again at 10 s steps, and nothing else is."""
    told = listen(signals.recording(path, 25.0), window_ms, hop_ms)
    assert labels(told) == ["hold_music"]
    first = told[0][0]
    assert first <= 5.0
    assert [at for at, _ in told] == pytest.approx([first, first + 10.0, first + 20.0][: len(told)], abs=0.4)
    assert all(0.5 <= (observation.confidence or 0.0) <= 0.85 for _, observation in told)


@pytest.mark.parametrize(
    "path", signals.music_files() or [signals.ASTERISK_MUSIC], ids=lambda path: path.stem
)
def test_hold_music_in_noise_and_quiet(path: Path) -> None:
    """Line noise at 15 dB and a level 10 dB lower change nothing."""
    tune = signals.recording(path, 12.0) / 32768.0
    assert labels(listen(signals.with_noise(tune, 15))) == ["hold_music"]
    assert "hold_music" in labels(listen(tune * 0.3))


@pytest.mark.parametrize(
    "path",
    [*signals.speech_files(), *signals.prompt_files()] or [signals.SPHINX_DATA],
    ids=lambda path: path.stem,
)
def test_speech_is_only_ever_silent(path: Path) -> None:
    """No recording of speech gives anything but silences."""
    assert set(labels(listen(signals.recording(path)))) <= {"silence", "dead_air"}


@pytest.mark.parametrize("snr_db", [20, 10, 5])
def test_long_speech_in_noise_is_no_music(snr_db: float) -> None:
    """A reading of 25 s in white noise is never hold music."""
    need_file(signals.SPHINX_DATA / "librivox")
    parts = [signals.recording(path) for path in sorted(signals.SPHINX_DATA.glob("librivox/*.wav"))]
    reading = np.concatenate(parts) / 32768.0
    assert "hold_music" not in labels(listen(signals.with_noise(reading, snr_db)))


def test_synthetic_voices_are_no_music(tmp_path: Path) -> None:
    """Nor are the flite voices, whose pitch is drawn with a ruler."""
    text = "Good morning, thank you for calling. Your order left us on Monday and should be with you by now."
    for voice in ("kal16", "awb", "rms", "slt"):
        assert "hold_music" not in labels(listen(signals.spoken(text, voice, tmp_path)))


@pytest.mark.parametrize("hertz", [(350.0, 440.0), (1000.0,), (120.0, 240.0, 360.0)])
def test_a_machine_tone_is_no_music(hertz: tuple[float, ...]) -> None:
    """Dial tone, a test tone and mains hum are told by no label."""
    assert listen(hiss(signals.sines(hertz, 12.0))) == []


def test_loud_noise_is_nothing() -> None:
    """Steady noise at -20 dBFS is neither silence nor music."""
    assert listen(signals.white(12.0, 0.1)) == []


def test_a_faint_hum_is_silence() -> None:
    """Mains hum at -58 dBFS is quiet although it isn't noise."""
    hum = signals.at(-58, signals.sines((120.0, 240.0), 4.0))
    assert labels(listen(hum)) == ["silence"]


def test_a_key_pressed_on_hold_leaves_the_music_on() -> None:
    """A digit keyed over hold music is told, and the music isn't told anew."""
    tune = signals.recording(signals.ASTERISK_MUSIC / "macroform-robot_dity.wav", 12.0) / 32768.0
    tune[7 * RATE : 7 * RATE + 8000] = signals.digit("9", 0.5)
    assert labels(listen(tune)) == ["hold_music", "dtmf_tone"]


def test_a_weak_passage_leaves_the_music_on() -> None:
    """Seven seconds of applause in a tune don't end it: it is told at its ten-second steps, not anew."""
    tune = signals.recording(signals.ASTERISK_MUSIC / "macroform-robot_dity.wav", 18.0) / 32768.0
    tune[6 * RATE : 13 * RATE] = signals.white(7.0, 0.1)
    told = [at for at, o in listen(tune) if o.label == "hold_music"]
    assert told == [told[0], told[0] + 10.0]


def test_dialling_is_no_music() -> None:
    """Keys pressed for many seconds are digits and nothing else."""
    keys = "0123456789" * 6
    told = listen(np.concatenate([signals.dtmf(keys, 0.2, 0.05), signals.silence(0.5)]))
    assert labels(told) == ["dtmf_tone"]
    assert "".join(o.digits or "" for _, o in told) == keys


def test_line_noise_is_silence() -> None:
    """Steady noise at -45 dBFS is what a quiet line sounds like."""
    assert labels(listen(signals.white(4.0, 10 ** (-45 / 20)))) == ["silence"]


def test_a_click_does_not_break_a_silence() -> None:
    """A click of a millisecond leaves the silence running."""
    quiet = hiss(signals.silence(13.0))
    quiet[round(5.5 * RATE) : round(5.501 * RATE)] = 0.8
    assert [(at, o.label) for at, o in listen(quiet)] == [(2.0, "silence"), (12.0, "silence")]


def test_silence_without_speech_never_becomes_dead_air() -> None:
    """A line that never spoke is silent after 2 s, and every 10 s again."""
    told = listen(hiss(signals.silence(25.0)))
    assert [(at, observation.label) for at, observation in told] == [
        (2.0, "silence"),
        (12.0, "silence"),
        (22.0, "silence"),
    ]


@pytest.mark.parametrize(("window_ms", "hop_ms"), HOPS_MS)
def test_dead_air_five_seconds_after_speech(window_ms: int, hop_ms: int) -> None:
    """Silence is told 2 s after the last word and dead air 5 s after it, to within a hop."""
    call = hiss(np.concatenate([talk(), signals.silence(18.0)]))
    ends = np.flatnonzero(np.abs(talk()) > 0.01).max() / RATE
    told = [(at, o.label) for at, o in listen(call, window_ms, hop_ms) if at > ends]
    assert [label for _, label in told] == ["silence", "dead_air", "dead_air"]
    assert told[0][0] == pytest.approx(ends + 2.0, abs=hop_ms / 1000 + 0.15)
    assert told[1][0] == pytest.approx(ends + 5.0, abs=hop_ms / 1000 + 0.15)
    assert told[2][0] == pytest.approx(told[1][0] + 10.0, abs=0.5)


def test_speech_ends_dead_air_and_starts_the_count_anew() -> None:
    """Talking again resets both timers."""
    call = hiss(np.concatenate([talk(), signals.silence(7.0), talk(), signals.silence(7.0)]))
    assert labels(listen(call)) == ["silence", "dead_air", "silence", "dead_air"]


def test_confidence_of_silence_grows_with_its_depth() -> None:
    """0.9 for digital silence, little over 0.5 for noise just under the threshold."""
    deep, shallow = (
        listen(sound)[0][1] for sound in (signals.silence(3.0), signals.white(3.0, 10 ** (-52 / 20)))
    )
    assert deep.confidence == pytest.approx(0.9)
    assert 0.5 <= (shallow.confidence or 0.0) < 0.65


@pytest.mark.parametrize("country", ["US", "UK", "DE"])
@pytest.mark.parametrize(("window_ms", "hop_ms"), HOPS_MS)
def test_ringback_and_busy(country: str, window_ms: int, hop_ms: int) -> None:
    """Ringing and busy are told with their frequencies, and only the silence after them follows."""
    for tone, label in ((signals.ringback(country), "ringback"), (signals.busy(country, 10), "busy")):
        told = listen(hiss(np.concatenate([tone, signals.silence(9.0)])), window_ms, hop_ms)
        assert labels(told) == [label, "silence"]
        assert told[0][1].extra["tone_hz"]
        assert told[0][0] <= 3.0


def test_an_answered_call() -> None:
    """Ringing, then somebody talks, then nobody does: the ringing ends with the first words."""
    burst = signals.ringback("US")[: round(2.2 * RATE)]
    told = listen(hiss(np.concatenate([burst, talk(2.5), signals.silence(8.0)])))
    assert labels(told) == ["ringback", "silence", "dead_air"]
    assert next(at for at, o in told if o.label == "silence") < 2.2 + 2.5 + 3.1


@pytest.mark.parametrize(
    "path", signals.music_files() or [signals.ASTERISK_MUSIC], ids=lambda path: path.stem
)
def test_a_voice_ends_the_music_at_once(path: Path) -> None:
    """Whoever waited on hold is told of the first words: the second window of speech is no music any more."""
    music = signals.recording(path, 9.0) / 32768.0
    state: AnalysisState = {}
    sound = signals.pcm(np.concatenate([music, talk(3.0)]))
    for end in range(RATE, len(sound) + 1, RATE):
        step(state, sound[end - RATE : end], RATE, end / RATE)
    assert state["queue"]["label"] != "hold_music"


def test_music_after_ringing_is_told_as_soon_as_any() -> None:
    """A call that is answered by music is ringing no more: the pause between two rings is silent."""
    music = signals.recording(signals.music_files()[0], 8.0) / 32768.0
    ring = signals.ringback("US", 2)[: 9 * RATE]  # two rings, and a second of the pause after them
    told = listen(np.concatenate([ring, music]))
    assert labels(told)[0] == "ringback"
    first = next(at for at, observation in told if observation.label == "hold_music")
    assert first - len(ring) / RATE <= 5.0


def test_a_call_on_hold() -> None:
    """Talk, music, talk: one state, and no silence or dead air made of it."""
    tune = signals.recording(signals.ASTERISK_MUSIC / "macroform-robot_dity.wav", 12.0) / 32768.0
    told = listen(np.concatenate([talk(5.0), tune, talk(5.0)]))
    assert labels(told) == ["hold_music"]
    assert 5.0 < told[0][0] < 11.0


@pytest.mark.parametrize(("window_ms", "hop_ms"), HOPS_MS)
def test_digits_over_a_conversation(window_ms: int, hop_ms: int) -> None:
    """Digits keyed between words come out once each and in order, with a share for confidence."""
    call = hiss(
        np.concatenate([talk(2.0), signals.dtmf("1593#"), talk(2.0), signals.dtmf("00*D"), talk(1.0)])
    )
    keyed = [o for _, o in listen(call, window_ms, hop_ms) if o.label == "dtmf_tone"]
    assert "".join(o.digits or "" for o in keyed) == "1593#00*D"
    assert all(0.7 <= (o.confidence or 0.0) <= 1.0 for o in keyed)


@settings(max_examples=15, deadline=None)
@given(hops=st.lists(st.integers(1600, 24000), min_size=8, max_size=8), seed=st.integers(0, 99))
def test_digits_under_flushes(hops: list[int], seed: int) -> None:
    """Windows of any length, as flushes make them, lose and double no digit."""
    keys = "".join(np.random.default_rng(seed).choice(list("0123456789"), 12))
    call = signals.pcm(np.concatenate([signals.dtmf(keys, 0.07, 0.07), signals.silence(0.5)]))
    state: AnalysisState = {}
    heard, at = "", 0
    for hop in [*hops, len(call)]:
        piece = call[at : at + hop]
        at += len(piece)
        if len(piece):
            heard += "".join(o.digits or "" for o in step(state, piece, len(piece), at / RATE))
    assert heard == keys


def test_missing_audio_starts_digits_and_cadence_anew() -> None:
    """After a jump in time the same key is a new digit, and seconds of silence before it don't count."""
    key, quiet = signals.pcm(signals.digit("8", 1.0)), np.zeros(RATE, dtype=np.int16)
    state: AnalysisState = {}
    assert [o.digits for o in step(state, key, RATE, 1.0)] == ["8"]
    assert step(state, key, RATE, 2.0) == []
    assert [o.digits for o in step(state, key, RATE, 5.0)] == ["8"]
    assert step(state, quiet, RATE, 6.0) == []
    assert step(state, quiet, RATE, 9.0) == []
    assert [o.label for o in step(state, quiet, RATE, 10.0)] == ["silence"]


@pytest.mark.parametrize("length", [1, 100, 639, 640, 1600])
def test_windows_too_short_for_a_frame(length: int) -> None:
    """A flushed sliver is heard without error and tells nothing."""
    assert step({}, np.zeros(length, dtype=np.int16), length, length / RATE) == []


def test_a_sliver_repeats_with_the_confidence_of_before() -> None:
    """When the ten seconds end in a window too short to measure, the silence is told as it was."""
    state: AnalysisState = {}
    quiet = np.zeros(RATE, dtype=np.int16)
    for second in range(1, 12):
        step(state, quiet, RATE, float(second))
    assert step(state, quiet[: RATE - 400], RATE - 400, 11.975) == []
    assert step(state, quiet[:400], 400, 12.0) == [QueueObservation(label="silence", confidence=0.9)]


def everything() -> Pcm:
    """A call with all states in it."""
    tune = signals.recording(signals.ASTERISK_MUSIC / "reno_project-system.wav", 6.0) / 32768.0
    return signals.pcm(
        np.concatenate(
            [
                signals.ringback("UK"),
                talk(),
                signals.dtmf("42"),
                signals.silence(6.5),
                tune,
                signals.busy("DE"),
            ]
        )
    )


@pytest.mark.parametrize(("window_ms", "hop_ms"), [(1000, 1000), (1000, 333)])
def test_state_survives_msgpack_at_any_point(window_ms: int, hop_ms: int) -> None:
    """Packing and unpacking the state after every window changes no observation, and it stays under 1 KiB."""
    kept: AnalysisState = {}
    moved: AnalysisState = {}
    seen: list[Any] = []
    for samples, owned, end_s in signals.windows(everything(), window_ms, hop_ms):
        told = step(kept, samples, owned, end_s)
        assert step(moved, samples, owned, end_s) == told
        packed = msgpack.packb(moved)
        assert len(packed) < 1024
        moved = msgpack.unpackb(packed)
        seen += [o.label for o in told]
    assert set(seen) == {"ringback", "silence", "dead_air", "dtmf_tone", "hold_music", "busy"}
