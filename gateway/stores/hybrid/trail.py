"""Rows on their way to the audit trail: late, in batches, and of each session only how it is now."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from gateway.errors import StoreUnavailable
from gateway.sessions.shared import AuditRow, AuditStore, EventRow, SessionRow, SnapshotRow, TaskRow

log = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0
"""Between batches."""
AT_ONCE: Final = 500
"""Rows in a batch."""
CAPACITY: Final = 20_000
"""Rows that wait; past it the oldest goes, and is counted."""
_PAUSE_S: Final = 2.0
"""Before the store is asked again where it was away."""
_FAREWELL_S: Final = 5.0

_Key: TypeAlias = tuple[str, str, int]


class Trail:
    """Takes rows at any time, and writes them as the store takes them."""

    def __init__(
        self,
        store: AuditStore,
        *,
        on_dropped: Callable[[int], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        capacity: int = CAPACITY,
    ) -> None:
        self._store = store
        self._on_dropped = on_dropped
        self._sleep = sleep
        self._capacity = capacity
        self._rows: OrderedDict[_Key, AuditRow] = OrderedDict()
        self._count = 0
        self.is_away = False
        """Whether the store can't be reached."""
        self.on_away: Callable[[bool], None] = lambda _: None
        """Called when that changes."""

    def __len__(self) -> int:
        return len(self._rows)

    def record(self, row: AuditRow) -> None:
        """Write `row` soon; an earlier one about the same is not needed any more."""
        key = self._key(row)
        self._rows.pop(key, None)
        self._rows[key] = row
        while len(self._rows) > self._capacity:
            self._rows.popitem(last=False)
            self._on_dropped(1)

    async def run(self) -> None:
        """Write, until cancelled."""
        while True:
            await self._sleep(INTERVAL_S)
            while self._rows and await self._write_some():
                pass

    async def aclose(self) -> None:
        """Write what is left, if the store takes it soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                while self._rows and not self.is_away and await self._write_some():
                    pass
        if self._rows:
            log.warning("the audit trail lacks rows of this node", extra={"rows": len(self._rows)})

    async def _write_some(self) -> bool:
        """Write the oldest rows; whether that went well."""
        batch = [self._rows.popitem(last=False) for _ in range(min(AT_ONCE, len(self._rows)))]
        try:
            await self._store.write([row for _, row in batch])
        except StoreUnavailable as error:
            self._put_back(batch)
            self.note(away=True, reason=str(error))
            await self._sleep(_PAUSE_S)
            return False
        except asyncio.CancelledError:
            self._put_back(batch)
            raise
        except Exception:
            # It will not take these, ever: the others need not wait for that.
            log.exception("the audit trail refused rows", extra={"rows": len(batch)})
            self._on_dropped(len(batch))
            return True
        self.note(away=False)
        return True

    def _put_back(self, batch: Sequence[tuple[_Key, AuditRow]]) -> None:
        """To the front, in order, but for what was said anew meanwhile."""
        for key, row in reversed(batch):
            if key not in self._rows:
                self._rows[key] = row
                self._rows.move_to_end(key, last=False)

    def note(self, *, away: bool, reason: str = "") -> None:
        """Whether the store can be reached, as far as is known."""
        if away is not self.is_away:
            self.is_away = away
            log.warning(
                "the audit trail is away; rows wait" if away else "the audit trail is back",
                extra={"reason": reason} if reason else {},
            )
            self.on_away(away)

    def _key(self, row: AuditRow) -> _Key:
        match row:
            case SessionRow():
                return "session", row.session.id, 0
            case SnapshotRow():
                return "snapshot", row.session_id, 0
            case EventRow():
                return "event", row.session_id, row.entry.seq
            case TaskRow():
                self._count += 1
                return "task", row.session_id, self._count
            case _:
                return "deleted", row.session_id, 0
