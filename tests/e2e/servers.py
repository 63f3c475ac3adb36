"""The servers behind nodes that share their sessions, for a test: real ones, gone at its end."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.cluster import parts
from tests.needs import need_command, need_module


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """A server of its own; its URL."""
    if shutil.which("valkey-server") is None:
        need_command("redis-server")
    need_module("valkey")
    port = parts.free_port()
    with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
        part = parts.store(Path(folder), port)
        with contextlib.ExitStack() as stack:
            stack.callback(part.kill)
            part.start()
            yield f"valkey://127.0.0.1:{port}"


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A server of its own; its database's URL."""
    if not any(parts.DEBIAN.glob("*/bin/initdb")):
        need_command("initdb")
    need_module("asyncpg")
    port = parts.free_port()
    with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
        part = parts.database(Path(folder), port)
        with contextlib.ExitStack() as stack:
            stack.callback(part.stop)
            part.start()
            yield parts.database_url(port)
