"""A classifier whose windows may come with states that it can make nothing of: those are tried without.

A caller may hand in anything as a session's state, and states outlive upgrades. A window that fails with one
would fail with it for ever, as its caller keeps what it has. What fails without is the classifier's own
fault.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.classify.notices import Notices
from gateway.classify.port import (
    Answer,
    Classifier,
    ClassifierError,
    Health,
    Window,
    calls_of,
    room_of,
    workers_ended_of,
    workers_of,
)


class Afresh:
    """A `Classifier` in front of another one.

    Args:
        broken: told of each state that was of no use.
    """

    def __init__(self, classifier: Classifier, broken: Callable[[], None]) -> None:
        self._classifier = classifier
        self._broken = broken
        self.name = classifier.name

    @property
    def room(self) -> int | None:
        """How many windows the classifier wants at once."""
        return room_of(self._classifier)

    @property
    def calls(self) -> int | None:
        """How many calls it wants open."""
        return calls_of(self._classifier)

    @property
    def workers(self) -> Mapping[str, int]:
        """Its workers by kind."""
        return workers_of(self._classifier)

    @property
    def workers_ended(self) -> int:
        """How many of them ended by themselves."""
        return workers_ended_of(self._classifier)

    @property
    def notices(self) -> Notices:
        """Those of the classifier."""
        return self._classifier.notices

    async def start(self) -> None:
        """Begin to work."""
        await self._classifier.start()

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        """The answers, in order; a window that fails alone, with a state, gets a second one without.

        Raises:
            ClassifierError: the whole batch failed; it isn't tried again.
        """
        answers = list(await self._classifier.classify(batch))
        failed = [
            place
            for place, answer in enumerate(answers)
            if isinstance(answer, ClassifierError) and batch[place].state
        ]
        if not failed or len(answers) != len(batch):
            return answers
        again = [replace(batch[place], state={}) for place in failed]
        try:
            second = await self._classifier.classify(again)
        except ClassifierError:
            return answers
        for place, window, answer in zip(failed, again, second, strict=True):
            if isinstance(answer, ClassifierError):
                continue
            answers[place] = answer
            state = batch[place].state
            state.clear()
            state.update(window.state)
            self._broken()
        return answers

    def forget(self, session: str) -> None:
        """The session is over."""
        self._classifier.forget(session)

    def health(self) -> Health:
        """Whether it can answer now."""
        return self._classifier.health()

    async def aclose(self) -> None:
        """End it."""
        await self._classifier.aclose()
