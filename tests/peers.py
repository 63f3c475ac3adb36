"""Model servers that were not written here, in processes of their own; `scripts/peers.sh` installs them."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.needs import need_peer

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
MODELS = Path(__file__).parent / "kserve_models"
START_S = 90.0


@dataclass
class Peer:
    """A server that runs."""

    url: str
    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)


def free_port() -> int:
    """A port that nobody had a moment ago: these servers take no 0."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def mlserver(models: Path = MODELS / "mlserver", *, port: int | None = None) -> Iterator[Peer]:
    """MLServer with the models of a folder, ready."""
    python = need_peer("mlserver")
    taken = port or free_port()
    with tempfile.TemporaryDirectory() as scratch:
        # It writes beside its models; and the checkout stays as it is.
        shutil.copytree(models, scratch, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        ports = {"HTTP": taken, "GRPC": free_port(), "METRICS": free_port()}
        environment = {f"MLSERVER_{name}_PORT": str(number) for name, number in ports.items()}
        environment["MLSERVER_ENVIRONMENTS_DIR"] = f"{scratch}/.envs"
        command = [str(python), "-m", "mlserver.cli.main", "start", scratch]
        with _running(command, environment, taken) as peer:
            yield peer


@contextmanager
def triton(repository: Path, *, port: int | None = None) -> Iterator[Peer]:
    """Triton with a model repository and its Python backend, ready."""
    python = need_peer("pytriton")
    taken = port or free_port()
    told = _asked(python, "import sysconfig as s; print(s.get_path('purelib'), s.get_config_var('LIBDIR'))")
    site, libraries = told.split()
    server = Path(site) / "pytriton" / "tritonserver"
    environment = {
        "LD_LIBRARY_PATH": libraries,
        "PYTHONPATH": site,
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        str(server / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={server / 'backends'}",
        "--http-address=127.0.0.1",
        f"--http-port={taken}",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--exit-timeout-secs=5",
    ]
    with _running(command, environment, taken) as peer:
        yield peer


def ask(program: str, *arguments: str, data: bytes = b"") -> bytes:
    """What `program`, run by the servers' own Python, says to `data`."""
    python = need_peer("mlserver")
    done = subprocess.run(
        [str(python), "-c", program, *arguments], input=data, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _asked(python: Path, program: str) -> str:
    return subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=True).stdout


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str], port: int) -> Iterator[Peer]:
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    peer = Peer(f"http://127.0.0.1:{port}", process)
    assert process.stdout is not None
    reader = threading.Thread(target=peer.log.extend, args=(process.stdout,))
    reader.start()
    try:
        _await(peer)
        yield peer
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):  # what a server that was killed has left behind
            os.killpg(process.pid, signal.SIGKILL)
        reader.join(timeout=5)
        process.stdout.close()


def _await(peer: Peer) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and peer.process.poll() is None:
        try:
            with opener.open(f"{peer.url}/v2/health/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("the model server did not start:\n" + "".join(peer.log[-40:]))
