"""Orchestrators in processes of their own, for tests."""

import atexit
import contextlib
import functools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]


@dataclass
class OrchestratorProcess:
    """One that runs, and where it is."""

    process: "subprocess.Popen[str]"
    url: str

    def books(self) -> dict[str, Any]:
        """What it holds, and what it was asked."""
        found: dict[str, Any] = httpx.get(f"{self.url}/allocations", trust_env=False).json()
        return found

    def answer(self, status: int, body: object) -> None:
        """Answer so from now on, when a sidecar is asked for."""
        httpx.put(f"{self.url}/answer", json={"status": status, "body": body}, trust_env=False)

    def be_well(self) -> None:
        """Answer as usual."""
        httpx.put(f"{self.url}/answer", trust_env=False)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def orchestrator(*urls: str, port: int = 0) -> Iterator[OrchestratorProcess]:
    """One that hands out these sidecars, for as long as the block."""
    command = [sys.executable, "-m", "tests.orchestrators.plain", *urls, "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    running = OrchestratorProcess(process, process.stdout.readline().strip())
    try:
        assert running.url, "the orchestrator did not start"
        yield running
    finally:
        running.stop()


@functools.cache
def shared_orchestrator(*urls: str) -> str:
    """The address of one that every test may use; it ends with the tests."""
    running = contextlib.ExitStack()
    atexit.register(running.close)
    return running.enter_context(orchestrator(*urls)).url
