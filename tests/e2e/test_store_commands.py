"""The commands that speak with stores, on real ones: `migrate`, `erase`, `check-config --connect`;
and `serve` where there is none.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.e2e.conftest import ROOT, GatewayProcess
from tests.e2e.servers import postgres, valkey
from tests.peers import free_port


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, str]]:
    """Settings that name a store and a database."""
    with valkey() as store, postgres() as database:
        yield {"UNDERTONE_STORE": store, "UNDERTONE_DATABASE_URL": database}


def undertone(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """The command, with nobody at the terminal."""
    environ = {"PATH": "/usr/bin:/bin", "UNDERTONE_TRANSCRIBER": "none", **settings}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("more", [(), ("--processes", "3")], ids=["alone", "several"])
def test_a_store_that_is_not_there_is_told_once(more: tuple[str, ...]) -> None:
    """One message with what to do; no traceback, and no second process that says the same."""
    done = undertone("serve", "--port", "0", *more, UNDERTONE_STORE=f"valkey://127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert done.stdout == ""
    told, hint = done.stderr.splitlines()
    assert "can't be reached" in told
    assert "UNDERTONE_STORE_REQUIRED=false" in hint


def test_a_node_may_wait_for_its_store(launch: Callable[..., GatewayProcess]) -> None:
    """Where it is not required the node starts, and says what it waits for."""
    gateway = launch(
        STORE=f"valkey://127.0.0.1:{free_port()}",
        STORE_REQUIRED="false",
        TRANSCRIBER="none",
        CLASSIFY_WORKER_KIND="thread",
    )
    told = httpx.get(f"{gateway.url}/readyz", trust_env=False)
    assert told.status_code == 503
    assert told.json()["checks"]["store"] == "waiting"
    assert gateway.stop() == 0


def test_migrating_says_from_where_to_where(stores: dict[str, str]) -> None:
    """The first time the schema is made, the second time nothing is left to do."""
    database = {"UNDERTONE_DATABASE_URL": stores["UNDERTONE_DATABASE_URL"]}
    first = undertone("migrate", UNDERTONE_DATABASE_SCHEMA="once", **database)
    assert (first.returncode, first.stderr) == (0, "")
    assert re.fullmatch(r"the schema once was made: version \d+\n", first.stdout)
    again = undertone("migrate", UNDERTONE_DATABASE_SCHEMA="once", **stores)
    assert (again.returncode, again.stderr) == (0, "")
    assert re.fullmatch(r"the schema once is up to date: version \d+\n", again.stdout)


def test_migrating_needs_a_database() -> None:
    """Both that there is none and that it doesn't answer are told in two lines."""
    none = undertone("migrate")
    assert none.returncode == 2
    assert none.stderr.startswith("undertone: there is no database to bring up to date\n")
    valkey_alone = undertone("migrate", UNDERTONE_STORE="valkey://127.0.0.1")
    assert (valkey_alone.returncode, valkey_alone.stderr) == (0, "")
    url = f"postgresql://undertone@127.0.0.1:{free_port()}/postgres"
    away = undertone("migrate", UNDERTONE_STORE="postgres", UNDERTONE_DATABASE_URL=url)
    assert away.returncode == 3
    assert "Traceback" not in away.stderr
    assert len(away.stderr.splitlines()) == 2


def test_stores_can_be_tried(stores: dict[str, str]) -> None:
    """As `serve` would, and that it went well is said."""
    assert undertone("check-config", "--connect", **stores).stdout.endswith(
        "# the stores answer, and will do\n"
    )
    away = undertone("check-config", "--connect", UNDERTONE_STORE=f"valkey://127.0.0.1:{free_port()}")
    assert away.returncode == 3
    assert "can't be reached" in away.stderr
    missing = undertone("check-config", "--connect", UNDERTONE_STORE="valkeys://127.0.0.1?ca_file=/none")
    assert missing.returncode == 2
    assert "ca_file" in missing.stderr


def test_erasing_leaves_nothing_of_a_user(
    launch: Callable[..., GatewayProcess], stores: dict[str, str]
) -> None:
    """A session that is live included; another user's stays. Neither ids nor names are printed."""
    settings = {name.removeprefix("UNDERTONE_"): value for name, value in stores.items()}
    gateway = launch(**settings, TRANSCRIBER="none", CLASSIFY_WORKER_KIND="thread")
    sessions = f"{gateway.url}/api/v1/sessions"
    with httpx.Client(trust_env=False) as client:
        made = [client.post(sessions, json={"user_id": user}).json() for user in ("ann", "ann", "bob")]
        ids = [one["id"] if "id" in one else one["session_id"] for one in made]
        done = undertone("erase", "--user", "ann", "--yes", **stores)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "2 sessions in the store and all that the database has of one user of no namespace",
            "erased 2 sessions",
        ]
        assert not any(one in done.stdout for one in ids)
        found = [client.get(f"{sessions}/{one}").status_code for one in ids]
    assert found == [404, 404, 200]
    again = undertone("erase", "--user", "ann", "--yes", **stores)
    assert again.stdout.endswith("erased 0 sessions\n")
    assert gateway.stop() == 0
