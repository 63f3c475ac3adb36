"""A load run told to people, to programs (`--json`), and held against `--expect`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.commands.exits import CommandError
from gateway.commands.load import Measured
from gateway.commands.load_stats import LATENCY_TYPES, Latency

TRUSTED_BUSY = 0.7
"""Share of a core; a load tool busier than this measures itself"""

_LIMITS = {
    "p50": "ms",
    "p95": "ms",
    "p99": "ms",
    "max": "ms",
    "calm_p99": "ms",
    "gaps": "samples",
    "errors": "",
    "failed": "",
    "cpu": "us",
    "rss": "KiB",
}
"""What can be expected, and its unit"""
_UNITS = {"ms": 1.0, "s": 1_000.0, "us": 1.0, "µs": 1.0, "KiB": 1.0, "MiB": 1_024.0, "samples": 1.0, "": 1.0}
_SAME = {"ms": ("ms", "s"), "us": ("us", "µs"), "KiB": ("KiB", "MiB"), "samples": ("samples",), "": ()}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One bound of `--expect`: the figure must not be above it."""

    name: str
    limit: float
    """In the figure's own unit"""


def parse_expectations(text: str) -> list[Expectation]:
    """`p99=250ms,gaps=0` and the like. Raises CommandError, naming what is possible."""
    found = []
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-zµ]*)", value)
        if name not in _LIMITS or match is None or match[2] not in ("", *_SAME[_LIMITS[name]]):
            known = ", ".join(f"{one} ({unit})" if unit else one for one, unit in _LIMITS.items())
            raise CommandError(f"--expect does not understand {part.strip()!r}", hint=f"It knows {known}.")
        found.append(Expectation(name, float(match[1]) * _UNITS[match[2]]))
    return found


def broken(measured: Measured, expectations: Sequence[Expectation]) -> list[str]:
    """One line for each expectation that does not hold; one that can't be judged does not hold either."""
    figures = _figures(measured)
    told = []
    for one in expectations:
        figure, unit = figures.get(one.name), _LIMITS[one.name]
        if figure is None:
            told.append(f"expected {one.name} ≤ {one.limit:g} {unit}".rstrip() + ", but it was not measured")
        elif figure > one.limit:
            told.append(f"expected {one.name} ≤ {one.limit:g} {unit}, got {_rounded(figure)} {unit}".rstrip())
    return told


def as_json(measured: Measured, failed: Sequence[str]) -> dict[str, Any]:
    """Everything measured, for programs."""
    tally = measured.tally
    return {
        "sessions": tally.sessions,
        "finished": tally.finished,
        "failed": tally.failed,
        "failures": dict(tally.failures),
        "duration_s": measured.options.duration_s,
        "ramp_s": measured.options.ramp_s,
        "audio": measured.audio.to_dict(),
        "frame_ms": measured.options.frame_ms,
        "frames": tally.frames,
        "events": dict(tally.events),
        "latency_ms": {
            name: None if told is None else asdict(told)
            for name, told in [
                ("all", tally.latency()),
                *((one, tally.latency(one)) for one in LATENCY_TYPES),
            ]
        },
        "gap_samples": dict(tally.gaps),
        "classified_samples": tally.classified_samples,
        "errors": dict(tally.errors),
        "close_codes": {str(code): count for code, count in tally.closes.items()},
        "server": _server(measured),
        "load_tool": {
            "busy": measured.own_busy,
            "trusted": _trusted(measured),
            "late_frames": measured.late_frames,
            "worst_late_ms": measured.worst_late_ms,
        },
        "broken_expectations": list(failed),
    }


