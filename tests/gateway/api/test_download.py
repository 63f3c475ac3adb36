"""A result on its way to a reader that has stopped reading: it counts, and goes with its session."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from starlette.types import Message

from gateway.hangup import EXTENSION
from gateway.tasks.recipes import recipe
from tests.gateway.api.test_tasks import SESSIONS, TASKS, play
from tests.gateway.inprocess import Node, settle
from tests.gateway.tasks.test_service import HandExecutor


class Stalled:
    """A reader that takes the head and one piece, and then nothing more."""

    def __init__(self, one: Node, path: str) -> None:
        self.taken: list[Message] = []
        self.hung_up = False
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1:8522")],
            "scheme": "http",
            "root_path": "",
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8522),
            "extensions": {EXTENSION: self.hang_up},
        }
        self.answering = asyncio.create_task(one.app(scope, self.receive, self.send))

    def hang_up(self) -> None:
        """The server drops the connection."""
        self.hung_up = True

    async def receive(self) -> Message:
        """The request has no body; the peer stays."""
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        """Its buffers are full from the second piece on."""
        self.taken.append(message)
        if len(self.taken) > 2:
            await asyncio.Event().wait()


@contextmanager
def uncollected() -> Iterator[None]:
    """What goes within goes by itself."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def stalled(
    client: httpx.AsyncClient, session_id: str, hand: HandExecutor, one: Node
) -> tuple[str, Stalled]:
    """A task of several pieces, and one who reads the first of them."""
    wanted = recipe("summary", None)
    object.__setattr__(wanted, "write", lambda _: (b"x" * 100_000 for _ in range(4)))
    task = one.gateway.tasks.submit(session_id, wanted, None)
    await settle()
    hand.work()
    await settle()
    reader = Stalled(one, f"{TASKS}/{task.id}/result")
    await settle()
    assert [message["type"] for message in reader.taken] == [
        "http.response.start",
        *["http.response.body"] * 2,
    ]
    return task.id, reader


def test_a_removed_result_counts_while_somebody_reads_it() -> None:
    """Removing the task doesn't break off the download; the bytes are given back when the reader goes."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, one: Node) -> None:
        task_id, reader = await stalled(client, session_id, hand, one)
        assert (await client.delete(f"{TASKS}/{task_id}")).status_code == 200
        await settle()
        assert one.gateway.tasks.result_bytes == 400_000
        assert not reader.answering.done()
        reader.answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader.answering
        assert one.gateway.tasks.result_bytes == 0

    play(scene)


def test_deleting_the_session_ends_its_downloads() -> None:
    """The connection is dropped, the rest is never sent, and nothing of the result is left."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, one: Node) -> None:
        task_id, reader = await stalled(client, session_id, hand, one)
        kept = weakref.ref(one.gateway.tasks._kept(task_id))
        with uncollected():
            assert (await client.delete(f"{SESSIONS}/{session_id}")).status_code == 200
            async with asyncio.timeout(5):
                await reader.answering
            assert (reader.hung_up, len(reader.taken)) == (True, 3)
            assert one.gateway.tasks.result_bytes == 0
            reader.answering = asyncio.create_task(asyncio.sleep(0))
            await settle()
            assert kept() is None

    play(scene)


def test_who_reads_on_gets_all_of_it() -> None:
    """Nothing is dropped then, and nobody is counted as a reader any more."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, one: Node) -> None:
        task_id, reader = await stalled(client, session_id, hand, one)
        answer = await client.get(f"{TASKS}/{task_id}/result")
        assert answer.content == b"x" * 400_000
        assert answer.headers["content-length"] == "400000"
        reader.answering.cancel()
        await settle()
        assert (await client.delete(f"{TASKS}/{task_id}")).status_code == 200
        assert one.gateway.tasks.result_bytes == 0

    play(scene)
