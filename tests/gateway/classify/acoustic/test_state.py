"""What tone remembers: bounded, plain, and handed to the right speaker."""

from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic.baseline import Baseline
from gateway.classify.acoustic.state import MOST_VOICES, Memory, Voice

SCORE = st.floats(0, 1)
VOICES = st.builds(
    Voice,
    heard_s=st.floats(0, 1e5),
    fast=st.none() | SCORE,
    last=st.none() | SCORE,
    recent=st.lists(st.lists(SCORE, min_size=2, max_size=2), max_size=6),
    baseline=st.builds(
        Baseline,
        count=st.integers(0, 9999),
        history=st.lists(st.lists(st.integers(-12_000, 12_000), min_size=3, max_size=3), max_size=32),
    ),
)


@given(st.dictionaries(st.text(max_size=9), VOICES, max_size=MOST_VOICES), st.none() | st.floats(-120, 0))
def test_round_trip(voices: dict[str, Voice], floor_db: float | None) -> None:
    """A memory saved, sent through msgpack and restored is the same memory."""
    memory, state = Memory(floor_db, voices), dict[str, Any]()
    memory.save(state)
    assert Memory.restore(msgpack.unpackb(msgpack.packb(state))) == memory


def test_nothing_remembered() -> None:
    """An empty state is an empty memory."""
    assert Memory.restore({}) == Memory()


def test_speakers_have_voices_of_their_own() -> None:
    """What is remembered of one speaker says nothing of another."""
    memory = Memory()
    memory.voice("Speaker A").fast = 0.9
    assert memory.voice("Speaker B").fast is None
    assert memory.voice("Speaker A").fast == 0.9


def test_the_first_speaker_inherits() -> None:
    """Speech heard before anybody was told apart belongs to the first speaker, and to no second one."""
    memory = Memory()
    memory.voice(None).fast = 0.7
    assert memory.voice("Speaker A").fast == 0.7
    assert memory.voice("Speaker B").fast is None
    assert list(memory.voices) == ["Speaker A", "Speaker B"]


def test_few_voices_are_kept() -> None:
    """The voice heard longest ago is forgotten for one too many."""
    memory = Memory()
    for i in range(MOST_VOICES):
        memory.voice(f"Speaker {i}").heard_s = 10.0 - i
    memory.voice("new")
    assert len(memory.voices) == MOST_VOICES
    assert f"Speaker {MOST_VOICES - 1}" not in memory.voices
    assert "new" in memory.voices


def test_noise_floor_falls_at_once_and_rises_slowly() -> None:
    """A quiet pause lowers the floor at once; speech without pauses raises it by a decibel a second."""
    memory = Memory()
    assert memory.hear_room(-40.0, 1.0) == -40.0
    assert memory.hear_room(-60.0, 1.0) == -60.0
    assert memory.hear_room(-20.0, 0.5) == pytest.approx(-59.5)


def test_it_is_small() -> None:
    """Four voices known for an hour take under 2 KiB."""
    memory, state = Memory(), dict[str, Any]()
    for name in ("Speaker A", "Speaker B", "Speaker C", "Speaker D"):
        voice = memory.voice(name)
        voice.recent = [[3600.123, 0.123]] * 6
        for _ in range(3600):
            voice.baseline.add((12.34, -34.56, -12.34))
    memory.save(state)
    assert len(msgpack.packb(state)) < 2048
