"""What comes back of a session's state, whatever was made of it on its way."""

import asyncio
import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic.classifier import AcousticClassifier
from gateway.classify.blend import BlendedClassifier
from gateway.classify.onnx.classifier import OnnxClassifier
from gateway.classify.onnx.context import KEY
from gateway.classify.onnx.model import Outputs, Rows
from gateway.classify.onnx.spec import (
    DimensionsSpec,
    GateKind,
    InputSpec,
    Keep,
    ModelSpec,
    Provider,
)
from gateway.classify.port import Answer, ClassifierError, ToneObservation, Window
from gateway.classify.sidecar.batch import MAX_STATE_BYTES, Told, decode_answer, encode_answer
from gateway.clock import ManualClock
from gateway.sidecar import states
from gateway.sidecar.routes import MAX_BATCH_BYTES, MOST_WINDOWS
from gateway.sidecar.states import Found
from tests import signals
from tests.gateway.classify.onnx.cuts import sound, windows

SECOND = 16_000
SPEC = ModelSpec(
    Path("m.onnx"),
    "level",
    InputSpec("x"),
    DimensionsSpec("dims", ("arousal", "valence")),
    gate=GateKind.ENERGY,
    keep=Keep.SESSION,
)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324])
    | st.text(max_size=3)
    | st.binary(max_size=3)
)
junk = leaves | st.lists(leaves, max_size=7) | st.dictionaries(st.text(max_size=2), leaves, max_size=2)


class Level:
    """A model that hears how loud it is."""

    device = Provider.CPU
    most = 32

    def __init__(self, spec: ModelSpec = SPEC) -> None:
        self.spec = spec
        self.lengths: list[int] = []

    def run(self, rows: Rows) -> Outputs:
        self.lengths += [rows.shape[1]] * len(rows)
        level = np.abs(rows.astype(np.float32)).mean(axis=1) / 8_192
        return {"dims": np.stack([level, level], axis=1)}


def heard(batches: Iterator[list[Window]] | list[list[Window]]) -> list[list[Answer]]:
    """The answers to batches, one after another."""

    async def scenario() -> list[list[Answer]]:
        one = OnnxClassifier(Level(), ManualClock())
        await one.start()
        try:
            return [list(await one.classify(batch)) for batch in batches]
        finally:
            await one.aclose()

    return asyncio.run(scenario())


def grown() -> dict[str, Any]:
    """The state of a session of eight seconds."""
    state: dict[str, Any] = {}
    pcm = np.concatenate([sound(SECOND, i, 500.0 * (i + 1)) for i in range(8)])
    heard([one] for one in windows(pcm, state=state))
    return state


GROWN = grown()


def paths(value: object, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of everything in it."""
    if before:
        yield before
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from paths(value[key], (*before, key))


def spoiled(path: tuple[Any, ...], by: object) -> dict[str, Any]:
    state: Any = copy.deepcopy(GROWN)
    inner = state
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = by
    assert isinstance(state, dict)
    return state


def numbers(tone: ToneObservation) -> list[float]:
    return [value for value in asdict(tone).values() if isinstance(value, float)]


def second(state: dict[str, Any], session: str) -> Window:
    return Window(sound(SECOND, 9), SECOND, 9.0, state, session)


def next_one(state: dict[str, Any], session: str) -> Window:
    return Window(sound(SECOND, 10), SECOND, 10.0, state, session)


@given(st.sampled_from(list(paths(GROWN))), junk)
def test_whatever_stands_in_a_state(path: tuple[Any, ...], by: object) -> None:
    """It costs its own session the past at most: others are answered as ever, and all numbers are numbers."""
    odd, mate = spoiled(path, by), copy.deepcopy(GROWN)
    batches = [[make(odd, "odd"), make(mate, "mate")] for make in (second, next_one)]
    alone = copy.deepcopy(GROWN)
    expected = heard([[second(alone, "mate")], [next_one(alone, "mate")]])
    for (first, other), (as_ever,) in zip(heard(batches), expected, strict=True):
        assert other == as_ever
        assert not isinstance(first, ClassifierError)
        assert len(first) == 1
        assert isinstance(first[0], ToneObservation)
        assert all(map(math.isfinite, numbers(first[0])))


@pytest.mark.parametrize(
    "course",
    [
        "rising",
        [0.5] * 4,
        ["a", 0.5, 0.5, 0.5, []],
        [0.5, None, 0.5, 0.5, []],
        [math.nan, 0.5, 0.5, 0.5, []],
        [0.5, 1e308, 0.5, 0.5, []],
        [0.5, 0.5, True, 0.5, []],
        [0.5, 0.5, 0.5, 0.5, [[1.0, 0.5], [1.0, 0.5], [1.0, 0.5]]],
        [0.5, 0.5, 0.5, 0.5, [[1.0, math.nan], [2.0, 0.5]]],
        [0.5, 0.5, 0.5, 0.5, [[float(i), 0.5] for i in range(7)]],
        [0.5, 0.5, 0.5, 0.5, [[2.0, 0.5], [1.0, 0.5]]],
    ],
)
def test_a_course_that_is_none_is_a_new_one(course: object) -> None:
    """Nothing is measured against what can't have been."""
    state = spoiled((KEY, "course"), course)
    ((answer,),) = heard([[second(state, "odd")]])
    assert not isinstance(answer, ClassifierError)
    (tone,) = answer
    assert isinstance(tone, ToneObservation)
    assert (tone.shift_magnitude, tone.shift_direction, tone.arousal_delta, tone.trend) == (None,) * 4


@pytest.mark.parametrize("context_s", [4.0, 10.0])
def test_beside_signal_processing_it_travels_whole(context_s: float) -> None:
    """Through a sidecar's states and answers, every window finds all of its context and the baseline."""
    voice = signals.recording(signals.ASTERISK_SOUNDS / "demo-congrats.wav", 12.0)
    count = 6 if context_s < 6 else 12

    async def scenario(travels: bool) -> tuple[list[Answer], dict[str, Any], list[int]]:
        model = Level(replace(SPEC, context_s=context_s))
        both = BlendedClassifier(OnnxClassifier(model, ManualClock()), AcousticClassifier())
        await both.start()
        told, state = list[Answer](), dict[str, Any]()
        for cut in windows(voice[: count * SECOND]):
            told += await both.classify([replace(cut, state=state)])
            if travels:
                packed = states.pack(both.name, state)
                assert packed is not None
                (reply,) = decode_answer(encode_answer([Told([], packed)]), 1)
                assert isinstance(reply, Told)
                state, found = states.unpack(both.name, reply.state)
                assert found is Found.RESTORED
        await both.aclose()
        return told, state, model.lengths

    told, state, lengths = asyncio.run(scenario(travels=True))
    assert (told, state, lengths) == asyncio.run(scenario(travels=False))
    assert len(state[KEY]["heard"][1]) == round(2 * context_s * SECOND)
    assert "acoustic" in state
    assert lengths[-1] == round(context_s * SECOND)


def test_a_full_batch_of_the_largest_states_is_taken() -> None:
    """So many windows of five seconds, each with 4 KiB of header: less than a body may have."""
    assert MOST_WINDOWS * (5 * 2 * SECOND + MAX_STATE_BYTES + 4_096) <= MAX_BATCH_BYTES
