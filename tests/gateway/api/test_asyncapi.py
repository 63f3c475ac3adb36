"""The WebSocket's description, as the gateway serves it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from gateway import build
from gateway.api import body
from protocol.events import EVENTS
from tests.gateway.api.keyed import Keyed, play
from tests.gateway.inprocess import node


def fetched(headers: dict[str, str] | None = None, **settings: Any) -> dict[str, Any]:
    """What a client without a credential is given."""

    async def main() -> dict[str, Any]:
        made = node(**settings)
        transport = httpx.ASGITransport(made.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8522") as client:
            answer = await client.get("/asyncapi.json", headers=headers)
        await made.aclose()
        assert answer.headers["content-type"] == "application/json"
        described: dict[str, Any] = answer.json()
        return described

    return asyncio.run(main())


def test_it_is_of_this_gateway() -> None:
    """Its version, its address as the client knows it, and no credential where none is needed."""
    described = fetched()
    assert (described["asyncapi"], described["info"]["version"]) == ("3.0.0", build.version())
    server = described["servers"]["gateway"]
    assert (server["host"], server["protocol"]) == ("127.0.0.1:8522", "ws")
    assert "security" not in server
    assert set(EVENTS) < set(described["components"]["messages"])


def test_behind_a_proxy_that_is_trusted_it_names_the_proxy() -> None:
    """And nobody else can make it name another."""
    said = {"forwarded": "proto=https;host=voice.example"}
    assert fetched(said)["servers"]["gateway"]["host"] == "127.0.0.1:8522"
    server = fetched(said, trusted_proxies=("127.0.0.1/32",))["servers"]["gateway"]
    assert (server["host"], server["protocol"]) == ("voice.example", "wss")


def test_with_keys_it_is_public_and_names_the_credentials(tmp_path: Path) -> None:
    """How to get in is no secret."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client() as nobody:
            answer = await nobody.get("/asyncapi.json")
        described = answer.json()
        names = [one["$ref"].rpartition("/")[2] for one in described["servers"]["gateway"]["security"]]
        assert names == list(described["components"]["securitySchemes"])

    play(tmp_path, scenario)


def test_its_query_is_the_one_that_is_taken() -> None:
    """Each parameter is known to the gateway, and no other is."""
    named = fetched()["channels"]["voice"]["bindings"]["ws"]["query"]["properties"]
    assert set(named) == body._QUERY
