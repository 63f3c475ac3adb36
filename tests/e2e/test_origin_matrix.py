"""Every route × every kind of Origin × every kind of credential: nothing gets in that shouldn't.

Without keys a session's id is the permission, so over HTTP a credential neither opens nor shuts anything, and
at the WebSocket's door one that is presented must be good. A foreign page gets nothing at all, and what it
asked for does not happen.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from gateway.app import create_app
from gateway.settings import Settings
from protocol.events import Welcome
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.e2e.wire import dial, errors, hear, rest, run, welcomed

SESSIONS = "/api/v1/sessions"
TASKS = "/api/v1/tasks"
LISTED = "https://app.example"


@pytest.fixture(scope="module")
def listed() -> Iterator[GatewayProcess]:
    """A gateway with one page on its list."""
    running = start_gateway(TRANSCRIBER="none", ALLOWED_ORIGINS=LISTED, MAX_SESSIONS="100000")
    yield running
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]


# Who asks ---------------------------------------------------------------------------------------------------

ADMITTED = {
    "absent": [],
    "own": ["http://127.0.0.1:PORT"],
    "own, as people type it": ["http://localhost:PORT"],
    "listed": [LISTED],
}
FOREIGN = {
    "empty": [""],
    "null": ["null"],
    "a file's": ["file://"],
    "an extension's": ["chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai"],
    "other port": ["http://127.0.0.1:1"],
    "no port": ["http://127.0.0.1"],
    "other scheme": ["https://127.0.0.1:PORT"],
    "socket's scheme": ["ws://127.0.0.1:PORT"],
    "listed, other scheme": ["http://app.example"],
    "listed, its default port": ["https://app.example:443"],
    "listed, other port": ["https://app.example:8443"],
    "suffix of a name": ["https://app.example.evil.example"],
    "suffix of a number": ["http://127.0.0.1.evil.example:PORT"],
    "suffix of a port": ["http://127.0.0.1:PORT0"],
    "suffix of localhost": ["http://localhost.evil.example:PORT"],
    "prefix": ["https://evilapp.example"],
    "subdomain": ["https://evil.app.example"],
    "upper case": ["HTTPS://APP.EXAMPLE"],
    "upper case localhost": ["http://LOCALHOST:PORT"],
    "trailing slash": ["https://app.example/"],
    "trailing dot": ["https://app.example."],
    "path": ["https://app.example/evil"],
    "user": ["https://user@app.example"],
    "disguised as a user": ["https://app.example@evil.example"],
    "fragment": ["https://evil.example#https://app.example"],
    "IPv6 loopback": ["http://[::1]:PORT"],
    "IPv4 in IPv6": ["http://[::ffff:127.0.0.1]:PORT"],
    "other loopback": ["http://127.0.0.2:PORT"],
    "any address": ["http://0.0.0.0:PORT"],
    "decimal address": ["http://2130706433:PORT"],
    "short address": ["http://127.1:PORT"],
    "a list in one": ["https://app.example https://evil.example"],
    "a list with commas": ["https://app.example, https://evil.example"],
    "two, a good one first": [LISTED, "https://evil.example"],
    "two, a good one last": ["https://evil.example", LISTED],
    "two good ones": [LISTED, "http://127.0.0.1:PORT"],
    "wildcard": ["*"],
}


def origins(gateway: GatewayProcess, values: list[str]) -> list[tuple[str, str]]:
    """As headers."""
    port = gateway.url.rpartition(":")[2]
    return [("Origin", value.replace("PORT", port)) for value in values]


# With what --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Credentials:
    """One of each kind, for one session."""

    session_id: str
    bad: dict[str, str]
    """Those that let nobody in."""


async def credentials(gateway: GatewayProcess) -> Credentials:
    """Tickets and tokens that were good once, or are good elsewhere."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
        mine, other = [(await client.post(SESSIONS)).json() for _ in range(2)]
    query: dict[str, object] = {"session_id": mine["id"]}
    async with dial(gateway, query, mine["ticket"]) as one:
        rotated = (await welcomed(one)).resume_token or ""
    async with dial(gateway, query, rotated) as two:
        await welcomed(two)
        await two.send('{"type": "ping"}')
        await hear(two)
    async with dial(gateway, {"session_id": other["id"]}) as three:
        foreign = (await welcomed(three)).resume_token or ""
    bad = {"invented": "A" * 32, "used": mine["ticket"], "rotated": rotated, "foreign": foreign}
    return Credentials(mine["id"], bad)


def as_bearer(credential: str | None) -> list[tuple[str, str]]:
    return [] if credential is None else [("Authorization", f"Bearer {credential}")]


# Over HTTP --------------------------------------------------------------------------------------------------

