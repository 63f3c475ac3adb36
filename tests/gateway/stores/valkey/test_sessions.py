"""What sessions in Valkey do beyond the contract: races of gateways, leftovers, damage, hostile names."""

import asyncio
import logging
from contextlib import AsyncExitStack

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadDocument, Conflict, UnknownCursor
from gateway.sessions.document import decode_session, encode_session
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import Quota, QuotaReached, SessionFilter
from gateway.stores.valkey import places, tally
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.keys import Keys, digest, safe
from gateway.stores.valkey.sessions import ValkeySessionStore
from tests.gateway.sessions.kit import in_status, run, session
from tests.stores import connected, shared

HOSTILE = ["", "{all}", "a}:doc", "*", "a b", "a\r\nFLUSHALL\r\n", "a:b", "é", "a\x00b", "a" * 500, "\ud800"]

QUOTA = Quota("n", "u", 5)


def mine(**given: object) -> Session:
    return session(namespace_id="n", user_id="u", **given)


async def command(connection: ValkeyConnection, *words: bytes) -> object:
    (reply,) = await connection.many([(words[1], words)])
    return reply


async def left(connection: ValkeyConnection) -> list[bytes]:
    """Every key below the connection's prefix."""
    pattern = connection.keys.index.split(b":")[0] + b":*"
    (keys,) = await connection.many([(b"", (b"KEYS", pattern))])
    return sorted(keys)


class TestRaces:
    def test_a_thousand_creations_by_four_gateways_at_a_quota_of_five(self) -> None:
        """Exactly five get in; each of the others hears of these five, and the next place goes to one."""

        async def scenario() -> None:
            async with AsyncExitStack() as stack:
                gateways = [
                    ValkeySessionStore(await stack.enter_async_context(connected(prefix="race")))
                    for _ in range(4)
                ]
                made = [mine() for _ in range(1_000)]
                results = await asyncio.gather(
                    *(gateways[number % 4].create(one, QUOTA) for number, one in enumerate(made)),
                    return_exceptions=True,
                )
                kept = {one.id for one, result in zip(made, results, strict=True) if result is None}
                refused = [one for one in results if isinstance(one, QuotaReached)]
                assert (len(kept), len(refused)) == (5, 995)
                for one in refused:
                    assert {told.id for told in one.counted} == kept
                await gateways[0].delete(kept.pop())
                again = await asyncio.gather(
                    *(gateways[number % 4].create(mine(), QUOTA) for number in range(50)),
                    return_exceptions=True,
                )
                assert again.count(None) == 1

        run(scenario())


