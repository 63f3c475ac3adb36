"""Attaching: owners and observers, tickets and resume tokens."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import SessionGone, Unauthorized
from gateway.sessions.lifecycle import Activity
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import TicketGrant
from gateway.sessions.service import Attached, NewSession
from gateway.sessions.shared import Superseded
from gateway.sessions.tickets import Role, digest, new_secret
from protocol.control import SessionConfig
from tests.gateway.sessions.kit import Node, YieldingSessionStore, run, summary


async def new(node: Node) -> str:
    return (await node.service.create(NewSession())).session.id


async def status(node: Node, session_id: str) -> Status:
    return (await node.service.get(session_id)).status


class TestAttaching:
    def test_an_owner_comes_goes_and_comes_back(self) -> None:
        """created, live, detached, live: each step is stamped and told."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            first = await node.service.attach(session_id)
            assert (first.session.status, first.replaced) == (Status.LIVE, False)
            await node.service.lose(session_id)
            assert await status(node, session_id) is Status.DETACHED
            node.clock.advance(89.0)
            again = await node.service.attach(session_id)
            assert (again.session.status, again.replaced) == (Status.LIVE, False)
            assert again.session.live_mono == node.clock.monotonic()

        run(scenario())

    def test_a_second_owner_replaces_the_first(self) -> None:
        """It is told that somebody was there, and the first one's late goodbye is not taken for its own."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            first = await node.service.attach(session_id)
            second = await node.service.attach(session_id)
            assert second.replaced
            await node.service.lose(session_id, first.session.attaches)
            assert await status(node, session_id) is Status.LIVE
            await node.service.lose(session_id, second.session.attaches)
            assert await status(node, session_id) is Status.DETACHED

        run(scenario())

    def test_who_was_replaced_neither_ends_nor_configures(self) -> None:
        """Whichever node it is at; the latest owner may, and the application, which names no attach."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            first = (await node.service.attach(session_id)).session
            second = (await node.service.attach(session_id)).session
            with pytest.raises(Superseded):
                await node.service.drain(session_id, first.attaches)
            with pytest.raises(Superseded):
                await node.service.configure(session_id, SessionConfig(hop_ms=300), first.attaches)
            assert await node.store.get(session_id) == second
            await node.service.configure(session_id, SessionConfig(hop_ms=400), second.attaches)
            assert (await node.service.get(session_id)).config.hop_ms == 400
            await node.service.drain(session_id, second.attaches)
            assert await status(node, session_id) is Status.DRAINING

            other = await new(node)
            await node.service.attach(other)
            await node.service.drain(other)
            assert await status(node, other) is Status.DRAINING

        run(scenario())

    def test_who_was_replaced_is_told_nothing_of_a_session_that_is_over(self) -> None:
        """There is nothing left to take over."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            first = (await node.service.attach(session_id)).session
            await node.service.attach(session_id)
            await node.service.end(session_id, summary(session_id))
            await node.service.drain(session_id, first.attaches)
            await node.service.configure(session_id, SessionConfig(hop_ms=300), first.attaches)

        run(scenario())

    def test_an_observer_counts_as_attached_and_gets_no_token(self) -> None:
        """A session that is only watched outlives its connect deadline."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            attached = await node.service.attach(session_id, Role.OBSERVER)
            assert (attached.session.status, attached.resume_token) == (Status.DETACHED, None)
            node.clock.advance(31.0)
            owner = await node.service.attach(session_id)
            assert (owner.session.status, owner.replaced) == (Status.LIVE, False)
            assert (await node.service.attach(session_id, Role.OBSERVER)).session.attaches == 1

        run(scenario())

    def test_the_timer_of_a_watched_session_begins_when_the_observer_goes(self) -> None:
        """90 s are counted from the last subscriber, not from the owner."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            await node.service.observe(session_id)
            node.live[session_id] = Activity(1, None)
            node.clock.advance(500.0)
            await node.service.unobserve(session_id)
            node.live[session_id] = Activity(0, None)
            node.clock.advance(89.0)
            assert await status(node, session_id) is Status.DETACHED
            node.clock.advance(1.0)
            assert await status(node, session_id) is Status.EXPIRED

        run(scenario())

    def test_whoever_attaches_while_it_drains_may_read_the_end(self) -> None:
        """Draining goes on; the session is gone once it is closed."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            await node.service.attach(session_id)
            await node.service.drain(session_id)
            assert (await node.service.attach(session_id)).session.status is Status.DRAINING
            await node.service.lose(session_id)
            assert await status(node, session_id) is Status.DRAINING
            await node.service.end(session_id, summary(session_id))
            for role in Role:
                with pytest.raises(SessionGone, match="closed"):
                    await node.service.attach(session_id, role)

        run(scenario())

    def test_of_many_simultaneous_attaches_the_latest_wins(self) -> None:
        """All get in, one after the other; exactly one token resumes beside the last one's predecessor."""

        async def scenario() -> None:
            node = Node(store=YieldingSessionStore())
            session_id = await new(node)
            everybody = await asyncio.gather(*(node.service.attach(session_id) for _ in range(30)))
            assert sorted(one.session.attaches for one in everybody) == list(range(1, 31))
            assert sum(not one.replaced for one in everybody) == 1
            latest = max(everybody, key=lambda one: one.session.attaches)
            await node.service.confirm(session_id)
            session = await node.service.get(session_id)
            good = [one for one in everybody if session.resume_hash == digest(one.resume_token or "")]
            assert good == [latest]
            assert session.previous_resume_hash is None

        run(scenario())


