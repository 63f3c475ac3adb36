"""A gateway with keys in this process, for tests that look at who is let in."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from gateway.sessions.keys import Keyring, NewKey
from gateway.sessions.limits import Limits
from gateway.stores.keyfile import LOOK_S, save
from tests.gateway.inprocess import Node, node

PATH = "/api/v1/sessions"
NOW = 1_700_000_000.0

Scenario = Callable[["Keyed"], Awaitable[None]]


class Keyed:
    """A gateway with two namespaces, and a client for each of them and for nobody."""

    def __init__(self, folder: Path, limits: Limits, **settings: Any) -> None:
        self.path = folder / "namespaces.toml"
        ring, self.mine = Keyring().with_key("mine", NOW, limits)
        self.ring, self.theirs = ring.with_key("theirs", NOW)
        save(self.path, self.ring)
        self.node: Node = node(namespaces_file=str(self.path), **settings)

    def client(self, key: NewKey | None = None) -> httpx.AsyncClient:
        """Who presents `key`."""
        headers = {"authorization": f"Bearer {key.bearer}"} if key is not None else {}
        transport = httpx.ASGITransport(self.node.app)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8522", headers=headers)

    def replace(self, ring: Keyring) -> None:
        """Change the file, and let the time pass until it is looked at."""
        self.ring = ring
        save(self.path, ring)
        self.node.clock.advance(LOOK_S)


def play(folder: Path, scenario: Scenario, limits: Limits | None = None, **settings: Any) -> None:
    """Run `scenario` on a gateway of its own."""

    async def main() -> None:
        keyed = Keyed(folder, limits or Limits(), **settings)
        try:
            await scenario(keyed)
        finally:
            await keyed.node.aclose()

    asyncio.run(main())
