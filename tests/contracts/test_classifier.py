"""What every classifier must do. A new one adds a factory to `FACTORIES` in `classifiers.py`."""

import asyncio
import copy
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgpack  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest

from gateway.classify.port import (
    SAMPLE_RATE,
    AnalysisState,
    Answer,
    Classifier,
    ClassifierError,
    Hints,
    QueueObservation,
    SpeakerObservation,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
    Window,
)
from tests.contracts.classifiers import FACTORIES

Scenario: TypeAlias = Callable[[Classifier], Awaitable[None]]
Play: TypeAlias = Callable[[Scenario], None]

KINDS = (
    ToneObservation,
    SpeakerObservation,
    QueueObservation,
    TranscriptObservation,
    SurroundingsObservation,
)
WAIT_S = 60.0
"""Nothing here takes longer than that."""

_names = itertools.count()


@pytest.fixture(params=FACTORIES.values(), ids=list(FACTORIES))
def play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario with a classifier of its own."""

    def play(scenario: Scenario) -> None:
        async def on_stage() -> None:
            async with asyncio.timeout(WAIT_S), request.param() as classifier:
                await scenario(classifier)

        asyncio.run(on_stage())

    return play


def voice(level: float, seconds: float = 1.0, seed: int = 0) -> npt.NDArray[np.int16]:
    """Something like a vowel, `level` from 0 to 1."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    f0 = 120 + 10 * seed
    sound = sum(np.sin(2 * np.pi * f0 * k * time_s) / k for k in range(1, 12))
    sound = sound * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s))
    pcm: npt.NDArray[np.int16] = (sound / np.abs(sound).max() * level * 32_767).astype(np.int16)
    return pcm


def window(
    samples: npt.NDArray[np.int16],
    state: AnalysisState | None = None,
    session: str | None = None,
    at: int = 1,
) -> Window:
    """A window that nobody has heard any of before, of a session of its own unless told."""
    name = f"session-{next(_names)}" if session is None else session
    return Window(samples, len(samples), float(at), {} if state is None else state, name, Hints())


def well(answers: Sequence[Answer], expected: int) -> list[list[object]]:
    """The observations, each of a kind that there is; no window has failed."""
    assert len(answers) == expected
    lists: list[list[object]] = []
    for answer in answers:
        assert not isinstance(answer, ClassifierError), answer
        assert all(isinstance(one, KINDS) for one in answer)
        lists.append(list(answer))
    return lists


async def over_time(
    classifier: Classifier, state: AnalysisState, levels: Sequence[float], session: str
) -> list[object]:
    """All that is observed of one session's seconds of voice."""
    heard: list[object] = []
    for at, level in enumerate(levels, 1):
        [found] = well(await classifier.classify([window(voice(level), state, session, at)]), 1)
        heard += found
    return heard


def test_each_window_has_its_answer_in_order(play: Play) -> None:
    """A batch says of each window what would be said of it alone, where it stood."""

    async def scenario(classifier: Classifier) -> None:
        sounds = [voice(0.02 + 0.04 * n, seed=n % 5) for n in range(12)]
        alone = [well(await classifier.classify([window(sound)]), 1)[0] for sound in sounds]
        together = well(await classifier.classify([window(sound) for sound in sounds]), len(sounds))
        assert [kinds(one) for one in together] == [kinds(one) for one in alone]
        backwards = well(
            await classifier.classify([window(sound) for sound in reversed(sounds)]), len(sounds)
        )
        assert [kinds(one) for one in reversed(backwards)] == [kinds(one) for one in alone]

    play(scenario)


