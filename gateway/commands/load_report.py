"""A load run told to people, and to programs (`--json`)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gateway.commands.exits import ExitCode
from gateway.commands.load import Measured
from gateway.commands.load_expect import LATENCIES
from gateway.commands.load_profiles import Profile
from gateway.commands.load_series import Step, rss_slope
from gateway.commands.load_stats import ALL, Latency, Tally, percentile_points

_MOST_FAILURES = 8


def as_json(measured: Measured, failed: Sequence[str], capacity: int | None = None) -> dict[str, Any]:
    """Everything measured, for programs.

    Args:
        measured: the run.
        failed: broken expectations.
        capacity: of a ramp, the largest step that met the expectations.
    """
    tally, options = measured.tally, measured.options
    latencies = {name: tally.latency(name) for name in tally.latencies}
    server = measured.steps[-1].server(measured.idle)
    return {
        "profile": str(options.profile),
        "sessions": tally.sessions,
        "finished": tally.finished,
        "failed": tally.failed,
        "failures": dict(tally.failures),
        "duration_s": options.duration_s,
        "ramp_s": options.ramp_s,
        "cut_short_s": measured.cut_short.after_s if measured.cut_short is not None else None,
        "audio": measured.audio.to_dict(),
        "frame_ms": options.frame_ms,
        "frames": tally.frames,
        "events": dict(tally.events),
        "latency_ms": _latencies(latencies, measured.refused),
        "percentiles_ms": None
        if measured.refused is not None
        else percentile_points(tally.latencies[ALL].histogram()),
        "refused": measured.refused,
        "gap_samples": dict(tally.gaps),
        "classified_samples": tally.classified_samples,
        "errors": dict(tally.errors),
        "close_codes": {str(code): count for code, count in tally.closes.items()},
        "resume": _resume(tally),
        "observers": _observers(measured),
        "server": asdict(server) | {"rss_slope_mib_per_h": _slope(measured)} if server else None,
        "load_tool": {
            "busy": measured.own_busy,
            "trusted": measured.refused is None,
            "late_frames": measured.late_frames,
            "worst_late_ms": measured.worst_late_ms,
        },
        "steps": [_step(measured, step) for step in measured.steps],
        "capacity": capacity,
        "broken_expectations": list(failed),
    }


def as_lines(measured: Measured, failed: Sequence[str], capacity: int | None = None) -> list[str]:
    """The report for people."""
    tally, options = measured.tally, measured.options
    lines = [
        *_cut_short_lines(measured),
        f"Sessions    {tally.sessions} started, {tally.finished} finished, {tally.failed} failed; "
        f"{_shape(measured)}",
        f"Frames      {tally.frames:,} of {options.frame_ms} ms at {measured.audio.sample_rate:,} Hz",
        f"Events      {counts(tally.events)}",
        *_latency_lines(measured),
        f"Gaps        {tally.gap_samples:,} samples" + (f" ({counts(tally.gaps)})" if tally.gaps else ""),
        f"Errors      {counts(tally.errors)}",
        f"Closes      {', '.join(f'{count} with {code}' for code, count in tally.closes.items()) or 'none'}",
    ]
    lines += _resume_lines(measured)
    lines += _observer_lines(measured)
    lines += [
        f"Failed      {count} × {reason}" for reason, count in tally.failures.most_common(_MOST_FAILURES)
    ]
    lines += _server_lines(measured)
    lines.append(
        f"Load tool   {measured.own_busy:.0%} of a core, {measured.late_frames} late frames, "
        f"at worst {measured.worst_late_ms:.0f} ms late"
    )
    if options.profile is Profile.RAMP:
        lines += _ramp_lines(measured, capacity)
    lines += [f"BROKEN      {line}" for line in failed]
    return lines


def counts(found: Mapping[str, int]) -> str:
    """`2 a, 1 b`, the most frequent first."""
    ranked = sorted(found.items(), key=lambda one: -one[1])
    return ", ".join(f"{count:,} {name}" for name, count in ranked) or "none"


def ms(value: float) -> str:
    """Milliseconds, with as many digits as are worth something."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _shape(measured: Measured) -> str:
    options = measured.options
    match options.profile:
        case Profile.RAMP:
            return f"{options.steps} steps in {options.duration_s:g} s"
        case Profile.SOAK:
            return f"{options.sessions} at a time for {options.duration_s:g} s"
        case _:
            return f"{options.duration_s:g} s each, started over {options.ramp_s:g} s"


def _latency_lines(measured: Measured) -> list[str]:
    if measured.refused is not None:
        return [f"Latency     not told. {measured.refused}"]
    rows = [(name, measured.tally.latency(name)) for name in measured.tally.latencies]
    head = "".join(f"{name.replace('_', ' '):>9}" for name in LATENCIES)
    return [
        "Latency     from the moment a window's last sample was due to the event, in ms",
        f"            {'':10}{'count':>9}{head}",
        *(
            f"            {name:10}{told.count:>9,}"
            + "".join(f"{ms(getattr(told, where)):>9}" for where in LATENCIES.values())
            for name, told in rows
            if told is not None
        ),
    ]


