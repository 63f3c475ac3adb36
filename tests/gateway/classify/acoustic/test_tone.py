"""Arousal, labels, shift and trend: on made prosody for the rules, on voices for what people would notice."""

import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic import tone
from gateway.classify.acoustic.prosody import Prosody
from gateway.classify.acoustic.state import Memory
from gateway.classify.port import ToneObservation, Window
from tests import acoustic, signals
from tests.acoustic import TEXT, real
from tests.needs import need_command
from tests.signals import RATE, Signal

PLAIN = Prosody(
    speech_s=0.8,
    voiced_s=0.6,
    f0_st=2.0,
    range_st=3.0,
    level_db=-22.0,
    hf500_db=-10.0,
    hnr_db=13.0,
    noise_db=-60.0,
    nuclei=3,
    terminal_st_s=None,
)
NO_SPEECH = replace(PLAIN, speech_s=0.0, voiced_s=0.0)
VALENCED = {"Warm", "Frustrated"}
LABELS = {"Calm", "Neutral", "Animated", "Tense", "Subdued"} | VALENCED

PROSODY = st.builds(
    Prosody,
    speech_s=st.floats(0.2, 1.0),
    voiced_s=st.floats(0.0, 0.2),
    f0_st=st.floats(-9, 28),
    range_st=st.floats(0, 12),
    level_db=st.floats(-60, 0),
    hf500_db=st.floats(-30, 20),
    hnr_db=st.floats(0, 40),
    noise_db=st.floats(-120, -5),
    nuclei=st.integers(0, 9),
    terminal_st_s=st.none() | st.floats(-50, 50),
)


def window(end_s: float, owned_s: float = 1.0) -> Window:
    return Window(np.zeros(RATE, dtype=np.int16), round(owned_s * RATE), end_s, {})


def follow(
    heard: Iterable[Prosody],
    memory: Memory | None = None,
    owned_s: float = 1.0,
    speaker: str | None = "Speaker A",
) -> list[ToneObservation]:
    """The tones of windows following each other, and what the memory has heard."""
    memory = memory or Memory()
    start = max((voice.heard_s for voice in memory.voices.values()), default=0.0)
    told = [
        tone.observe(one, memory, window(start + (i + 1) * owned_s, owned_s), speaker, "test")
        for i, one in enumerate(heard)
    ]
    return [one for one in told if one is not None]


def settled(count: int = 20) -> Memory:
    """A speaker known for a while, who varies as people do."""
    memory, rng = Memory(), np.random.default_rng(3)
    follow(vary(rng.normal(0.0, 1.0, (count, 3))), memory)
    return memory


def vary(deviations: Iterable[Iterable[float]]) -> list[Prosody]:
    return [
        replace(PLAIN, f0_st=2.0 + 1.5 * a, level_db=-22.0 + 3.0 * b, hf500_db=-10.0 + 3.0 * c)
        for a, b, c in deviations
    ]


def arousal(one: ToneObservation) -> float:
    assert one.arousal is not None
    return one.arousal


def test_nothing_without_speech() -> None:
    """Windows without voiced speech get no tone and leave no voice behind."""
    memory = Memory()
    assert follow([NO_SPEECH, replace(PLAIN, voiced_s=0.05)], memory) == []
    assert memory.voices == {}


def test_the_first_window_can_be_told() -> None:
    """The first clear words have a tone sure enough for the default threshold, and no comparison."""
    (first,) = follow([PLAIN])
    assert first.confidence >= 0.10
    assert first.shift_magnitude is None
    assert first.shift_direction is None
    assert first.arousal_delta is None
    assert first.trend is None


@pytest.mark.parametrize("cue", ["f0_st", "level_db", "hf500_db"])
def test_arousal_rises_with_each_cue(cue: str) -> None:
    """Higher, louder or brighter than usual is more aroused, the other way less, all else equal."""
    moved = [replace(PLAIN, **{cue: getattr(PLAIN, cue) + by}) for by in (-4.0, 0.0, 4.0)]
    low, usual, high = (arousal(follow([one], settled())[0]) for one in moved)
    assert low < usual - 0.05 < usual < high - 0.05


