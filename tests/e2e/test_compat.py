"""Versions that meet: an old client and a newer node, a newer client and this node, all of protocol v1.

What a client doesn't know it ignores; what a node doesn't know it refuses, typed and without harm, so that
nobody takes a misspelling for a default.
"""

import asyncio
import json
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import msgpack  # type: ignore[import-untyped]
import pytest
from websockets.asyncio.client import ClientConnection as Socket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from protocol.backoff import Backoff
from protocol.client import SessionGone
from protocol.client import connect as connect_client
from protocol.codec import decode_control, decode_event
from protocol.control import CONTROLS
from protocol.events import Event, SensedEvent, Summary, UnknownEvent
from protocol.version import Encoding
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess
from tests.protocol import loopback
from tests.vectors import messages
from tests.vectors.regenerate import HERE as VECTORS

LATER = {"since_v1_9": {"a": [1, 2.5, None, "x"]}, "mood": "hopeful", "": True}
"""Keys of a later version."""


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(VECTORS / name).read_text(encoding="utf-8"))
    return found


def packed(wire: dict[str, Any], encoding: Encoding) -> bytes | str:
    """A message as a later node would write it."""
    if encoding is Encoding.JSON:
        return json.dumps(wire)
    data: bytes = msgpack.packb(wire)
    return data


# This client and a newer node -------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("vector", vectors("events.json"), ids=lambda vector: str(vector["name"]))
def test_unknown_keys_change_no_event(vector: dict[str, Any], encoding: Encoding) -> None:
    """Each golden event with keys of a later version, in any order, says what it said without them."""
    known = messages.EVENTS[vector["name"]]
    later = dict(reversed([*vector["fields"].items(), *LATER.items()]))
    read = decode_event(packed(later, encoding), encoding)
    if isinstance(known, SensedEvent):
        assert isinstance(read, SensedEvent)
        assert read.extra == {**known.extra, **LATER}
        read = decode_event(packed({**vector["fields"]}, encoding), encoding)
    assert read == known


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_newer_nodes_news_is_passed_over(encoding: Encoding) -> None:
    """Unknown types, labels, reasons and codes reach the user as such; nothing counts as missed."""
    said: list[dict[str, Any]] = [
        {"type": "aura", "seq": 1, "colour": "green"},
        {"type": "weather", "nothing": "durable"},
        {**wire("gap"), "seq": 2, "reason": "solar_flare"},
        {**wire("tone"), "seq": 3, "label": "Wistful", "shift_direction": "sideways"},
        {**wire("queue"), "seq": 4, "label": "parked"},
        {**wire("flow"), "state": "dreaming"},
        {**wire("error"), "code": "too_quiet", "advice": "speak up"},
        {**wire("drain"), "reconnect_urls": ["a", "b"]},
        {**wire("summary"), "seq": 5, **LATER},
    ]

    async def script(peer: loopback.Peer) -> None:
        await peer.socket.send(packed({**wire("welcome"), **LATER, "limits": {"auras": 7}}, encoding))
        for event in said:
            await peer.socket.send(packed(event, encoding))
        await peer.close(1000)

    async def main() -> None:
        seen: list[Event | UnknownEvent] = []
        async with (
            loopback.gateway(script) as url,
            connect_client(url, encoding=encoding) as client,
        ):
            assert client.welcome.limits["auras"] == 7
            await loopback.collect(client, seen)
            assert (client.missed, client.resumes, client.close_code) == (0, 0, 1000)
        assert [event.type for event in seen] == [event["type"] for event in said]
        assert isinstance(seen[-1], Summary)
        strange = [event.type for event in seen if isinstance(event, UnknownEvent)]
        assert strange == ["aura", "weather", "gap", "tone", "queue", "flow"]

    loopback.run(main())


