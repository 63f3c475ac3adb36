"""The rights that docs/scaling.md gives to Valkey's user: enough for all that a node does, and no more."""

import asyncio
import re
from pathlib import Path

import pytest

from gateway.errors import StoreUnsuitable
from tests.deploy.files import ROOT
from tests.gateway.stores.valkey.test_topology import _cluster as cluster
from tests.gateway.stores.valkey.test_topology import _sentinel as sentinel
from tests.gateway.stores.valkey.test_topology import everything
from tests.stores import Server, connected, server

TEXT = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
SINGLE, CLUSTER, DATABASE, SENTINEL = re.findall(
    r"^ +ACL SETUSER undertone (?:on >\S+ )?(.+(?:\n +\+.+)*)$", TEXT, re.MULTILINE
)


def rights(told: str) -> list[str]:
    """Those of a user, for the keys of tests in place of `undertone:`."""
    return told.replace("~undertone:*", "~test-*").split()


def known(one: Server, told: str) -> None:
    """That server has this user, and lets nobody else in."""
    assert one.cli("ACL", "SETUSER", "app", "on", ">geheim", *rights(told)).strip() == "OK"


def refused(one: Server, *words: str) -> bool:
    """Whether the user may not do that."""
    return "NOPERM" in one.cli("--user", "app", "--pass", "geheim", "--no-auth-warning", *words)


async def works(url: str) -> None:
    """Each store does there all that it does."""
    async with connected(url) as connection:
        await everything(connection)


def test_a_user_of_one_server(tmp_path: Path) -> None:
    """It may do what a node does; it may neither look around nor wipe anything."""
    with server(tmp_path) as one:
        known(one, SINGLE)
        asyncio.run(works(f"valkey://app:geheim@127.0.0.1:{one.port}"))
        for words in ("FLUSHALL", "KEYS *", "CONFIG GET *", "ACL LIST", "FUNCTION FLUSH", "EVAL return 0"):
            assert refused(one, *words.split())
        assert refused(one, "GET", "elsewhere")
        assert refused(one, "CLUSTER", "SLOTS")


def test_a_user_of_another_database(tmp_path: Path) -> None:
    """It has to select that."""
    with server(tmp_path) as one:
        url = f"valkey://app:geheim@127.0.0.1:{one.port}/1"
        known(one, SINGLE)
        with pytest.raises(StoreUnsuitable):
            asyncio.run(works(url))
        known(one, DATABASE)
        asyncio.run(works(url))


def test_a_user_of_a_cluster(tmp_path: Path) -> None:
    """It needs to be told where slots are, and to follow one that moves."""
    with cluster(tmp_path) as nodes:
        url = f"valkey+cluster://app:geheim@127.0.0.1:{nodes[0].port}"
        for node in nodes:
            known(node, SINGLE)
        with pytest.raises(StoreUnsuitable, match="NOPERM"):
            asyncio.run(works(url))
        for node in nodes:
            known(node, CLUSTER)
        asyncio.run(works(url))
        assert not refused(nodes[0], "ASKING")


def test_a_user_of_a_sentinel(tmp_path: Path) -> None:
    """It may ask for the master, which has a user of its own."""
    for name in ("master", "sentinel"):
        (tmp_path / name).mkdir()
    with (
        server(tmp_path / "master") as master,
        sentinel(tmp_path / "sentinel", master) as asked,
    ):
        known(master, SINGLE)
        known(asked, SENTINEL)
        own = "sentinel_user=app&sentinel_password=geheim"
        asyncio.run(works(f"valkey+sentinel://app:geheim@127.0.0.1:{asked.port}/main?{own}"))
        assert refused(asked, "SENTINEL", "REMOVE", "main")
