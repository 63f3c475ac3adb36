"""What an application keeps with its sessions and says about them, and how answers are to be cached."""

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.api.keyed import PATH, Keyed, play
from tests.gateway.inprocess import Peer


def test_checkpoints_heartbeats_and_what_an_application_keeps(tmp_path: Path) -> None:
    """They come back as they were given; a list is without what may be long."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            given = {"metadata": {"ticket": 7, "tags": ["a"]}, "context": {"topic": "refund"}}
            made = (await client.post(PATH, json=given)).json()
            assert {name: made[name] for name in given} == given
            one = f"{PATH}/{made['id']}"
            peer = await keyed.node.connect(Peer(f"session_id={made['id']}", made["ticket"]))
            await peer.speak(bytes(3_200))
            keyed.node.clock.advance(1)
            set_ = await client.post(f"{one}/checkpoints", json={"name": "offer", "data": {"n": 1}})
            assert (set_.status_code, set_.json()["sample"], set_.json()["data"]) == (201, 1_600, {"n": 1})
            points = (await client.get(f"{one}/checkpoints")).json()["checkpoints"]
            assert [point["name"] for point in points] == ["created", "connected", "offer"]
            shown = (await client.get(one)).json()
            assert (shown["checkpoints"], shown["heartbeat_at"]) == (points, None)
            beat = (await client.post(f"{one}/heartbeat")).json()
            assert (beat["session_id"], beat["status"]) == (made["id"], "live")
            assert (await client.get(one)).json()["heartbeat_at"] == beat["heartbeat_at"]
            (listed,) = (await client.get(PATH)).json()["sessions"]
            assert not {"metadata", "context", "checkpoints"} & set(listed)

    play(tmp_path, scenario)


def test_heartbeats_keep_a_quiet_session_from_being_idle(tmp_path: Path) -> None:
    """As a ping does."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            made = (await client.post(PATH)).json()
            peer = await keyed.node.connect(Peer(f"session_id={made['id']}", made["ticket"]))
            for _ in range(3):
                keyed.node.clock.advance(200)
                assert (await client.post(f"{PATH}/{made['id']}/heartbeat")).status_code == 200
                await keyed.node.reap()
            assert not peer.errors
            keyed.node.clock.advance(300)
            await keyed.node.reap()
            assert (peer.errors, peer.closed) == (["idle_timeout"], 4004)
            late = await client.post(f"{PATH}/{made['id']}/heartbeat")
            assert (late.status_code, late.json()["code"]) == (410, "session_closed")

    play(tmp_path, scenario)


def _nested(levels: int) -> dict[str, Any]:
    return {"a": _nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("", {"metadata": 7}, "/metadata"),
        ("", {"metadata": ["a"]}, "/metadata"),
        ("", {"context": "refund"}, "/context"),
        ("", {"metadata": {"a": "x" * 4_096}}, "/metadata"),
        ("", {"metadata": _nested(8)}, "/metadata"),
        ("", {"context": _nested(900)}, "/context"),
        ("", {"agent_type": 7}, "/agent_type"),
        ("", {"agent_type": "a", "device_type": "b"}, "/agent_type"),
        ("", {"hop_ms": "1000"}, "/hop_ms"),
        ("", {"a/b~c": 1}, "/a~1b~0c"),
        ("/checkpoints", {}, "/name"),
        ("/checkpoints", {"name": 7}, "/name"),
        ("/checkpoints", {"name": "Offer"}, "/name"),
        ("/checkpoints", {"name": "a" * 65}, "/name"),
        ("/checkpoints", {"name": "resumed"}, "/name"),
        ("/checkpoints", {"name": "offer", "data": 7}, "/data"),
        ("/checkpoints", {"name": "offer", "data": {"a": "x" * 1_024}}, "/data"),
        ("/checkpoints", {"name": "offer", "at": 7}, "/at"),
        ("/heartbeat", {"now": 7}, "/now"),
        ("/tasks", {"type": "nap"}, "/type"),
        ("/tasks", {"type": "export", "options": 7}, "/options"),
        ("/tasks", {"type": "export", "options": {"format": "mp3"}}, "/options/format"),
        ("/tasks", {"type": "export", "options": {"a/b~c": 7}}, "/options/a~1b~0c"),
        ("/tasks", {"type": "export", "options.format": "csv"}, "/options.format"),
    ],
)
def test_a_wrong_field_is_pointed_at(tmp_path: Path, path: str, body: dict[str, Any], pointer: str) -> None:
    """RFC 6901, in the problem that names it."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            one = f"{PATH}/{(await client.post(PATH)).json()['id']}" if path else PATH
            answer = await client.post(one + path, json=body)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "invalid_field")
        assert problem["pointer"] == pointer

    play(tmp_path, scenario)


def test_objects_up_to_the_bound_are_kept(tmp_path: Path) -> None:
    """Eight levels, and 4 KiB."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            for kept in (_nested(7), {"a": "x" * (4_096 - 8)}, {"": None}):
                answer = await client.post(PATH, json={"metadata": kept, "context": None})
                assert (answer.status_code, answer.json()["metadata"]) == (201, kept)
                assert answer.json()["context"] == {}

    play(tmp_path, scenario)


def test_head_is_where_get_is_and_nothing_is_cached(tmp_path: Path) -> None:
    """Without a body; a stream is not begun for it."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            one = f"{PATH}/{(await client.post(PATH)).json()['id']}"
            paths = ("/healthz", "/readyz", "/metrics", PATH, one, f"{one}/stats", f"{one}/history")
            for path in (*paths, f"{one}/checkpoints", f"{one}/events"):
                answer = await client.head(path)
                assert answer.status_code in (200, 503), path
                assert answer.headers["cache-control"] == "no-store", path
            assert (await client.head(f"{PATH}/nobody")).headers["cache-control"] == "no-store"
            assert (await client.head(f"{PATH}/nobody/events")).status_code == 404
            assert keyed.node.gateway.live.get(one.rpartition("/")[2]) is None

    play(tmp_path, scenario)
