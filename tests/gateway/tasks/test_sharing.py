"""Tasks that two nodes know of: told, made again, adopted, removed; and with the store away."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from gateway.errors import NotFound, StoreUnavailable
from gateway.tasks.model import State, TaskLimit, TaskNotFound, TaskNotReady
from gateway.tasks.recipes import recipe
from gateway.tasks.service import TaskBounds
from gateway.tasks.tickets import encode_fixed
from tests.gateway.sessions.kit import run
from tests.gateway.tasks.sharing_kit import SESSION, Peer, on_stage, settle

SUMMARY = recipe("summary", None)


def test_every_node_tells_how_a_task_stands() -> None:
    """In its own words where it works on it, by the ticket elsewhere; each state is told in the log once."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        seen = await b.desk.get(task.id)
        assert (seen.id, seen.session_id, seen.state, seen.recipe.type) == (task.id, "s", "queued", "summary")
        assert (await b.desk.session_of(task.id), await b.desk.pending("s")) == ("s", 1)
        await settle()
        assert (await b.desk.get(task.id)).state is State.RUNNING
        with pytest.raises(TaskNotReady):
            await b.desk.fetch(task.id)
        a.clock.advance(0.5)
        await a.work()
        ready = await a.desk.get(task.id)
        other = await b.desk.get(task.id)
        assert (ready.state, ready.updated_at) == (State.READY, task.created_at + 0.5)
        assert replace(other, recipe=SUMMARY) == replace(ready, recipe=SUMMARY)
        assert (await b.desk.pending("s"), b.told) == (0, [])
        assert a.states(task.id) == ["queued", "running", "ready"]

    run(on_stage(scenario))


def test_tasks_of_all_nodes_are_listed_as_they_came() -> None:
    """And filtered by state."""

    async def scenario(a: Peer, b: Peer) -> None:
        first = await a.desk.submit(SESSION, SUMMARY)
        second = await b.desk.submit(SESSION, SUMMARY)
        await a.work()
        for one in (a, b):
            assert [task.id for task in await one.desk.list("s")] == [first.id, second.id]
            assert [task.id for task in await one.desk.list("s", State.READY)] == [first.id]

    run(on_stage(scenario))


def test_the_bound_of_a_session_is_one_for_all_nodes() -> None:
    """Who is refused leaves nothing behind, and nothing is told of it."""

    async def scenario(a: Peer, b: Peer) -> None:
        ids = [(await one.desk.submit(SESSION, SUMMARY)).id for one in (a, b, a)]
        with pytest.raises(TaskLimit):
            await b.desk.submit(SESSION, SUMMARY)
        await settle()
        assert list(a.tickets.kept) == ids
        assert {task_id for task_id, _ in b.told} == {ids[1]}
        a.tickets.gone.add("s")
        with pytest.raises(NotFound):
            await a.desk.submit(SESSION, SUMMARY)

    run(on_stage(scenario))


def test_a_ready_result_is_made_again_out_of_the_same() -> None:
    """Once for all who ask, whatever was said since; the ticket stays as it is, and no log tells of it."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await a.work()
        b.top = 99
        before = dict(a.tickets.kept)
        asked = [asyncio.create_task(b.desk.fetch(task.id)) for _ in range(3)]
        await settle()
        assert (await b.desk.get(task.id)).state is State.READY
        assert not any(one.done() for one in asked)
        await b.work()
        await asyncio.gather(*asked)
        assert b.service.result(task.id) == a.service.result(task.id)
        assert (a.read, b.read) == ([a.tickets.kept[task.id].basis], a.read)
        assert (b.told, a.tickets.kept, b.executor.jobs) == ([], before, [])

    run(on_stage(scenario))


def test_nobody_waits_forever_for_a_result() -> None:
    """It is not ready here yet; the work goes on."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await a.work()
        await b.desk.fetch(task.id)
        with pytest.raises(TaskNotReady):
            b.service.result(task.id)
        await b.work()
        await b.desk.fetch(task.id)
        assert b.service.result(task.id) == a.service.result(task.id)

    run(on_stage(scenario, wait_s=0.0))