def as_lines(measured: Measured, failed: Sequence[str]) -> list[str]:
    """The report for people."""
    tally, options = measured.tally, measured.options
    lines = [
        f"Sessions    {tally.sessions} wanted, {tally.finished} finished, {tally.failed} failed; "
        f"{options.duration_s:g} s each, started over {options.ramp_s:g} s",
        f"Frames      {tally.frames:,} of {options.frame_ms} ms at {measured.audio.sample_rate:,} Hz",
        f"Events      {_counts(tally.events)}",
        "Latency     from the moment a window's last sample was due to the event, in ms",
        f"            {'':10}{'count':>9}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}{'calm p99':>10}",
        *_latency_lines(measured),
        f"Gaps        {tally.gap_samples:,} samples" + (f" ({_counts(tally.gaps)})" if tally.gaps else ""),
        f"Errors      {_counts(tally.errors)}",
        f"Closes      {', '.join(f'{count} with {code}' for code, count in tally.closes.items()) or 'none'}",
    ]
    lines += [f"Failed      {count} × {reason}" for reason, count in tally.failures.most_common(8)]
    lines += _server_lines(measured)
    lines.append(
        f"Load tool   {measured.own_busy:.0%} of a core, {measured.late_frames} late frames, "
        f"at worst {measured.worst_late_ms:.0f} ms late"
    )
    if not _trusted(measured):
        lines.append(
            f"WARNING     the load tool itself was short of CPU (over {TRUSTED_BUSY:.0%} or late): "
            "don't trust the latencies"
        )
    lines += [f"BROKEN      {line}" for line in failed]
    return lines


def _latency_lines(measured: Measured) -> list[str]:
    rows: list[tuple[str, Latency | None]] = [(one, measured.tally.latency(one)) for one in LATENCY_TYPES]
    rows.append(("all", measured.tally.latency()))
    return [
        f"            {name:10}{told.count:>9,}{told.p50:>8.0f}{told.p95:>8.0f}{told.p99:>8.0f}"
        f"{told.max:>8.0f}{told.calm_p99:>10.0f}"
        for name, told in rows
        if told is not None
    ]


def _server_lines(measured: Measured) -> list[str]:
    server = _server(measured)
    if server is None:
        return []
    return [
        f"Server CPU  {server['cpu_us_per_session_s']:,.0f} µs per session-second, "
        f"{server['busy']:.0%} of a core",
        f"            its child processes: {server['children_cpu_us_per_session_s']:,.0f} µs more, "
        f"{server['children_busy']:.0%} of a core",
        f"Server RSS  {server['rss_kib_per_session']:,.0f} KiB per session "
        f"({server['rss_idle_kib'] / 1024:,.0f} → {server['rss_kib'] / 1024:,.0f} MiB)",
    ]


def _server(measured: Measured) -> dict[str, float] | None:
    idle, begin, end = measured.idle, measured.begin, measured.end
    if idle is None or begin is None or end is None or not measured.live_session_s:
        return None
    cpu_s = end.cpu_s - begin.cpu_s
    children_s = end.children_cpu_s - begin.children_cpu_s
    session_s = measured.live_session_s
    live = session_s / measured.steady_s
    return {
        "cpu_us_per_session_s": 1e6 * cpu_s / session_s,
        "busy": cpu_s / measured.steady_s,
        "children_cpu_us_per_session_s": 1e6 * children_s / session_s,
        "children_busy": children_s / measured.steady_s,
        "rss_idle_kib": idle.rss / 1024,
        "rss_kib": end.rss / 1024,
        "rss_kib_per_session": (end.rss - idle.rss) / 1024 / live,
    }


def _figures(measured: Measured) -> Mapping[str, float | None]:
    latency, server = measured.tally.latency(), _server(measured)
    figures: dict[str, float | None] = {
        "gaps": measured.tally.gap_samples,
        "errors": sum(measured.tally.errors.values()),
        "failed": measured.tally.failed,
    }
    if latency is not None:
        figures |= {name: getattr(latency, name) for name in ("p50", "p95", "p99", "max", "calm_p99")}
    if server is not None:
        figures |= {"cpu": server["cpu_us_per_session_s"], "rss": server["rss_kib_per_session"]}
    return figures


def _trusted(measured: Measured) -> bool:
    return measured.own_busy <= TRUSTED_BUSY and measured.late_frames == 0


def _rounded(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _counts(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda one: -one[1])
    return ", ".join(f"{count:,} {name}" for name, count in ranked) or "none"
