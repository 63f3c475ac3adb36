"""The gateway under stock uvicorn, without its fast lane: how many live sessions a core carries so.

    python -m benchmarks.portable

Measured as in `benchmarks.usual`: the same sidecar, which answers at once, the same clients, the same bar.
The server is uvicorn as it comes, with `websockets-sansio`; each message goes through ASGI. Its CPU and
memory are compared with those of `undertone serve` at the same number of sessions.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from benchmarks.rows import Row, table
from benchmarks.usual import CPU, RSS, Found, account, carried, stage

PORTABLE: Final = ("tests.conformance.portable",)
COUNTS: Final = (100, 250, *range(500, 3_250, 250), 3_500, 4_000)

_COSTS: Final = {
    CPU: ("cpu_us_per_session_s", "µs/session-second"),
    RSS: ("rss_kib_per_session", "KiB/session"),
}
"""The key in a load run's report, and the unit."""


def rows() -> list[Row]:
    """Takes about three minutes."""
    with stage() as here:
        found = carried(lambda sessions: here.gateway(sessions, command=PORTABLE), COUNTS)
        at = found.held or found.broke
        assert at is not None
        return compared(found, here.gateway(at.sessions).report["server"])


def compared(found: Found, fast: Mapping[str, Any]) -> list[Row]:
    """What it came to, and its costs over those of the fast lane.

    Args:
        found: under stock uvicorn.
        fast: of a load run's report, what the server cost under `undertone serve` with as many sessions.
    """
    base = {
        name: Row(f"fast lane, with as many: {name}", fast[key], unit) for name, (key, unit) in _COSTS.items()
    }
    told = list(base.values())
    for row in account("portable", found):
        other = base.get(row.name.partition(": ")[2])
        if other is None or other.value <= 0:
            told.append(row)
        else:
            told.append(replace(row, ratio_to=other.name, ratio=row.value / other.value))
    return told


if __name__ == "__main__":
    print(table(rows()))
