"""A batch under way: what is left to ask, what may be asked once more, and what was answered."""

from collections import deque
from collections.abc import Sequence

from gateway.classify.port import Answer, ClassifierError, Window
from gateway.classify.remote.http import CallFailed


class Work:
    """What is left to ask, and what was answered."""

    def __init__(self, windows: Sequence[Window], deadline: float) -> None:
        self.windows = windows
        self.deadline = deadline
        """Event loop time."""
        self.todo = deque(range(len(windows)))
        """Windows that nobody has been asked about, or not since it failed."""
        self.tried: dict[int, CallFailed] = {}
        """What became of the first call about those that are asked about once more."""
        self.answers: list[Answer] = [ClassifierError("not asked")] * len(windows)

    def take(self, room: int) -> list[int]:
        """The next ones, as many as there is room for."""
        return [self.todo.popleft() for _ in range(min(room, len(self.todo)))]

    def again(self, taken: list[int], failure: CallFailed) -> None:
        """Put back those that were asked about for the first time."""
        back = [index for index in taken if index not in self.tried]
        self.tried |= dict.fromkeys(back, failure)
        self.todo.extendleft(reversed(back))

    def fail(self, index: int, why: str) -> None:
        """No answer to this one."""
        self.answers[index] = ClassifierError(why)

    def give_up(self, why: str) -> None:
        """No answer to any that has none."""
        for index, answer in enumerate(self.answers):
            if isinstance(answer, ClassifierError) and (index in self.todo or str(answer) == "not asked"):
                self.fail(index, why)
        self.todo.clear()
