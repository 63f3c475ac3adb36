"""The C floor of `benchmarks.micro_lane`: floor.c, compiled where there is a compiler, as a process."""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


@contextlib.contextmanager
def compiled() -> Iterator[Path | None]:
    """The program, as long as this lasts; None, and a note on stderr, where it can't be made."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("no C compiler here: the floor is left out", file=sys.stderr)
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "floor"
        done = subprocess.run(
            [compiler, "-O2", "-o", str(program), str(SOURCE)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"the floor can't be compiled, and is left out:\n{done.stderr}", file=sys.stderr)
        yield None if done.returncode else program


def launched(program: Path, core: int) -> "subprocess.Popen[str]":
    """It prints its port, and takes connections from then on."""
    pin = functools.partial(os.sched_setaffinity, 0, {core})
    return subprocess.Popen([program], stdout=subprocess.PIPE, text=True, preexec_fn=pin)
