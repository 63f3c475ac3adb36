"""What people should know of a backend: kept once, told to every session that it serves."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway.classify.port import Health, HealthStatus

OnNotice: TypeAlias = Callable[[str, Health], None]
"""Called on the event loop with the part's name and how it is now."""


class Notices:
    """How each part of a backend is (its models, its replicas, itself), and who wants to hear of changes.

    Parts are few and named by the backend, never by a peer without a bound.
    """

    def __init__(self) -> None:
        self._parts: dict[str, Health] = {}
        self._listeners: list[OnNotice] = []

    @property
    def current(self) -> Mapping[str, Health]:
        """Every part that was told of, as it is now."""
        return self._parts

    def tell(self, part: str, health: Health) -> None:
        """How `part` is; passed on where that is news."""
        if self._parts.get(part) == health:
            return
        self._parts[part] = health
        self._pass_on(part, health)

    def forget(self, part: str) -> None:
        """There is no such part any more: listeners hear that nothing is wrong with it, if something was."""
        before = self._parts.pop(part, None)
        if before is not None and before.status is not HealthStatus.READY:
            self._pass_on(part, Health(HealthStatus.READY, f"{part} is over"))

    def _pass_on(self, part: str, health: Health) -> None:
        for listener in tuple(self._listeners):
            listener(part, health)

    def listen(self, listener: OnNotice) -> Callable[[], None]:
        """Call `listener` at each change from now on; returns the call that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
