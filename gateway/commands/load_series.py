"""A load run over time: the moments it was looked at, and what lies between two of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gateway.commands.load_stats import Latency
from gateway.commands.procfs import Usage

TRUSTED_BUSY = 0.7
"""Share of a core; a load tool busier than this measures itself"""


@dataclass(frozen=True, slots=True)
class Moment:
    """What had come together by then."""

    at_s: float
    """Seconds from the run's begin"""
    live: int
    """Sessions"""
    events: int
    gap_samples: int
    failed: int
    """Sessions that failed"""
    late_frames: int
    """Frames sent more than one frame later than due: the load tool itself did not keep up"""
    own_cpu_s: float
    """CPU time of the load tool"""
    usage: Usage | None
    """The server's; None where it isn't measured, or is gone"""


@dataclass(frozen=True, slots=True)
class Server:
    """What the server used while sessions were live."""

    cpu_us_per_session_s: float
    busy: float
    """CPU over wall time, 1 = one core"""
    children_cpu_us_per_session_s: float
    children_busy: float
    rss_idle_kib: float
    rss_kib: float
    rss_kib_per_session: float


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of the run that was measured."""

    sessions: int
    """Wanted"""
    before: Moment
    """When its sessions began to start"""
    moments: Sequence[Moment]
    """From the first that was measured to the last"""
    latencies: Mapping[str, Latency | None]
    """By type, and of all"""
    whole: bool = True
    """Not where the run was ended in it"""

    @property
    def seconds(self) -> float:
        return max(1e-9, self.moments[-1].at_s - self.moments[0].at_s)

    @property
    def live_session_s(self) -> float:
        """Session-seconds."""
        return sum((one.live + two.live) / 2 * (two.at_s - one.at_s) for one, two in pairwise(self.moments))

    @property
    def own_busy(self) -> float:
        """CPU of the load tool over wall time, 1 = one core."""
        return (self.moments[-1].own_cpu_s - self.moments[0].own_cpu_s) / self.seconds

    @property
    def late_frames(self) -> int:
        return self.moments[-1].late_frames - self.before.late_frames

    @property
    def gap_samples(self) -> int:
        return self.moments[-1].gap_samples - self.before.gap_samples

    @property
    def failed(self) -> int:
        return self.moments[-1].failed - self.before.failed

    @property
    def refused(self) -> str | None:
        """Why its latencies are not told."""
        return refusal(self.own_busy, self.late_frames)

    def server(self, idle: Usage | None) -> Server | None:
        """What it cost; `idle` is how the server was before. None where that was not measured."""
        begin, end = self.moments[0].usage, self.moments[-1].usage
        session_s = self.live_session_s
        if idle is None or begin is None or end is None or not session_s:
            return None
        cpu_s = end.cpu_s - begin.cpu_s
        children_s = end.children_cpu_s - begin.children_cpu_s
        live = session_s / self.seconds
        return Server(
            cpu_us_per_session_s=1e6 * cpu_s / session_s,
            busy=cpu_s / self.seconds,
            children_cpu_us_per_session_s=1e6 * children_s / session_s,
            children_busy=children_s / self.seconds,
            rss_idle_kib=idle.rss / 1024,
            rss_kib=end.rss / 1024,
            rss_kib_per_session=(end.rss - idle.rss) / 1024 / live,
        )


def refusal(busy: float, late_frames: int) -> str | None:
    """Why latencies taken by a load tool this busy are not told; None where they are."""
    reasons = []
    if busy > TRUSTED_BUSY:
        reasons.append(f"it used {busy:.0%} of its core, more than {TRUSTED_BUSY:.0%}")
    if late_frames:
        were = "frame was" if late_frames == 1 else "frames were"
        reasons.append(f"{late_frames:,} {were} sent more than one frame late")
    if not reasons:
        return None
    return f"The load tool was short of CPU: {' and '.join(reasons)}."


def rss_slope(moments: Sequence[Moment]) -> float | None:
    """Growth of the server's memory in MiB an hour, by least squares; None where it was hardly measured."""
    seen = [(one.at_s, one.usage.rss) for one in moments if one.usage is not None]
    if len(seen) < 3:
        return None
    at, rss = (np.array(column, dtype=np.float64) for column in zip(*seen, strict=True))
    return float(np.polyfit(at - at[0], rss, 1)[0]) * 3_600 / (1 << 20)
