"""What is counted of the stores that nodes share."""


class SharingCounts:
    """Takes facts of the store and of the audit trail; see `gateway.stores.hybrid`."""

    __slots__ = (
        "away",
        "claims",
        "commits",
        "dropped",
        "events",
        "lost",
        "rows_dropped",
    )

    def __init__(self) -> None:
        self.commits = 0
        self.events = 0
        self.away = {"store": 0, "trail": 0}
        """1 where it can't be reached."""
        self.claims = {"new": 0, "taken": 0}
        """Sessions that nobody had, and those that another node had."""
        self.lost = {"claimed": 0, "deleted": 0, "reverted": 0}
        self.dropped = 0
        self.rows_dropped = 0

    def committed(self, sessions: int, events: int) -> None:
        """One commit went to the store, of so many sessions."""
        self.commits += 1
        self.events += events

    def store_away(self, away: bool) -> None:
        """Whether the store can't be reached."""
        self.away["store"] = int(away)

    def trail_away(self, away: bool) -> None:
        """Whether the audit trail can't be reached."""
        self.away["trail"] = int(away)

    def claimed(self, taken: bool) -> None:
        """A session was claimed here."""
        self.claims["taken" if taken else "new"] += 1

    def lost_session(self, how: str) -> None:
        """A session that was live here is so no longer."""
        self.lost[how] += 1

    def dropped_events(self, events: int) -> None:
        """So many had no room while the store was away: other nodes will never see them."""
        self.dropped += events

    def dropped_rows(self, rows: int) -> None:
        """So many rows the audit trail lacks."""
        self.rows_dropped += rows
