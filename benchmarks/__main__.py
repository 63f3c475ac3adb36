"""Every benchmark in one run, and the page that tells what came out.

python -m benchmarks                 what things cost; rewrites benchmarks/RESULTS.md
python -m benchmarks faults          what becomes of it when things go wrong; rewrites benchmarks/FAULTS.md
python -m benchmarks frames storm    some of them, printed only
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

from benchmarks.rows import Row, table

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
    "embedded": (
        "benchmarks.embedded",
        "Live sessions on two cores, the embedded classifier in worker processes",
    ),
    "usual": ("benchmarks.usual", "Live sessions on one core, beside the usual architecture"),
}
FAULTS = {
    "storm": ("benchmarks.storm", "Connections cut every few seconds"),
    "overload": ("benchmarks.overload", "A classifier three times slower than real time"),
    "hostile": ("benchmarks.hostile", "Hostile peers, and their neighbours"),
    "stalls": ("benchmarks.stalls", "The longest turn of each backend on the event loop"),
    "kills": ("benchmarks.kills", "A classify node that is killed again and again"),
    "soak": ("benchmarks.soak", "Five minutes of coming and going"),
}
PARTS = COSTS | FAULTS
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
            _write("RESULTS.md", _head("Results", "make bench"), _pages(COSTS))
        case ["faults"]:
            _write("FAULTS.md", _head("When things go wrong", "make bench ARGS=faults"), _pages(FAULTS))
        case chosen if "faults" in chosen:
            parser.error("'faults' goes by itself")
        case chosen:
            _pages(chosen)
    return 0


def _pages(names: Iterable[str]) -> list[str]:
    """Run these; each one's section of the page."""
    pages = []
    for name in names:
        module, title = PARTS[name]
        print(f"{title} …", file=sys.stderr, flush=True)
        rows = _measure(module)()
        print(table(rows), end="\n\n", flush=True)
        pages.append(f"## {title}\n\n`python -m {module}`\n\n{_markdown(rows)}\n")
    return pages


def _write(name: str, head: str, pages: list[str]) -> None:
    page = HERE / name
    page.write_text("\n".join([head, *pages]))
    print(f"wrote {page.relative_to(Path.cwd())}")


def _measure(module: str) -> Callable[[], list[Row]]:
    measure: Callable[[], list[Row]] = importlib.import_module(module).rows
    return measure


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
        "picows",
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
