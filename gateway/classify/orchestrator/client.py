"""The orchestrator's two verbs over HTTP: allocate a sidecar, give it back.

    POST   {url}/api/services/cf-voice/allocate       {"caller", "ttl_s"} → {"url", "allocation_id", "token"?}
    DELETE {url}/api/services/cf-voice/allocations/{id}

Who asks is named by what leads to no session's id. A Unix socket is taken from an orchestrator on this
machine only: one elsewhere must not choose what we open here.
"""

import asyncio
import contextlib
import importlib
import json
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from gateway.classify.orchestrator.grant import Grant, Sidecar
from gateway.config.addresses import is_loopback, sidecar
from gateway.config.problems import Refused

with contextlib.suppress(ImportError):
    # httpx would load it with the first request, and hold up the event loop for as long.
    importlib.import_module("anyio._backends._asyncio")

PATH = "/api/services/cf-voice"
MAX_ANSWER = 64 * 1024
"""Bytes."""
MAX_ID = 256
"""Characters."""
MAX_TOKEN = 8_192
"""Characters."""
GIVEN_BACK = (404, 410)
"""Answers to a `DELETE` that mean the same as success: it is gone."""


class OrchestratorError(Exception):
    """It didn't do what was asked; says why in one sentence that tells no secret."""


class UnusableGrant(OrchestratorError):
    """It allocated something that can't be used, and has to be given back."""

    def __init__(self, message: str, allocation_id: str) -> None:
        super().__init__(message)
        self.allocation_id = allocation_id


class OrchestratorClient:
    """Talks to one orchestrator.

    Args:
        url: as `gateway.config.addresses.sidecar` takes it.
        timeout_s: seconds for a whole answer.
        trust: whose certificates are good; needed where it is spoken to over TLS.
    """

    def __init__(self, url: str, timeout_s: float, trust: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        socket = parts.path if parts.scheme == "unix" else None
        self._local = on_this_machine(url)
        self._base = ("http://orchestrator" if socket else url) + PATH
        self._timeout_s = timeout_s
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=4)
        self._http = httpx.AsyncClient(
            # The context that the transport would make for itself reads every known authority: too long for
            # the event loop, on which namespaces choose. The empty one trusts nobody.
            transport=httpx.AsyncHTTPTransport(
                verify=trust or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), uds=socket, limits=limits
            ),
            timeout=timeout_s,
            headers={"accept-encoding": "identity"},
        )

    async def allocate(self, caller: str, ttl_s: float) -> Grant:
        """A sidecar for `ttl_s` seconds.

        Raises:
            OrchestratorError: none was given.
        """
        status, body = await self._call("POST", "/allocate", {"caller": caller, "ttl_s": ttl_s})
        if status not in (200, 201):
            raise OrchestratorError(f"the orchestrator answered {status}")
        return read_grant(body, local=self._local)

    async def release(self, allocation_id: str) -> None:
        """Give one back; one that is gone already is given back, too.

        Raises:
            OrchestratorError: it may still be held.
        """
        status, _ = await self._call("DELETE", f"/allocations/{quote(allocation_id, safe='')}", None)
        if not 200 <= status < 300 and status not in GIVEN_BACK:
            raise OrchestratorError(f"the orchestrator answered {status}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _call(self, method: str, path: str, given: Any) -> tuple[int, bytes]:
        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._http.stream(method, self._base + path, json=given) as answer,
            ):
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise OrchestratorError("the orchestrator's answer is compressed")
                async for piece in answer.aiter_raw():
                    body += piece
                    if len(body) > MAX_ANSWER:
                        raise OrchestratorError(f"the orchestrator's answer is over {MAX_ANSWER} bytes")
                return answer.status_code, bytes(body)
        except OrchestratorError:
            raise
        except TimeoutError:
            raise OrchestratorError("the orchestrator did not answer in time") from None
        except Exception as error:
            # More than HTTP's own: an answer that leads to an impossible address, for one. Not what it says:
            # that may hold the address.
            raise OrchestratorError(f"the orchestrator can't be reached ({type(error).__name__})") from None


def on_this_machine(url: str) -> bool:
    """Whether nobody but this machine can be behind `url`."""
    parts = urlsplit(url)
    return parts.scheme == "unix" or is_loopback(parts.hostname or "")


def read_grant(body: bytes, *, local: bool) -> Grant:
    """The grant in an answer.

    Args:
        local: the orchestrator is on this machine, and may name a Unix socket.

    Raises:
        OrchestratorError: there is none.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise OrchestratorError("the orchestrator's answer is not JSON") from None
    if not isinstance(given, dict):
        raise OrchestratorError("the orchestrator's answer is not an object")
    id = given.get("allocation_id")
    if type(id) is int:
        id = str(id)
    if not isinstance(id, str) or not 0 < len(id) <= MAX_ID or not id.isprintable():
        raise OrchestratorError("the orchestrator gave no allocation_id")
    if id in (".", ".."):  # would lead elsewhere as a part of a path
        raise OrchestratorError("the orchestrator gave no allocation_id")
    url = given.get("url")
    if not isinstance(url, str):
        raise UnusableGrant("the orchestrator gave no url", id)
    try:
        url = sidecar(url)
    except Refused as refused:
        raise UnusableGrant(f"the url that the orchestrator gave {refused.message}", id) from None
    if url.startswith("unix:") and not local:
        why = "the orchestrator is elsewhere, and gave a Unix socket of this machine"
        raise UnusableGrant(why, id)
    token = given.get("token")
    if token is not None and not _sendable(token):
        raise UnusableGrant("the orchestrator gave a token that can't be sent", id)
    return Grant(id, Sidecar(url, token))


def _sendable(token: object) -> bool:
    """Whether it can stand in a header: printable ASCII without blanks."""
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN:
        return False
    return token.isascii() and token.isprintable() and " " not in token
