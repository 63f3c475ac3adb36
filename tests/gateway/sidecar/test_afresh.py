"""States that a classifier can make nothing of cost their sessions a beginning, not every window."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.classify.acoustic.embedded import EmbeddedClassifier
from gateway.classify.acoustic.sizing import Where, Wish
from gateway.classify.port import AnalysisState, Answer, ClassifierError, Window
from gateway.clock import SystemClock
from gateway.sidecar.afresh import Afresh
from tests.gateway.classify.jobs import FakeClassifier
from tests.gateway.sidecar.kit import HeldClassifier, pcm


def test_a_state_of_no_use_is_let_go() -> None:
    """The window is classified without, and leaves a state that is good; its mates are heard once."""
    inner, broken = HeldClassifier(), []
    states: list[AnalysisState] = [{}, {"count": "x"}, {"count": 2}]
    windows = [Window(pcm(n), 9, 1.0, state) for n, state in enumerate(states, 1)]
    answers = asyncio.run(Afresh(inner, lambda: broken.append(1)).classify(windows))
    assert [[said.label for said in answer] for answer in answers] == [["1/1"], ["2/1"], ["3/3"]]  # type: ignore[union-attr]
    assert [window.state for window in windows] == [{"count": 1}, {"count": 1}, {"count": 3}]
    assert broken == [1]
    assert [len(batch) for batch in inner.batches] == [3, 1]


def test_a_window_that_fails_by_itself_fails() -> None:
    """With no state there is nothing to let go; with one, it stays as it was."""
    inner, broken = HeldClassifier(), []
    windows = [Window(pcm(13), 9, 1.0, {}), Window(pcm(13), 9, 1.0, {"count": 4})]
    answers = asyncio.run(Afresh(inner, lambda: broken.append(1)).classify(windows))
    assert all(isinstance(answer, ClassifierError) for answer in answers)
    assert [window.state for window in windows] == [{}, {"count": 4}]
    assert broken == []


def test_a_batch_that_fails_is_not_tried_again() -> None:
    """That is no fault of a state."""
    inner = HeldClassifier(broken=ClassifierError("all of it"))
    with pytest.raises(ClassifierError, match="all of it"):
        asyncio.run(Afresh(inner, lambda: None).classify([Window(pcm(), 9, 1.0, {"count": 1})]))
    assert len(inner.batches) == 1


def test_where_the_second_call_fails_the_first_one_counts() -> None:
    """What was classified stays so."""

    class Once(HeldClassifier):
        async def classify(self, batch: Sequence[Window]) -> list[Answer]:
            if self.batches:
                raise ClassifierError("not again")
            return await super().classify(batch)

    windows = [Window(pcm(1), 9, 1.0, {}), Window(pcm(2), 9, 1.0, {"count": "x"})]
    good, bad = asyncio.run(Afresh(Once(), lambda: None).classify(windows))
    assert isinstance(good, list)
    assert isinstance(bad, ClassifierError)


def test_what_the_classifier_says_of_itself_is_passed_on() -> None:
    """To the dispatcher and the metrics; a classifier that says nothing is passed on, too."""
    threads = EmbeddedClassifier(Wish(Where.THREAD, 3, 8), SystemClock(), cores=2)
    served = Afresh(threads, lambda: None)
    assert (served.room, served.calls, served.workers_ended) == (8, 3, 0)
    assert served.workers == {"process": 0, "thread": 3}
    silent = Afresh(FakeClassifier(), lambda: None)
    assert (silent.room, silent.calls, silent.workers_ended, silent.workers) == (None, None, 0, {})
