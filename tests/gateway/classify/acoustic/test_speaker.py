"""Turns between speakers, from real features of synthesised and recorded voices."""

import msgpack  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest

from gateway.classify.acoustic import features, speaker
from gateway.classify.port import AnalysisState, Hints, SpeakerObservation, Window
from tests import signals
from tests.needs import need_file
from tests.signals import RATE, Pcm

TEXTS = (
    "Good morning, thank you for calling. I would like to ask about my order, which has not arrived yet.",
    "I have been waiting for two weeks and nobody could help me so far. It was sent on Monday.",
    "We are very sorry to hear that. Let me look it up in the system, it will only take a moment.",
    "Yes of course, the number is nine four seven one two. It was a blue jacket and a pair of shoes.",
)
PAUSE = np.zeros(RATE // 2, dtype=np.int16)
Turn = tuple[float, float, str]
"""Start and end in seconds, voice."""


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Pcm]]:
    """Four sentences, 4 to 6 s each, of four voices."""
    folder = tmp_path_factory.mktemp("flite")
    return {
        voice: [signals.spoken(text, voice, folder) for text in TEXTS]
        for voice in ("kal", "awb", "rms", "slt")
    }


def step(
    state: AnalysisState, samples: Pcm, owned: int, end_s: float, num_speakers: int | None = None
) -> list[SpeakerObservation]:
    """One window through features and speaker."""
    batch: npt.NDArray[np.float32] = samples[None].astype(np.float32) / np.float32(32768)
    window = Window(
        samples=samples,
        owned=owned,
        end_s=end_s,
        state={"acoustic": state},
        hints=Hints(num_speakers=num_speakers),
    )
    return speaker.observe(features.extract(batch, np.array([len(samples)])), 0, state, window)


def follow(
    sound: Pcm, window_ms: int = 1000, hop_ms: int | None = None, num_speakers: int | None = None
) -> tuple[list[tuple[float, SpeakerObservation]], list[tuple[float, str | None]]]:
    """What is told, and who is current after each window."""
    state: AnalysisState = {}
    told: list[tuple[float, SpeakerObservation]] = []
    current: list[tuple[float, str | None]] = []
    for samples, owned, end_s in signals.windows(sound, window_ms, hop_ms):
        told += [(end_s, o) for o in step(state, samples, owned, end_s, num_speakers)]
        current.append((end_s, state["speaker"]["current"]))
    return told, current


def dialogue(voices: dict[str, list[Pcm]], *speakers: str, rounds: int = 4) -> tuple[Pcm, list[Turn]]:
    """The speakers one after another, a sentence each, with half a second between turns."""
    parts: list[Pcm] = []
    turns: list[Turn] = []
    for i in range(rounds):
        for voice in speakers:
            begin = sum(map(len, parts)) / RATE
            parts += [voices[voice][i % len(TEXTS)], PAUSE]
            turns.append((begin, sum(map(len, parts)) / RATE, voice))
    return np.concatenate(parts), turns


def ids(told: list[tuple[float, SpeakerObservation]]) -> set[str]:
    return {o.speaker_id for _, o in told if o.speaker_id}


def at_the_end_of(turns: list[Turn], current: list[tuple[float, str | None]]) -> list[tuple[str, str | None]]:
    """Who speaks and who is thought to, at the last window that ends inside each turn."""
    return [(voice, [who for at, who in current if at <= end][-1]) for _, end, voice in turns]


@pytest.mark.parametrize(
    "pair", [("slt", "rms"), ("awb", "slt"), ("kal", "slt"), ("rms", "awb"), ("kal", "rms")]
)
@pytest.mark.parametrize(("window_ms", "hop_ms"), [(1000, 1000), (1000, 333)])
def test_two_voices_taking_turns(
    voices: dict[str, list[Pcm]], pair: tuple[str, str], window_ms: int, hop_ms: int
) -> None:
    """Two ids, and from the second round on at least five of six turns end with the right one."""
    sound, turns = dialogue(voices, *pair)
    told, current = follow(sound, window_ms, hop_ms)
    assert ids(told) == {"Speaker A", "Speaker B"}
    expected = {pair[0]: "Speaker A", pair[1]: "Speaker B"}
    right = [expected[voice] == who for voice, who in at_the_end_of(turns, current)[2:]]
    assert sum(right) >= len(right) - 1


@pytest.mark.parametrize("voice", ["kal", "awb", "rms", "slt"])
@pytest.mark.parametrize(("window_ms", "hop_ms"), [(1000, 1000), (500, 500), (1000, 333)])
def test_one_voice_is_one_speaker(
    voices: dict[str, list[Pcm]], voice: str, window_ms: int, hop_ms: int
) -> None:
    """The same voice, sentence after sentence, is Speaker A, told once."""
    told, _ = follow(dialogue(voices, voice)[0], window_ms, hop_ms)
    assert [(o.label, o.speaker_id) for _, o in told] == [("human_single", "Speaker A")]


def test_one_real_reader_is_one_speaker() -> None:
    """25 s of a reading of a novel, by a human, is one speaker."""
    need_file(signals.SPHINX_DATA / "librivox")
    parts = [signals.recording(path) for path in sorted(signals.SPHINX_DATA.glob("librivox/*.wav"))]
    assert ids(follow(np.concatenate(parts))[0]) == {"Speaker A"}


