"""The classifier: what reaches the model, in which batches, and what becomes of failures."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest

from gateway.classify.acoustic.speaking import speaking
from gateway.classify.onnx.classifier import Deferred, OnnxClassifier
from gateway.classify.onnx.context import KEY
from gateway.classify.onnx.errors import ModelError
from gateway.classify.onnx.model import Outputs, Rows
from gateway.classify.onnx.spec import GateKind, Keep, ModelSpec, Provider
from gateway.classify.port import (
    Answer,
    ClassifierError,
    Health,
    HealthStatus,
    ToneObservation,
    Window,
)
from gateway.clock import ManualClock
from tests import signals
from tests.gateway.classify.onnx.cuts import sound, windows
from tests.gateway.classify.onnx.graphs import loaded, spec

SECOND = 16_000


@dataclass
class HandModel:
    """A model whose answers the test gives: the level of each row, unless told otherwise."""

    spec: ModelSpec
    device: Provider = Provider.CPU
    most: int = 32
    calls: list[tuple[int, ...]] = field(default_factory=list)
    fails: Callable[[Rows], bool] = lambda rows: False
    spoils: Callable[[Rows], bool] = lambda row: False
    """Whether a row comes back as NaN."""
    hold: Event | None = None
    called: Event = field(default_factory=Event)

    def run(self, rows: Rows) -> Outputs:
        self.calls.append(rows.shape)
        self.called.set()
        if self.hold is not None:
            self.hold.wait(10)
        if self.fails(rows):
            raise RuntimeError("out of something")
        level = np.abs(rows.astype(np.float64)).mean(axis=1) / 32_768
        found = np.stack([level, level, level], axis=1).astype(np.float32)
        found[[self.spoils(row) for row in rows]] = np.nan
        return {"logits": found}


@pytest.fixture
def hand(tmp_path: Path) -> HandModel:
    return HandModel(spec(tmp_path, top='gate = "energy"'))


def classifier(model: HandModel) -> OnnxClassifier:
    return OnnxClassifier(model, ManualClock())


def run(
    model: HandModel, *batches: Sequence[Window], made: OnnxClassifier | None = None
) -> list[Sequence[Answer]]:
    """The answers to batches, one after another."""

    async def scenario() -> list[Sequence[Answer]]:
        one = made or classifier(model)
        await one.start()
        try:
            return [await one.classify(batch) for batch in batches]
        finally:
            await one.aclose()

    return asyncio.run(scenario())


def warmth(one: OnnxClassifier) -> asyncio.Event:
    """Set as soon as it no longer loads."""
    warm = asyncio.Event()
    one.notices.listen(lambda _, health: None if health.status is HealthStatus.LOADING else warm.set())
    return warm


def level(volume: int, seconds: float = 1.0, session: str = "one", end_s: float = 1.0) -> Window:
    """A square wave: sound of an exact level."""
    samples = np.where(np.arange(round(seconds * SECOND)) % 2 == 0, volume, -volume).astype(np.int16)
    return Window(samples, len(samples), end_s, {}, session)


def tone(answer: Answer) -> ToneObservation:
    assert not isinstance(answer, ClassifierError), answer
    (one,) = answer
    assert isinstance(one, ToneObservation)
    return one


def test_answers_come_in_order(hand: HandModel) -> None:
    """Each window of a batch gets its own numbers."""
    batch = [level(1_000 * i, session=str(i)) for i in range(1, 9)]
    (answers,) = run(hand, batch)
    found = [tone(answer).arousal for answer in answers]
    assert found == pytest.approx([1_000 * i / 32_768 for i in range(1, 9)], abs=1e-3)
    assert hand.calls == [(8, SECOND)]
    assert {tone(answer).model for answer in answers} == {"tiny"}


def test_an_empty_batch(hand: HandModel) -> None:
    """Nothing is asked, and nothing answered."""
    assert run(hand, []) == [[]]
    assert hand.calls == []


def test_the_context_grows_to_its_length(hand: HandModel) -> None:
    """The model hears 1, 2, 3 and then always 4 s; confidence grows with it."""
    told = run(hand, *([one] for one in windows(sound(6 * SECOND))))
    assert [length for _, length in hand.calls] == [SECOND * n for n in (1, 2, 3, 4, 4, 4)]
    sure = [tone(answer).confidence for (answer,) in told]
    assert sure[0] < sure[3]


def test_what_the_model_hears_is_the_last_seconds(hand: HandModel) -> None:
    """Rows are the session's own samples, in a batch with others of other lengths."""
    heard: list[Rows] = []

    def listens(rows: Rows) -> bool:
        heard.append(rows.copy())
        return False

    hand.fails = listens
    pcm = {name: sound(5 * SECOND, seed) for seed, name in enumerate(("a", "b"))}
    rows = {name: list(windows(pcm[name], session=name, hop=SECOND // 2)) for name in pcm}
    batches = [[rows["a"][i], *([rows["b"][i - 3]] if i >= 3 else [])] for i in range(9)]
    run(hand, *batches)
    a, b = [row for call in heard for row in call][-2:]
    end = round(rows["a"][8].end_s * SECOND)
    assert np.array_equal(a, pcm["a"][max(0, end - 64_000) : end])
    end = round(rows["b"][5].end_s * SECOND)
    assert np.array_equal(b, pcm["b"][max(0, end - 64_000) : end])


def test_rows_of_equal_length_in_calls_of_a_bounded_size(hand: HandModel) -> None:
    """More than the model takes at once goes in several calls; other lengths go by themselves."""
    hand.most = 3
    batch = [level(1_000, 1.0, str(i)) for i in range(7)] + [level(1_000, 2.0, "long", 2.0)]
    (answers,) = run(hand, batch)
    assert sorted(hand.calls) == [(1, SECOND), (1, 2 * SECOND), (3, SECOND), (3, SECOND)]
    assert len(answers) == 8


def test_silence_never_reaches_the_model(hand: HandModel) -> None:
    """Silence is classified, with nothing to tell, and is part of the context of what follows."""
    quiet = Window(np.zeros(SECOND, np.int16), SECOND, 1.0, {}, "one")
    (silent,), (spoken,) = run(hand, [quiet], [level(8_192, end_s=2.0)])
    assert silent == []
    assert hand.calls == [(1, 2 * SECOND)]
    assert tone(spoken).arousal == pytest.approx(0.125, abs=1e-3)
    assert KEY not in quiet.state


def test_silence_is_found_before_it_is_normalised(tmp_path: Path) -> None:
    """Normalised, faint noise would be as loud as a voice."""
    model = loaded(
        tmp_path, top='gate = "energy"', input='name = "signal"\nnormalize = "zero-mean-unit-variance"'
    )
    faint = Window(sound(SECOND, level=10.0), SECOND, 1.0, {}, "faint")

    async def scenario() -> None:
        one = OnnxClassifier(model, ManualClock())
        assert await one.classify([faint]) == [[]]
        (told,) = await one.classify([Window(sound(SECOND), SECOND, 1.0, {}, "loud")])
        assert tone(told).arousal == pytest.approx(0.8, abs=0.05)  # the mean of |x| of noise of variance 1
        await one.aclose()

    asyncio.run(scenario())


def test_a_context_that_is_too_short_is_waited_for(hand: HandModel) -> None:
    """Windows of 300 ms are classified, and told from the first whole second on."""
    told = run(hand, *([one] for one in windows(sound(2 * SECOND), window=4_800)))
    assert [bool(answer) for (answer,) in told] == [False, False, False, True, True, True]
    assert hand.calls[0] == (1, 19_200)


def test_music_and_noise_are_nobody_s_tone(tmp_path: Path) -> None:
    """With the speech gate, as by default, the model hears voices only."""
    model = HandModel(spec(tmp_path))
    assert model.spec.gate is GateKind.SPEECH
    voice = signals.recording(signals.ASTERISK_SOUNDS / "demo-congrats.wav", 8.0)
    music = signals.recording(signals.music_files()[0], 8.0)
    made = OnnxClassifier(model, ManualClock(), talking=speaking)
    rows = [
        list(windows(pcm, session=name))
        for name, pcm in (("v", voice), ("m", music), ("n", sound(8 * SECOND)))
    ]
    told = run(model, *([row[i] for row in rows] for i in range(8)), made=made)
    counts = [sum(bool(answers[i]) for answers in told) for i in range(3)]
    assert counts[0] >= 6
    assert counts[1:] == [0, 0]


def test_a_batch_is_its_windows(tmp_path: Path) -> None:
    """Through the real graph, a batch is answered as its windows would be one by one."""
    model = loaded(tmp_path, top='gate = "energy"')
    batch = [level(1_000 * i, 1.0 + i % 3, str(i), 3.0) for i in range(1, 17)]
    again = [level(1_000 * i, 1.0 + i % 3, str(i), 3.0) for i in range(1, 17)]

    async def scenario() -> None:
        one, other = OnnxClassifier(model, ManualClock()), OnnxClassifier(model, ManualClock(), workers=2)
        together = await one.classify(batch)
        alone = [answer for window in again for answer in await other.classify([window])]
        assert [tone(a) for a in together] == [tone(b) for b in alone]
        assert [a.state for a in batch] == [b.state for b in again]
        for each in (one, other):
            await each.aclose()

    asyncio.run(scenario())


def test_a_row_that_is_no_number_fails_alone(hand: HandModel) -> None:
    """NaN for one window: an error for it, answers for the others, and its state is as it was."""
    hand.spoils = lambda row: bool(np.abs(row).max() == 2_000)
    batch = [level(1_000 * i, session=str(i)) for i in (1, 2, 3)]
    (answers,) = run(hand, batch)
    assert [isinstance(answer, ClassifierError) for answer in answers] == [False, True, False]
    assert [bool(window.state) for window in batch] == [True, False, True]


def test_a_row_that_makes_the_call_fail_fails_alone(hand: HandModel) -> None:
    """The others of its call are run one by one."""
    hand.fails = lambda rows: bool((np.abs(rows).max(axis=1) == 2_000).any())
    batch = [level(1_000 * i, session=str(i)) for i in (1, 2, 3)]
    (answers,) = run(hand, batch)
    assert [isinstance(answer, ClassifierError) for answer in answers] == [False, True, False]
    assert hand.calls == [(3, SECOND), (1, SECOND), (1, SECOND), (1, SECOND)]


def test_a_failed_window_leaves_nothing_behind(hand: HandModel) -> None:
    """Its samples aren't in the context of the next one, as nobody knows what was made of them."""
    hand.fails = lambda rows: len(hand.calls) == 2
    run(hand, *([one] for one in windows(sound(4 * SECOND))))
    assert [length for _, length in hand.calls] == [SECOND * n for n in (1, 2, 1, 2)]


def test_a_strange_state_begins_anew(hand: HandModel) -> None:
    """A state that this classifier didn't write tells it nothing, and costs no window."""
    batch = [level(1_000, session=str(i)) for i in range(3)]
    batch[1].state[KEY] = {"course": "rising"}
    (answers,) = run(hand, batch)
    assert all(tone(answer) == tone(answers[0]) for answer in answers)
    assert batch[1].state == batch[0].state


def test_an_error_nobody_foresaw_is_its_window_s(hand: HandModel, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong with one window, the others are answered, and the log has it once."""
    one = classifier(hand)
    batches = [[level(1_000, session=f"{n}{i}", end_s=end_s) for i, end_s in enumerate((1.0, float("nan")))]
               for n in range(3)]  # fmt: skip
    for good, bad in run(hand, *batches, made=one):
        assert tone(good)
        assert isinstance(bad, ClassifierError)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_nothing_but_nan_is_a_model_that_fails(hand: HandModel) -> None:
    """A batch of which no row is a number is told of, and so is the first that is well again."""
    hand.spoils = lambda row: len(hand.calls) < 3

    async def scenario() -> list[Health]:
        one, told = classifier(hand), list[Health]()
        one.notices.listen(lambda part, health: told.append(health))
        await one.start()
        for i in range(4):
            await one.classify([level(1_000, session=f"{n}{i}") for n in range(2)])
        await one.aclose()
        return told

    ready, error, again = asyncio.run(scenario())
    assert error == Health(HealthStatus.ERROR, "the model's output logits holds what is no number")
    assert ready == again == Health(HealthStatus.READY, "tiny on cpu")


@pytest.mark.parametrize("keep", list(Keep))
def test_state_survives_msgpack(tmp_path: Path, keep: Keep) -> None:
    """Sent through msgpack after every window, a session is told of as if it never was."""
    model = HandModel(spec(tmp_path, top=f'gate = "energy"\nkeep = "{keep}"'))
    pcm = np.concatenate([sound(SECOND, i, 500.0 * (i + 1)) for i in range(8)])
    plain = run(model, *([one] for one in windows(pcm)))

    async def scenario() -> list[Answer]:
        one, state, told = classifier(model), dict[str, object](), list[Answer]()
        for window in windows(pcm):
            state = msgpack.unpackb(msgpack.packb(state))
            told += await one.classify([Window(window.samples, window.owned, window.end_s, state, "one")])
        await one.aclose()
        size = len(msgpack.packb(state))
        assert (size > 128_000) == (keep is Keep.SESSION)
        assert size < 129_000
        return told

    assert asyncio.run(scenario()) == [answer for (answer,) in plain]


def test_kept_in_the_session_another_process_goes_on(tmp_path: Path) -> None:
    """With `keep = "session"` windows may be answered anywhere, and are answered alike."""
    model = HandModel(spec(tmp_path, top='gate = "energy"\nkeep = "session"'))
    pcm, state = sound(6 * SECOND), dict[str, object]()
    plain = run(model, *([one] for one in windows(pcm)))
    moved = [run(model, [one])[0] for one in windows(pcm, state=state)]
    assert moved == plain


def test_a_session_that_is_over_is_forgotten(hand: HandModel) -> None:
    """Nothing is left of its context; another session's stays."""

    async def scenario() -> None:
        one = classifier(hand)
        batches = zip(*(windows(sound(4 * SECOND), session=name) for name in "ab"), strict=True)
        for i, batch in enumerate(batches):
            await one.classify(batch)
            if i == 1:
                one.forget("a")
                one.forget("nobody")
        await one.aclose()

    asyncio.run(scenario())
    assert sorted(hand.calls) == sorted([(2, SECOND), (2, 2 * SECOND), *(
        (1, SECOND * n) for n in (1, 2, 3, 4))])  # fmt: skip


def test_a_cancelled_call_changes_nothing(hand: HandModel) -> None:
    """A batch whose caller gave up leaves no trace, though its thread may still finish it."""

    async def scenario() -> None:
        hand.hold = hold = Event()
        one, first = classifier(hand), level(1_000)
        call = asyncio.create_task(one.classify([first]))
        await asyncio.to_thread(hand.called.wait, 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        hold.set()
        await one.classify([level(1_000, end_s=2.0)])
        await one.aclose()
        assert first.state == {}

    asyncio.run(scenario())
    assert hand.calls == [(1, SECOND), (1, SECOND)]


def test_after_the_end(hand: HandModel) -> None:
    """Closed twice, it says so."""

    async def scenario() -> None:
        one = classifier(hand)
        await one.start()
        assert one.health() == Health(HealthStatus.READY, "tiny on cpu")
        assert one.notices.current == {"onnx": one.health()}
        await one.aclose()
        await one.aclose()
        assert one.health().status is HealthStatus.ERROR
        with pytest.raises(ClassifierError):
            await one.classify([level(1_000)])

    asyncio.run(scenario())


def test_a_model_that_fails_is_told_of_once(hand: HandModel, caplog: pytest.LogCaptureFixture) -> None:
    """Its sessions hear of the error when it begins, and when it is over; the log has it once."""
    hand.fails = lambda rows: len(hand.calls) < 7

    async def scenario() -> list[HealthStatus]:
        one, told = classifier(hand), list[HealthStatus]()
        one.notices.listen(lambda part, health: told.append(health.status))
        await one.start()
        for i in range(6):
            await one.classify([level(1_000, session=f"{n}{i}") for n in range(2)])
        await one.aclose()
        return told

    assert asyncio.run(scenario()) == [HealthStatus.READY, HealthStatus.ERROR, HealthStatus.READY]
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1


def test_a_gpu_is_warmed_up_in_the_background(hand: HandModel) -> None:
    """Loading, then ready; meanwhile windows are answered already."""
    hand.device, hand.hold = Provider.CUDA, (hold := Event())

    async def scenario() -> list[Health]:
        one, told = classifier(hand), list[Health]()
        one.notices.listen(lambda part, health: told.append(health))
        warm = warmth(one)
        await one.start()
        assert one.health().status is HealthStatus.LOADING
        hold.set()
        await warm.wait()
        await one.aclose()
        return told

    loading, ready = asyncio.run(scenario())
    assert (loading.status, ready) == (HealthStatus.LOADING, Health(HealthStatus.READY, "tiny on cuda"))
    assert hand.calls == [(32, 64_000)]


@pytest.mark.parametrize(("fits", "status", "calls"), [
    (9, HealthStatus.WARNING, [32, 16, 8, 8, 2]),
    (0, HealthStatus.ERROR, [32, 16, 8, 4, 2, 1]),
])  # fmt: skip
def test_a_gpu_that_is_too_small(hand: HandModel, fits: int, status: HealthStatus, calls: list[int]) -> None:
    """Smaller batches are taken from then on, and that is told."""
    hand.device, hand.fails = Provider.CUDA, lambda rows: len(rows) > fits

    async def scenario() -> None:
        one = classifier(hand)
        warm = warmth(one)
        await one.start()
        await warm.wait()
        assert one.health().status is status
        if fits:
            await one.classify([level(1_000, session=str(i)) for i in range(10)])
        await one.aclose()

    asyncio.run(scenario())
    assert [rows for rows, _ in hand.calls] == calls


def test_loaded_in_the_background(hand: HandModel) -> None:
    """Loading, then ready; windows that come meanwhile fail, and later ones are answered."""
    hold = Event()

    def load() -> HandModel:
        hold.wait(10)
        return hand

    async def scenario() -> list[Health]:
        one, told = OnnxClassifier(Deferred(hand.spec, load), ManualClock()), list[Health]()
        one.notices.listen(lambda part, health: told.append(health))
        warm = warmth(one)
        await one.start()
        with pytest.raises(ClassifierError, match="isn't loaded"):
            await one.classify([level(1_000)])
        hold.set()
        await warm.wait()
        assert tone((await one.classify([level(1_000)]))[0])
        await one.aclose()
        return told

    loading, ready = asyncio.run(scenario())
    assert (loading.status, ready) == (HealthStatus.LOADING, Health(HealthStatus.READY, "tiny on cpu"))


@pytest.mark.parametrize("error", [ModelError("model", "is no file: /secret/place"), OSError("gone")])
def test_a_model_that_can_not_be_loaded_later(
    hand: HandModel, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why; sessions hear that it is so, and every window fails."""

    def load() -> HandModel:
        raise error

    async def scenario() -> None:
        one = OnnxClassifier(Deferred(hand.spec, load), ManualClock())
        warm = warmth(one)
        await one.start()
        await warm.wait()
        assert one.health() == Health(HealthStatus.ERROR, "tiny can't be used")
        with pytest.raises(ClassifierError):
            await one.classify([level(1_000)])
        await one.aclose()

    asyncio.run(scenario())
    assert [str(error) in record.getMessage() for record in caplog.records] == [True]


def test_closed_while_it_warms_up(hand: HandModel) -> None:
    """It ends at once, and nothing is told any more."""
    hand.device, hand.hold = Provider.CUDA, (hold := Event())

    async def scenario() -> None:
        one = classifier(hand)
        await one.start()
        await one.aclose()
        assert one.health().status is HealthStatus.ERROR
        hold.set()

    asyncio.run(scenario())
