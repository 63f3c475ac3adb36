"""Where keys are needed: every route × every kind of credential × every kind of Origin, on a real server.

What each kind may do is a table; whatever is not in it is refused. A foreign page gets nothing, whatever it
holds, and nobody is told anything about a session that isn't theirs.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from gateway.app import create_app
from gateway.sessions.keys import Keyring, NewKey
from gateway.settings import Settings
from gateway.stores.keyfile import save
from protocol.events import Welcome
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.e2e.wire import dial, errors, hear, rest, run, welcomed

SESSIONS = "/api/v1/sessions"
ONE = SESSIONS + "/{session_id}"
LISTED = "https://app.example"

ORIGINS = {"none": None, "listed": LISTED, "foreign": "https://evil.example", "null": "null"}
FOREIGN = ("foreign", "null")

PUBLIC = {("GET", "/"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}
"""What anybody may ask who isn't a foreign page."""
PUBLIC |= {("GET", "/health"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/asyncapi.json")}
OLDER = {
    ("POST", "/session/start"),
    ("GET", "/session/{session_id}"),
    ("GET", "/session/{session_id}/stream"),
    ("GET", "/session/{session_id}/history"),
    ("GET", "/session/{session_id}/export"),
    ("DELETE", "/session/{session_id}/end"),
}
"""What nobody may ask, as no namespace is named for it."""
SESSION_ROUTES = {
    ("GET", ONE): 200,
    ("DELETE", ONE): 200,
    ("GET", f"{ONE}/stats"): 200,
    ("GET", f"{ONE}/history"): 200,
    ("POST", f"{ONE}/tickets"): 201,
    ("GET", f"{ONE}/checkpoints"): 200,
    ("POST", f"{ONE}/checkpoints"): 201,
    ("POST", f"{ONE}/heartbeat"): 200,
    ("POST", f"{ONE}/tasks"): 422,
    ("GET", f"{ONE}/tasks"): 200,
}
"""What the owner of a key does with a session of its namespace, and what it is told."""
TASK = "/api/v1/tasks/{task_id}"
TASK_ROUTES = {("GET", TASK): 200, ("GET", f"{TASK}/result"): 200, ("DELETE", TASK): 200}
"""The same with a task of such a session."""
EVENTS = ("GET", f"{ONE}/events")
WHOLE = {("POST", SESSIONS): 201, ("GET", SESSIONS): 200}
"""What any good key may do, within its own namespace."""
BODIES = {("POST", f"{ONE}/checkpoints"): {"name": "here"}}


@dataclass
class Keyed:
    """A gateway with keys of every kind."""

    gateway: GatewayProcess
    good: NewKey
    other: NewKey
    keys: dict[str, str]
    """Bearer credentials by kind; those that are a key."""

    def client(self, credential: str | None = None) -> httpx.Client:
        """Who presents `credential`."""
        headers = {"authorization": f"Bearer {credential}"} if credential is not None else {}
        return httpx.Client(base_url=self.gateway.url, trust_env=False, headers=headers, timeout=20)

    def session(self) -> dict[str, str]:
        """A new session of the first namespace."""
        with self.client(self.keys["good"]) as owner:
            made: dict[str, str] = owner.post(SESSIONS).json()
        return made

    def task(self, session_id: str) -> str:
        """A task of that session, which is ready."""
        with self.client(self.keys["good"]) as owner:
            task = owner.post(f"{SESSIONS}/{session_id}/tasks", json={"type": "summary"}).json()
            until = time.monotonic() + 10
            while task["state"] != "ready":
                assert time.monotonic() < until, task
                task = owner.get(f"/api/v1/tasks/{task['id']}").json()
        return str(task["id"])


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """Two namespaces; of the first a key each that is good, revoked, and rotated out."""
    path = tmp_path_factory.mktemp("keys") / "namespaces.toml"
    now = time.time()
    ring, expired = Keyring().with_key("mine", now - 7_200)
    ring, good = ring.rotated("mine", now - 3_600, 60.0)
    ring, revoked = ring.with_key("mine", now)
    ring = ring.revoked(revoked.prefix, now)
    ring, other = ring.with_key("other", now)
    save(path, ring)
    running = start_gateway(
        TRANSCRIBER="none",
        NAMESPACES_FILE=str(path),
        ALLOWED_ORIGINS=LISTED,
        SESSION_DETACHED_TTL_S="3600",
        CONNECT_DEADLINE_S="3600",
    )
    keys = {
        "good": good.bearer,
        "other namespace's": other.bearer,
        "expired": expired.bearer,
        "revoked": revoked.bearer,
        "unknown": "utzzzzzzzz." + good.secret,
        "wrong secret": f"{good.prefix}.{other.secret}",
        "no prefix": good.secret,
        "only the prefix": f"{good.prefix}.",
        "the hash in place of the secret": f"{good.prefix}.{good.key_hash}",
    }
    yield Keyed(running, good, other, keys)
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]
    for made in (good, expired, revoked, other):
        assert made.secret not in "".join(running.log)
        assert made.key_hash not in "".join(running.log)


def test_no_route_is_left_out(keyed: Keyed) -> None:
    """A new route needs its line here."""
    routes = {
        (method, route.path)
        for route in create_app(Settings(transcriber="none")).routes  # type: ignore[arg-type]
        if isinstance(route, Route)
        for method in (route.methods or ())
        if method != "HEAD"
    }
    assert routes == PUBLIC | OLDER | set(SESSION_ROUTES) | set(TASK_ROUTES) | {EVENTS} | set(WHOLE)


# Over HTTP --------------------------------------------------------------------------------------------------


@dataclass
class Held:
    """A session of the first namespace, and credentials for it by kind."""

    session_id: str
    task_id: str
    """One of its tasks, which is ready."""
    credentials: dict[str, str | None]

    @property
    def names(self) -> dict[str, str]:
        """What paths are made of."""
        return {"session_id": self.session_id, "task_id": self.task_id}


@pytest.fixture(scope="module")
def held(keyed: Keyed) -> Held:
    """Keys and tickets of every kind; those of one use are used up, but for an observer's."""
    made = keyed.session()
    query: dict[str, object] = {"session_id": made["id"]}

    async def rotated() -> str:
        async with dial(keyed.gateway, query, made["ticket"]) as first:
            token = (await welcomed(first)).resume_token or ""
        async with dial(keyed.gateway, query, token) as second:
            await welcomed(second)
            await second.send('{"type": "ping"}')
            await hear(second)
        return token

    tickets = {
        "invented ticket": "A" * 32,
        "reused ticket": made["ticket"],
        "rotated token": run(rotated()),
        "other session's ticket": keyed.session()["ticket"],
        "observer's ticket": observers_ticket(keyed, made["id"]),
    }
    return Held(made["id"], keyed.task(made["id"]), {"none": None, **keyed.keys, **tickets})


def observers_ticket(keyed: Keyed, session_id: str) -> str:
    """A new one."""
    with keyed.client(keyed.keys["good"]) as owner:
        answer = owner.post(f"{SESSIONS}/{session_id}/tickets", json={"role": "observer"})
    return str(answer.json()["ticket"])


def expected(kind: str, method: str, path: str) -> int:
    """What a client with that kind of credential is told."""
    route = (method, path)
    if route in PUBLIC:
        return 200
    if route in OLDER:
        return 401
    if route in WHOLE:
        return WHOLE[route] if kind in ("good", "other namespace's") else 401
    if kind == "other namespace's":
        return 404
    if kind == "good" or (route == EVENTS and kind == "observer's ticket"):
        return (SESSION_ROUTES | TASK_ROUTES).get(route, 200)
    return 401


@pytest.mark.parametrize(
    ("method", "path"), [*sorted(PUBLIC), *sorted(OLDER), *SESSION_ROUTES, *TASK_ROUTES, EVENTS, *WHOLE]
)
def test_over_http(keyed: Keyed, held: Held, method: str, path: str) -> None:
    """Each kind of credential gets what the table says, and a foreign page 403 whatever it holds."""
    wrong: dict[tuple[str, str], int] = {}
    with keyed.client() as client:
        for origin, value in ORIGINS.items():
            for kind, credential in held.credentials.items():
                if kind == "observer's ticket":
                    credential = observers_ticket(keyed, held.session_id)
                named = held.names
                if (method, kind) == ("DELETE", "good"):
                    session_id = keyed.session()["id"]
                    named = {"session_id": session_id, "task_id": keyed.task(session_id)}
                status = ask(
                    client, method, path.format_map(named), value, credential, BODIES.get((method, path))
                )
                if status != (403 if origin in FOREIGN else expected(kind, method, path)):
                    wrong[kind, origin] = status
        assert wrong == {}
        owner = {"authorization": f"Bearer {keyed.keys['good']}"}
        shown = client.get(f"{SESSIONS}/{held.session_id}", headers=owner).json()
    assert shown["status"] == "detached"


def ask(
    client: httpx.Client, method: str, path: str, origin: str | None, credential: str | None, body: object
) -> int:
    """What a page of `origin` that holds `credential` is told."""
    headers = {"origin": origin, "authorization": credential and f"Bearer {credential}"}
    with client.stream(
        method,
        path,
        headers={name: value for name, value in headers.items() if value is not None},
        json=body,
    ) as answer:
        return answer.status_code


@pytest.mark.parametrize("query", ["key={}", "token={}", "ticket={}", "access_token={}", "authorization={}"])
def test_a_credential_in_a_url_is_none(keyed: Keyed, query: str) -> None:
    """A good key and a good ticket open nothing there."""
    made = keyed.session()
    with keyed.client() as client:
        for credential in (keyed.keys["good"], made["ticket"]):
            for suffix in ("", "/events", "/history"):
                answer = client.get(f"{SESSIONS}/{made['id']}{suffix}?{query.format(credential)}")
                assert answer.status_code == 401


@pytest.mark.parametrize(
    "values",
    [
        ["Basic {}"],
        ["{}"],
        ["Bearer"],
        ["Bearer {} x"],
        ["Bearer {}", "Bearer {}"],
        ["Bearer {},Bearer {}"],
        ["Bearer\t{}"],
    ],
)
def test_a_header_that_is_no_bearers_is_refused(keyed: Keyed, values: list[str]) -> None:
    """Also where a good key stands in it, and where there are two."""
    headers = [("authorization", value.replace("{}", keyed.keys["good"])) for value in values]
    with keyed.client() as client:
        assert client.get(SESSIONS, headers=headers).status_code in (400, 401)


def test_foreign_and_absent_are_the_same(keyed: Keyed) -> None:
    """To the byte, by every verb; but for the date and what names the request."""
    made = keyed.session()
    task = keyed.task(made["id"])
    with keyed.client(keyed.keys["other namespace's"]) as stranger:
        for method, path in [*SESSION_ROUTES, *TASK_ROUTES, EVENTS]:
            seen = []
            for session_id, task_id in ((made["id"], task), ("A" * 22, "A" * 22), ("nobody", "nobody")):
                named = path.format(session_id=session_id, task_id=task_id)
                answer = stranger.request(method, named, json=BODIES.get((method, path)))
                headers = {name: value for name, value in answer.headers.items() if name != "date"}
                seen.append((answer.status_code, answer.content, headers))
            assert seen[0][0] == 404
            assert seen[0] == seen[1] == seen[2]
    with keyed.client(keyed.keys["good"]) as owner:
        assert owner.get(f"{SESSIONS}/{made['id']}").json()["checkpoints"][-1]["name"] == "created"


def test_a_path_opens_nothing_that_its_plain_form_does_not(keyed: Keyed) -> None:
    """However it is written: what is routed is what is asked for."""
    made = keyed.session()
    with keyed.client(keyed.keys["other namespace's"]) as stranger:
        for path in (
            f"/api/v1//sessions/{made['id']}",
            f"//api/v1/sessions/{made['id']}",
            f"/api/v1/sessions/%2e/{made['id']}",
            f"/api/v1/sessions/x%2f..%2f{made['id']}",
            f"/api/v1/sessions/{made['id']}%00",
            f"/api/v1/sessions/{made['id']}/",
            f"/API/v1/sessions/{made['id']}",
        ):
            assert stranger.get(path).status_code in (400, 404), path


# At the WebSocket's door ------------------------------------------------------------------------------------

WELCOME, UNAUTHORIZED, ABSENT = (101, "welcome"), (4001, "unauthorized"), (4004, "session_not_found")
REFUSED = (403, "refused")


async def knock(
    keyed: Keyed, query: str, origin: str | None, *, ticket: str | None = None, bearer: str | None = None
) -> tuple[int, str]:
    """The status of the handshake, or the close code, and what was said."""
    offered = ["undertone.v1.msgpack"] + ([f"undertone.ticket.{ticket}"] if ticket else [])
    headers = [("Origin", origin)] if origin is not None else []
    headers += [("Authorization", f"Bearer {bearer}")] if bearer is not None else []
    try:
        async with connect(
            f"{keyed.gateway.ws_url}?{query}",
            subprotocols=[Subprotocol(one) for one in offered],
            additional_headers=headers,
            compression=None,
            proxy=None,
        ) as socket:
            first = await hear(socket)
            if isinstance(first, Welcome):
                return WELCOME
            heard, code = await rest(socket)
            return code, errors([first, *heard])[-1]
    except InvalidStatus as refused:
        return refused.response.status_code, "refused"


@pytest.mark.parametrize("role", ["owner", "observer", None])
def test_at_the_websockets_door(keyed: Keyed, held: Held, role: str | None) -> None:
    """To a session by a ticket of its role or a key of its namespace; to a new one (no role) by a key."""
    query = f"session_id={held.session_id}&role={role}" if role is not None else "device_type=door"

    def told(kind: str) -> tuple[int, str]:
        if kind == "good":
            return WELCOME
        if kind == "other namespace's":
            return ABSENT if role is not None else WELCOME
        if kind == "observer's ticket" and role == "observer":
            return WELCOME
        return UNAUTHORIZED

    async def main() -> dict[tuple[str, str], tuple[int, str]]:
        wrong: dict[tuple[str, str], tuple[int, str]] = {}
        for origin, value in ORIGINS.items():
            for kind, credential in held.credentials.items():
                if kind == "observer's ticket":
                    credential = observers_ticket(keyed, held.session_id)
                by_ticket = credential is not None and "." not in credential and "ticket" in kind
                found = await knock(
                    keyed,
                    query,
                    value,
                    ticket=credential if by_ticket else None,
                    bearer=None if by_ticket else credential,
                )
                if found != (REFUSED if origin in FOREIGN else told(kind)):
                    wrong[kind, origin] = found
        return wrong

    assert run(main(), 60) == {}


def test_a_key_is_no_subprotocol(keyed: Keyed) -> None:
    """A page has no business with one: only tickets go there."""
    made = keyed.session()
    query = f"session_id={made['id']}"
    assert run(knock(keyed, query, None, ticket=keyed.keys["good"])) == UNAUTHORIZED
    assert run(knock(keyed, query, None, ticket=keyed.good.secret)) == UNAUTHORIZED


def test_of_a_hundred_uses_of_a_ticket_one_gets_in(keyed: Keyed) -> None:
    """At the same time, by sockets and by event streams."""
    made = keyed.session()

    async def main() -> int:
        async with httpx.AsyncClient(base_url=keyed.gateway.url, trust_env=False, timeout=20) as client:
            sockets = (
                knock(keyed, f"session_id={made['id']}", None, ticket=made["ticket"]) for _ in range(60)
            )
            bearer = {"authorization": f"Bearer {made['ticket']}"}

            async def stream() -> bool:
                async with client.stream("GET", f"{SESSIONS}/{made['id']}/events", headers=bearer) as answer:
                    assert answer.status_code in (200, 401)
                    return answer.status_code == 200

            outcomes = await asyncio.gather(*sockets, *(stream() for _ in range(40)))
        return sum(outcome in (WELCOME, True) for outcome in outcomes)

    assert run(main()) == 1
