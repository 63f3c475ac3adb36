"""`--expect`: bounds that a load run is held against."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.commands.exits import CommandError
from gateway.commands.load import Measured
from gateway.commands.load_profiles import Profile
from gateway.commands.load_series import Server, Step, rss_slope
from gateway.commands.load_stats import ALL, Latency

LATENCIES = {
    "p50": "p50",
    "p95": "p95",
    "p99": "p99",
    "p99.9": "p999",
    "max": "max",
    "calm_p99": "calm_p99",
}
"""Names of percentiles, and where they stand in `Latency`"""
LIMITS = {
    **dict.fromkeys(LATENCIES, "ms"),
    "gaps": "samples",
    "errors": "",
    "failed": "",
    "missed": "",
    "repeated": "",
    "unrecovered": "",
    "cpu": "us",
    "rss": "KiB",
    "rss_slope": "MiB/h",
}
"""What can be expected, and its unit"""
_UNITS = {"ms": 1.0, "s": 1_000.0, "KiB": 1.0, "MiB": 1_024.0}
_SAME = {"ms": ("ms", "s"), "us": ("us", "µs"), "KiB": ("KiB", "MiB"), "": ()}
_BOUND = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-zµ/]*)")
OF_THE_SERVER = ("cpu", "rss", "rss_slope")
"""What only `--pid` tells"""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One bound of `--expect`: the figure must not be above it."""

    name: str
    limit: float
    """In the figure's own unit"""


def parse_expectations(text: str) -> list[Expectation]:
    """`p99=250ms,gaps=0` and the like; each at most once. Raises CommandError, naming what is possible."""
    found: list[Expectation] = []
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        match = _BOUND.fullmatch(value)
        unit = LIMITS.get(name)
        if unit is None or match is None or match[2] not in ("", *_SAME.get(unit, (unit,))):
            known = ", ".join(f"{one} ({of})" if of else one for one, of in LIMITS.items())
            raise CommandError(f"--expect does not understand {part.strip()!r}", hint=f"It knows {known}.")
        if any(one.name == name for one in found):
            raise CommandError(f"--expect has {name} twice")
        found.append(Expectation(name, float(match[1]) * _UNITS.get(match[2], 1.0)))
    return found


def broken(measured: Measured, expectations: Sequence[Expectation]) -> list[str]:
    """One line for each expectation that does not hold; one that can't be judged does not hold either.

    In a ramp each step is held against what is known of it alone.
    """
    whole = _whole_figures(measured)
    if measured.options.profile is not Profile.RAMP:
        return _judged(whole, expectations, measured.refused)
    told = []
    for step in measured.steps:
        lines = broken_step(measured, step, expectations)
        told += [f"{step.sessions} sessions: {line}" for line in lines]
    of_steps = _step_figures(measured, measured.steps[-1])
    rest = [one for one in expectations if one.name == "failed" or one.name not in of_steps]
    return told + _judged(whole, rest, measured.refused)


def broken_step(measured: Measured, step: Step, expectations: Sequence[Expectation]) -> list[str]:
    """The same for one step of a ramp; what is only known of the whole run is left out."""
    figures = _step_figures(measured, step)
    return _judged(figures, [one for one in expectations if one.name in figures], step.refused)


def capacity(measured: Measured, expectations: Sequence[Expectation]) -> int | None:
    """Sessions of the last step of a ramp that met the expectations, as those before did; None if none.

    One in which the run was ended early doesn't count.
    """
    most = None
    for step in measured.steps:
        if step.failed or not step.whole or broken_step(measured, step, expectations):
            break
        most = step.sessions
    return most


def _judged(
    figures: Mapping[str, float | None], expectations: Sequence[Expectation], refused: str | None
) -> list[str]:
    told = []
    for one in expectations:
        figure, unit = figures[one.name], LIMITS[one.name]
        wanted = f"expected {one.name} ≤ {one.limit:g} {unit}".rstrip()
        if one.name in LATENCIES and refused is not None:
            told.append(f"{wanted}, which can't be judged. {refused}")
        elif figure is None:
            told.append(f"{wanted}, but it was not measured")
        elif figure > one.limit:
            told.append(f"{wanted}, got {_rounded(figure)} {unit}".rstrip())
    return told


def _whole_figures(measured: Measured) -> Mapping[str, float | None]:
    tally, step = measured.tally, measured.steps[-1]
    return {
        **_of_latency(tally.latency()),
        **_of_server(step.server(measured.idle)),
        "gaps": tally.gap_samples,
        "errors": tally.errors.total(),
        "failed": tally.failed,
        "missed": tally.missed,
        "repeated": tally.repeated,
        "unrecovered": tally.unrecovered,
        "rss_slope": rss_slope(step.moments),
    }


def _step_figures(measured: Measured, step: Step) -> Mapping[str, float | None]:
    return {
        **_of_latency(step.latencies[ALL]),
        **_of_server(step.server(measured.idle)),
        "gaps": step.gap_samples,
        "failed": step.failed,
    }


def _of_latency(latency: Latency | None) -> dict[str, float | None]:
    return {name: getattr(latency, where, None) for name, where in LATENCIES.items()}


def _of_server(server: Server | None) -> dict[str, float | None]:
    if server is None:
        return {"cpu": None, "rss": None}
    return {"cpu": server.cpu_us_per_session_s, "rss": server.rss_kib_per_session}


def _rounded(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
