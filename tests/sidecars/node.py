"""`undertone classify` in processes of its own, for tests."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.e2e.conftest import ROOT, START_S


@dataclass
class ClassifyProcess:
    """A running sidecar."""

    process: subprocess.Popen[str]
    announced: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.announced[0].rpartition(" ")[2]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **more: Any) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=200)
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30, limits=limits, **more)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.end()

    def end(self) -> int:
        """The exit status, once it has ended."""
        status = self.process.wait(timeout=20)
        for thread in self.readers:
            thread.join(timeout=5)
        return status

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.end()


def start_classify(*arguments: str, **settings: str) -> ClassifyProcess:
    """Start a sidecar, on a free port unless `arguments` say otherwise, and wait until it is up."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERTONE_")}
    environment |= {f"UNDERTONE_{name}": value for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "classify", *(arguments or ("--port", "0"))],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = ClassifyProcess(process)
    up = threading.Event()

    def read(pipe: Any, into: list[str]) -> None:
        for line in pipe:
            into.append(line.rstrip("\n"))
            if "Ctrl-C" in line:
                up.set()
        up.set()
        pipe.close()

    for pipe, into in ((process.stdout, running.announced), (process.stderr, running.log)):
        running.readers.append(threading.Thread(target=read, args=(pipe, into)))
        running.readers[-1].start()
    if not up.wait(START_S) or not running.announced:
        process.kill()
        raise AssertionError("the sidecar did not start:\n" + "\n".join(running.log))
    return running
