"""Two classifiers as one: whose answers count, what a failure of either means, and who owns whom."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from gateway.classify.acoustic.embedded import EmbeddedClassifier
from gateway.classify.acoustic.sizing import Where, Wish
from gateway.classify.blend import BlendedClassifier
from gateway.classify.notices import Notices
from gateway.classify.port import (
    Answer,
    ClassifierError,
    Health,
    HealthStatus,
    Observation,
    QueueObservation,
    SpeakerObservation,
    SurroundingsKind,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
    Window,
)
from gateway.clock import SystemClock

READY = Health(HealthStatus.READY)
LOST = ClassifierError("lost")


@dataclass
class HandClassifier:
    """A classifier whose answers the test gives; it counts its windows in their state."""

    name: str
    answer: Callable[[Window], Answer] = lambda _: []
    whole: Exception | None = None
    """Raised instead of any answer."""
    notices: Notices = field(default_factory=Notices)
    said: list[str] = field(default_factory=list)
    status: Health = READY
    meet: asyncio.Barrier | None = None
    short: bool = False
    hears_words: bool = False

    async def start(self) -> None:
        self.said.append("start")
        if self.whole is not None:
            raise self.whole

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        if self.meet is not None:
            await self.meet.wait()
        if self.whole is not None:
            raise self.whole
        answers = [self.answer(window) for window in batch]
        for window, one in zip(batch, answers, strict=True):
            if not isinstance(one, ClassifierError):
                before = window.state.get(self.name, {"windows": 0})
                window.state[self.name] = {"windows": before["windows"] + 1}
                window.state.pop("old", None)
        return answers[1:] if self.short else answers

    def forget(self, session: str) -> None:
        self.said.append(session)

    def health(self) -> Health:
        return self.status

    async def aclose(self) -> None:
        self.said.append("close")


SPEAKER = SpeakerObservation(label="human_single", speaker_id="Speaker A", confidence=0.4)
QUEUE = QueueObservation(label="silence", confidence=0.9)
WORDS = TranscriptObservation(text="hello")
SCENE = SurroundingsObservation(kind=SurroundingsKind.SCENE, label="office", confidence=0.5)


def tone(model: str) -> ToneObservation:
    return ToneObservation(label="Calm", confidence=0.5, model=model)


def window(name: str = "", **state: object) -> Window:
    return Window(np.zeros(160, np.int16), 160, 1.0, state, name)


def classify(first: HandClassifier, second: HandClassifier, *batch: Window) -> Sequence[Answer]:
    return asyncio.run(BlendedClassifier(first, second).classify(batch))


def test_tones_of_the_first_and_everything_else_of_the_second() -> None:
    """The speaker comes first, so that the tone is told as theirs; what else each says is dropped."""
    heard: list[Observation] = [QUEUE, tone("second"), SPEAKER, WORDS, SCENE]
    first = HandClassifier("first", lambda _: [SPEAKER, tone("first"), QUEUE])
    second = HandClassifier("second", lambda _: heard)
    assert classify(first, second, window()) == [[SPEAKER, tone("first"), QUEUE, WORDS, SCENE]]


def test_both_keep_what_is_theirs_in_the_state() -> None:
    """Each under its own key, beside what others left there; what both took away is gone."""
    one = window(old=1, other=2)
    classify(HandClassifier("first"), HandClassifier("second"), one)
    classify(HandClassifier("first"), HandClassifier("second"), one)
    assert one.state == {"first": {"windows": 2}, "second": {"windows": 2}, "other": 2}


@pytest.mark.parametrize("loser", [0, 1])
def test_a_window_fails_where_either_fails(loser: int) -> None:
    """Its batch-mates don't, and its state is as it was, also what the other one had left there."""
    both = [HandClassifier("first", lambda _: [tone("first")]), HandClassifier("second", lambda _: [SPEAKER])]
    both[loser].answer = lambda one: LOST if one.session == "b" else []
    batch = [window(name, old=1) for name in "abc"]
    answers = classify(both[0], both[1], *batch)
    assert [one is LOST for one in answers] == [False, True, False]
    assert batch[1].state == {"old": 1}
    assert batch[0].state.keys() == batch[2].state.keys() == {"first", "second"}


@pytest.mark.parametrize("loser", [0, 1])
def test_a_batch_that_fails_as_a_whole(loser: int) -> None:
    """The error of the one that failed is the batch's, and no state has changed."""
    both = [HandClassifier("first"), HandClassifier("second")]
    both[loser].whole = LOST
    one = window(old=1)
    with pytest.raises(ClassifierError, match="lost"):
        classify(both[0], both[1], one, window())
    assert one.state == {"old": 1}