class TestLeftovers:
    def test_nothing_is_left_of_sessions_that_were_deleted(self) -> None:
        """Indexes and places go with what they point at, whatever was done before."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                for number in range(20):
                    one = session(namespace_id="n" if number % 2 else None, user_id=f"u{number}")
                    await store.create(one, Quota(one.namespace_id, one.user_id, 1))
                    if number % 3:
                        closed = in_status(
                            Status.CLOSED, id=one.id, namespace_id=one.namespace_id, user_id=one.user_id
                        )
                        await store.update(closed, 1)
                    await store.delete(one.id)
                assert await left(connection) == []

        run(scenario())

    @pytest.mark.parametrize("how", ["expired", "over", "another's"])
    def test_a_place_without_a_session_is_found_out_at_the_quota(
        self, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A gateway died between two steps, or a document expired: the place is free."""
        monkeypatch.setattr(places, "GRACE_US", -1)

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                made = [mine() for _ in range(5)]
                for one in made:
                    await store.create(one, QUOTA)
                key = connection.keys.document(made[2].id)
                if how == "expired":
                    await command(connection, b"DEL", key)
                elif how == "over":
                    await command(connection, b"HSET", key, b"s", b"closed")
                else:
                    await command(connection, b"HSET", key, b"t", b"- - -")
                await store.create(mine(), QUOTA)
                with pytest.raises(QuotaReached):
                    await store.create(mine(), QUOTA)

        run(scenario())

    def test_a_place_taken_just_now_is_left_alone(self) -> None:
        """Another gateway is about to keep its session there."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                for _ in range(4):
                    await store.create(mine(), QUOTA)
                elsewhere = mine()
                other = places.Places(connection, 60.0)
                assert await other.take(elsewhere, tally.tenant_of(elsewhere), [QUOTA])
                with pytest.raises(QuotaReached) as reached:
                    await store.create(mine(), QUOTA)
                assert len(reached.value.counted) == 4

        run(scenario())

    def test_who_hears_of_a_full_quota_hears_of_those_just_being_made(self) -> None:
        """It waits a moment for their sessions."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                for _ in range(4):
                    await store.create(mine())
                elsewhere = mine()
                tenant = tally.tenant_of(elsewhere)
                await places.Places(connection, 60.0).take(elsewhere, tenant, [QUOTA])
                waiting = asyncio.create_task(store.create(mine(), QUOTA))
                await asyncio.sleep(0.05)
                kept = b"1", encode_session(elsewhere), b"created", tenant, b"60000"
                await connection.call("create", [connection.keys.document(elsewhere.id)], *kept)
                with pytest.raises(QuotaReached) as reached:
                    await waiting
                assert elsewhere in reached.value.counted

        run(scenario())

    def test_a_second_session_of_the_same_id_takes_no_place(self) -> None:
        """What it took is given back; what the first one has stays."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                one = mine()
                await store.create(one, QUOTA)
                for user in ("u", "v"):
                    with pytest.raises(Conflict):
                        await store.create(
                            session(id=one.id, namespace_id="n", user_id=user), Quota("n", user, 5)
                        )
                await store.create(session(namespace_id="n", user_id="v"), Quota("n", "v", 1))
                with pytest.raises(QuotaReached):
                    await store.create(mine(), Quota("n", "u", 1))

        run(scenario())

    def test_what_expired_leaves_the_list_and_the_count(self) -> None:
        """Once it is seen; a listing goes on behind it."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                made = [mine() for _ in range(250)]
                for one in made:
                    await store.create(one)
                for one in made[10:240]:
                    await command(connection, b"DEL", connection.keys.document(one.id))
                expected = [*made[240:][::-1], *made[:10][::-1]]
                for wanted in (SessionFilter(), SessionFilter(namespace_id="n")):
                    assert await store.list(wanted, limit=15) == expected[:15]
                    assert await store.list(wanted, after=made[3].id) == made[:3][::-1]
                assert await ValkeySessionStore(connection).count() == 20
                assert await command(connection, b"ZCARD", connection.keys.index) == 20
                with pytest.raises(UnknownCursor):
                    await store.list(after=made[100].id)

        run(scenario())

    def test_an_update_renews_the_time_to_live(self) -> None:
        """From the last one on."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection, ttl_s=100.0)
                one = mine()
                await store.create(one)
                key = connection.keys.document(one.id)
                await command(connection, b"PEXPIRE", key, b"5000")
                await store.update(one, 1)
                left_ms = await command(connection, b"PTTL", key)
                assert isinstance(left_ms, int)
                assert 90_000 < left_ms <= 100_000

        run(scenario())


class TestCounting:
    def test_what_others_do_is_seen_a_little_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What this gateway does at once."""

        async def scenario() -> None:
            async with connected(prefix="counting") as connection, connected(prefix="counting") as another:
                store, other = ValkeySessionStore(connection), ValkeySessionStore(another)
                assert await store.count() == 0
                one = mine()
                await other.create(one)
                assert await store.count() == 0
                await store.create(mine())
                assert await store.count() == 2
                await other.delete(one.id)
                monkeypatch.setattr(tally, "FRESH_S", -1.0)
                assert await other.count() == 1
                assert await other.count(SessionFilter(user_id="nobody")) == 0

        run(scenario())

    def test_many_are_counted_in_slices(self) -> None:
        """Each once."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                await asyncio.gather(*(store.create(session()) for _ in range(1_200)))
                assert await store.count() == 1_200

        run(scenario())


class TestDamage:
    def test_a_damaged_document_breaks_no_list(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is passed over, and told once, with eight characters of its id; asked for, it is an error."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                made = [mine() for _ in range(3)]
                for one in made:
                    await store.create(one)
                await command(connection, b"HSET", connection.keys.document(made[1].id), b"d", b"{")
                with caplog.at_level(logging.WARNING):
                    assert await store.list() == [made[2], made[0]]
                    assert await store.list() == [made[2], made[0]]
                assert [one.__dict__["session_id"] for one in caplog.records] == [made[1].id[:8]]
                with pytest.raises(BadDocument):
                    await store.get(made[1].id)
                assert await store.delete(made[1].id)
                assert await store.count() == 2

        run(scenario())


class TestNames:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_an_id_that_is_none_is_not_there(self, name: str) -> None:
        """It comes from a URL, and reaches no key."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                assert await store.get(name) is None
                assert not await store.delete(name)
                with pytest.raises(UnknownCursor):
                    await store.list(after=name)
                with pytest.raises(Conflict):
                    await store.update(session(id=name), 1)
                with pytest.raises(ValueError, match="base64url"):
                    await store.create(session(id=name))
                assert await left(connection) == []

        run(scenario())

    @settings(max_examples=40, deadline=None)
    @given(
        names=st.lists(
            st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=2, max_size=4, unique=True
        )
    )
    def test_tenants_may_be_called_anything(self, names: list[tuple[str, str]]) -> None:
        """Each has its own sessions and its own quota, and no key says their names."""

        async def scenario() -> None:
            async with connected() as connection:
                store = ValkeySessionStore(connection)
                for namespace, user in names:
                    one = session(namespace_id=namespace, user_id=user)
                    await store.create(one, Quota(namespace, user, 1))
                    with pytest.raises(QuotaReached):
                        await store.create(
                            session(namespace_id=namespace, user_id=user), Quota(namespace, user, 1)
                        )
                for namespace, user in names:
                    wanted = SessionFilter(namespace_id=namespace, user_id=user)
                    assert len(await store.list(wanted)) == await store.count(wanted) == 1
                assert all(key.isascii() and key.count(b"{") == 1 for key in await left(connection))

        run(scenario())

    def test_no_name_is_that_of_nobody(self) -> None:
        """A user that isn't named, one called nothing, and one called like the mark for nobody are three."""
        assert len({digest(None), digest(""), digest("-"), digest("None")}) == 4

    @given(st.text())
    def test_what_is_safe_leaves_the_hash_tag_alone(self, name: str) -> None:
        """A key has one pair of braces, and no blanks."""
        if safe(name):
            key = Keys("p").document(name)
            assert (key.count(b"{"), key.count(b"}"), len(key.split())) == (1, 1, 1)


def test_the_document_is_readable_elsewhere() -> None:
    """It is the JSON that every store keeps."""

    async def scenario() -> None:
        async with connected() as connection:
            one = mine()
            await ValkeySessionStore(connection).create(one)
            document = await command(connection, b"HGET", connection.keys.document(one.id), b"d")
            assert isinstance(document, bytes)
            assert orjson.loads(document)["id"] == one.id
            assert decode_session(document) == one

    run(scenario())


def test_two_prefixes_share_a_server() -> None:
    """Neither sees the other's."""

    async def scenario() -> None:
        async with connected(shared().url) as one, connected(shared().url) as two:
            await ValkeySessionStore(one).create(mine())
            assert await ValkeySessionStore(two).list() == []

    run(scenario())
