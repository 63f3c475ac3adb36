"""Sessions are read whole, live or over, and one that nobody came to is read as empty."""

import json

import pytest

from gateway.errors import NotFound
from gateway.sessions.service import NewSession
from gateway.tasks.archive import Archive, basis_of
from gateway.tasks.recipes import recipe
from gateway.tasks.story import Story
from gateway.tasks.tickets import Basis
from protocol.events import Summary, Task
from tests.gateway.inprocess import Node, Peer, node, settle
from tests.gateway.sessions.kit import run


def archive(one: Node) -> Archive:
    """As the gateway has it."""
    return Archive(one.gateway.service, one.gateway.events, one.gateway.live.counts)


async def basis(one: Node, session_id: str) -> Basis:
    """What a task would be made out of that is taken on now."""
    session = await one.gateway.service.get(session_id)
    return await basis_of(session, one.gateway.events, one.gateway.live.counts_now)


async def create(one: Node) -> str:
    """A session over REST's own use case."""
    return (await one.gateway.create(NewSession())).session.id


def test_a_session_that_nobody_came_to_is_empty() -> None:
    """It has no log and no record; its story has no events and no length."""

    async def main() -> None:
        one = node()
        material = await archive(one).read(await create(one))
        told = Story.of(material.session, material.record, material.counts, truncated=material.truncated)
        assert (told.events, told.duration_s, told.status) == ((), 0.0, "created")
        await one.aclose()

    run(main())


def test_a_live_session_is_read_as_it_stands() -> None:
    """Its counts are those of now, pending audio among them; a record longer than a page is whole."""

    async def main() -> None:
        one = node()
        session_id = await create(one)
        peer = await one.connect(Peer(f"session_id={session_id}"))
        for n in range(10, 21_010, 10):
            peer.lane.sink(json.dumps({"type": "position", "sample": n}))
            if n % 1_000 == 0:
                await settle()  # or the peer would be too slow a reader
        await peer.speak(bytes(320))
        material = await archive(one).read(session_id)
        assert len(material.record) == 2_100
        assert [entry.seq for entry in material.record] == list(range(1, 2_101))
        assert material.counts["next_sample"] == 21_160
        assert material.counts["pending_samples"] == 160
        await one.aclose()

    run(main())


def test_a_basis_is_the_session_as_it_was() -> None:
    """Whatever happens since: events, counts, configuration, its end. One that nobody came to has one."""

    async def main() -> None:
        one = node()
        session_id = await create(one)
        empty = await basis(one, session_id)
        peer = await one.connect(Peer(f"session_id={session_id}"))
        for n in range(10, 15_010, 10):
            peer.lane.sink(json.dumps({"type": "position", "sample": n}))
            if n % 1_000 == 0:
                await settle()
        then = await basis(one, session_id)
        as_it_is = await archive(one).read(session_id)
        await peer.speak(json.dumps({"type": "position", "sample": 16_000}))
        await peer.speak(json.dumps({"type": "configure", "min_confidence": 0.5}))
        await peer.speak('{"type": "end"}')
        await settle()
        assert len((await archive(one).read(session_id)).record) > 1_500
        again = await archive(one).read(session_id, then)
        assert (again.record, again.counts) == (as_it_is.record, as_it_is.counts)
        assert (then.upto, again.truncated, len(again.record)) == (1_500, False, 1_500)
        assert again.session.config == as_it_is.session.config
        assert (again.session.status, again.session.id) == (as_it_is.session.status, session_id)
        nothing = await archive(one).read(session_id, empty)
        assert (nothing.record, nothing.session.status) == ((), "created")
        await one.aclose()

    run(main())


def test_one_that_is_gone_is_not_found() -> None:
    """As over REST."""

    async def main() -> None:
        one = node()
        session_id = await create(one)
        await one.gateway.service.delete(session_id)
        with pytest.raises(NotFound):
            await archive(one).read(session_id)
        await one.aclose()

    run(main())


def test_tasks_are_told_in_the_session_s_log_live_and_over() -> None:
    """Numbered with the other events; after the summary too, and counted in it while it is not said."""

    async def main() -> None:
        one = node()
        session_id = await create(one)
        tasks, live = one.gateway.tasks, one.gateway.live
        tasks.submit(session_id, recipe("summary", None))
        assert live.log(session_id) is None
        peer = await one.connect(Peer(f"session_id={session_id}"))
        await peer.speak(bytes(3_200))
        task = tasks.submit(session_id, recipe("summary", None))
        tasks.remove(task.id)
        await settle()
        said = [event for event in peer.durable if event.type == "task"]
        mine = [event.state for event in said if event.task_id == task.id]  # type: ignore[attr-defined]
        assert mine[0] == "queued"
        assert mine[-1] == "cancelled"
        assert {event.timestamp for event in said} <= {0.0, 0.1}
        await peer.speak('{"type": "end"}')
        one.scheduler.answer()
        await settle()
        log = live.log(session_id)
        assert log is not None
        summary = log.read(0)[-1].event()
        assert isinstance(summary, Summary)
        before = sum(entry.type == "task" for entry in log.read(0))
        assert summary.events["task"] == before
        tasks.submit(session_id, recipe("summary", None))
        after = log.read(0)[-1].event()
        assert isinstance(after, Task)
        assert (after.seq, after.timestamp) == (summary.seq + 1, summary.timestamp)
        await one.aclose()

    run(main())


def test_the_reaper_takes_tasks_along() -> None:
    """When a session that is over can't be read any more, neither can its tasks."""

    async def main() -> None:
        one = node(connect_deadline_s=30, closed_retention_s=60)
        session_id = await create(one)
        task = one.gateway.tasks.submit(session_id, recipe("summary", None))
        one.gateway.tasks.remove(task.id)
        one.clock.advance(31)
        await one.reap()
        assert len(one.gateway.tasks.list(session_id)) == 1
        one.clock.advance(61)
        await one.reap()
        assert one.gateway.tasks.list(session_id) == []
        await one.aclose()

    run(main())
