"""Every benchmark in one run, and the page that tells what came out.

python -m benchmarks                 everything; rewrites benchmarks/RESULTS.md
python -m benchmarks frames events   some of them, printed only
"""

import argparse
import datetime
import importlib
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks.rows import Row, table

RESULTS = Path(__file__).parent / "RESULTS.md"

PARTS: dict[str, tuple[str, str]] = {
    "lane": ("benchmarks.micro_lane", "Socket → parser → application, per 100 ms frame"),
    "frames": ("benchmarks.micro_frames", "Frame → ring → window"),
    "events": ("benchmarks.micro_events", "Events: codec and fan-out"),
    "acoustic": ("benchmarks.micro_acoustic", "The acoustic classifier, per 1 s window"),
    "load": ("benchmarks.load", "Live sessions on one core"),
}

_HEAD = """# Results

One run of `make bench` (`python -m benchmarks`) on {date}: {machine}. Absolute figures move between machines,
and from hour to hour; the ratios, taken in the same run, are what to compare.

| package | version |
|---|---|
{versions}
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="which (default: all)")
    chosen = parser.parse_args(arguments).part
    pages = []
    for name, (module, title) in PARTS.items():
        if chosen and name not in chosen:
            continue
        print(f"{title} …", file=sys.stderr, flush=True)
        rows: list[Row] = _measure(module)()
        print(table(rows), end="\n\n")
        pages.append(f"## {title}\n\n`python -m {module}`\n\n{_markdown(rows)}\n")
    if not chosen:
        RESULTS.write_text("\n".join([_head(), *pages]))
        print(f"wrote {RESULTS.relative_to(Path.cwd())}")
    return 0


def _measure(module: str) -> Callable[[], list[Row]]:
    measure: Callable[[], list[Row]] = importlib.import_module(module).rows
    return measure


def _markdown(rows: list[Row]) -> str:
    lines = ["| what | value | unit | ratio | to |", "|---|---:|---|---:|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        lines.append(f"| {row.name} | {row.value:,.4g} | {row.unit} | {ratio} | {row.ratio_to or ''} |")
    return "\n".join(lines)


def _head() -> str:
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
    )
    versions = [f"| Python | {platform.python_version()} |"]
    versions += [f"| {name} | {version(name)} |" for name in names]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return _HEAD.format(date=datetime.date.today(), machine=machine, versions="\n".join(versions))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