ANSWERS = {
    ("GET", "/"): 200,
    ("GET", "/healthz"): 200,
    ("GET", "/readyz"): 200,
    ("GET", "/metrics"): 200,
    ("GET", "/docs"): 200,
    ("GET", "/openapi.json"): 200,
    ("GET", "/asyncapi.json"): 200,
    ("POST", SESSIONS): 201,
    ("GET", SESSIONS): 200,
    ("GET", SESSIONS + "/{session_id}"): 200,
    ("DELETE", SESSIONS + "/{session_id}"): 200,
    ("GET", SESSIONS + "/{session_id}/stats"): 200,
    ("GET", SESSIONS + "/{session_id}/history"): 200,
    ("GET", SESSIONS + "/{session_id}/events"): 200,
    ("POST", SESSIONS + "/{session_id}/tickets"): 201,
    ("GET", SESSIONS + "/{session_id}/checkpoints"): 200,
    ("POST", SESSIONS + "/{session_id}/checkpoints"): 201,
    ("POST", SESSIONS + "/{session_id}/heartbeat"): 200,
    ("POST", SESSIONS + "/{session_id}/tasks"): 422,
    ("GET", SESSIONS + "/{session_id}/tasks"): 200,
    ("GET", TASKS + "/{task_id}"): 200,
    ("DELETE", TASKS + "/{task_id}"): 200,
    ("GET", TASKS + "/{task_id}/result"): 200,
    ("GET", "/health"): 200,
    ("POST", "/session/start"): 200,
    ("GET", "/session/{session_id}"): 200,
    ("GET", "/session/{session_id}/stream"): 200,
    ("GET", "/session/{session_id}/history"): 200,
    ("GET", "/session/{session_id}/export"): 200,
    ("DELETE", "/session/{session_id}/end"): 200,
}
"""What each route says to whoever is let in."""
BODIES = {SESSIONS + "/{session_id}/checkpoints": {"name": "here"}}
"""What must be sent to be taken."""
NOWHERE = [("GET", "/nowhere"), ("PUT", SESSIONS), ("PATCH", SESSIONS + "/x"), ("POST", "/ws/voice")]
"""Routes that there aren't: a foreign page doesn't learn that."""


def served() -> set[tuple[str, str]]:
    """Every HTTP route of the application, and what it answers to."""
    routes = create_app(Settings(transcriber="none")).routes  # type: ignore[arg-type]
    return {
        (method, route.path)
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or ())
        if method != "HEAD"
    }


def test_no_route_is_left_out() -> None:
    """A new route needs its line here."""
    assert served() == set(ANSWERS)


@pytest.mark.parametrize(("method", "path"), [*ANSWERS, *NOWHERE])
def test_over_http(listed: GatewayProcess, method: str, path: str) -> None:
    """A foreign page is told 403 and nothing else, whatever it has in its hands; others are served."""
    known = run(credentials(listed))
    held = {"none": None, **known.bad}
    wrong: dict[tuple[str, str], int] = {}
    with httpx.Client(base_url=listed.url, trust_env=False) as client:
        for kind, credential in held.items():
            for name, values in {**ADMITTED, **FOREIGN}.items():
                headers = origins(listed, values) + as_bearer(credential)
                status, allowed = ask(client, method, path, known.session_id, headers)
                expected = 403 if name in FOREIGN else ANSWERS.get((method, path), status)
                if status != expected or allowed != (LISTED if name == "listed" else None):
                    wrong[name, kind] = status
                if name in ADMITTED and status in (401, 403):
                    wrong[name, kind] = status
    assert wrong == {}


def ask(
    client: httpx.Client, method: str, path: str, session_id: str, headers: list[tuple[str, str]]
) -> tuple[int, str | None]:
    """The status, and which origin's page may read the answer."""
    if method == "DELETE":
        session_id = client.post(SESSIONS).json()["id"]
    body = BODIES.get(path) if method == "POST" else None
    path = path.replace("{session_id}", session_id)
    if "{task_id}" in path:
        path = path.replace("{task_id}", finished_task(client))
    with client.stream(method, path, headers=headers, json=body) as answer:
        if method == "DELETE" and answer.status_code == 403:
            assert client.get(path.removesuffix("/end")).status_code == 200, "it was deleted all the same"
        return answer.status_code, answer.headers.get("access-control-allow-origin")


def finished_task(client: httpx.Client) -> str:
    """The id of a task whose result is ready."""
    session_id = client.post(SESSIONS).json()["id"]
    task = client.post(f"{SESSIONS}/{session_id}/tasks", json={"type": "summary"}).json()
    while task["state"] in ("queued", "running"):
        task = client.get(f"{TASKS}/{task['id']}").json()
    assert task["state"] == "ready"
    return str(task["id"])


def test_what_a_foreign_page_asks_for_does_not_happen(listed: GatewayProcess) -> None:
    """No session is made for it, not by a form's post either, which a browser sends without asking first."""
    with httpx.Client(base_url=listed.url, trust_env=False) as client:
        before = client.get(SESSIONS, params={"device_type": "csrf"}).json()["sessions"]
        for values in FOREIGN.values():
            for kind in ("application/json", "text/plain"):
                headers = [*origins(listed, values), ("content-type", kind)]
                assert (
                    client.post(SESSIONS, content='{"device_type":"csrf"}', headers=headers).status_code
                    == 403
                )
        assert client.get(SESSIONS, params={"device_type": "csrf"}).json()["sessions"] == before == []


