"""What stands in for a classifier that can't be had: it says so, and answers nothing."""

from collections.abc import Sequence

from gateway.classify.notices import Notices
from gateway.classify.port import Answer, ClassifierError, Health, HealthStatus, Window

_DETAIL = "could not be started: nothing is heard"


class Absent:
    """A `Classifier` whose every batch fails, so that windows become gaps and not guesses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notices = Notices()
        self.notices.tell("classifier", self.health())

    async def start(self) -> None:
        """Nothing can be."""

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        """Raises ClassifierError, always."""
        raise ClassifierError(f"the classifier {self.name} could not be started")

    def forget(self, session: str) -> None:
        """Nothing was kept."""

    def health(self) -> Health:
        """Never well."""
        return Health(HealthStatus.ERROR, _DETAIL)

    async def aclose(self) -> None:
        """Nothing to end."""
