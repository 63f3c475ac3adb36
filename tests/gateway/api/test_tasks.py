"""Tasks over REST without a socket: each state is held by hand, so what is answered in it can be seen."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import httpx

from gateway import app
from gateway.tasks.service import TaskService
from tests.gateway.inprocess import Node, node, settle
from tests.gateway.tasks.test_service import HandExecutor

SESSIONS = "/api/v1/sessions"
TASKS = "/api/v1/tasks"

Scene = Callable[[httpx.AsyncClient, str, HandExecutor, Node], Awaitable[None]]


def play(scene: Scene, **settings: Any) -> None:
    """Run `scene` with a client, a session and the hand that does the work."""

    async def main() -> None:
        executor = HandExecutor()
        with patch.object(app, "TaskService", partial(TaskService, executor=executor)):
            one = node(**settings)
        transport = httpx.ASGITransport(app=one.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8522") as client:
            session_id = (await client.post(SESSIONS)).json()["id"]
            await scene(client, session_id, executor, one)
        closing = asyncio.create_task(one.aclose())
        await settle()
        while executor.jobs:
            executor.work()
        await closing

    asyncio.run(main())


async def ask(client: httpx.AsyncClient, session_id: str) -> str:
    """A new task's id."""
    answer = await client.post(f"{SESSIONS}/{session_id}/tasks", json={"type": "summary"})
    assert answer.status_code == 202
    return str(answer.json()["id"])


def test_there_is_no_result_before_it_is_ready() -> None:
    """409 while it waits and while it runs, each saying so; 200 afterwards."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, _: Node) -> None:
        task_id = await ask(client, session_id)
        waiting = await ask(client, session_id)
        await settle()
        for one, state in ((task_id, "running"), (waiting, "queued")):
            assert (await client.get(f"{TASKS}/{one}")).json()["state"] == state
            refused = await client.get(f"{TASKS}/{one}/result")
            assert (refused.status_code, refused.json()["code"]) == (409, "task_not_ready")
            assert state in refused.json()["detail"]
        stats = await client.get(f"{SESSIONS}/{session_id}/stats")
        assert stats.json()["pending_tasks_count"] == 2
        hand.work()
        await settle()
        assert (await client.get(f"{TASKS}/{task_id}/result")).json()["session_id"] == session_id

    play(scene, task_workers=1)


def test_a_task_can_be_cancelled_while_it_waits_and_while_it_runs() -> None:
    """It stays to be seen as cancelled, without a result, until it is removed for good."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, _: Node) -> None:
        running, waiting = [await ask(client, session_id) for _ in range(2)]
        await settle()
        for task_id in (running, waiting):
            answer = await client.delete(f"{TASKS}/{task_id}")
            assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
            assert (await client.get(f"{TASKS}/{task_id}/result")).status_code == 409
        hand.work()
        await settle()
        assert hand.jobs == []
        cancelled = await client.get(f"{SESSIONS}/{session_id}/tasks", params={"state": "cancelled"})
        assert [task["id"] for task in cancelled.json()["tasks"]] == [running, waiting]
        assert (await client.delete(f"{TASKS}/{waiting}")).status_code == 200
        assert (await client.get(f"{TASKS}/{waiting}")).status_code == 404

    play(scene, task_workers=1)


def test_a_full_queue_refuses_and_counts_it() -> None:
    """429 with a time to come back, whichever session asks."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, one: Node) -> None:
        await ask(client, session_id)
        await settle()
        await ask(client, session_id)
        other = (await client.post(SESSIONS)).json()["id"]
        refused = await client.post(f"{SESSIONS}/{other}/tasks", json={"type": "summary"})
        assert (refused.status_code, refused.json()["code"]) == (429, "task_limit")
        assert int(refused.headers["retry-after"]) >= 1
        assert one.gateway.telemetry.refusals == {"task_limit": 1}
        text = (await client.get("/metrics")).text
        assert 'undertone_tasks{state="queued"} 1.0' in text
        assert 'undertone_tasks{state="running"} 1.0' in text

    play(scene, task_workers=1, task_queue=1)


def test_deleting_the_session_stops_its_work() -> None:
    """What runs makes nothing any more, and every address of it is a 404."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, one: Node) -> None:
        task_id = await ask(client, session_id)
        await settle()
        assert (await client.delete(f"{SESSIONS}/{session_id}")).status_code == 200
        hand.work()
        await settle()
        for path in (f"{TASKS}/{task_id}", f"{TASKS}/{task_id}/result"):
            gone = await client.get(path)
            assert (gone.status_code, gone.json()["code"]) == (404, "task_not_found")
        assert (one.gateway.tasks.running, one.gateway.tasks.result_bytes) == (0, 0)

    play(scene)


def test_a_session_that_can_t_be_read_any_more_hides_its_tasks() -> None:
    """Before the reaper comes, too: the two are asked for together."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, one: Node) -> None:
        task_id = await ask(client, session_id)
        await settle()
        hand.work()
        await settle()
        one.clock.advance(31)
        assert (await client.get(f"{TASKS}/{task_id}/result")).status_code == 200
        one.clock.advance(61)
        hidden = await client.get(f"{TASKS}/{task_id}/result")
        never = await client.get(f"{TASKS}/{'A' * 22}/result")
        assert (hidden.status_code, hidden.json()) == (never.status_code, never.json())

    play(scene, connect_deadline_s=30, closed_retention_s=60)


def test_a_result_is_kept_or_shown_as_asked() -> None:
    """A download, unless a browser is to show it; either way nothing in it may run. No other word will do."""

    async def scene(client: httpx.AsyncClient, session_id: str, hand: HandExecutor, _: Node) -> None:
        task_id = await ask(client, session_id)
        await settle()
        hand.work()
        await settle()
        result = f"{TASKS}/{task_id}/result"
        for query, begins in (
            ("", "attachment;"),
            ("?disposition=attachment", "attachment;"),
            ("?disposition=inline", "inline;"),
        ):
            answer = await client.get(result + query)
            assert answer.headers["content-disposition"].startswith(begins)
            assert "sandbox" in answer.headers["content-security-policy"]
        refused = await client.get(f"{result}?disposition=table")
        assert (refused.status_code, refused.json()["param"]) == (422, "disposition")

    play(scene, task_workers=1)
