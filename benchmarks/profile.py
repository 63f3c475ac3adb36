"""Where each microsecond of a live session's second goes, by a sampler of the server. Linux.

    python -m benchmarks profile

On the stage of `benchmarks.usual`: a sidecar that answers at once, one core for the server, another for the
clients, the sidecar and the sampler. Once all sessions are live the server's CPU is taken for `CALM_S`, with
nobody looking; then py-spy looks at its stack `RATE_HZ` times a second for `SAMPLED_S`. A part's figure is
the calm CPU times its share of the samples; `benchmarks.stacks` says what a part is. py-spy stops the process
for every look, and wakes it where it sleeps: what that costs is told, too.

It rewrites the table in docs/performance.md, and benchmarks/plots/flame.svg. `make bench` leaves it out: the
shares of one run are nothing to compare with others, and py-spy must be allowed to trace (ptrace(2)).
"""

import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import flame
from benchmarks.cpu import cpu_s
from benchmarks.drawings import FOLDER
from benchmarks.rows import Row, table
from benchmarks.stacks import Stack, parse, shares
from benchmarks.usual import STARTS_A_SECOND, Stage, Step, gauge, pin, reporting, said, stage
from protocol.reference import update

SESSIONS: Final = 1_000
CALM_S: Final = 6.0
RATE_HZ: Final = 200
SAMPLED_S: Final = 15
SETTLE_S: Final = 2.0
"""Seconds from the last session's start to the first figure."""
SLACK_S: Final = 4.0
"""Seconds that sessions stay live for a sampler that is slow to begin or to end."""
PATIENCE_S: Final = 30.0

CPU: Final = "CPU of the server"
_ROOT: Final = Path(__file__).parent.parent
PAGE: Final = _ROOT / "docs/performance.md"
DRAWING: Final = Path(__file__).parent / FOLDER / "flame.svg"


class NoProfile(Exception):
    """Nothing could be sampled; the message says why."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What came of it."""

    sessions: int
    stacks: Counter[Stack]
    """Samples, by what ran."""
    cpu_us: float
    """Of the server, for a session's second while nobody looked."""
    kernel_us: float
    """Of that, inside the kernel, by the kernel's own account; in ticks of 10 ms."""
    sampled_cpu_us: float
    """As `cpu_us`, while it was sampled."""