@pytest.mark.parametrize(
    ("label", "change"),
    [
        ("Subdued", {"f0_st": 0.0, "level_db": -30.0, "hf500_db": -14.0}),
        ("Calm", {"f0_st": 1.0, "level_db": -24.5, "hf500_db": -11.5}),
        ("Neutral", {}),
        ("Animated", {"f0_st": 7.0, "level_db": -17.0, "hf500_db": -9.0}),
        ("Tense", {"f0_st": 3.0, "level_db": -18.0, "hf500_db": -2.0}),
        ("Warm", {"f0_st": 4.5, "hf500_db": -13.5, "range_st": 7.0}),
        ("Frustrated", {"f0_st": 5.0, "level_db": -14.0, "hf500_db": -3.0, "range_st": 2.0}),
    ],
)
def test_labels(label: str, change: dict[str, Any]) -> None:
    """Each label has the deviations that it names."""
    (told,) = follow([replace(PLAIN, **{"range_st": 4.0, **change})], settled())
    assert told.label == label


@pytest.mark.parametrize(
    ("change", "spoilt"),
    [
        ({"f0_st": 4.5, "hf500_db": -13.5, "range_st": 7.0}, {"range_st": 4.0}),
        ({"f0_st": 4.5, "hf500_db": -13.5, "range_st": 7.0}, {"hf500_db": -10.0}),
        ({"f0_st": 4.5, "hf500_db": -13.5, "range_st": 7.0}, {"f0_st": 2.0, "level_db": -20.0}),
        ({"f0_st": 5.0, "level_db": -14.0, "hf500_db": -3.0, "range_st": 2.0}, {"range_st": 5.0}),
        ({"f0_st": 5.0, "level_db": -14.0, "hf500_db": -3.0, "range_st": 2.0}, {"hf500_db": -10.0}),
        ({"f0_st": 5.0, "level_db": -14.0, "hf500_db": -3.0, "range_st": 2.0}, {"level_db": -21.0}),
    ],
)
def test_every_cue_is_needed_to_claim_valence(change: dict[str, Any], spoilt: dict[str, Any]) -> None:
    """Warm and Frustrated go as soon as one of their cues is missing."""
    whole, broken = (follow([replace(PLAIN, **cues)], settled())[0] for cues in (change, change | spoilt))
    assert whole.label in VALENCED
    assert broken.label not in VALENCED


@given(st.lists(PROSODY, min_size=1, max_size=12), st.sampled_from([0.1, 0.333, 1.0]))
def test_what_is_told_is_bounded_and_honest(heard: list[Prosody], owned_s: float) -> None:
    """Whatever is heard: known labels, scores within their caps, and never a valence or dominance."""
    for one in follow(heard, owned_s=owned_s):
        assert one.label in LABELS
        assert 0.0 <= one.confidence <= (0.35 if one.label in VALENCED else 0.6)
        assert 0.0 <= arousal(one) <= 1.0
        assert one.shift_magnitude is None or 0.0 <= one.shift_magnitude <= 1.0
        assert one.shift_direction in (None, "escalating", "de-escalating", "stable")
        assert one.trend in (None, "rising", "falling", "steady")
        assert one.valence is one.valence_delta is one.dominance is None


@pytest.mark.parametrize(
    ("worse", "why"),
    [
        (replace(PLAIN, noise_db=-30.0), "noise"),
        (replace(PLAIN, voiced_s=0.2), "little voice"),
        (replace(PLAIN, f0_st=3.2, level_db=-20.6, hf500_db=-8.8), "close to the next label"),
    ],
)
def test_confidence_falls_with_what_spoils_it(worse: Prosody, why: str) -> None:
    """Noise, little voice, or a score close to the next label make it less certain."""
    assert follow([worse])[0].confidence < 0.95 * follow([PLAIN])[0].confidence, why


