"""What the gateway serves for a browser: the page, its modules, and what they may do."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files

import httpx
import pytest

from gateway.api.page import INDEX, POLICY, leaner, web_files
from tests.gateway.inprocess import node

Scene = Callable[[httpx.AsyncClient], Awaitable[None]]


def play(scene: Scene) -> None:
    """Run `scene` with a client of a whole gateway."""

    async def main() -> None:
        one = node()
        transport = httpx.ASGITransport(app=one.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8522") as client:
            await scene(client)
        await one.aclose()

    asyncio.run(main())


def test_the_page_is_at_the_root() -> None:
    """It may run its own modules and ask its own gateway, and nothing else."""

    async def scene(client: httpx.AsyncClient) -> None:
        answer = await client.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == POLICY
        assert "unsafe" not in POLICY
        assert answer.content == web_files()[INDEX].body
        assert answer.headers["referrer-policy"] == "no-referrer"

    play(scene)


@pytest.mark.parametrize("path", sorted(web_files()))
def test_a_file_comes_as_what_it_is(path: str) -> None:
    """With its media type, which no browser second-guesses, and once only: afterwards nothing has changed."""

    async def scene(client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/web/{path}")
        source = files("gateway").joinpath("web", *path.split("/")).read_bytes()
        assert answer.content == leaner("." + path.rpartition(".")[2], source)
        assert len(answer.content) <= len(source)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
        if path.endswith(".js"):
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        again = await client.get(f"/web/{path}", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    play(scene)


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "", "package.json", "../api/page.py", "%2e%2e/api/page.py", "..%2fapi%2fpage.py", "page"],
)
def test_nothing_else_is_there(path: str) -> None:
    """A path that leads out, a folder, a file for tools: all the same 404."""

    async def scene(client: httpx.AsyncClient) -> None:
        answer = await client.get(f"http://127.0.0.1:8522/web/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    play(scene)


def test_what_methods_there_are() -> None:
    """As everywhere: `OPTIONS` names them, others are refused."""

    async def scene(client: httpx.AsyncClient) -> None:
        asked = await client.options(f"/web/{INDEX}")
        assert (asked.status_code, asked.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        refused = await client.post(f"/web/{INDEX}")
        assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
        head = await client.head(f"/web/{INDEX}")
        assert (head.status_code, head.content) == (200, b"")

    play(scene)


@pytest.mark.parametrize("path", [INDEX, "page/settings.html"])
def test_the_page_names_only_what_is_here(path: str) -> None:
    """No script or style is written into it, and everything that it loads is served."""
    page = web_files()[path].body.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    for target in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert target.startswith("/web/") is False or target.removeprefix("/web/") in web_files(), target
