"""The orchestrator's contract over real sockets: what is sent, and what is taken for an answer."""

import asyncio
import contextlib
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from gateway.classify.orchestrator.client import (
    MAX_ANSWER,
    OrchestratorClient,
    OrchestratorError,
    UnusableGrant,
)
from tests.orchestrators.process import OrchestratorProcess, orchestrator

SIDECAR = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def theirs() -> Iterator[OrchestratorProcess]:
    with orchestrator(SIDECAR) as running:
        yield running


@pytest.fixture
def well(theirs: OrchestratorProcess) -> OrchestratorProcess:
    """One that answers as usual."""
    theirs.be_well()
    return theirs


def run(url: str, scenario: Callable[[OrchestratorClient], Awaitable[None]], timeout_s: float = 5.0) -> None:
    async def main() -> None:
        client = OrchestratorClient(url, timeout_s)
        try:
            await scenario(client)
        finally:
            await client.aclose()

    asyncio.run(main())


def test_a_sidecar_is_allocated_and_given_back(well: OrchestratorProcess) -> None:
    """With an id that needs quoting; one that is gone already counts as given back."""

    async def scenario(client: OrchestratorClient) -> None:
        grant = await client.allocate("undertone-test", 30.0)
        assert grant.url == SIDECAR
        assert well.books()["held"] == {grant.id: SIDECAR}
        await client.release(grant.id)
        await client.release(grant.id)
        assert well.books()["held"] == {}
        assert well.books()["callers"][-1] == "undertone-test"

    run(well.url, scenario)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (503, {"detail": "no capacity"}, "answered 503"),
        (500, "<html>", "answered 500"),
        (302, {}, "answered 302"),
        (204, "", "answered 204"),
        (200, "not json", "not JSON"),
        (200, "[" * 30_000, "not JSON"),
        (200, [], "not an object"),
        (200, {}, "no allocation_id"),
        (200, {"url": SIDECAR, "allocation_id": ""}, "no allocation_id"),
        (200, {"url": SIDECAR, "allocation_id": ".."}, "no allocation_id"),
        (200, {"url": SIDECAR, "allocation_id": "x" * 300}, "no allocation_id"),
        (200, {"url": SIDECAR, "allocation_id": True}, "no allocation_id"),
        (200, " " * (MAX_ANSWER + 1), "is over"),
    ],
)
def test_anything_else_is_a_refusal(well: OrchestratorProcess, status: int, body: object, why: str) -> None:
    """Said in one sentence; never another exception."""

    async def scenario(client: OrchestratorClient) -> None:
        well.answer(status, body)
        with pytest.raises(OrchestratorError, match=why):
            await client.allocate("undertone-test", 30.0)

    run(well.url, scenario)


@pytest.mark.parametrize(
    "url",
    [None, 7, "", "ftp://x", "http://user:secret@x", "http://", "http://x?y", "unix:relative", "file:///x"],
)
def test_what_cannot_be_used_is_named_to_be_given_back(well: OrchestratorProcess, url: object) -> None:
    """And its URL is not shown: it may hold a secret."""

    async def scenario(client: OrchestratorClient) -> None:
        well.answer(200, {"url": url, "allocation_id": 12})
        with pytest.raises(UnusableGrant) as refused:
            await client.allocate("undertone-test", 30.0)
        assert refused.value.allocation_id == "12"
        assert "secret" not in str(refused.value)

    run(well.url, scenario)


def test_nobody_there_and_nobody_who_answers() -> None:
    """Both are over in time, and neither shows an address."""

    async def scenario(client: OrchestratorClient) -> None:
        with pytest.raises(OrchestratorError) as refused:
            await client.allocate("undertone-test", 30.0)
        assert "127.0.0.1" not in str(refused.value)
        with pytest.raises(OrchestratorError):
            await client.release("1")

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        run(address, scenario, timeout_s=0.2)
    run(address, scenario)


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """One that says `answer`, byte by byte, to everything; and the heads of what it was asked."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


@pytest.mark.parametrize("location", ["http://xn--a.com/x", "http://x:99999999/", "http://[", "\xff"])
def test_an_answer_that_leads_to_an_impossible_address_is_a_refusal(location: str) -> None:
    """It isn't followed; looking at it alone can fail."""

    async def main() -> None:
        answer = f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode("latin-1")
        async with answering(answer) as (url, _):
            client = OrchestratorClient(url, 5.0)
            with pytest.raises(OrchestratorError):
                await client.allocate("undertone-test", 30.0)
            with pytest.raises(OrchestratorError):
                await client.release("1")
            await client.aclose()

    asyncio.run(main())


def test_nothing_is_unpacked() -> None:
    """No compressed answer is asked for, and what is small on the way stays so."""

    async def main() -> None:
        body = gzip.compress(b'{"url": "%s", "allocation_id": "1"}' % SIDECAR.encode())
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
        async with answering(head + body) as (url, heads):
            client = OrchestratorClient(url, 5.0)
            with pytest.raises(OrchestratorError, match="compressed"):
                await client.allocate("undertone-test", 30.0)
            await client.aclose()
        assert b"accept-encoding: identity" in heads[0].lower()

    asyncio.run(main())
