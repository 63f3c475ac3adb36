"""Sessions at a node that doesn't hold them: read by sockets, event streams and REST, and deleted."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import httpx
import pytest
from websockets.asyncio.client import ClientConnection as Socket

from protocol.audio import AudioFormat
from protocol.codec import decode_event
from protocol.events import DurableEvent, Flow, Flushed, Summary, Welcome
from protocol.version import Encoding
from tests.chaos.callers import Voice
from tests.e2e.cluster import VALKEY, Cluster, asked, cluster, eventually, in_background
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import dial, errors, only, rest, run, say, seqs, until, welcomed

SESSIONS = "/api/v1/sessions"
VOICE = Voice(AudioFormat(sample_rate=16_000))
FRAME = 3_200
"""Samples of 200 ms."""
SHORT: dict[str, object] = {"window_ms": 500, "hop_ms": 500}
SOON_S = 5.0


@pytest.fixture(scope="module")
def pair() -> Iterator[Cluster]:
    """Two nodes."""
    with cluster(VALKEY, 2) as made:
        yield made


def words(frames: int) -> bytes:
    """So many frames of speech."""
    return VOICE.pcm(0, frames * FRAME)


async def talk(socket: Socket) -> None:
    """Speak in real time until the connection ends."""
    with contextlib.suppress(Exception):
        for at in count(0, FRAME):
            await socket.send(VOICE.pcm(at, at + FRAME))
            await asyncio.sleep(0.2)


class Stream:
    """An observer over server-sent events."""

    def __init__(self, node: GatewayProcess, session_id: str, last: str | None = None) -> None:
        self._url = f"{node.url}{SESSIONS}/{session_id}/events"
        self._last = last
        self.events: list[DurableEvent] = []
        self.ids: list[str] = []
        self.recovered: bool | None = None
        self.status = 0

    async def read(self) -> None:
        """Until it ends."""
        headers = {} if self._last is None else {"last-event-id": self._last}
        async with (
            httpx.AsyncClient(trust_env=False, timeout=30) as client,
            client.stream("GET", self._url, headers=headers) as said,
        ):
            self.status = said.status_code
            async for line in said.aiter_lines():
                self._take(line)

    def _take(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            self.ids.append(value)
        elif name == "data":
            event = decode_event(value, Encoding.JSON) if '"protocol"' in value or '"seq"' in value else None
            if isinstance(event, DurableEvent):
                self.events.append(event)
            elif self.recovered is None:
                self.recovered = '"recovered":true' in value

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.events]


def test_many_who_begin_at_once_all_begin_right(pair: Cluster) -> None:
    """Twenty observers of a session at the other node, at the same moment, none of whom has read it there
    before; each goes on from event 1, in the epoch that there is."""
    here, there = pair.nodes

    async def main() -> None:
        async with dial(here, SHORT) as owner:
            welcome = await welcomed(owner)
            async with in_background(talk(owner)):
                await asyncio.sleep(2.5)
                asks = {"session_id": welcome.session_id, "role": "observer"}
                asks |= {"after": "1", "epoch": welcome.epoch}
                async with contextlib.AsyncExitStack() as stack:
                    opened = [stack.enter_async_context(dial(there, dict(asks))) for _ in range(20)]
                    observers = await asyncio.gather(*opened)
                    told = await asyncio.gather(*(welcomed(one) for one in observers))
                    assert {one.epoch for one in told} == {welcome.epoch}
                    assert {one.recovered for one in told} == {True}
                    await say(owner, "end")
                    heard = [await rest(one) for one in observers]
                    numbers = {tuple(seqs(events)) for events, _ in heard}
                    assert len(numbers) == 1, numbers
                    (one,) = numbers
                    assert one == tuple(range(2, len(one) + 2))
                    assert {code for _, code in heard} == {1000}

    run(main())


def test_an_owner_who_comes_while_observers_begin(pair: Cluster) -> None:
    """Again and again an owner goes to the other node at the moment when observers come there: each of them
    is let in, and hears all to the summary."""

    async def once(turn: int) -> None:
        here, there = pair.nodes if turn % 2 else reversed(pair.nodes)
        async with dial(here, SHORT) as first:
            welcome = await welcomed(first)
            asks: dict[str, object] = {"session_id": welcome.session_id, "role": "observer", "after": "0"}
            await first.send(words(5))
            again: dict[str, object] = {
                "session_id": welcome.session_id,
                "after": "0",
                "epoch": welcome.epoch,
            }
            async with contextlib.AsyncExitStack() as stack:
                dials = [dial(there, asks), dial(there, again), dial(there, asks)]
                one, second, other = await asyncio.gather(*map(stack.enter_async_context, dials))
                gone = await welcomed(second)
                _, code = await rest(first)
                assert code == 4005
                await second.send(words(10))
                await say(second, "end")
                numbers = seqs((await rest(second))[0])
                for watcher in (one, other):
                    heard, code = await rest(watcher)
                    assert isinstance(heard[0], Welcome), heard[0]
                    assert code == 1000
                    assert seqs(heard) == numbers
                assert gone.epoch == welcome.epoch

    async def main() -> None:
        for turn in range(12):
            await once(turn)

    run(main(), 60)


def test_a_recording_goes_where_it_is_observed(pair: Cluster) -> None:
    """Its owner moves to a node where somebody reads it already, and back: the credit that it is told of is
    that of its audio, whoever reads meanwhile."""

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(dial(pair.nodes[0], SHORT | {"delivery": "lossless"}))
            welcome = await welcomed(first)
            asks: dict[str, object] = {"session_id": welcome.session_id, "role": "observer", "after": "0"}
            resumes: dict[str, object] = {"session_id": welcome.session_id, "after": "0"}
            for node in pair.nodes:
                watcher = await stack.enter_async_context(dial(node, asks))
                stack.enter_context(contextlib.closing(reading(watcher)))
            await first.send(words(8))
            await until(first, Flow)
            at, owner = 8 * FRAME, first
            for node in (*reversed(pair.nodes), pair.nodes[1]):
                before, owner = owner, await stack.enter_async_context(dial(node, resumes))
                again = await welcomed(owner)
                await rest(before)
                assert again.next_sample <= at
                for start in range(again.next_sample, at + 15 * FRAME, FRAME):
                    await owner.send(VOICE.pcm(start, start + FRAME))
                    await asyncio.sleep(0.08)
                at = start + FRAME
                await say(owner, "flush")
                flows = [event for event in await until(owner, Flushed) if isinstance(event, Flow)]
                told = [(one.received, one.limit or 0) for one in flows]
                assert told == sorted(told)
                assert min(told)[0] >= again.next_sample
            await say(owner, "end")
            assert only((await rest(owner))[0], Summary).classified_samples == at

    run(main())


def reading(socket: Socket) -> "Reading":
    """Have everything read that comes."""
    return Reading(asyncio.ensure_future(rest(socket)))


@dataclass
class Reading:
    """Goes on until it is closed."""

    task: "asyncio.Future[object]"

    def close(self) -> None:
        """Read no more."""
        self.task.cancel()


def test_rest_at_any_node(pair: Cluster) -> None:
    """A session, its statistics and its history, asked for where it is not held, while it goes on."""
    here, there = pair.nodes

    async def main() -> None:
        async with dial(here, SHORT) as owner:
            session_id = (await welcomed(owner)).session_id
            async with in_background(talk(owner)):
                heard = await until(owner, Flow)
                await asyncio.sleep(2.0)
                path = f"{there.url}{SESSIONS}/{session_id}"
                one = (await asked(path)).json()
                assert (one["id"], one["status"]) == (session_id, "live")
                history = (await asked(f"{path}/history")).json()
                assert [event["seq"] for event in history["events"]][:1] == [1]
                assert history["truncated"] is False
                stats = (await asked(f"{path}/stats")).json()
                assert stats["received_samples"] >= 16_000
                assert stats["next_sample"] == stats["classified_samples"] + stats["gap_samples"]
                listed = (await asked(f"{there.url}{SESSIONS}?status=live")).json()
                assert session_id in [found["id"] for found in listed["sessions"]]
                assert heard
                await say(owner, "end")
                heard, code = await rest(owner)
            assert code == 1000
            summary = only(heard, Summary)
            history = (await asked(f"{path}/history")).json()
            assert [event["seq"] for event in history["events"]] == list(range(1, summary.seq + 1))
            assert (await asked(path)).json()["status"] == "closed"
            assert (await asked(f"{path}/stats")).json()["classified_samples"] == summary.classified_samples

    run(main())


def test_an_event_stream_moves_from_node_to_node(pair: Cluster) -> None:
    """Read at the other node from the first event on, left, and gone on with at the owner's node and back at
    the other one by `Last-Event-ID`: every event once."""
    here, there = pair.nodes

    async def main() -> None:
        async with dial(here, SHORT) as owner:
            session_id = (await welcomed(owner)).session_id
            parts: list[Stream] = []
            async with in_background(talk(owner)):
                for node in (there, here, there):
                    last = parts[-1].ids[-1] if parts else None
                    parts.append(Stream(node, session_id, last))
                    async with in_background(parts[-1].read()):
                        await eventually(lambda: len(parts[-1].events) >= 2, SOON_S, "reading two events")
                parts.append(Stream(there, session_id, parts[-1].ids[-1]))
                async with in_background(parts[-1].read()) as reading:
                    await say(owner, "end")
                    await rest(owner)
                    await asyncio.wait_for(reading[0], SOON_S)
            numbers = [seq for part in parts for seq in part.seqs]
            assert numbers == list(range(1, len(numbers) + 1))
            assert isinstance(parts[-1].events[-1], Summary)
            assert [part.recovered for part in parts] == [False, True, True, True]
            over = Stream(there, session_id, parts[-1].ids[-1])
            await over.read()
            assert over.status == 204

    run(main())


@pytest.mark.parametrize("talks", [True, False], ids=["talking", "silent"])
def test_a_session_is_deleted_at_another_node(pair: Cluster, talks: bool) -> None:
    """Its owner is told and closed soon, whether it speaks or not, and so is who reads it at either node;
    then it is nowhere."""
    here, there = pair.nodes

    async def main() -> None:
        async with dial(here, SHORT) as owner:
            session_id = (await welcomed(owner)).session_id
            await owner.send(words(6))
            asks: dict[str, object] = {"session_id": session_id, "role": "observer"}
            async with (
                dial(here, asks) as beside,
                dial(there, asks) as far,
                in_background(*([talk(owner)] if talks else [])),
            ):
                await asyncio.sleep(1.0)
                answer = await asked(f"{there.url}{SESSIONS}/{session_id}", "DELETE")
                assert answer.status_code == 200
                for one in (owner, beside, far):
                    heard, code = await asyncio.wait_for(rest(one), SOON_S)
                    assert code == 4004, heard
                    assert errors(heard) == ["session_not_found"]
            for node in (here, there):
                assert (await asked(f"{node.url}{SESSIONS}/{session_id}")).status_code == 404
            async with dial(here, {"session_id": session_id, "after": "0"}) as back:
                assert (await rest(back))[1] == 4004

    run(main())


def test_a_task_is_known_wherever_it_was_asked_for(pair: Cluster) -> None:
    """A report on a session that another node holds: made from the shared history, and found at either."""
    here, there = pair.nodes

    async def main() -> None:
        async with dial(here, SHORT) as owner:
            session_id = (await welcomed(owner)).session_id
            await owner.send(words(10))
            await say(owner, "end")
            await rest(owner)
            path = f"{SESSIONS}/{session_id}/tasks"
            made = await asked(f"{there.url}{path}", "POST", json={"type": "summary"})
            assert made.status_code in (201, 202), made.text
            task = f"/api/v1/tasks/{made.json()['id']}"

            async def ready() -> bool:
                return bool((await asked(f"{there.url}{task}")).json()["state"] == "ready")

            await eventually(ready, SOON_S, "the task")
            result = await asked(f"{there.url}{task}/result")
            assert result.status_code == 200
            assert (await asked(f"{here.url}{task}")).json()["state"] == "ready"
            assert (await asked(f"{here.url}{task}/result")).content == result.content

    run(main())