def test_a_real_and_a_synthetic_voice(voices: dict[str, list[Pcm]]) -> None:
    """A human reader and a machine, taking turns, are two."""
    need_file(signals.SPHINX_DATA / "librivox")
    parts = [signals.recording(path) for path in sorted(signals.SPHINX_DATA.glob("librivox/*.wav"))]
    reading = np.concatenate(parts)
    cast = {"slt": voices["slt"], "reader": [reading[i * 5 * RATE : (i + 1) * 5 * RATE] for i in range(4)]}
    told, _ = follow(dialogue(cast, "slt", "reader")[0])
    assert ids(told) == {"Speaker A", "Speaker B"}


@pytest.mark.parametrize(("num_speakers", "most"), [(1, 1), (2, 2), (None, 2), (3, 3)])
def test_the_session_says_how_many(voices: dict[str, list[Pcm]], num_speakers: int | None, most: int) -> None:
    """No more ids than the session has speakers, two where it doesn't say; three voices may be three."""
    told, _ = follow(dialogue(voices, "slt", "rms", "kal", rounds=3)[0], num_speakers=num_speakers)
    assert len(ids(told)) == most


def test_the_first_word_is_told_at_once(voices: dict[str, list[Pcm]]) -> None:
    """The first window with speech gives Speaker A, with the confidence of not having compared anything."""
    sound = np.concatenate([PAUSE, PAUSE, voices["slt"][0]])
    told, _ = follow(sound)
    assert told[0][0] == 2.0
    assert told[0][1] == SpeakerObservation(label="human_single", speaker_id="Speaker A", confidence=0.2)


def test_nobody_speaks(voices: dict[str, list[Pcm]]) -> None:
    """Three seconds without speech are told once; `current` is None; the speaker comes back as before."""
    quiet = np.zeros(6 * RATE, dtype=np.int16)
    told, current = follow(np.concatenate([quiet, voices["rms"][0], quiet, voices["rms"][1]]))
    seen = [(o.label, o.speaker_id) for _, o in told]
    assert seen == [("no_speaker", None), ("human_single", "Speaker A")] * 2
    assert told[0][0] == 3.0
    assert current[3][1] is None


@pytest.mark.parametrize("label", ["hold_music", "ringback", "busy"])
def test_nobody_speaks_on_hold(voices: dict[str, list[Pcm]], label: str) -> None:
    """While the call is on hold or ringing, whatever sounds like a voice is nobody's turn."""
    state: AnalysisState = {"queue": {"label": label}}
    told = [
        o
        for samples, owned, end_s in signals.windows(voices["slt"][0])
        for o in step(state, samples, owned, end_s)
    ]
    assert [o.label for o in told] == ["no_speaker"]


def test_confidence_stays_a_hint(voices: dict[str, list[Pcm]]) -> None:
    """No observation passes 0.5 or falls below 0.1, and only what DSP can know is claimed."""
    told, _ = follow(dialogue(voices, "slt", "awb", "rms", rounds=3)[0], num_speakers=8)
    assert all(0.1 <= (o.confidence or 0.0) <= 0.5 for _, o in told)
    assert {o.label for _, o in told} <= {"human_single", "no_speaker"}


def test_missing_audio_keeps_the_speakers(voices: dict[str, list[Pcm]]) -> None:
    """After a jump in time the voices are still known."""
    state: AnalysisState = {}
    sound, _ = dialogue(voices, "slt", "rms", rounds=2)
    for samples, owned, end_s in signals.windows(sound):
        step(state, samples, owned, end_s)
    later = [
        o
        for samples, owned, end_s in signals.windows(np.concatenate([voices["slt"][2], voices["slt"][3]]))
        for o in step(state, samples, owned, 100.0 + end_s)
    ]
    assert [o.speaker_id for o in later] == ["Speaker A"]


@pytest.mark.parametrize("length", [1, 639, 640, 1600])
def test_slivers(length: int) -> None:
    """A flushed sliver is taken without error and tells nothing."""
    assert step({}, np.full(length, 50, dtype=np.int16), length, length / RATE) == []


def test_state_survives_msgpack_at_any_point(voices: dict[str, list[Pcm]]) -> None:
    """Packing and unpacking the state after every window changes no observation, and it stays under 1 KiB."""
    kept: AnalysisState = {}
    moved: AnalysisState = {}
    for samples, owned, end_s in signals.windows(dialogue(voices, "slt", "rms")[0], 1000, 333):
        assert step(moved, samples, owned, end_s) == step(kept, samples, owned, end_s)
        packed = msgpack.packb(moved)
        assert len(packed) < 1024
        moved = msgpack.unpackb(packed)


def test_a_batch_hears_what_single_windows_hear(voices: dict[str, list[Pcm]]) -> None:
    """The row index picks the right window out of a batch."""
    rows = np.stack([voices["slt"][0][:RATE], np.zeros(RATE, dtype=np.int16), voices["rms"][0][:RATE]])
    batch: npt.NDArray[np.float32] = rows.astype(np.float32) / np.float32(32768)
    together = features.extract(batch, np.full(3, RATE))
    for i, row in enumerate(rows):
        state: AnalysisState = {}
        alone: AnalysisState = {}
        window = Window(samples=row, owned=RATE, end_s=1.0, state={})
        assert speaker.observe(together, i, state, window) == step(alone, row, RATE, 1.0)
        sums, expected = (
            np.frombuffer(s["speaker"].get("building", b""), dtype="<f4") for s in (state, alone)
        )
        np.testing.assert_allclose(sums, expected, rtol=1e-3)
