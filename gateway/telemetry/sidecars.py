"""What is counted of calls to sidecars. Labels are places in the settings and words of ours, so few."""


class SidecarCounts:
    """Takes facts of any number of classifiers that ask sidecars."""

    __slots__ = ("breakers", "calls", "in_flight", "passed_over", "retries", "windows")

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], int] = {}
        """By the replica's place in the settings, from 0, and by outcome."""
        self.retries = 0
        self.in_flight = 0
        self.breakers: dict[str, int] = {"closed": 0, "open": 0, "half_open": 0}
        """How many are in each state."""
        self.windows: dict[str, int] = {"malformed": 0, "refused": 0}
        """Windows that failed by themselves in a call that was answered."""
        self.passed_over = 0

    def sidecar_call(self, replica: int, outcome: str) -> None:
        """A call is over: `ok`, or the kind of its failure."""
        key = (str(replica), outcome)
        self.calls[key] = self.calls.get(key, 0) + 1

    def sidecar_retry(self) -> None:
        """Windows are asked about again."""
        self.retries += 1

    def sidecar_in_flight(self, change: int) -> None:
        """So many calls more are open; fewer where negative."""
        self.in_flight += change

    def sidecar_breaker(self, before: str | None, after: str | None) -> None:
        """A replica's breaker went from one state to another; None: there is no such replica."""
        if before is not None:
            self.breakers[before] -= 1
        if after is not None:
            self.breakers[after] += 1

    def sidecar_windows(self, fault: str, windows: int) -> None:
        """So many windows failed by themselves: `malformed`, or `refused` by the sidecar."""
        self.windows[fault] += windows

    def sidecar_passed_over(self, events: int) -> None:
        """So many events were of a kind that nobody here knows."""
        self.passed_over += events