def _resume_lines(measured: Measured) -> list[str]:
    tally = measured.tally
    if measured.options.profile is not Profile.STORM and not tally.missed and not tally.repeated:
        return []
    rate = measured.audio.sample_rate
    return [
        f"Resumes     {tally.resumes:,} after {tally.cuts:,} cuts, "
        f"{tally.resumes - tally.unrecovered:,} recovered; "
        f"{tally.resent_samples / rate:,.1f} s of audio sent again, "
        f"{tally.declared_samples / rate:,.1f} s too old for that",
        f"            {tally.missed:,} events missed, {tally.repeated:,} came twice",
    ]


def _observer_lines(measured: Measured) -> list[str]:
    tally, options = measured.tally, measured.options
    if not options.observers:
        return []
    where = "the first session" if options.observed == 1 else f"each of the first {options.observed} sessions"
    failures = tally.observer_failures
    return [
        f"Observers   {options.observers:,} on {where}: {tally.observers:,} came, "
        f"{tally.observer_messages:,} messages read, {failures.total():,} failed",
        *(f"            {count} × {reason}" for reason, count in failures.most_common(_MOST_FAILURES)),
    ]


def _cut_short_lines(measured: Measured) -> list[str]:
    cut = measured.cut_short
    if cut is None:
        return []
    by = "SIGTERM" if cut.code is ExitCode.TERMINATED else "Ctrl-C"
    return [f"Cut short   after {cut.after_s:.1f} s by {by}; what was measured until then:"]


def _resume(tally: Tally) -> dict[str, int]:
    return {
        "cuts": tally.cuts,
        "resumes": tally.resumes,
        "recovered": tally.resumes - tally.unrecovered,
        "unrecovered": tally.unrecovered,
        "missed_events": tally.missed,
        "repeated_events": tally.repeated,
        "resent_samples": tally.resent_samples,
        "declared_samples": tally.declared_samples,
    }


def _observers(measured: Measured) -> dict[str, Any] | None:
    tally, options = measured.tally, measured.options
    if not options.observers:
        return None
    return {
        "each": options.observers,
        "sessions": options.observed,
        "came": tally.observers,
        "messages": tally.observer_messages,
        "failures": dict(tally.observer_failures),
    }


def _server_lines(measured: Measured) -> list[str]:
    server = measured.steps[-1].server(measured.idle)
    if server is None:
        return []
    lines = [
        f"Server CPU  {server.cpu_us_per_session_s:,.0f} µs per session-second, {server.busy:.0%} of a core",
        f"            its child processes: {server.children_cpu_us_per_session_s:,.0f} µs more, "
        f"{server.children_busy:.0%} of a core",
        f"Server RSS  {server.rss_kib_per_session:,.0f} KiB per session "
        f"({server.rss_idle_kib / 1024:,.0f} → {server.rss_kib / 1024:,.0f} MiB)",
    ]
    slope = _slope(measured)
    if measured.options.profile is Profile.SOAK and slope is not None:
        lines.append(f"            growing by {slope:,.1f} MiB an hour")
    return lines


def _ramp_lines(measured: Measured, capacity: int | None) -> list[str]:
    lines = [f"Steps       {'sessions':>9}{'p50':>9}{'p99':>9}{'gaps':>11}{'failed':>8}{'server CPU':>12}"]
    for step in measured.steps:
        latency, server = step.latencies[ALL], step.server(measured.idle)
        told = ("–", "–") if latency is None or step.refused else (ms(latency.p50), ms(latency.p99))
        busy = f"{server.busy:.0%}" if server is not None else "–"
        lines.append(
            f"            {step.sessions:>9,}{told[0]:>9}{told[1]:>9}{step.gap_samples:>11,}{step.failed:>8,}"
            f"{busy:>12}"
        )
    most = f"{capacity:,} sessions met" if capacity is not None else "not even the first step met"
    return [*lines, f"Capacity    {most} the expectations"]


def _step(measured: Measured, step: Step) -> dict[str, Any]:
    server = step.server(measured.idle)
    return {
        "sessions": step.sessions,
        "seconds": step.seconds,
        "live": step.live_session_s / step.seconds,
        "latency_ms": _latencies(step.latencies, step.refused),
        "refused": step.refused,
        "gap_samples": step.gap_samples,
        "failed": step.failed,
        "cut_short": not step.whole,
        "busy": step.own_busy,
        "server": asdict(server) if server is not None else None,
    }


def _latencies(found: Mapping[str, Latency | None], refused: str | None) -> dict[str, Any] | None:
    if refused is not None:
        return None
    return {name: None if told is None else _latency(told) for name, told in found.items()}


def _latency(told: Latency) -> dict[str, float]:
    return {"count": told.count, **{name: getattr(told, where) for name, where in LATENCIES.items()}}


def _slope(measured: Measured) -> float | None:
    return rss_slope(measured.steps[-1].moments)
