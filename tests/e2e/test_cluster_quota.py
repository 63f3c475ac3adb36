"""However many ask at once, and wherever, exactly as many sessions come about as there is room for."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from gateway.sessions.keys import Keyring
from gateway.sessions.limits import Limits
from gateway.stores.keyfile import save
from tests.e2e.cluster import KINDS, cluster
from tests.e2e.wire import run

REQUESTS = 1_000
AT_ONCE = 100
"""Connections to each node."""
LIMIT = 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_race_for_the_last_places(kind: str, tmp_path: Path) -> None:
    """A thousand requests at two nodes for five places: five are let in, all others hear 429. Once one of
    the five has gone there is room for one."""
    path = tmp_path / "namespaces.toml"
    ring, key = Keyring().with_key("mine", time.time(), Limits(max_sessions=LIMIT))
    save(path, ring)
    with cluster(kind, 2, NAMESPACES_FILE=str(path)) as pair:

        async def main() -> None:
            limits = httpx.Limits(max_connections=AT_ONCE)
            headers = {"authorization": f"Bearer {key.bearer}"}
            clients = [
                httpx.AsyncClient(
                    base_url=node.url, headers=headers, limits=limits, trust_env=False, timeout=90
                )
                for node in pair.nodes
            ]

            async def race(requests: int) -> list[httpx.Response]:
                asked = [clients[n % 2].post("/api/v1/sessions") for n in range(requests)]
                return await asyncio.gather(*asked)

            answers = await race(REQUESTS)
            assert Counter(one.status_code for one in answers) == {201: LIMIT, 429: REQUESTS - LIMIT}
            assert all("retry-after" in one.headers for one in answers if one.status_code == 429)
            made = [one.json()["id"] for one in answers if one.status_code == 201]
            gone = await clients[0].delete(f"/api/v1/sessions/{made[0]}")
            assert gone.status_code == 200
            again = Counter(one.status_code for one in await race(40))
            assert again == {201: 1, 429: 39}
            for client in clients:
                await client.aclose()

        run(main(), 110)