def test_confidence_grows_with_acquaintance() -> None:
    """The same window is told with more certainty when the voice is known."""
    told = follow([PLAIN] * 30)
    assert arousal(told[0]) == pytest.approx(arousal(told[-1]), abs=0.02)
    assert told[-1].confidence > 1.5 * told[0].confidence


def test_brightness_counts_less_in_noise() -> None:
    """Noise brightens any voice, so in a noisy room brightness moves arousal less than in a quiet one."""
    bright = replace(PLAIN, hf500_db=-2.0)
    quiet, noisy = (arousal(follow([replace(bright, noise_db=db)])[0]) for db in (-60.0, -32.0))
    assert quiet > noisy + 0.03 > 0.53


@pytest.mark.parametrize(
    ("sign", "direction", "trend"), [(1, "escalating", "rising"), (-1, "de-escalating", "falling")]
)
def test_shift_and_trend(sign: int, direction: str, trend: str) -> None:
    """Growing arousal escalates and rises, waning arousal does the opposite, at any hop."""
    for owned_s in (1.0, 0.25):
        memory = settled()
        ramp = np.linspace(0.0, 2.0 * sign, round(6 / owned_s))
        told = follow(vary([(z, z, z) for z in ramp]), memory, owned_s)
        assert told[-1].shift_direction == direction
        assert told[-1].trend == trend
        assert told[-1].shift_magnitude is not None
        assert told[-1].shift_magnitude > 0.25


def test_staying_the_same_is_stable() -> None:
    """Somebody who goes on as before neither shifts nor trends."""
    told = follow([PLAIN] * 12)
    assert {one.shift_direction for one in told[1:]} == {"stable"}
    assert told[-1].trend == "steady"
    assert told[-1].arousal_delta == pytest.approx(0.0, abs=0.02)


def test_arousal_delta_is_the_difference() -> None:
    """The delta is this arousal less the one told before, of the same speaker."""
    memory = Memory()
    first = follow([PLAIN], memory)[0]
    follow([replace(PLAIN, level_db=-5.0)], memory, speaker="Speaker B")
    last = follow([replace(PLAIN, level_db=-12.0)], memory)[0]
    assert last.arousal_delta == pytest.approx(arousal(last) - arousal(first), abs=0.002)


def test_hop_doesnt_change_how_fast_a_voice_is_known() -> None:
    """Ten overlapping windows a second count as one second of acquaintance."""
    often, seldom = Memory(), Memory()
    follow([PLAIN] * 200, often, 0.1)
    follow([PLAIN] * 20, seldom, 1.0)
    counts = [memory.voices["Speaker A"].baseline.count for memory in (often, seldom)]
    assert counts[0] == pytest.approx(counts[1], abs=1)


def test_each_speaker_has_a_usual_of_their_own() -> None:
    """A quiet speaker is as neutral as a loud one once both are known."""
    loud, quiet = replace(PLAIN, level_db=-16.0), replace(PLAIN, level_db=-30.0)
    memory = Memory()
    for _ in range(60):
        a = follow([loud], memory, speaker="Speaker A")[0]
        b = follow([quiet], memory, speaker="Speaker B")[0]
    assert {a.label, b.label} == {"Neutral"}
    assert follow([quiet], memory, speaker="Speaker A")[0].label in ("Subdued", "Calm")


def changed(sound: Signal, gain_db: float = 0.0, treble: float = 0.0) -> Signal:
    return (sound + treble * np.diff(sound, prepend=0.0)) * 10 ** (gain_db / 20)


def stretched(factor: float, folder: Path) -> list[ToneObservation]:
    """The tones of words spoken at another pace."""
    path = folder / "stretched.wav"
    pace = ["--setf", f"duration_stretch={factor}"]
    subprocess.run([need_command("flite"), "-voice", "rms", *pace, "-t", TEXT, "-o", str(path)], check=True)
    return acoustic.tones(acoustic.listen(signals.recording(path)))