def test_a_wrong_count_fails_the_batch() -> None:
    """Nobody could say which answer is whose."""
    with pytest.raises(ClassifierError, match="1 answers of first to 2 windows"):
        classify(HandClassifier("first", short=True), HandClassifier("second"), window(), window())


def test_a_defect_is_passed_on_as_it_is() -> None:
    """What isn't a classifier's error stays what it is."""
    broken = HandClassifier("first", whole=ZeroDivisionError("defect"))
    with pytest.raises(ZeroDivisionError, match="defect"):
        classify(broken, HandClassifier("second"), window())


def test_both_hear_it_at_the_same_time() -> None:
    """Neither waits for the other."""

    async def scenario() -> None:
        meet = asyncio.Barrier(2)
        blend = BlendedClassifier(HandClassifier("first", meet=meet), HandClassifier("second", meet=meet))
        async with asyncio.timeout(5):
            assert await blend.classify([window()]) == [[]]

    asyncio.run(scenario())


def test_cancelled_it_changes_nothing() -> None:
    """Both calls end with it."""

    async def scenario() -> None:
        meet, one = asyncio.Barrier(3), window(old=1)
        blend = BlendedClassifier(HandClassifier("first", meet=meet), HandClassifier("second", meet=meet))
        call = asyncio.create_task(blend.classify([one]))
        for _ in range(10):
            await asyncio.sleep(0)
        assert meet.n_waiting == 2
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert one.state == {"old": 1}
        assert meet.n_waiting == 0

    asyncio.run(scenario())


def test_an_empty_batch() -> None:
    """Nothing in, nothing out."""
    assert classify(HandClassifier("first"), HandClassifier("second")) == []


def test_the_worse_health_counts() -> None:
    """Either's trouble is the blend's."""
    first, second = HandClassifier("first"), HandClassifier("second")
    blend = BlendedClassifier(first, second)
    assert blend.name == "first+second"
    assert blend.health().status is HealthStatus.READY
    second.status = Health(HealthStatus.WARNING, "slow")
    assert blend.health() == second.status
    first.status = Health(HealthStatus.LOADING, "weights")
    assert blend.health() == first.status
    second.status = Health(HealthStatus.ERROR, "gone")
    assert blend.health() == second.status


def test_the_parts_of_both_are_told() -> None:
    """What was told before it was made, and every change since."""
    first, second = HandClassifier("first"), HandClassifier("second")
    first.notices.tell("model", Health(HealthStatus.LOADING))
    blend = BlendedClassifier(first, second)
    heard: list[tuple[str, Health]] = []
    blend.notices.listen(lambda part, health: heard.append((part, health)))
    second.notices.tell("replica", Health(HealthStatus.READY))
    assert blend.notices.current == {
        "model": Health(HealthStatus.LOADING),
        "replica": Health(HealthStatus.READY),
    }
    assert heard == [("replica", Health(HealthStatus.READY))]


def test_words_are_the_second_s() -> None:
    """It hears words where the second does."""
    deaf, listener = HandClassifier("deaf"), HandClassifier("listener")
    listener.hears_words = True
    assert BlendedClassifier(deaf, listener).hears_words
    assert not BlendedClassifier(listener, deaf).hears_words


def test_it_owns_both() -> None:
    """Started, told of ends, and closed with it."""

    async def scenario() -> None:
        both = [HandClassifier("first"), HandClassifier("second")]
        blend = BlendedClassifier(both[0], both[1])
        await blend.start()
        blend.forget("a")
        await blend.aclose()
        assert [one.said for one in both] == [["start", "a", "close"]] * 2

    asyncio.run(scenario())


def test_where_the_second_can_not_start_the_first_is_closed() -> None:
    """Nothing is left running."""

    async def scenario() -> None:
        first, second = HandClassifier("first"), HandClassifier("second", whole=OSError("no"))
        with pytest.raises(OSError, match="no"):
            await BlendedClassifier(first, second).start()
        assert first.said == ["start", "close"]

    asyncio.run(scenario())


def test_the_workers_of_either_are_told() -> None:
    """Of the one that has any; ends of both are counted."""
    embedded = EmbeddedClassifier(Wish(Where.THREAD, 3, 8), SystemClock(), cores=2)
    assert BlendedClassifier(HandClassifier("tone"), embedded).workers == {"process": 0, "thread": 3}
    assert BlendedClassifier(embedded, HandClassifier("rest")).workers_ended == 0
    assert BlendedClassifier(HandClassifier("tone"), HandClassifier("rest")).workers == {}
