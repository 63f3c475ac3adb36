"""Tasks behind a balancer: whichever node took one on, every node tells of it and has its result."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from protocol.client import connect
from tests import stores
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import run

SESSIONS = "/api/v1/sessions"
TASKS = "/api/v1/tasks"
OVER = ("ready", "failed", "cancelled")


class Cluster:
    """Two nodes, a session that was held on the first, and who asks them."""

    def __init__(self, store: stores.Server, launch: Callable[..., GatewayProcess]) -> None:
        settings = {"TRANSCRIBER": "none", "STORE": store.url, "NODE_LEASE_S": "2", "TASKS_PER_SESSION": "4"}
        self.store = store
        self.nodes = [launch(**settings), launch(**settings)]
        self.a, self.b = (httpx.Client(base_url=node.url, trust_env=False, timeout=30) for node in self.nodes)
        self.session = str(self.a.post(SESSIONS, json={"delivery": "lossless"}).json()["id"])
        run(self._talk(), 60)

    async def _talk(self) -> None:
        async with connect(self.nodes[0].ws_url, session_id=self.session) as owner:
            await owner.send(pcm(speech()))
            await owner.end()

    def ask(self, at: httpx.Client, type: str = "export", **options: Any) -> str:
        """A task's id."""
        answer = at.post(f"{SESSIONS}/{self.session}/tasks", json={"type": type, "options": options})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def over(self, at: httpx.Client, task_id: str) -> dict[str, Any]:
        """The task, once it is over."""
        deadline = time.monotonic() + 20
        while True:
            task: dict[str, Any] = at.get(f"{TASKS}/{task_id}").json()
            if task.get("state") in OVER:
                return task
            assert time.monotonic() < deadline, task

    def listed(self, at: httpx.Client) -> list[str]:
        """Ids of the session's tasks, as a node lists them."""
        return [one["id"] for one in at.get(f"{SESSIONS}/{self.session}/tasks").json()["tasks"]]

    def kill_a(self) -> None:
        """As a power cut does."""
        self.nodes[0].process.kill()
        self.nodes[0].process.wait()


@pytest.fixture
def cluster(tmp_path: Path, launch: Callable[..., GatewayProcess]) -> Iterator[Cluster]:
    """Two nodes and their store."""
    with stores.server(tmp_path) as store:
        made = Cluster(store, launch)
        yield made
        made.a.close()
        made.b.close()
        assert not [line for node in made.nodes for line in node.log if "Traceback" in line]


def test_a_task_is_the_same_at_every_node(cluster: Cluster) -> None:
    """Its state, its place in the list, its result byte for byte, and that it is there no more."""
    kinds = [("export", {"format": "json"}), ("report", {}), ("summary", {})]
    ids = [cluster.ask(cluster.a, type, **options) for type, options in kinds]
    for task_id in ids:
        ready = cluster.over(cluster.a, task_id)
        assert ready["state"] == "ready"
        assert cluster.over(cluster.b, task_id) == ready
        of_a, of_b = (one.get(f"{TASKS}/{task_id}/result") for one in (cluster.a, cluster.b))
        assert (of_a.status_code, of_b.status_code) == (200, 200), of_b.text
        assert of_b.content == of_a.content
        for header in ("content-type", "content-disposition", "cache-control"):
            assert of_b.headers[header] == of_a.headers[header]
    assert cluster.listed(cluster.a) == cluster.listed(cluster.b) == ids
    fourth = cluster.ask(cluster.b)
    refused = cluster.a.post(f"{SESSIONS}/{cluster.session}/tasks", json={"type": "summary"})
    assert (refused.status_code, refused.json()["code"]) == (429, "task_limit")

    assert cluster.b.delete(f"{TASKS}/{ids[0]}").json()["state"] == "ready"
    for one in (cluster.a, cluster.b):
        assert one.get(f"{TASKS}/{ids[0]}").json()["code"] == "task_not_found"
        assert one.get(f"{TASKS}/{ids[0]}/result").json()["code"] == "task_not_found"
        assert cluster.listed(one) == [*ids[1:], fourth]

    assert cluster.b.delete(f"{SESSIONS}/{cluster.session}").status_code == 200
    for one in (cluster.a, cluster.b):
        assert one.get(f"{TASKS}/{ids[1]}").json()["code"] == "task_not_found"
    stores.until(lambda: "{k:" not in cluster.store.cli("keys", "*"), "forgetting the tasks")
    assert ":tasks" not in cluster.store.cli("keys", "*")


def test_a_result_outlives_its_node(cluster: Cluster) -> None:
    """Made on the node that is left, out of the same: what was ready, and what was not."""
    task_id = cluster.ask(cluster.a, format="vtt")
    assert cluster.over(cluster.a, task_id)["state"] == "ready"
    before = cluster.a.get(f"{TASKS}/{task_id}/result").content
    # Taken on by a node that is stopped before it can do anything else.
    unmade = cluster.ask(cluster.a, "summary")
    cluster.kill_a()
    assert cluster.b.get(f"{TASKS}/{task_id}/result").content == before
    assert cluster.over(cluster.b, unmade)["state"] == "ready"
    assert cluster.b.get(f"{TASKS}/{unmade}/result").json()["session_id"] == cluster.session


def test_a_store_that_is_away_leaves_a_node_its_own(cluster: Cluster) -> None:
    """What was made here can be had; of others nobody can say whether they are there."""
    task_id = cluster.ask(cluster.a, "summary")
    assert cluster.over(cluster.a, task_id)["state"] == "ready"
    cluster.store.stop()
    assert cluster.b.get(f"{TASKS}/{task_id}").json()["code"] == "store_unavailable"
    answer = cluster.b.get(f"{TASKS}/{task_id}/result")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert cluster.a.get(f"{TASKS}/{task_id}").json()["state"] == "ready"
    assert cluster.a.get(f"{TASKS}/{task_id}/result").status_code == 200
