"""The parts of a cluster as local processes: each on a free loopback port, with its data in one folder."""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
START_S: Final = 30.0
STOP_S: Final = 20.0
_PR_SET_PDEATHSIG: Final = 1
DEBIAN: Final = Path("/usr/lib/postgresql")


class Missing(Exception):
    """A program that is not installed, or something that did not start. Says which."""


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Part:
    """One process, which can be ended and started again; its output goes to a file.

    Args:
        ready: whether it answers.
        environ: all that it sees; what we see, where it is None.
        user: whom it runs as, if not as us.
        politely: the signal that it takes for a stop in good order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        ready: Callable[[], bool],
        *,
        environ: Mapping[str, str] | None = None,
        user: str | None = None,
        politely: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._command = command
        self._log = folder / f"{name.replace(' ', '-')}.log"
        self._folder = folder
        self._ready = ready
        self._environ = environ
        self._user = user
        self._politely = politely
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start it, and don't wait."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder if self._user is not None else ROOT,
                env=self._environ,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for us, who end it
                preexec_fn=_end_with_us,
            )

    def wait_ready(self) -> None:
        """Until it answers. Raises Missing."""
        deadline = time.monotonic() + START_S
        while not self._ready():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                said = "".join(self._log.read_text(errors="replace").splitlines(keepends=True)[-10:])
                raise Missing(f"{self.name} does not start:\n{said}")
            time.sleep(0.05)

    def start(self) -> None:
        """Start it, and return once it answers. Raises Missing."""
        self.launch()
        self.wait_ready()

    def kill(self) -> None:
        """As in a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """In good order; what doesn't end in time is killed, and so it is by Ctrl-C meanwhile."""
        self._end(self._politely)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        except KeyboardInterrupt:
            process.kill()
            raise


def store(folder: Path, port: int) -> Part:
    """Valkey, or Redis. It keeps an append-only file: what it has survives its stop."""
    program = shutil.which("valkey-server") or _found("redis-server")
    keeps = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
    command = [program, "--port", f"{port}", "--bind", "127.0.0.1", "--dir", f"{folder}", *keeps]
    return Part("the store", command, folder, lambda: _pongs(port))


def database(folder: Path, port: int) -> Part:
    """PostgreSQL with a new cluster of its own; it refuses to run as root, so somebody else runs it."""
    initdb, postgres = _postgres("initdb"), _postgres("postgres")
    user = _somebody() if os.geteuid() == 0 else None
    home = folder / "database"
    home.mkdir()
    if user is not None:
        shutil.chown(home, user)
        folder.chmod(0o711)  # on the way to it
    made = [initdb, "-D", f"{home / 'data'}", "-U", "undertone", "-A", "trust", "-E", "UTF8", "--no-sync"]
    done = subprocess.run(made, user=user, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"initdb: {done.stderr.strip()}")
    settings = (f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={home}")
    command = [postgres, "-D", f"{home / 'data'}", *(word for one in settings for word in ("-c", one))]
    asked = [_postgres("pg_isready"), "-q", "-h", "127.0.0.1", "-p", f"{port}", "-t", "1"]

    def ready() -> bool:
        return subprocess.run(asked, cwd=home, check=False).returncode == 0

    return Part("the database", command, folder, ready, user=user, politely=signal.SIGINT)


def database_url(port: int) -> str:
    """Where it is."""
    return f"postgresql://undertone@127.0.0.1:{port}/postgres"


def undertone(
    name: str, command: Sequence[str], folder: Path, port: int, settings: Mapping[str, str]
) -> Part:
    """`undertone` with `settings` (names without their prefix) and nobody else's."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("UNDERTONE_")}
    environ |= {f"UNDERTONE_{key}": value for key, value in settings.items()}
    path = "/health" if command[0] == "classify" else "/readyz"
    given = [sys.executable, "-m", "gateway", *command, "--port", f"{port}"]
    return Part(name, given, folder, lambda: answers(port, path), environ=environ)


def nginx(folder: Path, port: int, backends: Sequence[int]) -> Part | None:
    """The proxy, where nginx is installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        return None
    home = folder / "nginx"
    home.mkdir()
    upstreams = " ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in backends)
    temporary = "".join(f"{kind}_temp_path {home}/{kind};\n" for kind in _TEMPORARY)
    (home / "nginx.conf").write_text(
        f"daemon off; pid {home}/pid; error_log stderr warn; worker_processes 1;\n"
        "events { worker_connections 256; }\n"
        f"http {{ access_log off; {temporary} upstream gateways {{ {upstreams} }}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://gateways;\n"
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\n"
        "proxy_set_header Connection upgrade; proxy_set_header Host $http_host;\n"
        "proxy_next_upstream error timeout http_503;\n"
        "proxy_buffering off; proxy_read_timeout 75s; } } }\n"
    )
    command = [program, "-p", f"{home}", "-e", "stderr", "-c", f"{home}/nginx.conf"]
    return Part("nginx", command, folder, lambda: _listens(port))


_TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def answers(port: int, path: str) -> bool:
    """Whether `path` there is answered with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _pongs(port: int) -> bool:
    """Whether the store has loaded what it kept."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as asked:
        asked.sendall(b"PING\r\n")
        return asked.recv(16).startswith(b"+PONG")
    return False


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _found(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Missing(f"{program} is missing; scripts/system-packages.sh test installs it")
    return found


def _postgres(program: str) -> str:
    """One of PostgreSQL's: that beside `initdb` in the PATH, or Debian's newest."""
    found = shutil.which("initdb")
    if found is not None:
        return str(Path(found).resolve().parent / program)
    versions = sorted(DEBIAN.glob(f"*/bin/{program}"), key=lambda one: float(one.parents[1].name))
    if not versions:
        raise Missing("PostgreSQL is missing; scripts/system-packages.sh test installs it")
    return str(versions[-1])


def _somebody() -> str:
    known = {one.pw_name for one in pwd.getpwall()}
    return next(one for one in ("postgres", "nobody") if one in known)


def _end_with_us() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