@pytest.mark.parametrize("name", [*FOREIGN, "listed"])
def test_a_browser_that_asks_first_is_told_exactly(listed: GatewayProcess, name: str) -> None:
    """The page on the list may, by name; there is no `*`, and no cookies come along."""
    values = {**ADMITTED, **FOREIGN}[name]
    ahead = [("Access-Control-Request-Method", "DELETE"), ("Access-Control-Request-Headers", "authorization")]
    with httpx.Client(base_url=listed.url, trust_env=False) as client:
        answer = client.options(SESSIONS, headers=origins(listed, values) + ahead)
    assert (answer.status_code == 200) is (name == "listed")
    assert answer.headers.get("access-control-allow-origin") == (LISTED if name == "listed" else None)
    assert "access-control-allow-credentials" not in answer.headers


# At the WebSocket's door ------------------------------------------------------------------------------------

Outcome = tuple[int, str]
"""The status of the handshake, or the close code, and what was said."""
REFUSED = {(403, "refused"), (400, "refused")}
"""400 is what a parser says of a header that must not come twice."""


async def knock(
    gateway: GatewayProcess, path: str, headers: list[tuple[str, str]], ticket: str | None
) -> Outcome:
    """Open a WebSocket as a page of that origin."""
    offered = ["undertone.v1.msgpack"] + ([f"undertone.ticket.{ticket}"] if ticket else [])
    try:
        async with connect(
            gateway.url.replace("http", "ws", 1) + path,
            subprotocols=[Subprotocol(one) for one in offered],
            additional_headers=headers,
            compression=None,
            proxy=None,
        ) as socket:
            first = await hear(socket)
            if isinstance(first, Welcome):
                return 101, "welcome"
            heard, code = await rest(socket)
            return code, errors([first, *heard])[-1]
    except InvalidStatus as refused:
        return refused.response.status_code, "refused"


@pytest.mark.parametrize("by", ["ticket", "bearer"])
def test_at_the_websockets_door(listed: GatewayProcess, by: str) -> None:
    """A foreign page is refused before anything is accepted; who is let in holds what is good, or nothing."""

    async def main() -> dict[tuple[str, str], Outcome]:
        known = await credentials(listed)
        path = f"/ws/voice?session_id={known.session_id}"
        wrong: dict[tuple[str, str], Outcome] = {}
        for kind, credential in {"none": None, **known.bad}.items():
            for name, values in {**ADMITTED, **FOREIGN}.items():
                bearer = as_bearer(credential if by == "bearer" else None)
                ticket = credential if by == "ticket" else None
                outcome = await knock(listed, path, origins(listed, values) + bearer, ticket)
                expected = (101, "welcome") if kind == "none" else (4001, "unauthorized")
                if outcome not in (REFUSED if name in FOREIGN else {expected}):
                    wrong[name, kind] = outcome
        return wrong

    assert run(main(), 60) == {}


def test_where_there_is_no_websocket(listed: GatewayProcess) -> None:
    """Nothing opens there, whoever asks."""
    sockets = {
        route.path
        for route in create_app(Settings(transcriber="none")).routes  # type: ignore[arg-type]
        if isinstance(route, WebSocketRoute)
    }
    assert sockets == {"/ws/voice", "/session/{session_id}/audio", "/{path:path}"}

    async def main() -> set[int]:
        paths = ["/", "/ws", "/ws/voice/", "/WS/VOICE", SESSIONS, "/healthz"]
        return {
            (await knock(listed, path, origins(listed, values), None))[0]
            for path in paths
            for values in (*ADMITTED.values(), ["https://evil.example"])
        }

    assert run(main()) <= {403, 404}


@pytest.mark.parametrize("name", ["null", "suffix of a name", "two, a good one first"])
def test_a_ticket_in_foreign_hands_is_not_used_up(listed: GatewayProcess, name: str) -> None:
    """Nor does the handshake that is refused count as the first attach."""
    with httpx.Client(base_url=listed.url, trust_env=False) as client:
        made = client.post(SESSIONS).json()
        path = f"/ws/voice?session_id={made['id']}"
        refused = run(knock(listed, path, origins(listed, FOREIGN[name]), made["ticket"]))
        assert refused in REFUSED
        assert client.get(f"{SESSIONS}/{made['id']}").json()["status"] == "created"
        assert run(knock(listed, path, [], made["ticket"])) == (101, "welcome")
        assert run(knock(listed, path, [], made["ticket"])) == (4001, "unauthorized")


def test_a_hundred_uses_of_one_ticket_at_once(listed: GatewayProcess) -> None:
    """Exactly one gets in."""

    async def main() -> list[Outcome]:
        async with httpx.AsyncClient(base_url=listed.url, trust_env=False) as client:
            made = (await client.post(SESSIONS)).json()
        path = f"/ws/voice?session_id={made['id']}"
        return await asyncio.gather(*(knock(listed, path, [], made["ticket"]) for _ in range(100)))

    outcomes = run(main())
    assert outcomes.count((101, "welcome")) == 1
    assert outcomes.count((4001, "unauthorized")) == 99
