"""The report of a load run as one page that stands by itself: nothing is loaded, nothing is run."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files

from gateway.commands.load import Measured
from gateway.commands.load_expect import LATENCIES
from gateway.commands.load_plots import (
    CSS,
    Axis,
    Line,
    Plot,
    clock,
    drawn,
    percentile_shares,
    rates,
    thinned,
)
from gateway.commands.load_profiles import Profile
from gateway.commands.load_report import as_lines, ms
from gateway.commands.load_stats import ALL
from gateway.tasks.report.markup import Markup, Node, element, joined
from gateway.tasks.report.tables import Column, table

_MOST_POINTS = 400
_MOST_ROWS = 40
_SHARES = (0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999)
"""Per cent, of the table beside the plot"""


def page(measured: Measured, failed: Sequence[str], capacity: int | None, at: float) -> str:
    """The document; `at` is when the run ended, in seconds since the Unix epoch."""
    when = datetime.fromtimestamp(at, UTC)
    told = f"{when.day} {when:%B %Y, %H:%M} UTC"
    title = f"Load report · {measured.options.profile}"
    parts = list(_parts(measured, failed, capacity))
    links = [element("li", element("a", heading, href=f"#{key}")) for key, heading, _ in parts]
    body = element(
        "body",
        element("a", "Skip to the report", href="#main", class_="skip"),
        element("header", element("h1", title), element("p", f"Run until {told}.")),
        element("nav", element("ul", *links, role="list"), aria_label="Contents"),
        element(
            "main",
            *(element("section", element("h2", heading, id=key), *nodes) for key, heading, nodes in parts),
            id="main",
            tabindex=-1,
        ),
        element("footer", element("p", "Made by Undertone.")),
    )
    return f"<!DOCTYPE html>\n{element('html', _head(f'{title} · {told}'), body, lang='en').text}\n"


def _head(title: str) -> Markup:
    """Only our style sheet, known by its hash, has any effect."""
    css = files("gateway.tasks.report").joinpath("page.css").read_text(encoding="utf-8") + CSS
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("title", title),
        Markup(f"<style>{css}</style>"),
    )


def _parts(
    measured: Measured, failed: Sequence[str], capacity: int | None
) -> Iterator[tuple[str, str, Iterable[Node]]]:
    yield "short", "In short", _short(measured, failed, capacity)
    yield "latency", "Latency", _latency(measured)
    yield "time", "Over time", _over_time(measured)
    if measured.options.profile is Profile.RAMP:
        yield "steps", "Steps", [_steps(measured)]
    yield (
        "text",
        "The whole report as text",
        [element("pre", _text(as_lines(measured, failed, capacity)), tabindex=0)],
    )


def _short(measured: Measured, failed: Sequence[str], capacity: int | None) -> Iterator[Node]:
    tally, latency = measured.tally, measured.tally.latency()
    server = measured.steps[-1].server(measured.idle)
    pairs = [
        ("Verdict", _verdict(measured, failed)),
        ("Sessions", f"{tally.finished:,} of {tally.sessions:,} finished"),
        ("Gaps", f"{tally.gap_samples:,} samples"),
        ("p50 and p99", "not told" if measured.refused or latency is None
         else f"{ms(latency.p50)} and {ms(latency.p99)} ms"),
        ("Load tool", f"{measured.own_busy:.0%} of a core"),
    ]  # fmt: skip
    if server is not None:
        pairs.append(("Server CPU", f"{server.cpu_us_per_session_s:,.0f} µs per session-second"))
    if measured.options.profile is Profile.RAMP:
        pairs.append(("Capacity", f"{capacity:,} sessions" if capacity else "below the first step"))
    if measured.options.profile is Profile.STORM:
        pairs.append(("Resumes", f"{tally.resumes:,}, {tally.resumes - tally.unrecovered:,} recovered"))
    if tally.observer_messages:
        pairs.append(("Observers", f"{tally.observers:,}, {tally.observer_failures.total():,} failed"))
    yield element("dl", *[element("div", element("dt", key), element("dd", value)) for key, value in pairs])
    if failed:
        yield element("p", "Expectations that did not hold:")
        yield element("ul", *[element("li", line) for line in failed])
    if tally.failures:
        rows = [(reason, f"{count:,}") for reason, count in tally.failures.most_common()]
        yield table("failures", "Why sessions failed.", [Column("Reason"), Column("Sessions", True)], rows)


def _verdict(measured: Measured, failed: Sequence[str]) -> str:
    tally = measured.tally
    told = "failed" if failed or tally.failed or tally.observer_failures else "passed"
    cut = measured.cut_short
    return told if cut is None else f"{told}, cut short after {cut.after_s:.0f} s"


def _latency(measured: Measured) -> Iterator[Node]:
    if measured.refused is not None:
        yield element("p", f"Latencies are not told. {measured.refused}", class_="honest")
        return
    yield element(
        "p",
        "From the moment the last sample of a window was due to the arrival of its event, in milliseconds.",
    )
    kinds = [(name, measured.tally.latency(name)) for name in measured.tally.latencies]
    columns = [
        Column("Event"),
        Column("Count", True),
        *(Column(one.replace("_", " "), True) for one in LATENCIES),
    ]
    rows = [
        [name, f"{told.count:,}", *(ms(getattr(told, where)) for where in LATENCIES.values())]
        for name, told in kinds
        if told is not None
    ]
    yield table("kinds", "Latency by type of event.", columns, rows)
    seen = measured.tally.latencies[ALL].histogram()
    if not seen.count:
        return
    points = [(share, seen.percentile(share)) for share in percentile_shares(seen.count)]
    told = f"Half of the events took {ms(seen.percentile(50))} ms at most, 99 % {ms(seen.percentile(99))} ms."
    yield from drawn(
        Plot(
            "percentiles",
            "Latency by percentile",
            told,
            "ms",
            [Line("all events", points)],
            Axis.PERCENTILES,
        )
    )
    yield table(
        "percentile",
        "Latency by percentile.",
        [Column("Percentile"), Column("Latency, ms", True)],
        [(f"{one:g} %", ms(seen.percentile(one))) for one in _SHARES if seen.count >= 1 / (1 - one / 100)],
    )


def _over_time(measured: Measured) -> Iterator[Node]:
    moments, begin = measured.moments, measured.began_s
    if measured.refused is None:
        seconds = measured.tally.latencies[ALL].all_seconds()
        lines = [
            Line("p50", [(max(0.0, one.at - begin), one.p50) for one in seconds]),
            Line("p99", [(max(0.0, one.at - begin), one.p99) for one in seconds]),
        ]
        yield from _series("latencies", "Latency of each second", "ms", lines)
    live = [(one.at_s, float(one.live)) for one in moments]
    yield from _series("live", "Sessions live", "sessions", [Line("live", live)])
    events = rates([(one.at_s, float(one.events)) for one in moments])
    yield from _series("events", "Events a second", "events", [Line("events", events)])
    rate = measured.audio.sample_rate
    gaps = rates([(one.at_s, one.gap_samples / rate) for one in moments])
    yield from _series("gaps", "Audio not analysed, seconds in each second", "s", [Line("gaps", gaps)])
    used = [(one, one.usage) for one in moments if one.usage is not None]
    tool = [Line("load tool", _busy([(one.at_s, one.own_cpu_s) for one in moments]))]
    if used:
        lines = [
            Line("server", _busy([(one.at_s, usage.cpu_s) for one, usage in used])),
            Line("its children", _busy([(one.at_s, usage.children_cpu_s) for one, usage in used])),
        ]
        yield from _series("cpu", "CPU", "% of a core", [*lines, *tool])
        rss = [(one.at_s, usage.rss / (1 << 20)) for one, usage in used]
        yield from _series("rss", "Memory of the server (RSS)", "MiB", [Line("server", rss)])
    else:
        yield from _series("cpu", "CPU", "% of a core", tool)


def _busy(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(at, 100 * share) for at, share in rates(points)]


def _series(key: str, title: str, unit: str, lines: Sequence[Line]) -> Iterator[Node]:
    """A plot, and the same as a table."""
    if not any(line.points for line in lines):
        return
    highest = ", ".join(
        f"{line.label} {max(value for _, value in line.points):,.4g}" for line in lines if line.points
    )
    fine = [Line(line.label, thinned(line.points, _MOST_POINTS)) for line in lines]
    yield element("h3", title)
    yield from drawn(Plot(key, title, f"{title} over time. Highest: {highest} {unit}.", unit, fine))
    yield element(
        "details",
        element("summary", f"{title}, as a table"),
        *(
            table(
                f"{key}-{index}",
                f"{title}: {line.label}.",
                [Column("At", True), Column(f"Highest, {unit}", True)],
                [(clock(at), f"{value:,.4g}") for at, value in thinned(line.points, _MOST_ROWS)],
            )
            for index, line in enumerate(lines)
        ),
    )


def _steps(measured: Measured) -> Markup:
    columns = [Column("Sessions", True), Column("p50, ms", True), Column("p99, ms", True)]
    columns += [Column("Gaps, samples", True), Column("Failed", True), Column("Server CPU", True)]
    rows = []
    for step in measured.steps:
        latency, server = step.latencies[ALL], step.server(measured.idle)
        shown = latency is not None and step.refused is None
        rows.append(
            [
                f"{step.sessions:,}",
                ms(latency.p50) if shown and latency is not None else "not told",
                ms(latency.p99) if shown and latency is not None else "not told",
                f"{step.gap_samples:,}",
                f"{step.failed:,}",
                f"{server.busy:.0%}" if server is not None else "not measured",
            ]
        )
    return table("ramp", "Each step of the ramp, once its sessions had started.", columns, rows)


def _text(lines: Sequence[str]) -> Markup:
    """Line by line: markup's own cleaning would make them one."""
    return joined(node for line in lines for node in (element("span", line), Markup("\n")))
