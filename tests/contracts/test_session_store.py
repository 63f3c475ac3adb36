"""What every session store must do. A new adapter adds a factory to `STORES`, and nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.errors import AlreadyExists, BadDocument, Conflict, UnknownCursor
from gateway.sessions.document import encode_session
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import MAX_COUNTED, Quota, QuotaReached, SessionFilter, SessionStore
from gateway.stores.hybrid.sessions import HybridSessionStore
from gateway.stores.memory import MemorySessionStore
from gateway.stores.valkey.sessions import ValkeySessionStore
from tests.contracts import postgres
from tests.gateway.sessions.kit import in_status, run, session
from tests.postgres import emptied
from tests.stores import connected

Factory: TypeAlias = Callable[[], AbstractAsyncContextManager[SessionStore]]
Scenario: TypeAlias = Callable[[SessionStore], Awaitable[None]]
Play: TypeAlias = Callable[[Scenario], None]


@asynccontextmanager
async def memory() -> AsyncIterator[SessionStore]:
    yield MemorySessionStore()


@asynccontextmanager
async def valkey() -> AsyncIterator[SessionStore]:
    async with connected() as connection:
        yield ValkeySessionStore(connection)


@asynccontextmanager
async def hybrid() -> AsyncIterator[SessionStore]:
    """Over memory, on a node that holds no session."""
    yield HybridSessionStore(MemorySessionStore(), "a node", ManualClock())


STORES: dict[str, Factory] = {
    "memory": memory,
    "valkey": valkey,
    "postgres": postgres.sessions,
    "hybrid": hybrid,
}


Damage: TypeAlias = Callable[[Session, bytes], Awaitable[None]]
"""Puts something else in the place of a session's document."""
MISTYPED = b""
"""Stands for what is no document at all, as far as the store has such a thing."""


@asynccontextmanager
async def damaged_valkey() -> AsyncIterator[tuple[SessionStore, Damage]]:
    async with connected() as connection:

        async def damage(one: Session, document: bytes) -> None:
            key = connection.keys.document(one.id)
            if document == MISTYPED:
                await connection.many([(key, (b"SET", key, b"x"))])
            else:
                await connection.many([(key, (b"HSET", key, b"d", document))])

        yield ValkeySessionStore(connection), damage


@asynccontextmanager
async def damaged_postgres() -> AsyncIterator[tuple[SessionStore, Damage]]:
    from gateway.stores.postgres.sessions import PostgresSessionStore

    async with emptied() as database:

        async def damage(one: Session, document: bytes) -> None:
            statement = f"UPDATE {database.schema}.sessions SET document = $2 WHERE id = $1"
            await database.execute(statement, one.id, document.decode())

        yield PostgresSessionStore(database), damage


@asynccontextmanager
async def damaged_hybrid() -> AsyncIterator[tuple[SessionStore, Damage]]:
    async with damaged_valkey() as (store, damage):
        yield HybridSessionStore(store, "a node", ManualClock()), damage


OUTSIDE: dict[str, Callable[[], AbstractAsyncContextManager[tuple[SessionStore, Damage]]]] = {
    "valkey": damaged_valkey,
    "postgres": damaged_postgres,
    "hybrid": damaged_hybrid,
}
"""Those that keep sessions where others can write, too."""


def bent(one: Session, **changes: object) -> bytes:
    """Its document with other fields."""
    return orjson.dumps({**orjson.loads(encode_session(one)), **changes})


DAMAGES: dict[str, Callable[[Session], bytes]] = {
    "mistyped": lambda _: MISTYPED,
    "no JSON": lambda _: b"{nonsense",
    "newer": lambda one: bent(one, v=99),
    "status": lambda one: bent(one, status="zombie"),
    "field": lambda one: bent(one, seen_mono="yesterday"),
    "another's": lambda one: bent(one, id="A" * 22),
    "version": lambda one: bent(one, version=one.version + 7),
}


