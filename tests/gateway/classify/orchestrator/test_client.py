"""The orchestrator's contract over real sockets: what is sent, and what is taken for an answer."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway.classify.orchestrator.client import (
    MAX_ANSWER,
    OrchestratorClient,
    OrchestratorError,
    UnusableGrant,
    on_this_machine,
    read_grant,
)
from gateway.classify.orchestrator.grant import Sidecar
from gateway.classify.remote.access import Access
from tests.gateway.classify.remote.test_bad_answers import certificate
from tests.orchestrators.process import OrchestratorProcess, orchestrator

ROOT = Path(__file__).parents[4]
SIDECAR = "http://127.0.0.1:9"


def test_a_request_loads_no_code() -> None:
    """All of it is there before: to load it takes longer than the event loop may be held up."""
    script = """
import asyncio, sys
from gateway.classify.orchestrator.client import OrchestratorClient, OrchestratorError

async def main():
    client = OrchestratorClient("http://127.0.0.1:9", 5.0)
    before = set(sys.modules)
    try:
        await client.allocate("somebody", 60.0)
    except OrchestratorError:
        pass
    print(sorted(name for name in set(sys.modules) - before if name.startswith(("anyio", "http"))))

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"


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
        assert grant.sidecar == Sidecar(SIDECAR)
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


@pytest.mark.parametrize("given", [None, "t0k.en-_~+/=", "x" * 8_192])
def test_a_token_for_the_sidecar_comes_with_it(well: OrchestratorProcess, given: str | None) -> None:
    """And isn't shown by accident."""

    async def scenario(client: OrchestratorClient) -> None:
        well.answer(200, {"url": SIDECAR, "allocation_id": "1", "token": given})
        grant = await client.allocate("undertone-test", 30.0)
        assert grant.sidecar == Sidecar(SIDECAR, given)
        assert given is None or given not in repr(grant)

    run(well.url, scenario)


@pytest.mark.parametrize("given", ["", "two words", "line\nbreak", "ünïcode", 7, True, ["x"], "x" * 8_193])
def test_a_token_that_can_not_be_sent_is_a_refusal(well: OrchestratorProcess, given: object) -> None:
    """Calls without it would fail later, and one with a line break would be another header."""

    async def scenario(client: OrchestratorClient) -> None:
        well.answer(200, {"url": SIDECAR, "allocation_id": "1", "token": given})
        with pytest.raises(UnusableGrant, match="a token that can't be sent") as refused:
            await client.allocate("undertone-test", 30.0)
        assert refused.value.allocation_id == "1"

    run(well.url, scenario)


def test_an_orchestrator_of_this_machine_may_name_a_socket(well: OrchestratorProcess) -> None:
    """It could open it itself."""

    async def scenario(client: OrchestratorClient) -> None:
        well.answer(200, {"url": "unix:///run/sidecar.sock", "allocation_id": "1"})
        grant = await client.allocate("undertone-test", 30.0)
        assert grant.sidecar == Sidecar("unix:///run/sidecar.sock")

    run(well.url, scenario)


@pytest.mark.parametrize(
    ("orchestrator", "taken"),
    [
        ("http://127.0.0.1:7700", True),
        ("http://[::1]:7700", True),
        ("http://localhost:7700", True),
        ("unix:///run/orchestrator.sock", True),
        ("http://10.0.0.7:7700", False),
        ("https://orchestrator.example.org", False),
        ("http://localhost.example.org", False),
    ],
)
def test_one_elsewhere_may_not(orchestrator: str, taken: bool) -> None:
    """What listens at a path here is for whoever may open it, and not for another machine to choose."""
    body = b'{"url": "unix:///run/docker.sock", "allocation_id": "1"}'
    local = on_this_machine(orchestrator)
    if taken:
        assert read_grant(body, local=local).sidecar.url == "unix:///run/docker.sock"
        return
    with pytest.raises(UnusableGrant, match="a Unix socket of this machine") as refused:
        read_grant(body, local=local)
    assert "docker" not in str(refused.value)
    assert read_grant(b'{"url": "http://10.0.0.8", "allocation_id": "1"}', local=local)


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
async def answering(
    answer: bytes, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """One that says `answer`, byte by byte, to everything; and the heads of what it was asked."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


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


def test_an_orchestrator_is_trusted_by_the_same_authorities_as_sidecars(tmp_path: Path) -> None:
    """And by no others: without any, nobody is."""
    tls, authority = certificate(tmp_path)
    body = b'{"url": "https://10.0.0.7", "allocation_id": "1"}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def main() -> None:
        async with answering(answer, tls) as (url, _):
            trusting = Access.load(tls=True, ca_file=str(authority)).trust
            for trust in (None, ssl.create_default_context(), trusting):
                client = OrchestratorClient(url, 5.0, trust)
                if trust is trusting:
                    assert (await client.allocate("undertone-test", 30.0)).id == "1"
                else:
                    with pytest.raises(OrchestratorError, match="can't be reached"):
                        await client.allocate("undertone-test", 30.0)
                await client.aclose()

    asyncio.run(main())
