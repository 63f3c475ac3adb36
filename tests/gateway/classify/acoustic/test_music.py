"""The music meter on pitches drawn by hand."""

import numpy as np
import numpy.typing as npt
import pytest

from gateway.classify.acoustic import music
from gateway.classify.acoustic.music import Meter
from gateway.classify.port import AnalysisState

Track = npt.NDArray[np.float32]
FRAMES = 100
"""A second at 10 ms."""


def hear(meter: Meter, f0_hz: Track, level_db: Track | None = None, seconds: float = 1.0) -> Meter:
    frames = len(f0_hz)
    level = np.linspace(-30, -20, frames, dtype=np.float32) if level_db is None else level_db
    loudest = float(np.partition(level, -1 - frames // 10)[-1 - frames // 10])
    music.listen(meter, level, loudest, f0_hz, seconds / frames, seconds)
    return meter


def notes(*hertz: float) -> Track:
    """A second of equal notes."""
    return np.repeat(np.array(hertz, dtype=np.float32), FRAMES // len(hertz))


def glide(start: float, stop: float) -> Track:
    """A second of a voice's pitch moving steadily."""
    return np.geomspace(start, stop, FRAMES).astype(np.float32)


def test_notes_are_music_after_three_seconds() -> None:
    """Held notes with jumps between them count after three seconds, not before."""
    meter = Meter()
    counted = [hear(meter, notes(220, 247, 262, 330)).is_music for _ in range(4)]
    assert counted == [False, False, True, True]


def test_glides_are_not() -> None:
    """A pitch moving by an octave a second, up and down, never counts."""
    meter = Meter()
    for second in range(12):
        hear(meter, glide(120, 240) if second % 2 else glide(240, 120))
    assert meter.evidence == 0.0
    assert meter.margin < -3.0


def test_unpitched_sound_is_not() -> None:
    """Sound without a pitch, and noise with a stray steady pair now and then, stay below."""
    meter = Meter()
    stray = np.zeros(FRAMES, dtype=np.float32)
    stray[10:16] = 200.0
    for _ in range(12):
        hear(meter, stray)
    assert meter.evidence == 0.0


def test_a_machine_tone_is_not() -> None:
    """One pitch at one level is a machine."""
    meter = Meter()
    for _ in range(12):
        hear(meter, notes(440), np.full(FRAMES, -20, dtype=np.float32))
    assert meter.evidence == 0.0


def test_speech_ends_music_within_seconds() -> None:
    """However long it played, music is over after some seconds of speech."""
    meter = Meter()
    for _ in range(30):
        hear(meter, notes(220, 247))
    assert meter.evidence == music.MOST_S
    for _ in range(6):
        hear(meter, glide(120, 240))
    assert meter.evidence == 0.0


def test_a_pause_lets_evidence_fade() -> None:
    """Silence inside a tune costs evidence slowly."""
    meter = Meter()
    for _ in range(4):
        hear(meter, notes(220, 247))
    before = meter.evidence
    hear(meter, np.zeros(FRAMES, dtype=np.float32), np.full(FRAMES, -90, dtype=np.float32))
    assert meter.evidence == pytest.approx(before - 0.5)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_slivers(frames: int) -> None:
    """A few frames are taken without error."""
    meter = hear(Meter(), np.full(frames, 200.0, dtype=np.float32), seconds=0.01 * frames)
    assert meter.evidence >= 0.0


def test_the_meter_survives_its_state() -> None:
    """What `save` writes, `restore` reads."""
    meter = hear(Meter(), notes(220, 247))
    state: AnalysisState = {}
    music.save(meter, state)
    assert music.restore(state) == meter