def test_a_result_without_room_is_refused_and_can_be_asked_for_again() -> None:
    """What can't be kept here is no failure of the task."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await a.work()
        for _ in range(2):
            asked = asyncio.create_task(b.desk.fetch(task.id))
            await b.work()
            with pytest.raises(TaskLimit):
                await asked
        assert (await b.desk.get(task.id)).state is State.READY

    run(on_stage(scenario, bounds=TaskBounds(results_bytes=1)))


def test_a_task_whose_node_is_gone_is_adopted() -> None:
    """When somebody looks; it begins anew, out of the same. What its node says late is not heard."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await settle()
        assert (await b.desk.get(task.id)).state is State.RUNNING
        a.dead.add("a")
        b.clock.advance(7.0)
        adopted = await b.desk.get(task.id)
        assert (adopted.state, adopted.created_at) == (State.QUEUED, task.created_at)
        assert adopted.updated_at == task.created_at + 7.0
        await a.work()
        assert a.states(task.id) == ["queued", "running"]
        assert a.tickets.kept[task.id].state is not State.READY
        await b.work()
        assert (await b.desk.get(task.id)).state is State.READY
        assert b.states(task.id) == ["queued", "running", "ready"]
        await a.desk.fetch(task.id)
        assert b.service.result(task.id) == a.service.result(task.id)
        assert b.read == a.read

    run(on_stage(scenario))


def test_a_result_can_be_waited_for_although_its_node_is_gone() -> None:
    """Whoever asks for it gets it from the node that goes on."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await settle()
        a.dead.add("a")
        asked = asyncio.create_task(b.desk.fetch(task.id))
        await b.work()
        await asked
        assert b.service.result(task.id).filename == "undertone-s.json"

    run(on_stage(scenario))


def test_a_node_that_has_too_much_to_do_adopts_nothing() -> None:
    """It tells how the task stood, and who wants the result is to come again."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await settle()
        a.dead.add("a")
        assert (await b.desk.get(task.id)).state is State.RUNNING
        with pytest.raises(TaskLimit):
            await b.desk.fetch(task.id)
        assert a.tickets.kept[task.id].node == "a"

    run(on_stage(scenario, bounds=TaskBounds(queue=0)))


def test_a_task_that_is_removed_elsewhere_is_cancelled() -> None:
    """Its node finds out with the next news of it; the log says so."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await settle()
        removed = await b.desk.remove(task.id)
        assert (removed.id, removed.state) == (task.id, State.CANCELLED)
        for one in (a, b):
            with pytest.raises(TaskNotFound):
                await one.desk.get(task.id)
            with pytest.raises(TaskNotFound):
                await one.desk.remove(task.id)
        await settle()
        assert a.states(task.id) == ["queued", "running", "cancelled"]
        assert a.service.held() == {}

    run(on_stage(scenario))


@pytest.mark.parametrize("how", ["told", "looked"])
def test_what_was_removed_elsewhere_is_held_no_longer(how: str) -> None:
    """Results and copies of them: the node hears of it when it tells, or when it looks around."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await settle()
        if how == "told":
            await b.desk.remove(task.id)
            await a.work()
        else:
            await a.work()
            asked = asyncio.create_task(b.desk.fetch(task.id))
            await b.work()
            await asked
            assert b.service.result_bytes > 0
            await a.desk.remove(task.id)
            await b.desk.look_around()
        assert (a.service.held(), b.service.held(), b.service.result_bytes) == ({}, {}, 0)

    run(on_stage(scenario))