def rows() -> list[Row]:
    """Takes about half a minute; writes the page and the drawing, too."""
    with stage() as here:
        found = measure(here, SESSIONS, CALM_S, SAMPLED_S)
    DRAWING.parent.mkdir(exist_ok=True)
    title = f"Where a session's second goes: {found.cpu_us:,.0f} µs of CPU, {found.sessions:,} sessions"
    DRAWING.write_text(flame.svg(found.stacks, found.cpu_us, title), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(update(page, {"profile": lambda: markdown(found)}), encoding="utf-8")
    return accounted(found)


def measure(here: Stage, sessions: int, calm_s: float, sampled_s: int) -> Profile:
    """Calm first, then sampled, on a fresh server.

    Raises:
        NoProfile: py-spy is missing or may not look, or not all sessions were live all the while.
    """
    ramp_s = max(1, sessions // STARTS_A_SECOND)
    duration = ramp_s + SETTLE_S + calm_s + sampled_s + SLACK_S
    tool = ("gateway", "load", "--json", "--ramp", f"{ramp_s}", "--duration", f"{duration:g}")
    with here.serving() as (url, pid):
        more = ("--sessions", f"{sessions}", "--url", url, "--pid", f"{pid}")
        with reporting(*tool, *more, core=here.other_core) as clients:
            try:
                _await_live(url, sessions)
                time.sleep(SETTLE_S)
                begun = _Reading.now(pid)
                time.sleep(calm_s)
                calm = _Reading.now(pid)
                stacks = sampled(pid, sampled_s, here.other_core)
                over = _Reading.now(pid)
                if _live(url) != sessions:
                    raise NoProfile("sessions ended before all was sampled")
                step = Step(said(clients), 0.0)
            except BaseException:
                clients.kill()
                raise
    if not step.complete:
        print(f"windows without a tone: {step.missing}; too many sessions for this machine", file=sys.stderr)
    if not step.report["load_tool"]["trusted"]:
        print("the clients were short of CPU, and sent late; take it again in a calmer hour", file=sys.stderr)
    cpu_us = calm.cpu_us_since(begun, sessions)
    ticks = calm.ticks - begun.ticks
    kernel_us = cpu_us * (calm.kernel_ticks - begun.kernel_ticks) / (ticks or 1)
    return Profile(sessions, stacks, cpu_us, kernel_us, over.cpu_us_since(calm, sessions))


def sampled(pid: int, seconds: int, core: int | None = None) -> Counter[Stack]:
    """Stacks of a process while it runs, waits left out; from a core of the sampler's own.

    Raises:
        NoProfile: as of `measure`.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        record = (
            "record",
            "--format",
            "raw",
            "--nolineno",
            "--rate",
            f"{RATE_HZ}",
            "--duration",
            f"{seconds}",
        )
        done = subprocess.run(
            [py_spy(), *record, "--pid", f"{pid}", "--output", raw],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: pin(core),
        )
        if done.returncode != 0 or not raw.exists():
            raise NoProfile(f"py-spy can't look: {done.stderr.strip() or done.stdout.strip()}")
        return parse(raw.read_text(encoding="utf-8"))


def py_spy() -> Path:
    """The sampler in this environment; raises `NoProfile` where there is none."""
    found = Path(sysconfig.get_path("scripts")) / "py-spy"
    if not found.exists():
        raise NoProfile("py-spy is missing; make test installs it")
    return found


def accounted(found: Profile) -> list[Row]:
    """Every part with its share, and what looking cost."""
    unit = "µs/session-second"
    kernel, looked = found.kernel_us, found.sampled_cpu_us
    return [
        Row(CPU, found.cpu_us, unit),
        *(
            Row(part.value, found.cpu_us * share, unit, CPU, share)
            for part, share in shares(found.stacks).items()
        ),
        Row("inside the kernel, wherever it was called", kernel, unit, CPU, kernel / found.cpu_us),
        Row(f"{CPU} while it was sampled", looked, unit, CPU, looked / found.cpu_us),
        Row("samples", found.stacks.total(), "samples"),
    ]


def markdown(found: Profile) -> str:
    """The same for the page."""
    lines = [
        f"With {found.sessions:,} sessions {found.cpu_us:,.0f} µs of CPU for a session's second, "
        f"{found.kernel_us:,.0f} of them inside the kernel",
        f"({found.sampled_cpu_us:,.0f} µs while the {found.stacks.total():,} samples were taken):",
        "",
        "| part of the way | µs | share |",
        "|---|---:|---:|",
    ]
    for part, share in shares(found.stacks).items():
        lines.append(f"| {part.value} | {found.cpu_us * share:,.0f} | {share:.1%} |")
    return "\n".join(lines)


# The server -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """CPU of a process up to one moment."""

    at: float
    cpu_s: float
    ticks: int
    kernel_ticks: int

    @classmethod
    def now(cls, pid: int) -> "_Reading":
        # proc(5): the command's name stands in parentheses and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, kernel = int(fields[11]), int(fields[12])
        return cls(time.monotonic(), cpu_s(pid), user + kernel, kernel)

    def cpu_us_since(self, before: "_Reading", sessions: int) -> float:
        """For a session's second."""
        return 1e6 * (self.cpu_s - before.cpu_s) / ((self.at - before.at) * sessions)


def _await_live(url: str, sessions: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while _live(url) < sessions:
        if time.monotonic() > deadline:
            raise NoProfile(f"not all of {sessions} sessions came")
        time.sleep(0.2)


def _live(url: str) -> int:
    """Sessions with somebody attached, as the server tells."""
    return int(gauge(url, "undertone_sessions", state="live"))


if __name__ == "__main__":
    print(table(rows()))