def kinds(heard: Sequence[object]) -> list[tuple[str, object, object]]:
    """What was heard, and how surely, to three places: a batch is not always rounded as one window is."""
    return [
        (type(one).__name__, getattr(one, "label", None), _rounded(getattr(one, "confidence", None)))
        for one in heard
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


def test_a_full_batch_has_as_many_answers(play: Play) -> None:
    """Thirty-two windows of different lengths."""

    async def scenario(classifier: Classifier) -> None:
        batch = [window(voice(0.3, seconds=0.4 + 0.02 * n)) for n in range(32)]
        well(await classifier.classify(batch), 32)

    play(scenario)


def test_no_windows_no_answers(play: Play) -> None:
    """An empty batch is answered by an empty list."""

    async def scenario(classifier: Classifier) -> None:
        assert list(await classifier.classify([])) == []

    play(scenario)


def test_nobody_speaks_in_silence(play: Play) -> None:
    """Digital silence is classified, and neither a tone nor a word is made up of it."""

    async def scenario(classifier: Classifier) -> None:
        state: AnalysisState = {}
        for at in range(1, 4):
            silence = window(np.zeros(SAMPLE_RATE, np.int16), state, "quiet", at)
            [heard] = well(await classifier.classify([silence]), 1)
            assert not [one for one in heard if isinstance(one, ToneObservation | TranscriptObservation)]

    play(scenario)


@pytest.mark.parametrize("value", [-32_768, 32_767])
def test_clipped_audio_is_classified(play: Play, value: int) -> None:
    """Full scale, standing and square, does no harm and yields finite numbers."""

    async def scenario(classifier: Classifier) -> None:
        square = np.where(np.arange(SAMPLE_RATE) // 40 % 2, -32_768, 32_767).astype(np.int16)
        standing = np.full(SAMPLE_RATE, value, np.int16)
        for heard in well(await classifier.classify([window(square), window(standing)]), 2):
            for one in heard:
                confidence = getattr(one, "confidence", None)
                assert confidence is None or 0.0 <= confidence <= 1.0

    play(scenario)


@pytest.mark.parametrize("samples", [1, 7, 160, 1_000, 15_999])
def test_a_short_window_is_classified(play: Play, samples: int) -> None:
    """A flushed window may be of any length."""

    async def scenario(classifier: Classifier) -> None:
        short = window(voice(0.3)[:samples])
        well(await classifier.classify([short, window(voice(0.3))]), 2)

    play(scenario)


def test_a_call_that_is_given_up_harms_nobody(play: Play) -> None:
    """Cancelled at any moment, as at a deadline: the next call is answered, and the state can be used."""

    async def scenario(classifier: Classifier) -> None:
        state: AnalysisState = {}
        for turns in range(12):
            call = asyncio.ensure_future(classifier.classify([window(voice(0.3), state, "given-up")]))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await classifier.classify([window(voice(0.3), state, "given-up")])
        well(await classifier.classify([window(voice(0.3), state, "given-up"), window(voice(0.1))]), 2)

    play(scenario)


def test_calls_at_the_same_time_keep_apart(play: Play) -> None:
    """Each caller gets the answers to its own windows."""

    async def scenario(classifier: Classifier) -> None:
        sizes = (1, 5, 2, 8)
        calls = (classifier.classify([window(voice(0.3)) for _ in range(size)]) for size in sizes)
        for size, answers in zip(sizes, await asyncio.gather(*calls), strict=True):
            well(answers, size)

    play(scenario)


def test_a_foreign_state_is_that_windows_affair(play: Play) -> None:
    """A window with the state of another classifier, and its neighbours, are answered."""

    async def scenario(classifier: Classifier) -> None:
        odd: AnalysisState = {"elsewhere": {"key": [1, 2.5, None, b"bytes"]}}
        well(await classifier.classify([window(voice(0.3), odd), window(voice(0.3))]), 2)
        assert odd["elsewhere"] == {"key": [1, 2.5, None, b"bytes"]}

    play(scenario)


def test_state_survives_packing(play: Play) -> None:
    """A session whose state went through msgpack goes on exactly like one whose state did not."""

    async def scenario(classifier: Classifier) -> None:
        state: AnalysisState = {}
        name = f"packed-{next(_names)}"
        await over_time(classifier, state, [0.1, 0.3, 0.2, 0.5], name)
        packed: AnalysisState = msgpack.unpackb(msgpack.packb(state), strict_map_key=True)
        assert packed == state
        kept = copy.deepcopy(state)
        later = [0.4, 0.05, 0.6]
        # Under names of their own: what a model keeps by name is then the same for both, namely nothing.
        one, other = f"one-{next(_names)}", f"other-{next(_names)}"
        assert await over_time(classifier, packed, later, one) == await over_time(
            classifier, kept, later, other
        )
        assert packed == kept

    play(scenario)


def test_a_session_that_is_over_can_be_forgotten(play: Play) -> None:
    """So can one that never was, and one twice; the next window under that name is answered."""

    async def scenario(classifier: Classifier) -> None:
        classifier.forget("never heard of")
        well(await classifier.classify([window(voice(0.3), session="gone")]), 1)
        classifier.forget("gone")
        classifier.forget("gone")
        well(await classifier.classify([window(voice(0.3), session="gone")]), 1)

    play(scenario)


def test_it_has_a_name_and_a_state_of_health(play: Play) -> None:
    """Both are there at any time."""

    async def scenario(classifier: Classifier) -> None:
        assert classifier.name
        assert classifier.health().status
        assert dict(classifier.notices.current) is not None

    play(scenario)


def test_closed_is_closed(play: Play) -> None:
    """It can be closed twice, and then says that it is, at once; no task of it is left."""

    async def scenario(classifier: Classifier) -> None:
        well(await classifier.classify([window(voice(0.3))]), 1)
        await classifier.aclose()
        await classifier.aclose()
        with pytest.raises(ClassifierError):
            await classifier.classify([window(voice(0.3))])
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    play(scenario)
