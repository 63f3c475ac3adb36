"""Signals to processes that a test has started itself."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

Started = subprocess.Popen[Any]

WAIT_S = 20.0
"""Seconds that a process may take to end."""


def terminate(process: Started) -> None:
    """SIGTERM: the process is to finish what it has begun, and to go."""
    _send(process, signal.SIGTERM)


def kill(process: Started) -> None:
    """SIGKILL: the process is gone, without a chance to say so."""
    _send(process, signal.SIGKILL)
    process.wait(timeout=WAIT_S)


@contextlib.contextmanager
def frozen(process: Started) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end: to its peers a process that hangs, to itself no time has passed."""
    _send(process, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        _send(process, signal.SIGCONT)


def _send(process: Started, number: signal.Signals) -> None:
    if process.poll() is not None:
        raise ProcessLookupError(f"process {process.pid} has ended with {process.returncode} before")
    process.send_signal(number)
