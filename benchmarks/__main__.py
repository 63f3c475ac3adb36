"""Every benchmark in one run, and the page that tells what came out.

python -m benchmarks                 what things cost; rewrites benchmarks/RESULTS.md and its plots
python -m benchmarks faults          what becomes of it when things go wrong; rewrites benchmarks/FAULTS.md
python -m benchmarks frames storm    some of them, printed only
python -m benchmarks profile         where each microsecond goes; rewrites the table in docs/performance.md
"""

import argparse
import datetime
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from benchmarks import drawings
from benchmarks.rows import Results, Row, table
from gateway.commands.load_plots import Plot

HERE = Path(__file__).parent

COSTS = {
    "lane": ("benchmarks.micro_lane", "Socket → parser → application, per 100 ms frame"),
    "instructions": ("benchmarks.instructions", "Bytes → ring, in instructions"),
    "frames": ("benchmarks.micro_frames", "Frame → ring → window"),
    "events": ("benchmarks.micro_events", "Events: codec and fan-out"),
    "acoustic": ("benchmarks.micro_acoustic", "The acoustic classifier, per 1 s window"),
    "sidecar": ("benchmarks.micro_sidecar", "Asking a sidecar, per 1 s window"),
    "node": ("benchmarks.classify_node", "A classify node: windows of 1 s over each contract, one worker"),
    "load": ("benchmarks.load", "Live sessions on one core"),
    "flat": ("benchmarks.flat", "What a session costs in company, and what observers of another one do"),
    "embedded": (
        "benchmarks.embedded",
        "Live sessions on two cores, the embedded classifier in worker processes",
    ),
    "usual": ("benchmarks.usual", "Live sessions on one core, beside the usual architecture"),
    "sharing": ("benchmarks.sharing", "Sessions that nodes share"),
    "commit": ("benchmarks.micro_sharing", "A commit, and a session's document"),
    "portable": ("benchmarks.portable", "Live sessions on one core, under stock uvicorn"),
    "page": ("benchmarks.page", "The live page in a browser"),
}
FAULTS = {
    "storm": ("benchmarks.storm", "Connections cut every few seconds"),
    "overload": ("benchmarks.overload", "A classifier three times slower than real time"),
    "hostile": ("benchmarks.hostile", "Hostile peers, and their neighbours"),
    "stalls": ("benchmarks.stalls", "The longest turn of each backend on the event loop"),
    "kills": ("benchmarks.kills", "A classify node that is killed again and again"),
    "soak": ("benchmarks.soak", "Five minutes of coming and going"),
}
ALONE = {
    "profile": ("benchmarks.profile", "Where each microsecond of a session's second goes"),
}
"""What runs only where it is named, and says itself what it writes."""
PARTS = COSTS | FAULTS | ALONE
"""Name → module and title."""

_HEAD = """# {title}

One run of `{command}` on {date}: {machine}. Absolute figures move between machines,
and from hour to hour; the ratios, taken in the same run, are what to compare.

| package | version |
|---|---|
{versions}
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "part", nargs="*", choices=["faults", *PARTS, []], metavar="part", help=f"one of: {', '.join(PARTS)}"
    )
    match parser.parse_args(arguments).part:
        case []:
            _write("RESULTS.md", _head("Results", "make bench"), *_pages(COSTS))
        case ["faults"]:
            _write("FAULTS.md", _head("When things go wrong", "make bench ARGS=faults"), *_pages(FAULTS))
        case chosen if "faults" in chosen:
            parser.error("'faults' goes by itself")
        case chosen:
            _pages(chosen)
    return 0


def _pages(names: Iterable[str]) -> tuple[list[str], list[Plot]]:
    """Run these; each one's section of the page, and what it refers to."""
    pages: list[str] = []
    drawn: list[Plot] = []
    for name in names:
        module, title = PARTS[name]
        print(f"{title} …", file=sys.stderr, flush=True)
        found = _measure(module)
        print(table(found.rows), end="\n\n", flush=True)
        parts = [f"## {title}", f"`python -m {module}`", _markdown(found.rows)]
        pages.append("\n\n".join([*parts, *(drawings.reference(one) for one in found.plots)]) + "\n")
        drawn += found.plots
    return pages, drawn


def _write(name: str, head: str, pages: list[str], drawn: Iterable[Plot]) -> None:
    page = HERE / name
    page.write_text("\n".join([head, *pages]))
    drawings.write(HERE, drawn)
    print(f"wrote {page.relative_to(Path.cwd())}")


def _measure(name: str) -> Results:
    """What a module gives: `results`, or where it draws nothing `rows`."""
    module = importlib.import_module(name)
    results: Callable[[], Results] | None = getattr(module, "results", None)
    return results() if results is not None else Results(module.rows())


def _markdown(rows: list[Row]) -> str:
    lines = ["| what | value | unit | ratio | to |", "|---|---:|---|---:|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        lines.append(f"| {row.name} | {row.value:,.4g} | {row.unit} | {ratio} | {row.ratio_to or ''} |")
    return "\n".join(lines)


def _head(title: str, command: str) -> str:
    names = (
        "numpy",
        "scipy",
        "soxr",
        "msgpack",
        "orjson",
        "websockets",
        "uvicorn",
        "uvloop",
        "starlette",
        "httpx",
        "httptools",
    )
    versions = [f"| Python | {platform.python_version()} |"]
    versions += [f"| {name} | {version(name)} |" for name in names]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return _HEAD.format(
        title=title,
        command=command,
        date=datetime.date.today(),
        machine=machine,
        versions="\n".join(versions),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
