"""A gateway under strace: `python -m tests.chaos.traced TRACE …` is `serve …`, and TRACE tells what it wrote.

The tracer is detached, so the process that was started is the gateway itself. Nobody gets an io_uring, whose
writes no tracer sees; libuv does without.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

OPENS = ("open", "openat", "openat2", "creat")
MAKES = (
    *("mkdir", "mkdirat", "mknod", "mknodat", "link", "linkat", "symlink", "symlinkat"),
    *("rename", "renameat", "renameat2", "truncate"),
)
WRITES = (
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice"),
    *("ftruncate", "fallocate"),
)
MAPS = ("mmap", "mmap2")
UNSEEN = ("io_uring_setup", "io_setup")
"""They open ways to write that don't show as calls; told that there is no such thing, all go without."""
TEXT_BYTES = 1 << 17
"""Of each argument that the trace holds; twice the largest message."""

_CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)$", re.DOTALL)
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)$", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_HEX = re.compile(r"\\x([0-9a-f]{2})")
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that succeeded."""

    name: str
    text: str
    """Its arguments and its result as strace writes them, strings decoded: one character a byte."""
    files: Sequence[str]
    """What its descriptors are: paths, and words such as `pipe:[1]` and `socket:[1]`."""

    @classmethod
    def of(cls, name: str, raw: str) -> "Call":
        """Read it before strings are decoded: what was sent may look like a descriptor."""
        return cls(name, _decoded(raw), [_decoded(one) for one in _DESCRIPTOR.findall(raw)])


def command(trace: Path, program: Sequence[str], tracer: str = "strace") -> list[str]:
    """What runs `program` and writes what it does to `trace`."""
    calls = ",".join(f"?{name}" for name in (*OPENS, *MAKES, *WRITES, *MAPS, *UNSEEN))
    refused = ",".join(f"?{name}" for name in UNSEEN)
    options = ["-D", "-f", "-q", "-y", "-xx", "-s", str(TEXT_BYTES), "-e", f"trace={calls}"]
    options += ["-e", f"inject={refused}:error=ENOSYS"]
    return [tracer, *options, "-o", str(trace), *program]


def calls(trace: str) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if line.endswith(_UNFINISHED):
            begun[line.split(maxsplit=1)[0]] = line.removesuffix(_UNFINISHED)
            continue
        resumed = _RESUMED.match(line)
        whole = begun.pop(resumed["pid"]) + resumed["rest"] if resumed else line
        found = _CALL.match(whole)
        if found and " = -1 E" not in whole and not whole.rstrip().endswith("= ?"):
            yield Call.of(found["name"], found["rest"])


def _decoded(text: str) -> str:
    return _HEX.sub(lambda one: chr(int(one[1], 16)), text)


def touches_a_file(call: Call) -> bool:
    """Whether it makes, changes or could change something in a file system, devices and memory aside."""
    if call.name in MAKES or call.name in UNSEEN:
        return True
    if call.name in OPENS:
        for_writing = call.name == "creat" or re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE)", call.text)
        return bool(for_writing) and _is_file(call.files[-1])
    if call.name in MAPS:
        shared = "MAP_SHARED" in call.text and "PROT_WRITE" in call.text
        return shared and any(map(_is_file, call.files))
    return any(map(_is_file, call.files))


def _is_file(name: str) -> bool:
    return name.startswith("/") and not name.startswith(("/dev/null", "/dev/pts/", "/proc/", "/memfd:"))


def main(arguments: Sequence[str]) -> None:
    """Become strace, and this process the gateway."""
    trace, *options = arguments
    program = [sys.executable, "-m", "gateway", "serve", *options]
    os.execvp("strace", command(Path(trace), program))


if __name__ == "__main__":
    main(sys.argv[1:])