@pytest.mark.parametrize("how", ["removed", "listed"])
def test_a_copy_goes_as_soon_as_it_can_be_known(how: str) -> None:
    """Where the node removes the task itself, or hears by the way that it is gone."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await a.work()
        asked = asyncio.create_task(b.desk.fetch(task.id))
        await b.work()
        await asked
        if how == "removed":
            assert (await b.desk.remove(task.id)).state is State.READY
        else:
            await a.desk.remove(task.id)
            assert await b.desk.list("s") == []
        assert (b.service.held(), b.service.result_bytes) == ({}, 0)

    run(on_stage(scenario))


@pytest.mark.parametrize("how", ["removed", "discarded"])
def test_who_waits_for_a_result_hears_that_its_task_is_gone(how: str) -> None:
    """At once, by itself or with its session."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await a.work()
        asked = asyncio.create_task(b.desk.fetch(task.id))
        await settle()
        if how == "removed":
            await b.desk.remove(task.id)
        else:
            b.desk.discard("s")
        await settle()
        assert asked.done()
        with pytest.raises(TaskNotFound):
            b.service.result(task.id)

    run(on_stage(scenario))


def test_a_result_that_its_own_node_lost_is_made_again() -> None:
    """The task stays ready the while."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await a.work()
        a.service.drop(task.id)
        asked = asyncio.create_task(a.desk.fetch(task.id))
        await settle()
        assert (await b.desk.get(task.id)).state is State.READY
        await a.work()
        await asked
        assert a.service.result(task.id).size > 0
        assert a.states(task.id) == ["queued", "running", "ready"]

    run(on_stage(scenario))


def test_a_node_that_was_thought_gone_has_what_it_made() -> None:
    """It shows its own result; where who adopted the task is gone in turn, it tells how it really stands."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await settle()
        a.dead.add("a")
        await b.desk.get(task.id)
        await a.work()
        a.dead.clear()
        assert (await a.desk.get(task.id)).state is State.READY
        assert a.tickets.kept[task.id].node == "b"
        a.dead.add("b")
        assert (await a.desk.get(task.id)).state is State.READY
        await settle()
        kept = a.tickets.kept[task.id]
        assert (kept.node, kept.state) == ("a", State.READY)

    run(on_stage(scenario))


def test_a_task_that_is_being_taken_on_is_nobody_s_orphan() -> None:
    """Others of the node may see its ticket earlier than it does; it is done once."""

    async def scenario(a: Peer, b: Peer) -> None:
        a.tickets.answered.clear()
        asked = asyncio.create_task(a.desk.submit(SESSION, SUMMARY))
        await settle()
        assert [task.state for task in await a.desk.list("s")] == [State.QUEUED]
        a.tickets.answered.set()
        task = await asked
        await a.work()
        assert a.executor.jobs == []
        assert a.states(task.id) == ["queued", "running", "ready"]

    run(on_stage(scenario))


def test_a_ticket_whose_task_was_not_taken_on_is_taken_back() -> None:
    """Where the store did what it was asked, and its answer got lost."""

    async def scenario(a: Peer, b: Peer) -> None:
        a.tickets.answers = False
        with pytest.raises(StoreUnavailable):
            await a.desk.submit(SESSION, SUMMARY)
        await settle()
        assert (a.tickets.kept, a.told) == ({}, [])

    run(on_stage(scenario))


def test_looking_around_keeps_what_is_wanted() -> None:
    """Whatever its state, and while the store is away."""

    async def scenario(a: Peer, b: Peer) -> None:
        for _ in range(2):
            await a.desk.submit(SESSION, SUMMARY)
        await a.work()
        held = a.service.held()
        await a.desk.look_around()
        assert a.service.held() == held
        a.tickets.away = True
        with pytest.raises(StoreUnavailable):
            await a.desk.look_around()
        assert a.service.held() == held

    run(on_stage(scenario))


