"""Who wants to know of calls to sidecars; telemetry does."""

from typing import Protocol


class Observer(Protocol):
    """Told of facts. Replicas are told apart by their place in the settings."""

    def sidecar_call(self, replica: int, outcome: str) -> None:
        """A call is over: `ok`, or the kind of its failure."""
        ...

    def sidecar_retry(self) -> None:
        """Windows are asked about again."""
        ...

    def sidecar_in_flight(self, change: int) -> None:
        """So many calls more are open; fewer where negative."""
        ...

    def sidecar_breaker(self, before: str | None, after: str | None) -> None:
        """A replica's breaker went from one state to another; None: there is no such replica."""
        ...

    def sidecar_windows(self, fault: str, windows: int) -> None:
        """So many windows failed by themselves: `malformed`, or `refused` by the sidecar."""
        ...

    def sidecar_passed_over(self, events: int) -> None:
        """So many events were of a kind that nobody here knows."""
        ...


class Silent:
    """An observer that nobody reads."""

    def sidecar_call(self, replica: int, outcome: str) -> None: ...
    def sidecar_retry(self) -> None: ...
    def sidecar_in_flight(self, change: int) -> None: ...
    def sidecar_breaker(self, before: str | None, after: str | None) -> None: ...
    def sidecar_windows(self, fault: str, windows: int) -> None: ...
    def sidecar_passed_over(self, events: int) -> None: ...
