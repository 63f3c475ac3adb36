"""Processes of our own that work for the gateway: what they see of it, and how they behave.

Such a process lives by its connection to the gateway alone: it ends when that does, also when the gateway
was killed. Standard library only: it starts faster for it.
"""

import os
import resource
import signal
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import gateway

_OOM_SCORE: Final = "500"
"""Added to the kernel's badness: half of what would make it the first of all."""
_NICENESS: Final = 5
_INHERITED: Final = (
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "PYTHONPATH",
)
_SINGLE: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def environment(base: Mapping[str, str], also: Sequence[str] = ()) -> dict[str, str]:
    """What such a process sees of `base`: no keys, no URLs, one thread for any numeric library.

    Args:
        also: names of further variables that are passed on.
    """
    inherited = {name: base[name] for name in (*_INHERITED, *also) if name in base}
    inherited |= dict.fromkeys(_SINGLE, "1")
    return findable(inherited)


def findable(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ`, such that another interpreter finds this very package."""
    root = str(Path(gateway.__file__).parent.parent)
    if root in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        return dict(environ)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))}


def settle_in() -> None:
    """Be such a process: called first thing in it.

    It lets pass the signals that a terminal or service manager sends to every process of a service, because
    a gateway that drains still wants its last answers. It is the first to go where memory runs out, and
    leaves no core file: its memory is somebody's voice. And it gives way to the gateway's own threads, as to
    everybody else's: where cores are short, its work waits and not the event loop.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