def test_its_own_node_cancels_before_it_forgets() -> None:
    """As where nothing is shared: the first time it is cancelled, the second time it is gone everywhere."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        assert (await a.desk.remove(task.id)).state is State.CANCELLED
        assert (await b.desk.get(task.id)).state is State.CANCELLED
        assert (await a.desk.remove(task.id)).state is State.CANCELLED
        with pytest.raises(TaskNotFound):
            await b.desk.get(task.id)
        await settle()
        assert a.states(task.id) == ["queued", "cancelled"]

    run(on_stage(scenario))


def test_while_the_store_is_away_a_node_has_its_own() -> None:
    """Its tasks go on and are told of in the log at once; the store hears the last of it when it is back."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        removed = await a.desk.submit(SESSION, SUMMARY)
        await settle()
        a.tickets.away = True
        await a.work()
        await a.work()
        assert (await a.desk.get(task.id)).state is State.READY
        await a.desk.fetch(task.id)
        assert (await a.desk.remove(removed.id)).state is State.READY
        assert await a.desk.pending("s") == 0
        for refused in (b.desk.get(task.id), b.desk.fetch(task.id), b.desk.session_of(task.id)):
            with pytest.raises(StoreUnavailable):
                await refused
        with pytest.raises(StoreUnavailable):
            await a.desk.submit(SESSION, SUMMARY)
        await settle()
        assert a.states(task.id) == ["queued", "running", "ready"]
        a.tickets.away = False
        a.pauses[-1].set()
        await settle()
        assert (await b.desk.get(task.id)).state is State.READY
        assert list(a.tickets.kept) == [task.id]
        assert a.states(task.id) == ["queued", "running", "ready"]

    run(on_stage(scenario))


def test_who_deletes_a_session_waits_for_its_tasks_to_be_gone() -> None:
    """So that no node tells of them afterwards; and for no longer than the store is there."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await b.desk.forget("s")
        with pytest.raises(TaskNotFound):
            await a.desk.get(task.id)
        again = await a.desk.submit(SESSION, SUMMARY)
        a.tickets.away = True
        await a.desk.forget("s")
        assert a.service.held() == {}
        await settle()
        a.tickets.away = False
        a.pauses[-1].set()
        await settle()
        assert again.id not in a.tickets.kept

    run(on_stage(scenario))


def test_tickets_go_with_their_session() -> None:
    """Also where the store hears of it later."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        a.tickets.away = True
        b.desk.discard("s")
        await settle()
        a.tickets.away = False
        for one in (a, b):
            one.pauses[-1].set()
        await settle()
        assert a.tickets.kept == {}
        await a.desk.look_around()
        await settle()
        assert (a.service.held(), a.states(task.id)[-1]) == ({}, "cancelled")

    run(on_stage(scenario))


def test_a_task_of_a_newer_gateway_is_shown_and_not_made() -> None:
    """An older node leaves it to those who know how."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        await a.work()
        a.tickets.kept[task.id] = replace(a.tickets.kept[task.id], type="opera", options={"acts": 3})
        shown = await b.desk.get(task.id)
        assert (shown.recipe.type, dict(shown.recipe.options), shown.state) == ("opera", {"acts": 3}, "ready")
        with pytest.raises(TaskNotReady):
            await b.desk.fetch(task.id)
        a.tickets.kept[task.id] = replace(a.tickets.kept[task.id], state=State.RUNNING)
        a.dead.add("a")
        assert (await b.desk.get(task.id)).state is State.RUNNING
        assert a.tickets.kept[task.id].node == "a"

    run(on_stage(scenario))


def test_a_ticket_holds_no_words() -> None:
    """These fields, and no others: what is made, how the session was set, and numbers."""

    async def scenario(a: Peer, b: Peer) -> None:
        task = await a.desk.submit(SESSION, SUMMARY)
        said = orjson.loads(encode_fixed(a.tickets.kept[task.id]))
        kind = {"v", "type", "options", "namespace_id", "created_at"}
        assert set(said) == kind | {"upto", "truncated", "status", "config", "counts"}
        assert all(isinstance(one, int) for one in said["counts"].values())

    run(on_stage(scenario))