@pytest.fixture(params=STORES.values(), ids=list(STORES), scope="module")
def play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario on a fresh store."""

    def play(scenario: Scenario) -> None:
        async def on_stage() -> None:
            async with request.param() as store:
                await scenario(store)

        run(on_stage())

    return play


class TestKeeping:
    def test_a_session_comes_back_as_it_went_in(self, play: Play) -> None:
        """Every field survives, and an id that is not there is None."""

        async def scenario(store: SessionStore) -> None:
            one = in_status(Status.LIVE, namespace_id="n", user_id="u", resume_hash="h", attaches=2)
            await store.create(one)
            assert await store.get(one.id) == one
            assert await store.get("no such session") is None

        play(scenario)

    def test_an_id_is_taken_once(self, play: Play) -> None:
        """A second session of the same id is refused and leaves the first alone."""

        async def scenario(store: SessionStore) -> None:
            one = session(user_id="first")
            await store.create(one)
            with pytest.raises(AlreadyExists):
                await store.create(replace(one, user_id="second"))
            assert await store.get(one.id) == one

        play(scenario)

    def test_a_deleted_session_is_gone(self, play: Play) -> None:
        """Deleting says whether there was something, and the id can be used again."""

        async def scenario(store: SessionStore) -> None:
            one = session()
            await store.create(one)
            assert await store.delete(one.id)
            assert not await store.delete(one.id)
            assert await store.get(one.id) is None
            await store.create(one)

        play(scenario)


class TestUpdating:
    def test_an_update_counts_the_version(self, play: Play) -> None:
        """What is returned is what is kept: the change, one version on."""

        async def scenario(store: SessionStore) -> None:
            one = session(version=1)
            await store.create(one)
            updated = await store.update(replace(one, status=Status.LIVE), expected_version=1)
            assert updated == replace(one, status=Status.LIVE, version=2)
            assert await store.get(one.id) == updated

        play(scenario)

    def test_an_update_from_an_old_version_conflicts(self, play: Play) -> None:
        """Nobody overwrites what they have not read."""

        async def scenario(store: SessionStore) -> None:
            one = session(version=1)
            await store.create(one)
            kept = await store.update(replace(one, user_id="first"), expected_version=1)
            for wrong in (0, 1, 3):
                with pytest.raises(Conflict):
                    await store.update(replace(one, user_id="second"), expected_version=wrong)
            assert await store.get(one.id) == kept

        play(scenario)

    def test_a_deleted_session_can_not_be_updated(self, play: Play) -> None:
        """A late writer does not bring it back."""

        async def scenario(store: SessionStore) -> None:
            one = session()
            await store.create(one)
            await store.delete(one.id)
            with pytest.raises(Conflict):
                await store.update(one, expected_version=one.version)
            assert await store.get(one.id) is None

        play(scenario)

    def test_of_a_hundred_simultaneous_updates_one_wins(self, play: Play) -> None:
        """Optimistic concurrency: exactly one of those that read the same version writes."""

        async def scenario(store: SessionStore) -> None:
            one = session(version=1)
            await store.create(one)
            updates = (store.update(replace(one, user_id=str(n)), 1) for n in range(100))
            results = await asyncio.gather(*updates, return_exceptions=True)
            won = [result for result in results if isinstance(result, Session)]
            assert len(won) == 1
            assert sum(isinstance(result, Conflict) for result in results) == 99
            assert await store.get(one.id) == won[0]

        play(scenario)


class TestListing:
    def test_the_newest_come_first_and_pages_go_on_where_the_last_ended(self, play: Play) -> None:
        """Pages of any size put together are all sessions, each once, updates notwithstanding."""

        async def scenario(store: SessionStore) -> None:
            made = [session() for _ in range(7)]
            for one in made:
                await store.create(one)
            await store.update(made[2], made[2].version)
            newest_first = [one.id for one in reversed(made)]
            for size in (1, 3, 7, 100):
                found: list[str] = []
                page = await store.list(limit=size)
                while page:
                    found += [one.id for one in page]
                    page = await store.list(limit=size, after=found[-1])
                assert found == newest_first

        play(scenario)

    def test_a_cursor_that_is_gone_is_told(self, play: Play) -> None:
        """A listing never silently ends where its last session was deleted."""

        async def scenario(store: SessionStore) -> None:
            one = session()
            await store.create(one)
            await store.delete(one.id)
            with pytest.raises(UnknownCursor):
                await store.list(after=one.id)

        play(scenario)

    @given(data=st.data())
    def test_filters_give_what_they_mean(self, play: Play, data: st.DataObject) -> None:
        """Listing and counting agree with the filter applied by hand, for any mix of sessions."""
        word = st.sampled_from(["a", "b"])
        made = [
            session(namespace_id=n, user_id=u, device_type=d, status=s)
            for n, u, d, s in data.draw(
                st.lists(st.tuples(word, word, word, st.sampled_from(Status)), max_size=8)
            )
        ]
        maybe = st.none() | word
        wanted = SessionFilter(
            data.draw(maybe),
            data.draw(maybe),
            data.draw(maybe),
            data.draw(st.none() | st.sampled_from(Status)),
        )

        async def scenario(store: SessionStore) -> None:
            for one in made:
                await store.create(one)
            expected = [one for one in reversed(made) if wanted.matches(one)]
            assert list(await store.list(wanted)) == expected
            assert list(await store.list(wanted, limit=2)) == expected[:2]
            assert await store.count(wanted) == len(expected)

        play(scenario)


class TestQuota:
    def test_a_thousand_simultaneous_creations_at_a_quota_of_five(self, play: Play) -> None:
        """Exactly five get in."""

        async def scenario(store: SessionStore) -> None:
            quota = Quota("n", "u", 5)
            made = [session(namespace_id="n", user_id="u") for _ in range(1_000)]
            results = await asyncio.gather(
                *(store.create(one, quota) for one in made), return_exceptions=True
            )
            refused = [result for result in results if isinstance(result, QuotaReached)]
            assert len(refused) == 995
            assert await store.count() == 5
            assert {one.id for one in refused[0].counted} == {one.id for one in await store.list()}

        play(scenario)

    @pytest.mark.parametrize("status", Status)
    def test_only_sessions_that_are_not_over_count(self, play: Play, status: Status) -> None:
        """Closed, failed and expired ones make room, from the moment they are."""

        async def scenario(store: SessionStore) -> None:
            quota = Quota("n", "u", 1)
            one = session(namespace_id="n", user_id="u")
            await store.create(one, quota)
            updated = await store.update(in_status(status, id=one.id, namespace_id="n", user_id="u"), 1)
            another = session(namespace_id="n", user_id="u")
            if updated.over:
                await store.create(another, quota)
            else:
                with pytest.raises(QuotaReached):
                    await store.create(another, quota)

        play(scenario)

    def test_deleting_makes_room_and_others_take_none(self, play: Play) -> None:
        """The same user name in another namespace is somebody else."""

        async def scenario(store: SessionStore) -> None:
            quota = Quota("n", "u", 1)
            one = session(namespace_id="n", user_id="u")
            await store.create(session(namespace_id="m", user_id="u"))
            await store.create(session(namespace_id="n", user_id="v"))
            await store.create(session(namespace_id="n"))
            await store.create(one, quota)
            await store.delete(one.id)
            await store.create(session(namespace_id="n", user_id="u"), quota)

        play(scenario)

    def test_sessions_made_without_a_quota_count_too(self, play: Play) -> None:
        """A limit that is switched on later knows those that are there."""

        async def scenario(store: SessionStore) -> None:
            await store.create(session(namespace_id=None, user_id="u"))
            with pytest.raises(QuotaReached):
                await store.create(session(namespace_id=None, user_id="u"), Quota(None, "u", 1))

        play(scenario)

    def test_every_quota_must_have_room(self, play: Play) -> None:
        """Of a user's and of the whole namespace's; the one that is reached is named, and nothing is kept."""

        async def scenario(store: SessionStore) -> None:
            mine, all_of_us = Quota("n", "u", 2), Quota("n", None, 3, everybody=True)
            for user in ("u", "v", None):
                await store.create(session(namespace_id="n", user_id=user), Quota("n", user, 2), all_of_us)
            await store.create(session(namespace_id="m", user_id="u"), Quota("m", "u", 2))
            for quotas in ((mine, all_of_us), (all_of_us, mine)):
                with pytest.raises(QuotaReached) as reached:
                    await store.create(session(namespace_id="n", user_id="u"), *quotas)
                assert reached.value.quota == all_of_us
                assert len(reached.value.counted) == 3
            assert await store.count() == 4

        play(scenario)

    def test_sessions_without_a_user_are_one_users(self, play: Play) -> None:
        """Within a namespace; those of named users are none of theirs."""

        async def scenario(store: SessionStore) -> None:
            nobody = Quota("n", None, 1)
            await store.create(session(namespace_id="n", user_id="u"), nobody)
            await store.create(session(namespace_id="n"), nobody)
            with pytest.raises(QuotaReached):
                await store.create(session(namespace_id="n"), nobody)

        play(scenario)

    def test_those_that_count_are_told_up_to_a_bound(self, play: Play) -> None:
        """The oldest: they are the likeliest to be overdue."""

        async def scenario(store: SessionStore) -> None:
            quota = Quota("n", "u", MAX_COUNTED + 5)
            made = [session(namespace_id="n", user_id="u") for _ in range(MAX_COUNTED + 5)]
            for one in made:
                await store.create(one, quota)
            with pytest.raises(QuotaReached) as reached:
                await store.create(session(namespace_id="n", user_id="u"), quota)
            assert [one.id for one in reached.value.counted] == [one.id for one in made[:MAX_COUNTED]]

        play(scenario)

    def test_whose_sessions_there_are(self, play: Play) -> None:
        """By namespace and user; without a namespace those of none."""

        async def scenario(store: SessionStore) -> None:
            whose = [("n", "u"), ("n", "v"), ("n", None), (None, "u"), (None, None), ("m", "u")]
            made = [session(namespace_id=n, user_id=u) for n, u in whose]
            for one in made:
                await store.create(one)
            await store.update(replace(made[0], status=Status.CLOSED), made[0].version)
            for namespace, user, expected in (
                ("n", None, made[:3]),
                ("n", "u", made[:1]),
                (None, None, made[3:5]),
                (None, "u", made[3:4]),
                ("nobody's", None, []),
            ):
                assert set(await store.ids(namespace, user)) == {one.id for one in expected}

        play(scenario)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("place", OUTSIDE)
def test_one_that_can_not_be_read_concerns_nobody_else(
    place: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Lists, counts and quotas go on without it, and the log tells it once. It can be found and deleted."""

    async def scenario() -> None:
        async with OUTSIDE[place]() as (store, bend):
            made = [session(namespace_id="n", user_id="u") for _ in range(3)]
            for one in made:
                await store.create(one)
            broken, others = made[1], [made[2], made[0]]
            await bend(broken, DAMAGES[damage](broken))
            for _ in range(2):
                assert list(await store.list()) == others
                assert list(await store.list(SessionFilter(namespace_id="n", user_id="u"))) == others
            assert list(await store.list(limit=1, after=made[2].id)) == [made[0]]
            assert await store.count() in (2, 3)
            assert await store.count(SessionFilter(user_id="u", status=Status.CREATED)) in (2, 3)
            with pytest.raises(QuotaReached) as reached:
                await store.create(session(namespace_id="n", user_id="u"), Quota("n", "u", 1))
            assert {one.id for one in reached.value.counted} == {one.id for one in others}
            with pytest.raises(BadDocument):
                await store.get(broken.id)
            assert await store.get(made[0].id) == made[0]
            assert set(await store.ids("n")) == {one.id for one in made}
            assert await store.delete(broken.id)
            assert await store.get(broken.id) is None
            assert set(await store.ids("n")) == {one.id for one in others}
            assert await store.count() == 2

    with caplog.at_level(logging.WARNING):
        run(scenario())
    told = [one.__dict__["session_id"] for one in caplog.records if hasattr(one, "session_id")]
    assert len(told) == 1