@pytest.mark.parametrize(("factor", "flag"), [(0.6, "fast"), (1.0, None), (2.0, "slow")])
def test_pace(factor: float, flag: str | None, tmp_path: Path) -> None:
    """Hurried words are fast and stretched ones slow, once 2.5 s were heard; as usual they are neither."""
    told = stretched(factor, tmp_path)
    assert not {"fast", "slow"} & {flag for one in told[:2] for flag in one.prosody_flags}
    for name in ("fast", "slow"):
        share = np.mean([name in one.prosody_flags for one in told[4:]])
        assert share > 0.6 if name == flag else share == 0.0


def words(folder: Path, gain_db: float = -6.0) -> Signal:
    return changed(real(signals.spoken(TEXT, "rms", folder)), gain_db)


def test_a_voice_grows_louder(tmp_path: Path) -> None:
    """The same words 9 dB louder and brighter raise arousal, escalate and are loud; and back again."""
    plain, raised = words(tmp_path), changed(words(tmp_path), 9.0, 1.0)
    told = acoustic.tones(acoustic.listen(np.concatenate([plain, plain, raised, plain])))
    part = len(told) // 4
    before, during, after = told[part : 2 * part], told[2 * part : 3 * part], told[3 * part :]
    means = [np.mean([arousal(one) for one in one_part]) for one_part in (before, during, after)]
    assert means[1] > means[0] + 0.15
    assert means[1] > means[2] + 0.15
    assert "escalating" in {one.shift_direction for one in during[:4]}
    assert "de-escalating" in {one.shift_direction for one in after[:5]}
    assert np.mean(["loud" in one.prosody_flags for one in during]) > 0.5
    assert np.mean(["loud" in one.prosody_flags for one in before]) < 0.1


def test_a_voice_grows_soft(tmp_path: Path) -> None:
    """The same words 14 dB down are soft and less aroused."""
    plain, soft = words(tmp_path, 0.0), words(tmp_path, -14.0)
    told = acoustic.tones(acoustic.listen(np.concatenate([plain, plain, soft])))
    before, during = told[: 2 * len(told) // 3], told[2 * len(told) // 3 + 1 :]
    assert np.mean([arousal(one) for one in during]) < np.mean([arousal(one) for one in before]) - 0.15
    assert np.mean(["soft" in one.prosody_flags for one in during]) > 0.5


def test_a_voice_grows_tense(tmp_path: Path) -> None:
    """The same words at the same level with a much flatter spectrum are tense now and then."""
    plain = words(tmp_path, -10.0)
    bright = signals.at(20 * float(np.log10(np.std(plain))), changed(plain, treble=15.0))
    told = acoustic.tones(acoustic.listen(np.concatenate([plain, plain, bright])))
    part = 2 * len(told) // 3
    before, after = (
        [("tense" in one.prosody_flags) for one in some] for some in (told[:part], told[part + 1 :])
    )
    assert np.mean(before) < 0.1
    assert np.mean(after) > 0.2


def test_a_voice_grows_breathy(tmp_path: Path) -> None:
    """Noise under the voice, but not in its pauses, makes it breathy; noise in the room doesn't."""
    plain = words(tmp_path)
    strength = np.sqrt(np.convolve(plain**2, np.ones(400) / 400, mode="same"))
    noise = signals.white(len(plain) / RATE + 1, 1.0)[: len(plain)]
    breath = plain + 1.2 * strength * noise
    room = plain + 0.03 * noise
    for sound, flagged in ((plain, False), (breath, True), (room, False)):
        told = acoustic.tones(acoustic.listen(sound))
        share = np.mean(["breathy" in one.prosody_flags for one in told])
        assert share > 0.3 if flagged else share < 0.1
