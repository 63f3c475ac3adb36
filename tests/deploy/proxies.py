"""nginx and Caddy with the files of `deploy/proxy`, on free ports and before servers of the tests' own."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.needs import need_command
from tests.peers import free_port

PROXY = Path(__file__).parents[2] / "deploy" / "proxy"
START_S = 20.0
_ADDRESS = re.compile(r"gateway-\d:8522")


@contextmanager
def nginx(gateways: Sequence[str], scratch: Path) -> Iterator[str]:
    """nginx before `gateways` (host:port); its URL."""
    port = free_port()
    config = nginx_config(gateways, scratch, {"8080": port, "127.0.0.1:8081": free_port()})
    with _running([*nginx_command(scratch, config), "-g", "daemon off;"], port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def nginx_tls(gateways: Sequence[str], scratch: Path, certificate: Path, key: Path) -> Iterator[str]:
    """The same with TLS; its URL."""
    port = free_port()
    ports = {"8080": free_port(), "127.0.0.1:8081": free_port(), "8443": port}
    config = nginx_config(gateways, scratch, ports, certificate, key)
    with _running([*nginx_command(scratch, config), "-g", "daemon off;"], port):
        yield f"https://127.0.0.1:{port}"


def nginx_command(scratch: Path, config: Path) -> list[str]:
    """nginx, which Debian has where only root looks, with that configuration."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or need_command("nginx")
    return [found, "-e", "stderr", "-p", str(scratch), "-c", str(config)]


def nginx_config(
    gateways: Sequence[str],
    scratch: Path,
    listen: Mapping[str, int],
    certificate: Path | None = None,
    key: Path | None = None,
) -> Path:
    """nginx.conf and what it includes, in `scratch`.

    What differs from the files is where they listen and write, who the gateways are, and what this nginx is
    too old for: `resolve` (1.27.3) and `http2 on` (1.25.1).
    """
    moved = {"/tmp/": f"{scratch}/", "/etc/nginx/undertone.conf": f"{scratch}/undertone.conf"}
    moved |= {"/etc/nginx/tls/": f"{scratch}/tls/", "/etc/nginx/certs/tls.crt": f"{certificate}"}
    moved |= {"/etc/nginx/certs/tls.key": f"{key}"}

    def rewritten(name: str) -> str:
        text = (PROXY / name).read_text(encoding="utf-8")
        for before, after in moved.items():
            text = text.replace(before, after)
        for place, port in listen.items():
            text = re.sub(rf"listen {re.escape(place)}\b", f"listen 127.0.0.1:{port}", text)
        text = re.sub(r"^ *(resolver|http2) .*$", "", text, flags=re.MULTILINE)
        servers = iter(gateways)
        return _ADDRESS.sub(lambda _: next(servers), text).replace(" resolve ", " ")

    (scratch / "tls").mkdir()
    (scratch / "undertone.conf").write_text(rewritten("undertone.conf"))
    if certificate is not None:
        (scratch / "tls" / "undertone.conf").write_text(rewritten("nginx-tls.conf"))
    config = scratch / "nginx.conf"
    # Started by root it would give its workers to somebody who may not write into a test's folder.
    config.write_text(("user root;\n" if os.geteuid() == 0 else "") + rewritten("nginx.conf"))
    return config


@contextmanager
def caddy(gateways: Sequence[str], scratch: Path) -> Iterator[str]:
    """Caddy before `gateways` (host:port); its URL."""
    port = free_port()
    shutil.copy(PROXY / "Caddyfile", scratch / "Caddyfile")
    environment = {
        "UNDERTONE_SITE": f"http://127.0.0.1:{port}",
        "UNDERTONE_GATEWAYS": " ".join(gateways),
        "XDG_DATA_HOME": str(scratch),
        "XDG_CONFIG_HOME": str(scratch),
        "HOME": str(scratch),
    }
    command = [need_command("caddy"), "run", "--config", str(scratch / "Caddyfile")]
    with _running(command, port, environment):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(
    command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    told = subprocess.PIPE
    with subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL, stderr=told, text=True
    ) as process:
        try:
            _wait(process, port)
            yield
        finally:
            process.terminate()
            process.communicate(timeout=20)


def _wait(process: subprocess.Popen[str], port: int) -> None:
    """Until it listens."""
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1])
