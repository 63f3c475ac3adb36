"""The rights that docs/operations.md gives to a database user who may change no schema."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from protocol.client import connect
from tests import postgres
from tests.deploy.files import ROOT
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import start_gateway
from tests.needs import need_command

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
(GRANTS,) = re.findall(r"^```sql\n(GRANT .+?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """A database with its owner and somebody else."""
    one = postgres.Server()
    try:
        one.start()
        said(one, "CREATE ROLE undertone LOGIN; CREATE ROLE undertone_app LOGIN", "postgres")
        said(one, "CREATE DATABASE undertone OWNER undertone", "postgres")
        yield one
    finally:
        one.close()


def said(one: postgres.Server, statements: str, user: str, database: str = "postgres") -> None:
    """Run them."""
    command = [need_command("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", one.url(database, user)]
    subprocess.run(command, input=statements, text=True, check=True, capture_output=True)


def test_a_gateway_needs_no_more(server: postgres.Server) -> None:
    """Sessions, words for later, tasks, deleting and erasing go; tables can't be made."""
    owner, app = (server.url("undertone", user) for user in ("undertone", "undertone_app"))
    undertone = [sys.executable, "-m", "gateway"]
    environment = {"UNDERTONE_STORE": "postgres", "UNDERTONE_DATABASE_URL": owner}
    subprocess.run([*undertone, "migrate"], env=environment, check=True, capture_output=True, cwd=ROOT)
    said(server, GRANTS, "undertone", "undertone")
    with pytest.raises(subprocess.CalledProcessError):
        said(server, "CREATE TABLE undertone.more ()", "undertone_app", "undertone")

    running = start_gateway(TRANSCRIBER="none", STORE="postgres", DATABASE_URL=app, EVENT_HISTORY="true")

    async def spoken(session: str, ticket: str) -> int:
        async with connect(running.url, session_id=session, ticket=ticket) as one:
            await one.send(pcm(speech()[:32_000]))
            return (await one.end()).classified_samples

    try:
        with httpx.Client(base_url=f"{running.url}/api/v1", trust_env=False, timeout=20) as http:
            made, other = (http.post("/sessions", json={"user_id": "ann"}).json() for _ in range(2))
            assert asyncio.run(spoken(made["id"], made["ticket"])) == 32_000
            task = http.post(f"/sessions/{made['id']}/tasks", json={"type": "summary"})
            assert task.status_code in (201, 202)
            assert http.get(f"/sessions/{made['id']}/history").json()
            assert http.delete(f"/sessions/{other['id']}").status_code == 200
        erase = [*undertone, "erase", "--user", "ann", "--yes"]
        erased = subprocess.run(
            erase,
            env=environment | {"UNDERTONE_DATABASE_URL": app},
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert erased.returncode == 0, erased.stderr
    finally:
        assert running.stop() == 0
    assert not [line for line in running.log if '"error"' in line or "Traceback" in line]
