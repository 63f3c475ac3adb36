"""Schemathesis against a real server: what is described is taken, what is not is refused, nothing breaks.

It makes requests out of the description, good ones and bad ones, and compares each answer with it: status,
content type, headers, body, `Allow`, and whether a key was asked for. Each request that names a session or a
task is made twice: as it came, and for one that is there.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema

from gateway.api.body import MAX_NOTE_BYTES, OLD_NAMES, TEXT_FIELDS
from gateway.api.described.document import OPERATIONS
from gateway.sessions.keys import Keyring
from gateway.stores.keyfile import save
from protocol.control import SessionConfig
from tests.e2e.conftest import GatewayProcess, start_gateway

SESSIONS = "/api/v1/sessions"
DEFAULTS = SessionConfig()

bounded = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Target:
    """A gateway, and what lets in."""

    gateway: GatewayProcess
    schema: BaseSchema
    """What it says of itself."""
    headers: dict[str, str] = field(default_factory=dict)

    def client(self) -> httpx.Client:
        """Who is let in."""
        return httpx.Client(base_url=self.gateway.url, trust_env=False, headers=self.headers, timeout=20)

    def known(self, case: Case[Any]) -> dict[str, str]:
        """The path's parameters for something that is there: a stream's session is over, so that it ends."""
        names = case.operation.path_parameters
        with self.client() as client:
            made = client.post(SESSIONS).json()["id"]
            if any(one.name == "task_id" for one in names):
                task = client.post(f"{SESSIONS}/{made}/tasks", json={"type": "summary"}).json()
                return {"task_id": task["id"]}
            if case.path.endswith(("/events", "/stream")):
                client.delete(f"{SESSIONS}/{made}")
        return {"session_id": made} if list(names) else {}


def check(target: Target, case: Case[Any]) -> None:
    """Both requests."""
    case.call_and_validate(headers=target.headers, timeout=10)
    known = target.known(case)
    if known:
        case.path_parameters = known
        case.call_and_validate(headers=target.headers, timeout=10)


@contextmanager
def target(key: str | None = None, **settings: str) -> Iterator[Target]:
    """A gateway that is fuzzed; it has logged no traceback at the end."""
    running = start_gateway(TRANSCRIBER="none", MAX_SESSIONS="100000", TASK_QUEUE="1000", **settings)
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    schema.config.generation.update(with_security_parameters=False)  # the key is ours to send
    yield Target(running, schema, {} if key is None else {"Authorization": f"Bearer {key}"})
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]


@pytest.fixture(scope="module")
def opened() -> Iterator[Target]:
    """Without keys."""
    with target() as found:
        yield found


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """With keys, of which one is in hand; the older routes are open for its namespace."""
    path = tmp_path_factory.mktemp("keys") / "namespaces.toml"
    ring, good = Keyring().with_key("mine", time.time())
    save(path, ring)
    with target(good.bearer, NAMESPACES_FILE=str(path), LEGACY_NAMESPACE="mine") as found:
        yield found


EACH = pytest.mark.parametrize(
    ("method", "path"),
    [pytest.param(one.method, one.path, id=f"{one.method} {one.path}") for one in OPERATIONS],
)
CAN_BE_BAD = {
    (one.method, one.path)
    for one in OPERATIONS
    if one.body is not None or any(parameter.place == "query" for parameter in one.parameters)
}
"""A path's parameter is text, of which there is none that is bad."""


def contradicts_itself(body: object) -> bool:
    """Whether a good body breaks the rules that JSON Schema has no words for; the description tells them."""
    if not isinstance(body, dict):
        return False
    window = body.get("window_ms")
    too_far = (body.get("hop_ms") or 0) > (DEFAULTS.window_ms if window is None else window)
    names = {body.get("device_type"), body.get("agent_type")} - {None}
    if not "".join(map(str, names_of(body))).isprintable():
        return True
    return too_far or len(names) > 1 or any(len(json.dumps(one)) > MAX_NOTE_BYTES for one in body.values())


def names_of(body: dict[str, object]) -> list[object]:
    """What people and programs call themselves in it."""
    return [body.get(name) for name in (*TEXT_FIELDS, *OLD_NAMES)]


def fuzz(target: Target, method: str, path: str) -> None:
    """Good requests and, where there can be any, bad ones."""
    operation = target.schema[path][method]
    modes = [GenerationMode.POSITIVE]
    if (method, path) in CAN_BE_BAD:
        modes.append(GenerationMode.NEGATIVE)
    for mode in modes:
        requests_of(target, operation.as_strategy(generation_mode=mode), good=mode is GenerationMode.POSITIVE)


def requests_of(target: Target, cases: SearchStrategy[Case[Any]], *, good: bool) -> None:
    """Some of `cases`, each sent and its answer compared."""

    @bounded
    @given(case=cases)
    def each(case: Case[Any]) -> None:
        assume(not good or not contradicts_itself(case.body))
        check(target, case)

    each()


@EACH
def test_open(opened: Target, method: str, path: str) -> None:
    """Without keys nothing is found."""
    fuzz(opened, method, path)


@EACH
def test_keyed(keyed: Target, method: str, path: str) -> None:
    """With a key nothing is found either, and nothing that needs one is had without."""
    fuzz(keyed, method, path)
