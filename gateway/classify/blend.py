"""Two classifiers as one: the tones of the first, everything else of the second.

A model that hears tone knows nothing of speakers and call queues; signal processing does. Both hear each
window at the same time. A window is answered when both have answered it: where either fails, the window
fails and its `state` is left as it was, so that nothing is missing that no gap tells of.

Both go by the same state, as they would alone, and each keeps what is its own under keys of its own there,
replacing values rather than changing them inside. So a session may go on with one of the two alone.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.classify.notices import Notices
from gateway.classify.port import (
    AnalysisState,
    Answer,
    Classifier,
    ClassifierError,
    Health,
    HealthStatus,
    Observation,
    SpeakerObservation,
    ToneObservation,
    Window,
    workers_ended_of,
    workers_of,
)

_WORST_FIRST = (HealthStatus.ERROR, HealthStatus.LOADING, HealthStatus.WARNING, HealthStatus.READY)


class BlendedClassifier:
    """Tone from `first`, the rest from `second`. Implements `gateway.classify.port.Classifier`.

    It owns both: they are started, forgotten in and closed with it.
    """

    def __init__(self, first: Classifier, second: Classifier) -> None:
        self.name = f"{first.name}+{second.name}"
        self.hears_words = bool(getattr(second, "hears_words", False))
        """Whether transcripts may come of it: they are the second's."""
        self._both = (first, second)
        self._notices = Notices()
        for one in self._both:
            for part, health in one.notices.current.items():
                self._notices.tell(part, health)
            one.notices.listen(self._notices.tell)

    @property
    def notices(self) -> Notices:
        """The parts of both, under their own names."""
        return self._notices

    @property
    def workers(self) -> Mapping[str, int]:
        """Of the two that has any."""
        return workers_of(self._both[1]) or workers_of(self._both[0])

    @property
    def workers_ended(self) -> int:
        """Of both."""
        return sum(map(workers_ended_of, self._both))

    async def start(self) -> None:
        """Start both; where the second can't, the first is closed."""
        first, second = self._both
        await first.start()
        try:
            await second.start()
        except BaseException:
            await first.aclose()
            raise

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        """Speaker, then tone, then the rest in each answer; the second's tones are dropped.

        Raises:
            ClassifierError: the batch failed as a whole for one of them; the other one's call is given up.
        """
        first, second = self._both
        tonal = [replace(window, state=dict(window.state)) for window in batch]
        other = [replace(window, state=dict(window.state)) for window in batch]
        try:
            async with asyncio.TaskGroup() as calls:
                tones = calls.create_task(_answers(first, tonal))
                rest = calls.create_task(_answers(second, other))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        answers: list[Answer] = []
        for window, a, b, said, also in zip(batch, tonal, other, tones.result(), rest.result(), strict=True):
            failed = next((one for one in (said, also) if isinstance(one, ClassifierError)), None)
            if failed is not None or isinstance(said, ClassifierError) or isinstance(also, ClassifierError):
                answers.append(failed or ClassifierError("no answer"))
                continue
            _take_over(window.state, a.state, b.state)
            answers.append(_blended(said, also))
        return answers

    def forget(self, session: str) -> None:
        for one in self._both:
            one.forget(session)

    def health(self) -> Health:
        """The worse of the two."""
        found = [one.health() for one in self._both]
        return min(found, key=lambda health: _WORST_FIRST.index(health.status))

    async def aclose(self) -> None:
        """Close both, even if one of them can't."""
        async with contextlib.AsyncExitStack() as stack:
            for one in self._both:
                stack.push_async_callback(one.aclose)


async def _answers(classifier: Classifier, windows: list[Window]) -> Sequence[Answer]:
    """An answer for each window."""
    answers = await classifier.classify(windows)
    if len(answers) != len(windows):
        raise ClassifierError(f"{len(answers)} answers of {classifier.name} to {len(windows)} windows")
    return answers


def _take_over(state: AnalysisState, *after: AnalysisState) -> None:
    """Bring `state` to what each of `after`, copies of it, has become."""
    before = dict(state)
    for one in after:
        for key in before.keys() - one.keys():
            state.pop(key, None)
        state.update({key: value for key, value in one.items() if value is not before.get(key)})


def _blended(tones: list[Observation], rest: list[Observation]) -> list[Observation]:
    """Who speaks comes before how, so that the tone is known to be theirs."""
    heard = [one for one in rest if not isinstance(one, ToneObservation)]
    speakers: list[Observation] = [one for one in heard if isinstance(one, SpeakerObservation)]
    others = [one for one in heard if not isinstance(one, SpeakerObservation)]
    return [*speakers, *(one for one in tones if isinstance(one, ToneObservation)), *others]
