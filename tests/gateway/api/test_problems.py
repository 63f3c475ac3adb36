"""What clients are told of stores that fail, and what only the log is told."""

import asyncio
import logging
from typing import Any, NoReturn

import httpx
import pytest

from gateway.api import problems
from gateway.api.problems import STORE_AWAY, STORE_RETRY_S, error_of, from_error
from gateway.errors import BadDocument, NotFound, StoreUnavailable, StoreUnsuitable, UndertoneError
from gateway.seldom import Seldom
from gateway.stores.memory import MemorySessionStore
from protocol.close import CloseCode
from protocol.errors import ErrorCode
from tests.gateway.api.legacy_kit import BASE
from tests.gateway.inprocess import Peer, node

SAID = "the store at 10.1.2.3:6379 refuses what it was told: user_function:238"
PATH = "/api/v1/sessions"


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test made it say counts for nothing."""
    monkeypatch.setattr(problems, "_refused", Seldom(60.0))


@pytest.mark.parametrize(("kind", "lines"), [(StoreUnavailable, 0), (StoreUnsuitable, 1)])
def test_a_store_that_refuses_is_one_that_is_away(
    kind: type[UndertoneError], lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The same words over HTTP and to sockets, none of them the store's; what it said is logged, once."""
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            problem, told = from_error(kind(SAID)), error_of(kind(SAID))
            assert (problem.status, problem.code, problem.detail) == (503, "store_unavailable", STORE_AWAY)
            assert 1 <= int(problem.headers["retry-after"]) <= STORE_RETRY_S
            assert (told.code, told.message, told.fatal) == (ErrorCode.STORE_UNAVAILABLE, STORE_AWAY, True)
            assert told.close_code is CloseCode.STORE_UNAVAILABLE
    assert [SAID in one.getMessage() for one in caplog.records] == [True] * lines


def test_what_can_not_be_read_is_told_by_its_own_name() -> None:
    """It is the server's fault, and trying again is no use before somebody has looked."""
    problem = from_error(BadDocument("a session's document is damaged"))
    assert (problem.status, problem.code) == (500, "bad_document")
    told = error_of(BadDocument("a session's document is damaged"))
    assert (told.code, told.fatal) == (ErrorCode.INTERNAL, True)


def test_other_errors_keep_their_names() -> None:
    """Where the protocol has them."""
    assert error_of(NotFound()).code is ErrorCode.SESSION_NOT_FOUND
    assert error_of(RuntimeError("by hand")).code is ErrorCode.INTERNAL


@pytest.mark.parametrize("kind", [StoreUnavailable, StoreUnsuitable])
def test_every_way_in_tells_it(kind: type[UndertoneError], monkeypatch: pytest.MonkeyPatch) -> None:
    """REST with 503, a socket with 4102."""

    async def refuse(*_: Any) -> NoReturn:
        raise kind(SAID)

    async def main() -> None:
        here = node()
        try:
            there = await here.connect(Peer())
            session_id = there.welcome.session_id
            for name in ("create", "get", "list"):
                monkeypatch.setattr(MemorySessionStore, name, refuse)
            transport = httpx.ASGITransport(here.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                for method, path in (("POST", PATH), ("GET", PATH), ("DELETE", f"{PATH}/{session_id}")):
                    answer = await client.request(method, path)
                    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
                    assert "retry-after" in answer.headers
                    assert "10.1.2.3" not in answer.text
            for query in ("", f"session_id={session_id}"):
                peer = await here.connect(Peer(query))
                assert (peer.errors, peer.closed) == (["store_unavailable"], 4102)
                assert "10.1.2.3" not in str(peer.said)
            monkeypatch.undo()
        finally:
            await here.aclose()

    asyncio.run(main())


def test_a_session_that_can_not_be_read_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it may be shown or deleted depends on whose it is, which nobody can say."""

    async def broken(*_: Any) -> NoReturn:
        raise BadDocument("a session's document is no JSON")

    async def main() -> None:
        here = node()
        try:
            monkeypatch.setattr(MemorySessionStore, "get", broken)
            transport = httpx.ASGITransport(here.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                for method in ("GET", "DELETE"):
                    answer = await client.request(method, f"{PATH}/{'A' * 22}")
                    assert (answer.status_code, answer.json()["code"]) == (500, "bad_document")
        finally:
            await here.aclose()

    asyncio.run(main())
