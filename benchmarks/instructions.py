"""Instructions that one 100 ms frame takes from the parser to the ring, counted by callgrind (valgrind).

    python -m benchmarks.instructions

Wall and CPU time move with the machine's mood; what a processor is told to do hardly does. The count is the
process's own part (the kernel's is not in it), and more of the same frames are fed in a second process, so
that what starting costs is taken off. Hashes are the same in every process. The baseline is the least that
Python can do with a frame: join the frames of a second, and make an array of them. A test holds the ratio
against `MOST`.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

from benchmarks.micro_frames import Baseline, pipeline
from benchmarks.rows import Row, table
from gateway.server.lane import Lane
from gateway.server.parser import RECEIVED
from protocol.audio import AudioFormat

FRAMES = 400
BASELINE = "baseline: list of frames, b''.join, frombuffer"
RING = "frame → ring: budget, account, flow, a window each second"
WIRE = "bytes off the socket → parser → ring"
BYTES = 3_200
MOST = 11.0
"""Times the baseline's instructions that a frame may take from the socket to the ring: what it takes now and
a seventh more. Who needs more says why here."""

_HEAD = bytes((0x82, 0x80 | 126)) + BYTES.to_bytes(2) + b"\1\2\3\4"


def rows() -> list[Row]:
    """Count all three; takes about a minute. Empty where there is no valgrind."""
    if shutil.which("valgrind") is None:
        print("no valgrind here: nothing is counted", file=sys.stderr)
        return []
    base = per_frame(BASELINE)
    found = [Row(BASELINE, base, "instructions/frame")]
    for name in (RING, WIRE):
        count = per_frame(name)
        found.append(Row(name, count, "instructions/frame", BASELINE, count / base))
    return found


def per_frame(name: str) -> float:
    """Instructions of one frame fed that way."""
    return (_counted(name, 3 * FRAMES) - _counted(name, FRAMES)) / (2 * FRAMES)


def _counted(name: str, frames: int) -> int:
    """Instructions of a whole process that feeds so many."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-m", "benchmarks.instructions", "feed", name, str(frames)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    counted = re.search(r"Collected\s*: (\d+)", done.stderr)
    assert counted is not None, done.stderr
    return int(counted.group(1))


# The counted process --------------------------------------------------------------------------------------


class _Nobody:
    """A connection without a socket."""

    clogged = False

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def _wire() -> Callable[[bytes], None]:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.1
        return now

    lane = Lane(_Nobody(), 65_536, clock)
    lane.start()
    lane.listen(pipeline(AudioFormat()), lambda _: None)  # type: ignore[arg-type]

    def feed(frame: bytes) -> None:
        size = len(_HEAD) + len(frame)
        RECEIVED[: len(_HEAD)] = _HEAD
        RECEIVED[len(_HEAD) : size] = frame
        lane.feed(size)

    return feed


async def _feed(name: str, frames: int) -> None:
    ways: dict[str, Callable[[], Callable[[bytes], object]]] = {
        BASELINE: lambda: Baseline(AudioFormat()),
        RING: lambda: pipeline(AudioFormat()),
        WIRE: _wire,
    }
    feed, frame = ways[name](), bytes(range(256)) * (BYTES // 256) + bytes(BYTES % 256)
    for _ in range(frames):
        feed(frame)


if __name__ == "__main__":
    if sys.argv[1:2] == ["feed"]:
        asyncio.run(_feed(sys.argv[2], int(sys.argv[3])))
    else:
        print(table(rows()))
