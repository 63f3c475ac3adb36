"""Sidecars in processes of their own, for tests."""

import atexit
import contextlib
import functools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class SidecarProcess:
    """One that runs, and where it is."""

    process: "subprocess.Popen[str]"
    url: str

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._end()

    def stop(self) -> None:
        """SIGTERM; killed where that does not help."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self.kill()

    def _end(self) -> None:
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_sidecar(*options: str) -> SidecarProcess:
    """Start `tests.sidecars.plain`; it answers when this returns."""
    command = [sys.executable, "-m", "tests.sidecars.plain", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    if not url:
        process.kill()
        process.wait()
        raise AssertionError("the sidecar did not start")
    return SidecarProcess(process, url)


@contextlib.contextmanager
def sidecar(*options: str) -> Iterator[SidecarProcess]:
    """One for as long as the block."""
    running = start_sidecar(*options)
    try:
        yield running
    finally:
        running.stop()


@functools.cache
def shared_sidecar(*options: str) -> str:
    """The address of one that every test with these options may use; it ends with the tests."""
    running = start_sidecar(*options)
    atexit.register(running.stop)
    return running.url


@functools.cache
def shared_unix_sidecar() -> str:
    """The same on a Unix socket."""
    folder = tempfile.TemporaryDirectory(prefix="undertone-")
    atexit.register(folder.cleanup)
    return shared_sidecar("--unix", f"{folder.name}/sidecar.sock")
