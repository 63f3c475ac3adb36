"""The live page and the JavaScript client out of `gateway/web`: public, read once, told without comments."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import rcssmin
import rjsmin
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from gateway.api.caching import entity_tag, revalidated
from gateway.api.problems import Problem

PREFIX: Final = "/web"
INDEX: Final = "index.html"

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""What the page may do (CSP Level 3): run and ask what comes from here, and nothing that came as text."""

_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",  # RFC 9239
    ".ts": "text/plain; charset=utf-8",  # for people and editors; no browser runs it
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_LEANER: Final[Mapping[str, Callable[[str], str]]] = {
    ".js": rjsmin.jsmin,
    ".css": rcssmin.cssmin,
    ".html": lambda text: re.sub(r"\s+", " ", text),
    ".webmanifest": lambda text: json.dumps(json.loads(text), separators=(",", ":")),
}
"""What says the same in fewer bytes: comments and indentation are a third, and no browser reads them."""
_SAFE: Final = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
_OF_PAGES: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), display-capture=(self), screen-wake-lock=(self), camera=()",
}


@dataclass(frozen=True, slots=True)
class File:
    """One of them."""

    body: bytes
    etag: str
    headers: Mapping[str, str]


class PageRoutes:
    """The handlers of the page and of what it is made of."""

    def routes(self) -> list[BaseRoute]:
        """For the application."""
        return [Route("/", self.index), Mount(PREFIX, routes=[Route("/{path:path}", self.file)])]

    async def index(self, request: Request) -> Response:
        """`GET /`: the live page."""
        return await self._told(request, INDEX)

    async def file(self, request: Request) -> Response:
        """`GET /web/…`: a module, the style sheet, an icon."""
        return await self._told(request, request.path_params["path"])

    async def _told(self, request: Request, path: str) -> Response:
        # To read them all takes longer than the event loop may be kept.
        found = (await run_in_threadpool(web_files)).get(path)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "not_found", "there is no such file")
        return revalidated(request, found.body, found.etag, found.headers)


@cache
def web_files() -> Mapping[str, File]:
    """Every file of a known type, by its path below `/web`."""
    return dict(_below(files("gateway").joinpath("web"), ""))


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, File]]:
    for entry in folder.iterdir():
        path = prefix + entry.name
        if entry.is_dir():
            yield from _below(entry, path + "/")
            continue
        suffix = "." + entry.name.rpartition(".")[2]
        if suffix in _MEDIA_TYPES:
            headers = {"content-type": _MEDIA_TYPES[suffix], **_SAFE}
            if suffix == ".html":
                headers |= _OF_PAGES
            body = leaner(suffix, entry.read_bytes())
            yield path, File(body, entity_tag(body), headers)


def leaner(suffix: str, body: bytes) -> bytes:
    """A file of that kind without what only its authors need."""
    return _LEANER[suffix](body.decode()).encode() if suffix in _LEANER else body