@pytest.mark.parametrize(("code", "comes_back"), [(4050, False), (4099, False), (4150, True), (4199, True)])
def test_a_close_code_of_a_later_version_counts_by_its_range(code: int, comes_back: bool) -> None:
    """4000 to 4099: don't come back unchanged. 4100 to 4199: come back with resume."""
    sockets = 0

    async def script(peer: loopback.Peer) -> None:
        nonlocal sockets
        sockets += 1
        await peer.say(loopback.WELCOME)
        if sockets == 1:
            await peer.close(code)
            return
        await peer.say(loopback.SUMMARY)
        await peer.close(1000)

    async def main() -> None:
        async with (
            loopback.gateway(script) as url,
            connect_client(url, backoff=Backoff(base_s=0.01)) as client,
        ):
            if comes_back:
                await loopback.collect(client, [])
            else:
                with pytest.raises(SessionGone) as gone:
                    await loopback.collect(client, [])
                assert gone.value.code == code
            assert client.resumes == comes_back

    loopback.run(main())
    assert sockets == 1 + comes_back


def wire(kind: str) -> dict[str, Any]:
    """A golden event's map."""
    found: dict[str, Any] = next(one["fields"] for one in vectors("events.json") if one["name"] == kind)
    return dict(found)


# An old client and this node --------------------------------------------------------------------------------


