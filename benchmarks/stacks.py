"""What a sampler saw: stacks of a process with how often each, and the part of the way that each belongs to.

A sample belongs to the part of its innermost known function (`BEGINS`): what that one calls counts to it,
until another known one is reached. Where the event loop runs nothing of ours, a sample is the loop's and the
kernel's; what the kernel does for a call of ours, such as writing to a socket, belongs to who calls.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

_FRAME: Final = re.compile(r"(?P<name>.*?) \((?P<path>.*?)(?::\d+)?\)")


class Part(Enum):
    """A stretch of a frame's way to the sidecar and of its events' way back; the value names it."""

    LOOP = "event loop and kernel"
    """Waiting, and reading from sockets: uvloop and what it calls, which no sampler of Python sees."""
    LANE = "frame: socket to lane"
    RING = "frame: session and ring"
    WINDOW = "window: cut and queue"
    REQUEST = "sidecar call: request"
    ANSWER = "sidecar call: answer read"
    EVENTS = "answers to events"
    OUT = "events to socket"
    ELSE = "everything else"


@dataclass(frozen=True, slots=True, order=True)
class Frame:
    """A function on a stack."""

    name: str
    """Qualified, as of `__qualname__`"""
    path: str
    """Of its module, from the folder that it was imported from; empty where none was told"""

    def __str__(self) -> str:
        return f"{self.name} ({self.path})" if self.path else self.name


Stack = tuple[Frame, ...]
"""The outermost function first."""

ROOT: Final = Frame("Runner.run", "asyncio/runners.py")
"""Up to here a stack is the way into the event loop, the same for all."""

BEGINS: Final[Mapping[Part, Mapping[str, Sequence[str]]]] = {
    Part.LANE: {
        "gateway/server/websocket.py": ("WebSocketProtocol.get_buffer", "WebSocketProtocol.buffer_updated")
    },
    Part.RING: {"gateway/api/hearing.py": ("Hearing.hear",)},
    Part.WINDOW: {
        "gateway/audio/window.py": ("WindowCutter.cut",),
        "gateway/live/pipeline.py": ("Pipeline._submit",),
        "gateway/classify/scheduler.py": ("Scheduler.run",),
    },
    Part.REQUEST: {"gateway/classify/scheduler.py": ("Scheduler._call",)},
    Part.ANSWER: {
        "gateway/classify/http1/connection.py": ("Connection.data_received",),
        "gateway/classify/remote/classifier.py": ("_split", "RemoteClassifier._take_reply"),
    },
    Part.EVENTS: {"gateway/classify/scheduler.py": ("Scheduler._hand_back",)},
    Part.OUT: {"gateway/api/writer.py": ("Writer._pump",)},
}
"""Where each part begins: functions, by the module's path. A name is listed once."""

_KNOWN: Final = {
    Frame(name, path): part
    for part, modules in BEGINS.items()
    for path, names in modules.items()
    for name in names
}


def parse(text: str) -> Counter[Stack]:
    """How often each stack was seen, by `py-spy record --format raw`; its roots are taken off.

    Lines of a function are not told apart. A stack that never came to the event loop stays whole.

    Raises:
        ValueError: a line is not `frame;frame;frame count`.
    """
    found: Counter[Stack] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or not count.isdecimal():
            raise ValueError(f"no stack with a count: {line!r}")
        found[_without_root(tuple(map(_frame, stack.split(";"))))] += int(count)
    return found


def part_of(stack: Stack) -> Part:
    """Where a sample belongs whose innermost function is the last one."""
    if not stack:
        return Part.LOOP
    return next((_KNOWN[frame] for frame in reversed(stack) if frame in _KNOWN), Part.ELSE)


def shares(stacks: Mapping[Stack, int]) -> dict[Part, float]:
    """Of all samples, for every part; they sum up to 1, unless there are no samples."""
    counts: Counter[Part] = Counter()
    for stack, count in stacks.items():
        counts[part_of(stack)] += count
    return {part: counts[part] / (counts.total() or 1) for part in Part}


def _frame(text: str) -> Frame:
    found = _FRAME.fullmatch(text)
    return Frame(text, "") if found is None else Frame(found["name"], found["path"])


def _without_root(stack: Stack) -> Stack:
    return stack[stack.index(ROOT) + 1 :] if ROOT in stack else stack