class TestCredentials:
    def test_a_ticket_lets_one_owner_in_once(self) -> None:
        """Of 100 simultaneous uses exactly one succeeds."""

        async def scenario() -> None:
            node = Node(store=YieldingSessionStore())
            created = await node.service.create(NewSession())
            uses = (node.service.attach(created.session.id, credential=created.ticket) for _ in range(100))
            results = await asyncio.gather(*uses, return_exceptions=True)
            assert sum(isinstance(result, Attached) for result in results) == 1
            assert sum(isinstance(result, Unauthorized) for result in results) == 99

        run(scenario())

    def test_a_wrong_credential_is_refused_even_where_none_is_needed(self) -> None:
        """An invented, an expired, a foreign and an observer's ticket: none makes an owner."""

        async def scenario() -> None:
            node = Node()
            created, other = [await node.service.create(NewSession()) for _ in range(2)]
            session_id = created.session.id
            now = node.clock.monotonic()
            await node.tickets.issue(digest("read"), TicketGrant(session_id, Role.OBSERVER, now + 30))
            await node.tickets.issue(digest("late"), TicketGrant(session_id, Role.OWNER, now))
            for wrong in (new_secret(), "", "late", "read", other.ticket):
                with pytest.raises(Unauthorized):
                    await node.service.attach(session_id, credential=wrong)
            assert await status(node, session_id) is Status.CREATED
            await node.service.attach(session_id)

        run(scenario())

    @pytest.mark.parametrize("held", Role)
    def test_an_observer_may_come_with_either_role_s_ticket(self, held: Role) -> None:
        """Whoever may own may also just watch."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            grant = TicketGrant(session_id, held, node.clock.monotonic() + 30)
            await node.tickets.issue(digest("t"), grant)
            await node.service.attach(session_id, Role.OBSERVER, credential="t")

        run(scenario())

    def test_a_resume_token_is_rotated_and_a_lost_welcome_locks_nobody_out(self) -> None:
        """The previous token stays good until the new owner has spoken, however often the reply is lost."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            known = (await node.service.attach(session_id)).resume_token
            await node.service.confirm(session_id)
            for _ in range(3):  # each of these replies is lost
                lost = (await node.service.attach(session_id, credential=known)).resume_token
            received = (await node.service.attach(session_id, credential=lost)).resume_token
            await node.service.confirm(session_id)
            for stale in (known, lost):
                with pytest.raises(Unauthorized):
                    await node.service.attach(session_id, credential=stale)
            await node.service.attach(session_id, credential=received)

        run(scenario())

    def test_a_replaced_owner_confirms_nothing(self) -> None:
        """Its late message does not cost the new owner the token it came with."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            first = await node.service.attach(session_id)
            await node.service.attach(session_id, credential=first.resume_token)
            await node.service.confirm(session_id, first.session.attaches)
            await node.service.attach(session_id, credential=first.resume_token)

        run(scenario())

    def test_only_hashes_are_kept_and_nothing_shows_a_secret(self) -> None:
        """Neither the stored session nor any representation holds a token or a ticket."""

        async def scenario() -> None:
            node = Node()
            created = await node.service.create(NewSession())
            attached = await node.service.attach(created.session.id, credential=created.ticket)
            token = attached.resume_token
            assert token is not None
            shown = repr(created) + repr(attached) + repr(vars(node.store)) + repr(vars(node.tickets))
            assert token not in shown
            assert created.ticket not in shown
            assert attached.session.resume_hash == digest(token)

        run(scenario())

    def test_a_session_that_is_over_uses_no_ticket_up(self) -> None:
        """Which of the two is wrong is told before the credential is looked at."""

        async def scenario() -> None:
            node = Node()
            created = await node.service.create(NewSession())
            await node.service.end(created.session.id, summary(created.session.id))
            with pytest.raises(SessionGone):
                await node.service.attach(created.session.id, credential=created.ticket)
            assert len(node.tickets) == 1

        run(scenario())


def test_cancelling_an_attach_leaves_a_session_that_can_be_attached() -> None:
    """A socket that goes away while it attaches breaks nothing, wherever it is cut."""

    async def scenario() -> None:
        for steps in range(12):
            node = Node(store=YieldingSessionStore())
            session_id = await new(node)
            attaching = asyncio.create_task(node.service.attach(session_id))
            for _ in range(steps):
                await asyncio.sleep(0)
            attaching.cancel()
            await asyncio.gather(attaching, return_exceptions=True)
            session: Session = (await node.service.attach(session_id)).session
            assert session.status is Status.LIVE

    run(scenario())


class MeddlingStore(YieldingSessionStore):
    """A store in which something happens between the first read of a session and the next."""

    def __init__(self) -> None:
        super().__init__()
        self.meddle: Callable[[], Awaitable[object]] | None = None

    async def get(self, session_id: str) -> Session | None:
        found = await super().get(session_id)
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            await meddle()
        return found


@pytest.mark.parametrize("role", Role)
def test_a_session_that_ends_while_somebody_attaches_lets_nobody_in(role: Role) -> None:
    """The decision is made on what is there when it is written, not on what was read first."""

    async def scenario() -> None:
        store = MeddlingStore()
        node = Node(store=store)
        session_id = await new(node)
        store.meddle = lambda: node.service.end(session_id, summary(session_id))
        with pytest.raises(SessionGone):
            await node.service.attach(session_id, role)

    run(scenario())


@pytest.mark.parametrize("asks", ["drain", "configure"])
def test_an_owner_that_is_replaced_while_it_asks_changes_nothing(asks: str) -> None:
    """Likewise: its successor came after it was read, and before it was written."""

    async def scenario() -> None:
        store = MeddlingStore()
        node = Node(store=store)
        session_id = await new(node)
        attaches = (await node.service.attach(session_id)).session.attaches
        store.meddle = lambda: node.service.attach(session_id)
        if asks == "drain":
            asking = node.service.drain(session_id, attaches)
        else:
            asking = node.service.configure(session_id, SessionConfig(hop_ms=300), attaches)
        with pytest.raises(Superseded):
            await asking
        found = await node.service.get(session_id)
        assert (found.status, found.config, found.attaches) == (Status.LIVE, SessionConfig(), 2)

    run(scenario())


def test_a_token_that_is_outdated_while_it_is_presented_lets_nobody_in() -> None:
    """The previous token is worth nothing from the moment the new owner has spoken."""

    async def scenario() -> None:
        store = MeddlingStore()
        node = Node(store=store)
        session_id = await new(node)
        old = (await node.service.attach(session_id)).resume_token
        await node.service.attach(session_id, credential=old)
        store.meddle = lambda: node.service.confirm(session_id)
        with pytest.raises(Unauthorized):
            await node.service.attach(session_id, credential=old)

    run(scenario())