class OldClient:
    """Knows `tone`, `queue` and `summary`, sends audio and `end`; it has never heard of anything else."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.known: list[dict[str, Any]] = []
        self.strange: set[str] = set()

    async def listen(self) -> int:
        """Until the close; its code."""
        try:
            while True:
                event = json.loads(await self.socket.recv())
                if event["type"] in ("tone", "queue", "summary"):
                    self.known.append(event)
                else:
                    self.strange.add(event["type"])
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


def dial(
    gateway: GatewayProcess, query: str = "", offered: Iterable[str] = ("undertone.v1.json",)
) -> connect:
    names = [Subprotocol(one) for one in offered]
    return connect(gateway.ws_url + query, subprotocols=names, compression=None, proxy=None)


def test_a_client_that_knows_little_gets_its_whole_account(gateway: GatewayProcess) -> None:
    """No `welcome`, `flow` or `speaker` understood, nothing acknowledged: the samples add up all the same."""

    async def main() -> None:
        async with asyncio.timeout(20), dial(gateway) as socket:
            client = OldClient(socket)
            listening = asyncio.create_task(client.listen())
            audio = pcm(speech()[: 16_000 * 3])
            for start in range(0, len(audio), 3_200):
                await socket.send(audio[start : start + 3_200])
            await socket.send('{"type":"end"}')
            assert await listening == 1000
        summary = client.known[-1]
        assert {"welcome", "flow"} <= client.strange
        assert (summary["type"], summary["next_sample"], summary["pending_samples"]) == ("summary", 48_000, 0)
        assert summary["classified_samples"] + summary["gap_samples"] == 48_000

    asyncio.run(main())


def test_a_client_that_knows_no_drain_is_told_by_the_close(launch: Callable[..., GatewayProcess]) -> None:
    """It has never heard of `drain`, and comes back because 1012 says so; the node's end isn't held up."""
    running = launch(TRANSCRIBER="none")

    async def main() -> None:
        async with asyncio.timeout(20), dial(running) as socket:
            client = OldClient(socket)
            await socket.send(bytes(32_000))
            listening = asyncio.create_task(client.listen())
            while "welcome" not in client.strange:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
            running.process.send_signal(signal.SIGTERM)
            assert await listening == 1012
            assert "drain" in client.strange

    asyncio.run(main())
    assert running.stop() == 0


# A newer client and this node -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["undertone.v2.msgpack", "undertone.v1.json"], "undertone.v1.json"),
        (["undertone.v1.cbor", "undertone.v2.json", "undertone.v1.msgpack"], "undertone.v1.msgpack"),
        (["undertone.v1.json", "undertone.v1.msgpack"], "undertone.v1.json"),
    ],
)
def test_a_newer_client_that_offers_v1_too_gets_it(
    gateway: GatewayProcess, offered: list[str], chosen: str
) -> None:
    """The first of its list that this node knows."""

    async def main() -> str | None:
        async with asyncio.timeout(20), dial(gateway, offered=offered) as socket:
            await socket.recv()
            return socket.subprotocol

    assert asyncio.run(main()) == chosen


def told(gateway: GatewayProcess, text: str, query: str = "") -> list[dict[str, Any]]:
    """What is said between `text` and the answer to the ping after it, `welcome` and flows left out."""

    async def main() -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []
        async with asyncio.timeout(20), dial(gateway, query) as socket:
            await socket.send(text)
            await socket.send('{"type":"ping","t":"after"}')
            while not heard or heard[-1] != {"type": "pong", "t": "after"}:
                heard.append(json.loads(await socket.recv()))
        return [event for event in heard[:-1] if event["type"] not in ("welcome", "flow")]

    return asyncio.run(main())


@pytest.mark.parametrize(
    "kind", ["whisper", "Ping", "PING", "pong", "welcome", "", "x" * 500, "configure ", "flush\n"]
)
def test_unknown_controls_are_refused_by_name(gateway: GatewayProcess, kind: str) -> None:
    """Typed, with the name as far as it is short, not fatal; all that this node knows is listed."""
    (error,) = told(gateway, json.dumps({"type": kind, "loud": True}))
    assert (error["type"], error["code"], error["fatal"]) == ("error", "unknown_message", False)
    assert error["param"] == kind[:64]
    assert all(name in error["message"] for name in CONTROLS)


@pytest.mark.parametrize("vector", vectors("controls.json"), ids=lambda vector: str(vector["name"]))
def test_a_control_with_a_later_field_is_refused_whole(
    gateway: GatewayProcess, vector: dict[str, Any]
) -> None:
    """`invalid_field`, naming it; nothing of the message is done: no gap, no reply, no end."""
    assert decode_control(vector["json"]) == messages.CONTROLS[vector["name"]]
    (error,) = told(gateway, json.dumps({**vector["fields"], "since_v1_9": 1}))
    assert (error["type"], error["code"], error["fatal"]) == ("error", "invalid_field", False)
    assert error["param"] == "since_v1_9"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"features": ["tone", "aura"]}, "features"),
        ({"delivery": "eventually"}, "delivery"),
        ({"hop_ms": "auto"}, "hop_ms"),
    ],
)
def test_a_later_value_is_refused_by_its_field(
    gateway: GatewayProcess, fields: dict[str, Any], param: str
) -> None:
    """And what came with it is not done either: `configured` never lies."""
    (error,) = told(gateway, json.dumps({"type": "configure", "elcor": True, **fields}))
    assert (error["type"], error["code"], error["param"]) == ("error", "invalid_field", param)


@pytest.mark.parametrize(
    "query", ["?codec=opus", "?role=observer&SESSION_ID=x", "?After=1", "?ticket=abc", "?epoch=a&Epoch=b"]
)
def test_a_later_query_parameter_is_refused_by_name(gateway: GatewayProcess, query: str) -> None:
    """4008 after an `error` that names it; no session is made."""

    async def main() -> tuple[dict[str, Any], int]:
        async with asyncio.timeout(20), dial(gateway, query) as socket:
            error = json.loads(await socket.recv())
            return error, await OldClient(socket).listen()

    error, code = asyncio.run(main())
    assert (error["code"], error["fatal"], code) == ("invalid_field", True, 4008)
    assert error["param"] in query


def test_a_later_body_field_is_refused_by_name(gateway: GatewayProcess) -> None:
    """422, and no session is made."""
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        answer = client.post("/api/v1/sessions", json={"device_type": "later", "codec": "opus"})
        assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (
            422,
            "invalid_field",
            "codec",
        )
        assert client.get("/api/v1/sessions", params={"device_type": "later"}).json()["sessions"] == []
