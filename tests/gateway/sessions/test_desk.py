"""Proving a credential before a word is said about a session."""

import asyncio

import pytest

from gateway.errors import Unauthorized
from gateway.sessions.service import NewSession
from gateway.sessions.tickets import Role
from tests.gateway.sessions.kit import Node, run


def test_a_ticket_is_used_up_and_a_resume_token_is_left_to_the_attach() -> None:
    """So that of many who come with one ticket exactly one gets in."""

    async def main() -> None:
        node = Node()
        created = await node.service.create(NewSession())
        tries = (node.service.prove(created.session.id, Role.OWNER, created.ticket) for _ in range(100))
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert results.count(None) == 1
        assert sum(isinstance(one, Unauthorized) for one in results) == 99
        token = (await node.service.attach(created.session.id)).resume_token
        assert token is not None
        assert await node.service.prove(created.session.id, Role.OWNER, token) == token

    run(main())


def test_a_session_that_isnt_there_is_refused_in_the_same_words() -> None:
    """Absent, somebody else's and a wrong ticket can't be told apart."""

    async def main() -> set[str]:
        node = Node()
        mine = await node.service.create(NewSession(namespace_id="mine"))
        theirs = await node.service.create(NewSession(namespace_id="theirs"))
        words = set()
        for session_id in (theirs.session.id, mine.session.id, "nobody"):
            ticket = await node.service.ticket(mine.session.id, Role.OWNER)
            if session_id == mine.session.id:
                ticket = "invented"
            with pytest.raises(Unauthorized) as refused:
                await node.service.prove(session_id, Role.OWNER, ticket)
            words.add(str(refused.value))
        return words

    assert len(run(main())) == 1


def test_an_observers_ticket_lets_no_owner_in() -> None:
    """An owner's lets an observer in."""

    async def main() -> None:
        node = Node()
        made = (await node.service.create(NewSession())).session.id
        with pytest.raises(Unauthorized, match="observer"):
            await node.service.prove(made, Role.OWNER, await node.service.ticket(made, Role.OBSERVER))
        for role in Role:
            ticket = await node.service.ticket(made, role)
            assert await node.service.prove(made, Role.OBSERVER, ticket) is None

    run(main())


def test_a_ticket_is_for_now_and_a_way_back_for_as_long_as_the_session() -> None:
    """Thirty seconds, and a day; neither outlives the session's deletion."""

    async def main() -> None:
        node = Node()
        made = (await node.service.create(NewSession())).session.id
        await node.service.attach(made)
        tickets = [await node.service.ticket(made, Role.OBSERVER) for _ in range(2)]
        passes = [await node.service.pass_for_return(made) for _ in range(2)]
        node.hear(made)
        node.clock.advance(29.9)
        assert await node.service.prove(made, Role.OBSERVER, tickets[0]) is None
        node.clock.advance(0.1)
        with pytest.raises(Unauthorized):
            await node.service.prove(made, Role.OBSERVER, tickets[1])
        node.clock.advance(3_600)
        node.hear(made)
        assert await node.service.prove(made, Role.OBSERVER, passes[0]) is None
        await node.service.delete(made)
        with pytest.raises(Unauthorized):
            await node.service.prove(made, Role.OBSERVER, passes[1])

    run(main())
